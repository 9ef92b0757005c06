"""The examination of the machine."""

import os

import pytest

from runtime import doctor


@pytest.mark.root
def test_checks_are_complete_sentences():
    found = doctor.checks()
    names = [name for name, _good, _detail, _advice in found]
    assert {"namespaces", "overlayfs", "cgroups", "seccomp", "pidfd exit info", "capabilities", "inotify"} <= set(names)
    for name, good, detail, advice in found:
        assert name and detail
        assert bool(advice) == (not good), name


@pytest.mark.root
def test_what_a_plain_user_lacks():
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        lacking = [f"{name}: {advice}" for name, good, _detail, advice in doctor.checks() if not good]
        os.write(writer, "\n".join(lacking).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    lacking = os.read(reader, 4096).decode()
    for fd in (reader, writer):
        os.close(fd)
    assert "namespaces" in lacking
    assert "capabilities" in lacking
    assert "cgroups: run as root" in lacking
    assert "mount API: run as root\n" in lacking

"""Root file systems for tests and benchmarks, as tar archives: busybox alone, or with the machine's Python."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile

BUSYBOX = next((path for path in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(path)), "")
PYTHON = "/usr/bin/python3"
PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
)
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nnogroup:x:65534:\n"
DIRECTORIES = ("bin", "dev", "etc", "home", "home/app", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "var")


def busybox_is_static() -> bool:
    """Whether there is a busybox that runs in an empty root."""
    if not BUSYBOX:
        return False
    return "not a dynamic" in subprocess.run(["ldd", BUSYBOX], capture_output=True, text=True, check=False).stderr


def applets() -> list[str]:
    """The names that this busybox answers to."""
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name != "busybox"]


def write_busybox(path: str, extra: dict[str, bytes] | None = None) -> str:
    """A tar with busybox, its applets and two users; ``extra`` maps further file names to their content."""
    with tarfile.open(path, "w") as tar:
        _add_base(tar, extra or {})
    return path


def write_python(path: str) -> str:
    """The same with Debian's Python, its library and what it is linked with: about 40 MB, for the examples in Docker."""
    with tarfile.open(path, "w") as tar:
        _add_base(tar, {})
        real = os.path.realpath(PYTHON)
        version = os.path.basename(real)
        tar.add(real, "usr/bin/python3")
        _add_library(tar, f"usr/lib/{version}")
        extensions = [entry.path for entry in os.scandir(f"/usr/lib/{version}/lib-dynload")]
        for library in _linked([real, *extensions]):
            tar.add(os.path.realpath(library), library.lstrip("/"))
    return path


def _add_library(tar: tarfile.TarFile, library: str) -> None:
    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        unwanted = ("/test", "/idlelib", "/ensurepip", "/config-", "/lib2to3", "/tkinter", "/pydoc_data")
        return None if any(part in f"/{member.name}" for part in unwanted) or member.issym() else member

    for name in ("usr/lib", "lib", "lib64"):
        _add_directory(tar, name)
    tar.add(f"/{library}", library, filter=wanted)


def _linked(programs: list[str]) -> list[str]:
    """The shared libraries that programs need, by the path that the loader looks at."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return sorted(set(re.findall(r"(/lib\S+) \(0x", listed)))


def _add_base(tar: tarfile.TarFile, extra: dict[str, bytes]) -> None:
    for name in DIRECTORIES:
        _add_directory(tar, name, 0o1777 if name == "tmp" else 0o755)
    tar.add(BUSYBOX, "bin/busybox")
    for name in applets():
        link = tarfile.TarInfo(f"bin/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    for name, content in {"etc/passwd": PASSWD.encode(), "etc/group": GROUP.encode(), **extra}.items():
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        tar.addfile(member, io.BytesIO(content))


def _add_directory(tar: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, mode
    tar.addfile(member)

"""What this machine offers: one line per ability, with what to do where one is missing."""

from __future__ import annotations

import os
import time

from runtime import capabilities
from runtime.cgroups.hierarchy import hierarchies, mode
from runtime.linux import mount as m
from runtime.linux import process as proc
from runtime.linux import task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Check = tuple[str, bool, str, str]

_NEEDED = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_MKNOD", "CAP_SYS_CHROOT",
           "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_KILL")  # fmt: skip
_MANY_INSTANCES = 256


def checks() -> list[Check]:
    """(name, whether it is there, detail, advice) for each ability; advice is empty where all is well."""
    return [check() for check in _CHECKS]


def _answer(name: str, good: bool, detail: str, advice: str) -> Check:
    return name, good, detail, "" if good else advice


def _as_root(advice: str) -> str:
    """What to do about a thing that root would find well, as far as a plain user can tell."""
    return "run as root" if os.geteuid() != 0 else advice


def _in_child(work: Callable[[], None]) -> int:
    """The errno with which ``work`` fails in a child process, 0 when it succeeds."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            work()
        except OSError as error:
            code = error.errno or 255
        except BaseException:  # noqa: BLE001 (a forked child must not run its parent's handlers)
            code = 255
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _words(number: int) -> str:
    return os.strerror(number).lower() if 0 < number < 255 else "unexpected error"


def _namespaces() -> Check:
    kinds = proc.CLONE_NEWNS | proc.CLONE_NEWPID | proc.CLONE_NEWNET | proc.CLONE_NEWUTS | proc.CLONE_NEWIPC
    number = _in_child(lambda: proc.unshare(kinds | proc.CLONE_NEWCGROUP))
    detail = "mount pid net uts ipc cgroup" if number == 0 else _words(number)
    return _answer("namespaces", number == 0, detail, "run as root, outside of a restricted container")


def _clone3() -> Check:
    def work() -> None:
        pid, _pidfd = proc.clone3(0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    number = _in_child(work)
    detail = "clone3 with a pidfd" if number == 0 else _words(number)
    return _answer("clone3", number == 0, detail, "use Linux 5.5 or later; an outer seccomp filter may forbid it")


def _mount_api() -> Check:
    def work() -> None:
        context = m.fsopen(b"tmpfs")
        m.fsconfig_create(context)
        m.mount_setattr(m.fsmount(context), set_=m.MOUNT_ATTR_RDONLY)

    number = _in_child(work)
    detail = "fsopen, fsmount, mount_setattr" if number == 0 else _words(number)
    return _answer("mount API", number == 0, detail, _as_root("use Linux 5.12 or later"))


def _overlay() -> Check:
    with open("/proc/filesystems", encoding="ascii") as file:
        known = "\toverlay\n" in file.read()
    if not known:
        number = _in_child(lambda: os.close(m.fsopen(b"overlay")))  # this loads the module
        known = number == 0
    return _answer("overlayfs", known, "available" if known else "not in this kernel", _as_root("modprobe overlay"))


def _cgroups() -> Check:
    found = hierarchies()
    detail = mode(found)
    missing = []
    names = ",".join(h.name for h in found) + "," + _v2_controllers()
    for controller, first in (("cpu", "cpu"), ("memory", "memory"), ("pids", "pids"), ("io", "blkio")):
        if controller not in names.replace(" ", ",").split(",") and first not in names.split(","):
            missing.append(controller)
    writable = all(os.access(h.base, os.W_OK) for h in found)
    good = bool(found) and writable and not missing
    if missing:
        detail += f", without {' '.join(missing)}"
    if not writable:
        detail += ", read-only"
    advice = "mount cgroup2 read-write on /sys/fs/cgroup; limits need its controllers"
    return _answer("cgroups", good, detail, advice if missing else _as_root(advice))


def _v2_controllers() -> str:
    for hierarchy in hierarchies():
        if hierarchy.is_v2:
            with open(f"{hierarchy.mount}/cgroup.controllers", encoding="ascii") as file:
                return file.read().strip()
    return ""


def _seccomp() -> Check:
    def work() -> None:
        task.prctl(task.PR_SET_NO_NEW_PRIVS, 1)
        task.seccomp_filter(b"\x06\0\0\0\0\0\xff\x7f")  # return ALLOW

    number = _in_child(work)
    detail = "filters load" if number == 0 else _words(number)
    return _answer("seccomp", number == 0, detail, "build the kernel with CONFIG_SECCOMP_FILTER")


def _exit_info() -> Check:
    good = proc.knows_exit_of_others()
    detail = (
        "exit codes survive a killed shim" if good else "the exit code of a container whose shim was killed is lost"
    )
    return _answer("pidfd exit info", good, detail, "use Linux 6.15 or later")


def _capabilities() -> Check:
    held = capabilities.names(capabilities.held())
    missing = [name for name in _NEEDED if name not in held]
    detail = f"missing {' '.join(missing)}" if missing else f"{len(held)} held"
    return _answer("capabilities", not missing, detail, "run as root with all capabilities")


def _raise_limits() -> Check:
    good = "CAP_SYS_RESOURCE" in capabilities.names(capabilities.held())
    detail = "ulimits may be raised" if good else "ulimits may only be lowered, oom_score_adj only raised"
    return _answer("CAP_SYS_RESOURCE", good, detail, "needed only for ulimits above this machine's own")


def _inotify() -> Check:
    with open("/proc/sys/fs/inotify/max_user_instances", encoding="ascii") as file:
        instances = int(file.read())
    with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
        watches = int(file.read())
    good = instances >= _MANY_INSTANCES // 2 and watches >= 8192
    detail = f"{instances} instances, {watches} watches"
    return _answer("inotify", good, detail, f"sysctl fs.inotify.max_user_instances={_MANY_INSTANCES}")


def _descriptors() -> Check:
    soft, hard = task.rlimit(7)
    return _answer("open files", hard >= 4096, f"{soft} of {hard}", "raise the hard limit of open files (ulimit -Hn)")


def _kernel() -> Check:
    release = os.uname().release
    numbers = [int(text) for text in release.partition("-")[0].split(".")[:2] if text.isdecimal()]
    return _answer("kernel", numbers >= [5, 12], f"Linux {release}", "use Linux 5.12 or later; 6.15 or later is best")


def _user_namespaces() -> Check:
    number = _in_child(lambda: proc.unshare(proc.CLONE_NEWUSER))
    detail = "can be made" if number == 0 else _words(number)
    advice = "only rootless operation and userns_mode need them: sysctl -w user.max_user_namespaces=15000"
    return _answer("user namespaces", number == 0, detail, advice)


def _clock() -> Check:
    """A clock that is behind our own files spoils certificates, ages and the order of logs."""
    late = os.stat(__file__).st_mtime - time.time()
    detail = "later than our files" if late <= 0 else f"at least {late:.0f} s behind"
    return _answer("clock", late <= 0, detail, "set the time: timedatectl set-ntp true, or date -s")


_ENGINES = ("dockerd", "containerd", "podman", "crio", "k3s-server", "kubelet", "lxd", "systemd-nspawn")


def _engines() -> Check:
    """Others that make bridges and firewall rules: no fault, but good to know."""
    found: dict[str, str] = {}
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
        except OSError:
            continue
        if pid.isdecimal() and name in _ENGINES:
            found.setdefault(name, pid)
    told = ", ".join(f"{name} (pid {pid})" for name, pid in found.items())
    return _answer("other engines", True, f"{told}: their ports and subnets are taken" if told else "none", "")


_CHECKS = (
    _kernel,
    _namespaces,
    _clone3,
    _mount_api,
    _overlay,
    _cgroups,
    _user_namespaces,
    _seccomp,
    _exit_info,
    _capabilities,
    _raise_limits,
    _inotify,
    _descriptors,
    _clock,
    _engines,
)

"""What init and an additional process of a container have in common: from the first step to exec, in the child.

The child is a copy of the shim's interpreter. Everything it needs was computed before the clone (:class:`Entry`). Once
the files of the image are at ``/`` nothing may be imported, no codec or user looked up by the interpreter or the C
library, and no traceback printed. Errors travel as a number and a few bytes.
"""

from __future__ import annotations

import _signal  # the C part: signal's own functions look up enums
import _socket
import array
import errno
import fcntl
import os
import stat
import struct

from runtime.linux import mount as m
from runtime.linux import process as proc
from runtime.linux import task
from runtime.mounts import Refused
from runtime.reaper import fork_program
from runtime.users import UserError, resolve_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from runtime.users import Identity

READY, FAULT, NO_EXEC = b"R", b"F", b"X"
HEAD = struct.Struct("<ciii")  # kind, errno or exit code, length of the step's name, length of the subject

TIOCSPTLCK, TIOCGPTPEER, TIOCSCTTY = 0x40045431, 0x5441, 0x540E
KEEP_FD = 3  # the channel to the shim; everything above is closed before exec


class NoExec(Exception):
    """The process cannot be executed; reported when it is to start. ``code``: 126, 127 or 128."""

    def __init__(self, code: int, text: bytes) -> None:
        super().__init__(code)
        self.code = code
        self.text = text


class Entry:
    """What init and an additional process have in common: who runs what, with which rights. Made before the clone."""

    args: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    user: bytes
    groups: tuple[bytes, ...]
    capabilities: int
    last_capability: int
    no_new_privileges: bool
    filter: bytes
    rlimits: list[tuple[int, int, int]]
    oom_score_adj: bytes
    apparmor: bytes
    terminal: bool
    stdio: tuple[int, int, int] | None
    keyring: bytes
    tasks: list[int]
    ignored: list[int]
    own_executable: tuple[int, int]
    channel: _socket.socket

    def __init__(self) -> None:
        self.step = b""
        self.subject = b""
        self.problem: NoExec | None = None
        self.identity: Identity | None = None
        self.executable = b""
        self.master = -1
        self.reaps = False  # stay as pid 1 and fork the program
        self.in_cwd = self.is_user = self.is_closed = False


# -- steps of both


def leave_parent(box: Entry) -> None:
    """Own session, no inherited dispositions, and death with the shim until exec."""
    task.prctl(task.PR_SET_PDEATHSIG, proc.SIGKILL)
    for number in box.ignored:
        _signal.signal(number, _signal.SIG_DFL)
    task.reset_library_signals()
    os.setsid()
    os.umask(0)


def join_cgroup(box: Entry) -> None:
    for fd in box.tasks:
        os.write(fd, b"0")


def set_oom_score(box: Entry) -> None:
    """While the host's procfs is at /proc."""
    if box.oom_score_adj:
        box.subject = b"oom_score_adj " + box.oom_score_adj
        _write_file(b"/proc/self/oom_score_adj", box.oom_score_adj)


def join_keyring(box: Entry) -> None:
    try:
        task.join_session_keyring(box.keyring)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def set_apparmor(box: Entry, proc_fd: int) -> None:
    """The profile for the coming exec; through a verified procfs, because the write must reach the kernel."""
    if not box.apparmor:
        return
    box.subject = box.apparmor
    for path in (b"thread-self/attr/apparmor/exec", b"thread-self/attr/exec"):
        try:
            fd = m.openat2(proc_fd, path, os.O_WRONLY, m.RESOLVE_BENEATH | m.RESOLVE_NO_XDEV)
        except FileNotFoundError:
            continue
        os.write(fd, b"exec " + box.apparmor)
        os.close(fd)
        return
    raise OSError(errno.ENOENT, "no AppArmor")


def allocate_pty(devpts: int) -> tuple[int, int]:
    """(master, terminal) of a new pty, by handles: never by the name /dev/pts/N."""
    master = os.open(b"ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=devpts)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    return master, fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


# -- steps inside


def place_stdio(box: Entry) -> None:
    """Descriptors 0 to 2; without any, the container's own /dev/null."""
    if box.stdio is None:
        null = os.open(b"/dev/null", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        info = os.fstat(null)
        if not stat.S_ISCHR(info.st_mode) or info.st_rdev != os.makedev(1, 3):
            raise Refused(errno.EINVAL, "/dev/null is not the null device")
        box.stdio = (null, null, null)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in box.stdio]
    for number, fd in enumerate(high):
        os.dup2(fd, number)
    if box.terminal:
        fcntl.ioctl(0, TIOCSCTTY, 0)


def find_user(box: Entry) -> None:
    try:
        box.identity = resolve_user(box.user, box.groups, _read_file(b"/etc/passwd"), _read_file(b"/etc/group"))
    except UserError as error:
        box.problem = NoExec(126, error.args[0])
        return
    if b"HOME" not in box.env:
        box.env[b"HOME"] = box.identity.home


def enter_cwd(box: Entry) -> None:
    """First as root; again as the user if only he may. A directory outside of the root is refused."""
    try:
        os.chdir(box.cwd)
        os.getcwdb()
        box.in_cwd = True
    except OSError as error:
        if not isinstance(error, PermissionError) or box.is_user:
            code = 127 if error.errno == errno.ENOENT else 126
            box.problem = box.problem or NoExec(code, b"working directory " + box.cwd + b": " + _text(error))


def set_rlimits(box: Entry) -> None:
    """Late, because a low limit would hinder the set-up itself; before the rights to raise one go."""
    for number, soft, hard in box.rlimits:
        task.set_rlimit(number, soft, hard)


def load_filter(box: Entry) -> None:
    """Without no_new_privs this needs CAP_SYS_ADMIN, so it comes before the capabilities go."""
    if box.no_new_privileges:
        task.prctl(task.PR_SET_NO_NEW_PRIVS, 1)
    if box.filter:
        task.seccomp_filter(box.filter)


def drop_rights(box: Entry) -> None:
    """Bounding set, then identity, then the other sets; inheritable and ambient end empty."""
    for number in range(box.last_capability + 1):
        if not box.capabilities >> number & 1:
            task.prctl(task.PR_CAPBSET_DROP, number)
    identity = box.identity
    if identity is None:
        return
    for fd in (0, 1, 2):
        _give_to(fd, identity.uid)
    task.prctl(task.PR_SET_KEEPCAPS, 1)
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    task.prctl(task.PR_SET_KEEPCAPS, 0)
    task.prctl(task.PR_CAP_AMBIENT, task.PR_CAP_AMBIENT_CLEAR_ALL)
    rights = box.capabilities if identity.uid == 0 else 0
    task.capset(rights, rights, 0)
    task.prctl(task.PR_SET_PDEATHSIG, proc.SIGKILL)  # the change of user cleared it
    box.is_user = True


def _give_to(fd: int, uid: int) -> None:
    """So that the user can open /dev/stdout again. Never a device but a terminal: they are shared."""
    info = os.fstat(fd)
    if info.st_uid == uid or (stat.S_ISCHR(info.st_mode) and not os.isatty(fd)) or stat.S_ISREG(info.st_mode):
        return
    try:
        os.fchown(fd, uid, -1)
    except OSError:
        pass


def find_executable(box: Entry) -> None:
    """With the user's rights; also refuses our own interpreter, which /proc/self/exe is until exec."""
    if not box.in_cwd:
        enter_cwd(box)
    if box.problem is not None:
        return
    try:
        box.executable = _look_up(box.args[0], box.env.get(b"PATH", b""))
        _refuse_interpreter(box.executable, box.own_executable)
    except NoExec as problem:
        box.problem = problem


def _look_up(name: bytes, path: bytes) -> bytes:
    if b"/" in name:
        _check_executable(name, name)
        return name
    denied: NoExec | None = None
    for directory in path.split(b":"):
        candidate = (directory or b".") + b"/" + name
        try:
            _check_executable(candidate, name)
            return candidate
        except NoExec as problem:
            if problem.code == 126:
                denied = denied or problem
    raise denied or NoExec(127, b'executable "' + name + b'" not found in $PATH')


def _check_executable(path: bytes, name: bytes) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        code = 127 if error.errno in (errno.ENOENT, errno.ENOTDIR) else 126
        raise NoExec(code, b'executable "' + name + b'": ' + _text(error)) from None
    if stat.S_ISDIR(mode):
        raise NoExec(126, b'executable "' + name + b'": is a directory')
    if not os.access(path, os.X_OK):
        raise NoExec(126, b'executable "' + name + b'": permission denied')


def _refuse_interpreter(path: bytes, own: tuple[int, int], depth: int = 0) -> None:
    """A script whose interpreter is /proc/self/exe would run the host's Python and show it to the container."""
    info = os.stat(path)
    if (info.st_dev, info.st_ino) == own:
        raise NoExec(126, b'executable "' + path + b'": it is the interpreter of the host')
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return  # executable but not readable
    head = os.read(fd, 256)
    os.close(fd)
    words = head[2:].split(b"\n")[0].split() if head[:2] == b"#!" else []
    if words and depth < 5:
        try:
            _refuse_interpreter(words[0], own, depth + 1)
        except OSError:
            return  # exec will say so


def close_rest(box: Entry) -> None:
    """Only 0 to 2 and the channel remain (and a pty's master until it is handed over) before a path of the image is
    used: /proc/self/fd/N leads nowhere."""
    kept = [fcntl.fcntl(box.channel.fileno(), fcntl.F_DUPFD_CLOEXEC, 20)]
    if box.master >= 0:
        kept.append(fcntl.fcntl(box.master, fcntl.F_DUPFD_CLOEXEC, 20))
        box.master = KEEP_FD + 1
    for place, fd in enumerate(kept):
        os.dup2(fd, KEEP_FD + place, inheritable=False)
    proc.close_from(KEEP_FD + len(kept))
    box.is_closed = True


INSIDE: tuple[tuple[bytes, Callable[[Entry], None]], ...] = (
    (b"place the standard streams", place_stdio),
    (b"close descriptors", close_rest),
    (b"find the user", find_user),
    (b"enter the working directory", enter_cwd),
    (b"set a resource limit", set_rlimits),
    (b"load the seccomp filter", load_filter),
    (b"drop rights", drop_rights),
    (b"find the executable", find_executable),
)


# -- the channel to the shim


def report(kind: bytes, number: int, step: bytes, subject: bytes = b"", fd: int = -1) -> None:
    """One message to the shim, with the pty's master if there is one."""
    data = HEAD.pack(kind, number, len(step), len(subject)) + step + subject
    if fd < 0:
        os.write(KEEP_FD, data)
        return
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, KEEP_FD)
    sock.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", (fd,)))])
    sock.detach()


def report_ready(box: Entry) -> None:
    """All is set up; hand over the terminal's master."""
    os.umask(0o022)
    box.step = b"report"
    report(READY, 0, b"", fd=box.master)
    if box.master >= 0:
        os.close(box.master)


def execute(box: Entry) -> NoReturn:
    """Wait for the word to start, then exec."""
    if os.read(KEEP_FD, 1) != b"S":
        os._exit(0)  # the shim is gone or has given up
    if box.problem is None:
        if box.reaps:
            fork_program(KEEP_FD, box.terminal)
        task.prctl(task.PR_SET_PDEATHSIG, 0)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        try:
            os.execve(box.executable, box.args, box.env)
        except OSError as error:
            code = 127 if error.errno == errno.ENOENT else 126
            box.problem = NoExec(code, b'executable "' + box.args[0] + b'": ' + _text(error))
    report(NO_EXEC, box.problem.code, b"", box.problem.text)
    os._exit(box.problem.code)


def fail(box: Entry, number: int) -> None:
    """Tell the shim which step failed on what."""
    try:
        if not box.is_closed:
            os.dup2(box.channel.fileno(), KEEP_FD, inheritable=False)
        report(FAULT, number, box.step, box.subject)
    except OSError:
        pass
    os._exit(1)


def _text(error: OSError) -> bytes:
    return (error.strerror or "").lower().encode()


def _write_file(path: bytes, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _read_file(path: bytes, most: int = 1 << 20) -> bytes:
    """The start of a file of the image; empty when there is none or it is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        parts = []
        while most > 0 and (part := os.read(fd, 65536)):
            parts.append(part)
            most -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)

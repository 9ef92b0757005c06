"""Pid 1's life before exec: an ordered list of named steps, run by the child of ``clone3``.

The child is a copy of the shim's interpreter. Everything it needs was computed before the clone (:class:`Box`): from
``enter the root`` on, the files of the image are at ``/``, so nothing may be imported, no codec or user looked up by
the interpreter or the C library, and no traceback printed. Errors travel as a number and a few bytes.
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
from runtime.mounts import Refused, Tree, ensure_inside, mount_root
from runtime.rootfs import describe
from runtime.users import UserError, resolve_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from runtime.paths import Bundle
    from runtime.rootfs import Operation
    from runtime.spec import ContainerSpec
    from runtime.users import Identity

READY, FAULT, NO_EXEC = b"R", b"F", b"X"
HEAD = struct.Struct("<ciii")  # kind, errno or exit code, length of the step's name, length of the subject

TIOCSPTLCK, TIOCGPTPEER, TIOCSCTTY = 0x40045431, 0x5441, 0x540E
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
PROC_MAGIC, DEVPTS_MAGIC = 0x9FA0, 0x1CD1
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
        self.in_cwd = self.is_user = self.is_closed = False


class Box(Entry):
    """What init needs besides."""

    spec: ContainerSpec
    bundle: Bundle
    layers: tuple[str, ...]
    operations: tuple[Operation, ...]
    masked: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    staging: bytes
    vault: bytes
    joins: list[tuple[int, int]]
    unshare_cgroup: bool
    loopback: bool
    hostname: bytes
    domainname: bytes
    sysctls: list[tuple[bytes, bytes]]
    tree: Tree


# -- steps before the root is entered


def leave_parent(box: Entry) -> None:
    """Own session, no inherited dispositions, and death with the shim until exec."""
    task.prctl(task.PR_SET_PDEATHSIG, proc.SIGKILL)
    for number in box.ignored:
        _signal.signal(number, _signal.SIG_DFL)
    os.setsid()
    os.umask(0)


def join_cgroup(box: Entry) -> None:
    for fd in box.tasks:
        os.write(fd, b"0")


def join_namespaces(box: Box) -> None:
    for fd, kind in box.joins:
        proc.setns(fd, kind)
    if box.unshare_cgroup:  # after joining: the namespace's root is where its maker is
        proc.unshare(proc.CLONE_NEWCGROUP)


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


def raise_loopback(box: Box) -> None:
    if not box.loopback:
        return
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    fcntl.ioctl(sock.fileno(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    sock.close()


def set_names(box: Box) -> None:
    if box.hostname:
        task.sethostname(box.hostname)
    if box.domainname:
        task.setdomainname(box.domainname)


def assemble_root(box: Box) -> None:
    """The overlay, attached over the bundle's directory in this mount namespace only."""
    own = os.open(b"/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    staging = os.open(box.staging, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    box.subject = b"the overlay of " + box.staging
    root = mount_root(box.layers, box.bundle)
    box.tree = Tree(root)
    # Sources first: afterwards "/" receives no more mounts from the host, and they would be peers of nothing.
    for operation in box.operations:
        box.subject = describe(operation).encode("utf-8", "surrogateescape")
        box.tree.collect(operation, own)
    m.set_propagation(b"/", m.MS_REC | m.MS_SLAVE)
    box.subject = b"files"
    box.tree.fill_vault(box.operations, box.vault)
    box.subject = box.staging
    m.mount_setattr(root, propagation=m.MS_PRIVATE)
    m.move_mount(root, staging)
    os.close(staging)
    os.close(own)


def mount_all(box: Box) -> None:
    for operation in box.operations:
        box.subject = describe(operation).encode("utf-8", "surrogateescape")
        box.tree.perform(operation)


def set_sysctls(box: Box) -> None:
    """Through the container's own procfs, which nothing could be mounted over."""
    for path, value in box.sysctls:
        box.subject = path
        fd = m.openat2(box.tree.proc, path, os.O_WRONLY, m.RESOLVE_BENEATH | m.RESOLVE_NO_SYMLINKS | m.RESOLVE_NO_XDEV)
        os.write(fd, value)
        os.close(fd)


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


def make_cwd(box: Box) -> None:
    """An image's working directory need not exist; what cannot be made is reported when it is entered."""
    box.subject = box.cwd
    try:
        os.close(ensure_inside(box.tree.root, box.cwd.decode("utf-8", "surrogateescape"), directory=True))
    except OSError:
        pass


def open_console(box: Box) -> None:
    """A pty of the container's own devpts, by handle; its terminal end becomes /dev/console too."""
    if not box.terminal:
        return
    box.master, slave = allocate_pty(box.tree.pts)
    if box.tree.dev >= 0:
        os.close(os.open(b"console", os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=box.tree.dev))
        console = m.open_tree(b"", at=slave, recursive=False)
        m.move_mount(console, box.tree.dev, b"console")
        os.close(console)
    box.stdio = (slave, slave, slave)


def allocate_pty(devpts: int) -> tuple[int, int]:
    """(master, terminal) of a new pty, by handles: never by the name /dev/pts/N."""
    master = os.open(b"ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=devpts)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    return master, fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def hide_paths(box: Box) -> None:
    for path in box.readonly_paths:
        box.subject = path.encode()
        box.tree.make_readonly(path)
    for path in box.masked:
        box.subject = path.encode()
        box.tree.mask(path)


def finish_root(box: Box) -> None:
    if box.spec.rootfs.readonly:
        m.mount_setattr(box.tree.root, set_=m.MOUNT_ATTR_RDONLY)


def enter_root(box: Box) -> None:
    """pivot_root onto itself, then drop the old root: no host path is reachable from here on."""
    old = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(box.tree.root)
    m.pivot_root(b".", b".")
    os.fchdir(old)
    m.set_propagation(b".", m.MS_REC | m.MS_SLAVE)
    m.umount(b".", m.MNT_DETACH)
    os.chdir(b"/")
    os.close(old)


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


# -- the frame


def report(kind: bytes, number: int, step: bytes, subject: bytes = b"", fd: int = -1) -> None:
    """One message to the shim, with the pty's master if there is one."""
    data = HEAD.pack(kind, number, len(step), len(subject)) + step + subject
    if fd < 0:
        os.write(KEEP_FD, data)
        return
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, KEEP_FD)
    sock.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", (fd,)))])
    sock.detach()


STEPS: tuple[tuple[bytes, Callable[[Box], None]], ...] = (
    (b"leave the parent", leave_parent),
    (b"join the cgroup", join_cgroup),
    (b"join the namespaces", join_namespaces),
    (b"set the OOM score", set_oom_score),
    (b"join a keyring", join_keyring),
    (b"raise the loopback link", raise_loopback),
    (b"set the host name", set_names),
    (b"assemble the root", assemble_root),
    (b"mount", mount_all),
    (b"set a sysctl", set_sysctls),
    (b"make the working directory", make_cwd),
    (b"open a console", open_console),
    (b"hide a path", hide_paths),
    (b"finish the root", finish_root),
    (b"enter the root", enter_root),
)


def run_init(box: Box) -> NoReturn:
    """The child's whole life. Never returns and never raises."""
    try:
        for box.step, step in STEPS:
            box.subject = b""
            step(box)
        box.step = b"set the AppArmor profile"
        set_apparmor(box, box.tree.proc)
        settle(box)
    except OSError as error:
        fail(box, error.errno or 0)
    except BaseException:  # noqa: BLE001 (the child of a fork must not run its parent's handlers)
        fail(box, 0)
    os._exit(1)


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


def settle(box: Entry) -> None:
    """From inside the root to exec: who, where, what; then wait for the word and execute."""
    for box.step, step in INSIDE:
        box.subject = b""
        step(box)
    report_ready(box)
    execute(box)


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

"""Makes a container's init process: cgroup, clone, set-up in the child, then a wait just before exec (OCI "created").

The caller has one thread (see docs/decisions on the shim). The child reports over a SEQPACKET pair: ready, or the step
that failed; after the word to start, the end of the pair (close-on-exec) means that exec has happened.
"""

from __future__ import annotations

import _socket
import array
import functools
import gc
import os

from runtime import capabilities, entry, seccomp
from runtime.cgroups.hierarchy import hierarchies
from runtime.cgroups.manager import open_cgroup, paths_of
from runtime.devices import device_nodes, device_rules
from runtime.errors import RuntimeFault, StartFailed, Unsupported
from runtime.init import Box, run_init
from runtime.inside import FAULT, HEAD, NO_EXEC, READY
from runtime.linux import process as proc
from runtime.linux import task
from runtime.linux.identity import boot_id, start_time
from runtime.overlay import ensure_skeleton, prepare_upper
from runtime.record import replace
from runtime.rootfs import Bind, hidden_paths, plan_mounts
from runtime.spec import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cgroups.manager import Cgroup
    from runtime.paths import Bundle, Roots
    from runtime.spec import ContainerSpec

_KINDS = {
    "pid": proc.CLONE_NEWPID,
    "ipc": proc.CLONE_NEWIPC,
    "uts": proc.CLONE_NEWUTS,
    "network": proc.CLONE_NEWNET,
}
_FILES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net"}
_SYSCTLS_OF_IPC = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
                   "kernel.shmmni", "kernel.shm_rmid_forced")  # fmt: skip


class Spawned:
    """An init process that waits before exec, or runs.

    ``start_time``: field 22 of /proc/PID/stat. ``netns_fd``: its network namespace, -1 with the host's. ``master_fd``:
    its terminal, -1 without. The caller owns the descriptors.
    """

    def __init__(self, pid: int, pidfd: int, channel: _socket.socket, name: str) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.start_time = start_time(pid)
        self.netns_fd = -1
        self.master_fd = -1
        self.left_out: list[str] = []  # sentences about limits that this machine does not know
        self._channel = channel
        self._name = name

    def start(self) -> None:
        """Let it exec. Raises StartFailed when the program cannot be executed; then the process has ended."""
        channel = self._channel
        try:
            channel.send(b"S", _socket.MSG_NOSIGNAL)
            data = channel.recv(8192)
        except OSError:
            data = b"\0"
        channel.close()
        if data:
            raise start_failure(data, f"cannot start container {self._name}")

    def abort(self) -> None:
        """Kill it and wait for its end."""
        self._channel.close()
        end(self.pidfd)


def start_failure(data: bytes, sentence: str) -> StartFailed:
    """What the child said about exec, as an error."""
    if data[:1] != NO_EXEC:
        return StartFailed(f"{sentence}: the process died before it was executed", 128)
    _kind, code, step, subject = HEAD.unpack_from(data)
    text = data[HEAD.size + step : HEAD.size + step + subject].decode("utf-8", "replace")
    hint = "is it installed in the image, and its interpreter too?" if code == 127 and "executable" in text else ""
    return StartFailed(f"{sentence}: {text}", code, hint)


def end(pidfd: int) -> None:
    """Kill a child and reap it."""
    try:
        proc.pidfd_send_signal(pidfd, proc.SIGKILL)
    except ProcessLookupError:
        pass
    proc.exit_status(pidfd, parent=True)


def spawn_init(
    spec: ContainerSpec,
    bundle: Bundle,
    roots: Roots,
    *,
    stdio: tuple[int, int, int] | None,
    netns_fd: int | None,
    resolve: Callable[[str], int] | None = None,
    floor: str = "",
) -> Spawned:
    """Create the container's init, set up and waiting before exec.

    ``stdio``: the child's descriptors 0 to 2; none with a terminal. ``netns_fd``: join this network namespace instead
    of making one. ``resolve``: the pid of another container by id, for ``container:`` namespaces. ``floor``: of a build
    step, what lies below its layers in place of a container's mount points; it also gets no variable HOSTNAME.
    Raises RuntimeFault with the step and path that failed; then nothing is left.
    """
    opened: list[int] = []
    box = Box()
    cgroup = open_cgroup(roots, spec.id, spec.cgroup_parent)
    try:
        flags, pid_namespace, ipc_pid = _choose_namespaces(box, spec, netns_fd, resolve, opened)
        _fill_box(box, spec, bundle, cgroup, ipc_pid)
        box.stdio = stdio
        rules = device_rules(spec, device_nodes(spec))
        prepare_upper(bundle)
        box.layers = (*spec.rootfs.layers, floor or ensure_skeleton(roots))
        if floor and not any(word.startswith("HOSTNAME=") for word in spec.process.env):
            box.env.pop(b"HOSTNAME", None)
        cgroup.begin()
        return _spawn(box, cgroup, flags, pid_namespace, rules)
    finally:
        for fd in opened:
            os.close(fd)


def _choose_namespaces(
    box: Box, spec: ContainerSpec, netns_fd: int | None, resolve: Callable[[str], int] | None, opened: list[int]
) -> tuple[int, int, int]:
    """(clone flags, descriptor of a pid namespace to be born in or -1, whose /dev/shm or -1)."""
    flags, pid_namespace, ipc_pid = proc.CLONE_NEWNS, -1, -1
    box.joins = []
    for name, kind in _KINDS.items():
        wanted = getattr(spec.namespaces, name)
        if name == "network" and netns_fd is not None:
            box.joins.append((netns_fd, kind))
        elif wanted == "private":
            flags |= kind
        elif wanted.startswith("container:"):
            pid = _resolve(wanted.removeprefix("container:"), resolve)
            fd = os.open(f"/proc/{pid}/ns/{_FILES[name]}", os.O_RDONLY | os.O_CLOEXEC)
            opened.append(fd)
            if name == "pid":
                pid_namespace = fd
            else:
                box.joins.append((fd, kind))
            ipc_pid = pid if name == "ipc" else ipc_pid
        elif wanted != "host":
            raise RuntimeFault(f"cannot use the {name} namespace {wanted!r}", "known: private, host, container:ID")
        elif name == "ipc":
            ipc_pid = 0
    box.unshare_cgroup = spec.namespaces.cgroup == "private"
    return flags, pid_namespace, ipc_pid


def _resolve(ident: str, resolve: Callable[[str], int] | None) -> int:
    if resolve is None:
        raise RuntimeFault(f"cannot join the namespaces of container {ident[:12]}: it cannot be looked up here")
    return resolve(ident)


def _fill_box(box: Box, spec: ContainerSpec, bundle: Bundle, cgroup: Cgroup, ipc_pid: int) -> None:
    process = spec.process
    if spec.init:
        program = entry.find_init_program()
        box.reaps = not program
        if program:
            process = replace(process, args=(entry.INIT_PATH, "--", *process.args))
            mount = Mount(entry.INIT_PATH, "bind", program, ("ro", "nodev"))
            spec = replace(spec, mounts=(*spec.mounts, mount), process=process)
    entry.fill(box, spec, process, spec.privileged)
    nodes = device_nodes(spec)
    box.spec, box.bundle = spec, bundle
    box.operations = plan_mounts(spec, bundle, nodes, paths_of(cgroup), ipc_pid)
    _check_sources(box)
    box.masked, box.readonly_paths = hidden_paths(spec, _thermal_directories())
    box.staging, box.vault = os.fsencode(bundle.dir), os.fsencode(bundle.run)
    private_network = spec.namespaces.network == "private"
    box.loopback = private_network
    box.sysctls = _sysctls(spec, private_network)
    private_uts = spec.namespaces.uts == "private"
    box.hostname = os.fsencode(spec.hostname) if private_uts else b""
    box.domainname = os.fsencode(spec.domainname) if private_uts else b""
    if spec.hostname:
        box.env.setdefault(b"HOSTNAME", os.fsencode(spec.hostname))


def _check_sources(box: Box) -> None:
    for operation in box.operations:
        if isinstance(operation, Bind) and not operation.within and not os.path.exists(operation.source):
            raise RuntimeFault(f"cannot mount {operation.source} at {operation.destination}: no such file or directory",
                               "create it on the host, or correct the path")  # fmt: skip


@functools.cache
def _thermal_directories() -> tuple[str, ...]:
    """Each CPU's thermal_throttle directory, which tells of the load of other guests."""
    base = "/sys/devices/system/cpu"
    paths = [f"{base}/{name}/thermal_throttle" for name in sorted(os.listdir(base)) if name[3:].isdigit()]
    return tuple(path for path in paths if os.path.isdir(path))


def warm() -> None:
    """Compute what does not change from container to container; for the shims' common ancestor, before it forks."""
    names = capabilities.mask(capabilities.DEFAULT) & entry.held_capabilities()
    try:
        seccomp.compile_profile(names, "default")  # spelled as entry.py spells it: the cache tells them apart
    except RuntimeFault:
        pass  # an unknown machine: told when a container needs a filter
    hierarchies()
    boot_id()
    entry.last_capability()
    entry.own_executable()
    entry.has_apparmor()
    _thermal_directories()


def _sysctls(spec: ContainerSpec, private_network: bool) -> list[tuple[bytes, bytes]]:
    """(path below /proc, value). Raises RuntimeFault for one that would change the host, or another container."""
    values = {}
    if private_network:
        values["net.ipv4.ping_group_range"] = "0 2147483647"
        values["net.ipv4.ip_unprivileged_port_start"] = "0"
    for name, value in spec.sysctls.items():
        name = name.replace("/", ".")
        of_network = name.startswith("net.") and private_network
        of_ipc = spec.namespaces.ipc == "private" and (name in _SYSCTLS_OF_IPC or name.startswith("fs.mqueue."))
        if not (of_network or of_ipc) or ".." in name:
            raise RuntimeFault(f"cannot set sysctl {name}: the container does not have a namespace of its own for it")
        values[name] = value
    return [(b"sys/" + name.replace(".", "/").encode(), value.encode()) for name, value in values.items()]


def _spawn(box: Box, cgroup: Cgroup, flags: int, pid_namespace: int, rules: tuple[str, ...]) -> Spawned:
    spec = box.spec
    unified = os.open(cgroup.unified, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if cgroup.unified else -1
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    box.channel, box.task_files = theirs, cgroup.task_files()
    try:
        pid, pidfd = born(flags, unified, pid_namespace)
        if pid == 0:
            run_init(box)
    except OSError as error:
        ours.close()
        cgroup.remove()
        raise Unsupported(
            f"cannot create the namespaces of container {spec.name}: {error.strerror}",
            "pycompose doctor says what this machine lacks",
        ) from error
    finally:
        theirs.close()
        if unified >= 0:
            os.close(unified)
    spawned = Spawned(pid, pidfd, ours, spec.name)
    try:
        cgroup.complete(spec.resources, spec.privileged, rules)  # while the child opens its root
        spawned.left_out = cgroup.left_out
        _say(ours, b"G")
        spawned.master_fd = wait_ready(ours, f"cannot create container {spec.name}")
        if spec.namespaces.network != "host":
            spawned.netns_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        spawned.abort()
        os.close(pidfd)
        cgroup.remove()
        raise
    return spawned


def _say(channel: _socket.socket, word: bytes) -> None:
    """A word to the child; that it is gone shows when its answer is awaited."""
    try:
        channel.send(word, _socket.MSG_NOSIGNAL)
    except OSError:
        pass


def born(flags: int, cgroup: int, pid_namespace: int = -1) -> tuple[int, int]:
    """clone3, in another pid namespace if one is given; the child cannot be looked into by what may run there."""
    own = -1
    if pid_namespace >= 0:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        proc.setns(pid_namespace, proc.CLONE_NEWPID)
    task.prctl(task.PR_SET_DUMPABLE, 0)
    gc_was_on = gc.isenabled()
    gc.disable()  # a collection in the child would copy the whole heap
    pid, failure = 0, None
    try:
        pid, pidfd = proc.clone3(flags, cgroup)
    except OSError as error:
        failure = error
    if pid == 0 and failure is None:
        return 0, -1  # the child: it must not touch what follows
    task.prctl(task.PR_SET_DUMPABLE, 1)
    if gc_was_on:
        gc.enable()
    if own >= 0:
        proc.setns(own, proc.CLONE_NEWPID)
        os.close(own)
    if failure is not None:
        raise failure
    return pid, pidfd


def wait_ready(channel: _socket.socket, sentence: str) -> int:
    """Wait for the child's first message; the master of its terminal, or -1. Raises RuntimeFault."""
    try:
        data, ancillary = _receive(channel)
    except ConnectionResetError:  # it ended with a word of ours unread, which comes before its own last word
        data, ancillary = _receive(channel)
    fds = array.array("i")
    for _level, _type, payload in ancillary:
        fds.frombytes(payload)
    if data[:1] == READY:
        return fds[0] if fds else -1
    if data[:1] != FAULT:
        raise RuntimeFault(f"{sentence}: its first process died during set-up", "is the memory limit too low?")
    _kind, number, step_length, subject_length = HEAD.unpack_from(data)
    step = data[HEAD.size : HEAD.size + step_length].decode()
    subject = data[HEAD.size + step_length : HEAD.size + step_length + subject_length].decode("utf-8", "replace")
    reason = os.strerror(number).lower() if number else "unexpected error"
    raise RuntimeFault(
        f"{sentence}: could not {step}{f' ({subject})' if subject else ''}: {reason}", _hint(step, number)
    )


def _receive(channel: _socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    data, ancillary, _flags, _address = channel.recvmsg(8192, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    return data, ancillary


def _hint(step: str, number: int) -> str:
    if number == 40 and step == "mount":  # ELOOP
        return "the image has a symbolic link where a system directory must be"
    if number in (1, 13) and step == "set the OOM score":
        return "lowering it needs CAP_SYS_RESOURCE"
    if number == 20 and step == "mount":
        return "a file cannot be mounted on a directory, nor a directory on a file"
    return ""

"""What a container's file tree is made of: the list of mount operations for a spec. Pure; runtime/mounts.py does them.

The defaults are Docker's. Order is by depth of the destination, so that a mount at /data comes before one at
/data/cache whoever asked for it, and a user's mount replaces the default at the same place.
"""

from __future__ import annotations

from runtime.errors import RuntimeFault
from runtime.linux import mount as m
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.devices import Node
    from runtime.paths import Bundle
    from runtime.spec import ContainerSpec, Mount

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# The only files inside /proc that something may be mounted on; the rest would let an image feign kernel interfaces.
_PROC_TARGETS = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo",
        "diskstats",
        "loadavg",
        "meminfo",
        "slabinfo",
        "stat",
        "swaps",
        "uptime",
        "sys/kernel/ns_last_pid",
        "sys/crypto/fips_enabled",
    )
)

_SAFE = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC
_FLAGS = {
    "ro": (m.MOUNT_ATTR_RDONLY, True),
    "rw": (m.MOUNT_ATTR_RDONLY, False),
    "nosuid": (m.MOUNT_ATTR_NOSUID, True),
    "suid": (m.MOUNT_ATTR_NOSUID, False),
    "nodev": (m.MOUNT_ATTR_NODEV, True),
    "dev": (m.MOUNT_ATTR_NODEV, False),
    "noexec": (m.MOUNT_ATTR_NOEXEC, True),
    "exec": (m.MOUNT_ATTR_NOEXEC, False),
    "nosymfollow": (m.MOUNT_ATTR_NOSYMFOLLOW, True),
    "nodiratime": (m.MOUNT_ATTR_NODIRATIME, True),
}
_PROPAGATION = {"private": m.MS_PRIVATE, "slave": m.MS_SLAVE, "shared": m.MS_SHARED}
_RECURSION = ("nonrecursive", "topmost")
_IGNORED = frozenset(
    (*_RECURSION, "bind", "rbind", "z", "Z", "consistent", "cached", "delegated", "relatime", "async", "defaults")
)
_TMPFS_KEYS = frozenset(("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge"))


@record
class Filesystem:
    """A new filesystem. ``real_directory``: refuse a symbolic link at the destination, do not follow it."""

    destination: str
    type: str
    options: tuple[tuple[str, str], ...] = ()
    attributes: int = 0
    real_directory: bool = False


@record
class Bind:
    """A host directory or file. ``set``/``clear``: attributes; ``propagation``: an MS_ flag; ``within``: see Mount."""

    source: str
    destination: str
    set: int = 0
    clear: int = 0
    propagation: int = m.MS_PRIVATE
    recursive: bool = True  # with what is mounted below
    everywhere: bool = True  # attributes hold for what is mounted below, too
    within: str = ""
    layers: tuple[str, ...] = ()


@record
class Dev:
    """/dev: a tmpfs with nodes and links."""

    nodes: tuple[Node, ...]
    destination: str = "/dev"


@record
class Cgroups:
    """/sys/fs/cgroup: each hierarchy's (mount point, the container's directory)."""

    hierarchies: tuple[tuple[str, str], ...]
    readonly: bool
    unified_only: bool
    destination: str = "/sys/fs/cgroup"


@record
class SharedMemory:
    """/dev/shm of another container, or of the host (pid 0), whose IPC namespace is shared."""

    pid: int
    destination: str = "/dev/shm"


@record
class Content:
    """A file with given bytes, read-only."""

    destination: str
    content: bytes
    uid: int
    gid: int
    mode: int


if TYPE_CHECKING:
    Operation = Filesystem | Bind | Dev | Cgroups | SharedMemory | Content


def describe(operation: Operation) -> str:
    """The operation in a few words, for errors and ``--debug``."""
    match operation:
        case Bind():
            return f"bind {operation.source} on {operation.destination}"
        case Filesystem():
            return f"mount {operation.type} on {operation.destination}"
        case Content():
            return f"put a file at {operation.destination}"
        case _:
            return f"mount {operation.destination}"


def plan_mounts(
    spec: ContainerSpec,
    bundle: Bundle,
    nodes: tuple[Node, ...],
    cgroups: tuple[tuple[str, str], ...],
    ipc_pid: int = -1,
) -> tuple[Operation, ...]:
    """The operations in order. ``ipc_pid``: whose /dev/shm to use, -1 for one of its own.

    Raises RuntimeFault for a destination or an option that cannot be.
    """
    operations: dict[str, Operation] = {}
    for operation in _defaults(spec, nodes, cgroups, ipc_pid):
        operations[operation.destination] = operation
    for source, destination in spec.rootfs.binds:
        attributes = m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV
        operations[destination] = Bind(source, destination, set=attributes)
    for operation in _network_files(spec, bundle):
        operations[operation.destination] = operation
    for wanted in spec.mounts:
        operation = operation_from_mount(wanted)
        operations[operation.destination] = operation
    for file in spec.files:
        path = check_destination(file.destination)
        operations[path] = Content(path, file.content, file.uid, file.gid, file.mode)
    return tuple(sorted(operations.values(), key=lambda operation: operation.destination.count("/")))


def _defaults(
    spec: ContainerSpec, nodes: tuple[Node, ...], cgroups: tuple[tuple[str, str], ...], ipc_pid: int
) -> list[Operation]:
    readonly = 0 if spec.privileged else m.MOUNT_ATTR_RDONLY
    devpts = (("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5"))
    shm = (("mode", "1777"), ("size", str(spec.shm_size)))
    memory: list[Operation] = [Filesystem("/dev/shm", "tmpfs", shm, _SAFE) if ipc_pid < 0 else SharedMemory(ipc_pid)]
    return [
        Filesystem("/proc", "proc", (), _SAFE, real_directory=True),
        Dev(nodes),
        Filesystem("/sys", "sysfs", (), _SAFE | readonly, real_directory=True),
        Filesystem("/dev/pts", "devpts", devpts, m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NOEXEC),
        Filesystem("/dev/mqueue", "mqueue", (), _SAFE),
        *(memory if spec.shm_size >= 0 else []),
        Cgroups(cgroups, not spec.privileged, len(cgroups) == 1),
    ]


def _network_files(spec: ContainerSpec, bundle: Bundle) -> list[Bind]:
    if not spec.network_files:
        return []
    attributes = m.MOUNT_ATTR_RDONLY if spec.rootfs.readonly else 0
    owner = bundle.beside(spec.network_files_of) if spec.network_files_of else bundle
    return [
        Bind(owner.resolv_conf, "/etc/resolv.conf", set=attributes),
        Bind(owner.hostname, "/etc/hostname", set=attributes),
        Bind(owner.hosts, "/etc/hosts", set=attributes),
    ]


def check_destination(path: str) -> str:
    """The destination, normalised. Raises RuntimeFault for one that is relative, the root, or inside /proc."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or ".." in parts or "\0" in path:
        raise RuntimeFault(
            f"cannot mount at {path!r}: the destination must be an absolute path without ..",
            hint="write a path from the root of the container",
        )
    if not parts:
        raise RuntimeFault("cannot mount at /: that is the container's root", hint="mount below it")
    clean = "/" + "/".join(parts)
    if parts[0] == "proc" and clean not in _PROC_TARGETS:
        raise RuntimeFault(f"cannot mount at {clean}: it is inside /proc", hint="choose another place")
    return clean


def operation_from_mount(mount: Mount) -> Operation:
    """A user's mount as an operation. Raises RuntimeFault."""
    destination = check_destination(mount.destination)
    set_, clear, propagation, options = parse_options(mount)
    if mount.type == "bind":
        if mount.within and not f"{mount.source}/".startswith(f"{mount.within.rstrip('/')}/"):
            raise RuntimeFault(f"cannot mount {mount.source} at {destination}: it is not below {mount.within}")
        deep, everywhere = "nonrecursive" not in mount.options, "topmost" not in mount.options
        if mount.layers:
            set_, clear = set_ | m.MOUNT_ATTR_RDONLY, clear & ~m.MOUNT_ATTR_RDONLY
        return Bind(mount.source, destination, set_, clear, propagation, deep, everywhere, mount.within, mount.layers)
    if mount.type == "tmpfs":
        return Filesystem(destination, "tmpfs", options, (_SAFE | set_) & ~clear)
    raise RuntimeFault(f"cannot mount at {destination}: unknown type {mount.type!r}", "known: bind, tmpfs")


def parse_options(mount: Mount) -> tuple[int, int, int, tuple[tuple[str, str], ...]]:
    """(attributes to set, to clear, propagation, filesystem options). Raises RuntimeFault for an unknown word."""
    set_ = clear = 0
    propagation = m.MS_PRIVATE
    options: list[tuple[str, str]] = []
    for word in mount.options:
        key, equals, value = word.partition("=")
        if word in _FLAGS:
            bit, on = _FLAGS[word]
            set_, clear = (set_ | bit, clear & ~bit) if on else (set_ & ~bit, clear | bit)
        elif word.removeprefix("r") in _PROPAGATION:
            propagation = _PROPAGATION[word.removeprefix("r")]
        elif mount.type == "tmpfs" and equals and key in _TMPFS_KEYS:
            options.append((key, value))
        elif word not in _IGNORED:
            raise RuntimeFault(f"cannot mount at {mount.destination}: unknown option {word!r}")
    return set_, clear, propagation, tuple(options)


def hidden_paths(spec: ContainerSpec, thermal: tuple[str, ...] = ()) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(masked, read-only) paths; ``thermal``: the CPUs' thermal_throttle directories of this machine."""
    if spec.privileged or not spec.masked_paths:
        return (), ()
    return MASKED + thermal, READONLY

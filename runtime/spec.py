"""What a container is, as the runtime sees it: plain frozen values that travel as JSON.

Words follow the OCI runtime-spec (config.md, config-linux.md) where it has one. All sizes are bytes, all durations
nanoseconds, all paths absolute strings. The runtime knows nothing of Compose: names, labels and the canonical service
configuration pass through it as opaque values.
"""

from __future__ import annotations

from runtime.record import EMPTY, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HOST_GATEWAY = "host-gateway"  # in place of the address of an extra host: this machine, as Docker has it


@record
class Rlimit:
    """A resource limit: ``type`` in lower case without RLIMIT_ (``nofile``); -1 means unlimited (getrlimit(2))."""

    type: str
    soft: int
    hard: int


@record
class Process:
    """What is executed. ``user`` is resolved inside the container's own /etc/passwd and /etc/group, parsed as text.

    ``args`` must not be empty. ``capabilities`` are full names (``CAP_CHOWN``) and become bounding, permitted and
    effective sets; inheritable and ambient stay empty. An empty ``cwd`` means ``/``.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    terminal: bool = False
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0
    apparmor: str = ""


def process_beside(
    base: Process,
    args: tuple[str, ...],
    *,
    env: Mapping[str, str | None] = EMPTY,
    cwd: str = "",
    user: str = "",
    terminal: bool = False,
) -> Process:
    """A further process for a container whose first one is ``base``: exec, hooks. What is empty stays as it is there.

    ``env``: variables added or replaced; None removes one.
    """
    variables: dict[str, str | None] = {**dict(entry.split("=", 1) for entry in base.env), **env}
    return replace(
        base,
        args=args,
        env=tuple(f"{name}={value}" for name, value in variables.items() if value is not None),
        cwd=cwd or base.cwd,
        user=user or base.user,
        terminal=terminal,
    )


@record
class Mount:
    """A mount the user asked for. ``type``: ``bind`` (source is a host path) or ``tmpfs``.

    ``options``: mount(8) words: ro rw nosuid nodev noexec rprivate rshared ... and, tmpfs, size= mode= uid= gid=; of
    binds also ``nonrecursive`` (without what is mounted below the source) and ``topmost`` (ro is for the mount itself,
    not for what is mounted below).
    ``within``: a directory above ``source`` that symbolic links of the source must not lead out of (a volume, whose
    content containers write, when a path below it is mounted); empty trusts the whole path.
    ``layers``: of a bind, directories to stack in place of ``source``, top first (a path in an image); read-only.
    """

    destination: str
    type: str
    source: str = ""
    options: tuple[str, ...] = ()
    within: str = ""
    layers: tuple[str, ...] = ()


@record
class File:
    """A file given to the container (a secret or config): content, owner, mode; mounted read-only."""

    destination: str
    content: bytes
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@record
class Device:
    """A device node to make available; ``access`` is a subset of ``rwm``. Owner and permissions are the host's, where
    they are not given."""

    path: str
    host_path: str
    access: str = "rwm"
    uid: int = -1
    gid: int = -1
    mode: int = -1


@record
class Resources:
    """Limits of the container's cgroup; 0 or empty means "not set", -1 means unlimited.

    ``cpus_nano``: CPUs times 1e9 (``cpus: 1.5`` is 1_500_000_000). ``memory_swap`` is memory plus swap, as in Docker.
    ``device_rules``: cgroup v1 syntax (``c 1:3 rwm``) appended to the defaults. ``cpu_rt_*``: microseconds.
    ``blkio_devices``: (what, path of a block device, number), what being ``weight``, ``read_bps``, ``write_bps``,
    ``read_iops`` or ``write_iops``.
    """

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int = -1
    oom_kill_disable: bool = False
    cpus_nano: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    blkio_weight: int = 0
    blkio_devices: tuple[tuple[str, str, int], ...] = ()
    cpu_rt_runtime: int = 0
    cpu_rt_period: int = 0
    device_rules: tuple[str, ...] = ()


@record
class Namespaces:
    """Each: ``private`` (a new one), ``host``, or ``container:<id>`` (join that running container's)."""

    network: str = "private"
    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"


@record
class Rootfs:
    """An overlay: ``layers`` are host directories, top first. ``volatile``: never mounted again after a host crash.

    ``binds``: read-only binds below the root that belong to the image itself (the built-in image's /usr), as
    (source, destination) pairs.
    """

    layers: tuple[str, ...]
    readonly: bool = False
    volatile: bool = False
    binds: tuple[tuple[str, str], ...] = ()


@record
class Health:
    """A health check; ``test`` is the argument vector. Zero means Docker's default (runtime/shim/health.py)."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@record
class Restart:
    """``name``: no, always, unless-stopped, on-failure. ``max_retries`` 0 means without end (on-failure only)."""

    name: str = "no"
    max_retries: int = 0


@record
class LogConfig:
    """``driver``: json-file, local (same file format) or none; syslog, journald, fluentd, gelf pass the lines on, too.

    ``max_size`` bytes, 0 unlimited. ``attrs``: labels and variables that go with every line. ``target``: the driver's
    options (``syslog-address`` …), ``tag`` rendered, ``image``. Without ``keep`` no line is written here.
    """

    driver: str = "json-file"
    max_size: int = 0
    max_files: int = 1
    attrs: Mapping[str, str] = EMPTY
    target: Mapping[str, str] = EMPTY
    keep: bool = True


@record
class ContainerSpec:
    """Everything that ``runtime.container.create`` needs. ``id`` is 64 hex digits, ``name`` unique on the machine.

    ``network_files``: mount /etc/hosts, /etc/hostname and /etc/resolv.conf from the container's directory (see
    runtime/paths.py), or from that of ``network_files_of``, an id: whose network namespace is shared shares these too.
    ``extra_hosts``: lines for /etc/hosts as (name, address). ``annotations``: opaque to the runtime.
    """

    id: str
    name: str
    process: Process
    rootfs: Rootfs
    hostname: str = ""
    domainname: str = ""
    namespaces: Namespaces = Namespaces()
    mounts: tuple[Mount, ...] = ()
    files: tuple[File, ...] = ()
    devices: tuple[Device, ...] = ()
    resources: Resources = Resources()
    sysctls: Mapping[str, str] = EMPTY
    privileged: bool = False
    seccomp: str = "default"  # default, unconfined, or a profile's JSON text
    masked_paths: bool = True  # Docker's masked and read-only paths
    shm_size: int = 64 << 20  # bytes of /dev/shm; -1: there is none
    init: bool = False
    open_stdin: bool = False
    stop_signal: str = "SIGTERM"
    stop_timeout: int = 10_000_000_000
    restart: Restart = Restart()
    health: Health | None = None
    log: LogConfig = LogConfig()
    labels: Mapping[str, str] = EMPTY
    network_files: bool = True
    network_files_of: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    cgroup_parent: str = ""
    auto_remove: bool = False
    dns_servers: tuple[str, ...] = ()  # where our resolver forwards for this container; empty: the host's servers
    helper_dir: str = ""  # directory of the project's helper.sock, or none


if TYPE_CHECKING:
    Plain = dict[str, Any]

_NESTED = {
    "process": Process,
    "rootfs": Rootfs,
    "namespaces": Namespaces,
    "resources": Resources,
    "restart": Restart,
    "health": Health,
    "log": LogConfig,
}
_LISTS = {"mounts": Mount, "files": File, "devices": Device, "rlimits": Rlimit}


def encode(spec: ContainerSpec) -> Plain:
    """The spec as values that ``json.dumps`` takes; file contents as latin-1 text (every byte one character)."""
    return {name: _encode(value) for name, value in spec.__dict__.items()}


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if hasattr(value, "_defaults"):
        return {name: _encode(item) for name, item in value.__dict__.items()}
    if hasattr(value, "items"):
        return dict(value)
    return value


def decode(plain: Plain) -> ContainerSpec:
    """The inverse of :func:`encode`. Unknown keys raise TypeError: the format page carries the version."""
    return ContainerSpec(**{name: _decode(name, value) for name, value in plain.items()})


def _decode(name: str, value: Any) -> Any:
    if isinstance(value, dict) and name in _NESTED:
        return _NESTED[name](**{key: _decode(key, item) for key, item in value.items()})
    if isinstance(value, list) and name in _LISTS:
        return tuple(_LISTS[name](**{key: _decode(key, item) for key, item in row.items()}) for row in value)
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if name == "content":
        return value.encode("latin-1")
    return value


def changed_files(old: ContainerSpec, new: ContainerSpec) -> tuple[File, ...]:
    """The files of ``new`` that are mounted already and have another content."""
    before = {file.destination: file.content for file in old.files}
    return tuple(file for file in new.files if before.get(file.destination, file.content) != file.content)

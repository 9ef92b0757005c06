"""Device nodes: Docker's defaults, the user's, and the rules of the devices controller (mknod(2))."""

from __future__ import annotations

import os
import stat

from runtime.errors import RuntimeFault
from runtime.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.spec import ContainerSpec, Device


@record
class Node:
    """A device node to make; ``path`` is absolute in the container, ``mode`` holds type and permissions."""

    path: str
    mode: int
    major: int
    minor: int
    uid: int = 0
    gid: int = 0
    access: str = "rwm"


_CHARACTER = stat.S_IFCHR | 0o666
DEFAULT_NODES = (
    Node("/dev/null", _CHARACTER, 1, 3),
    Node("/dev/zero", _CHARACTER, 1, 5),
    Node("/dev/full", _CHARACTER, 1, 7),
    Node("/dev/random", _CHARACTER, 1, 8),
    Node("/dev/urandom", _CHARACTER, 1, 9),
    Node("/dev/tty", _CHARACTER, 5, 0),
)
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)

# What every container may use: making any node, the default nodes, consoles, ptys.
DEFAULT_RULES = (
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
)


def node_from_host(device: Device) -> Node:
    """The node that ``device.host_path`` is. Raises RuntimeFault when it is missing or no device."""
    try:
        info = os.stat(device.host_path)
    except OSError as error:
        raise RuntimeFault(f"cannot give device {device.host_path}: {error.strerror}") from error
    if not (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)):
        raise RuntimeFault(f"cannot give device {device.host_path}: it is not a device node")
    major, minor = os.major(info.st_rdev), os.minor(info.st_rdev)
    mode = info.st_mode if device.mode < 0 else stat.S_IFMT(info.st_mode) | device.mode
    uid = info.st_uid if device.uid < 0 else device.uid
    gid = info.st_gid if device.gid < 0 else device.gid
    return Node(device.path or device.host_path, mode, major, minor, uid, gid, device.access)


def _nodes_of(device: Device) -> Iterator[Node]:
    """The device's node; of a directory (/dev/snd) every node below it."""
    if not os.path.isdir(device.host_path):
        yield node_from_host(device)
        return
    for node in _host_nodes(device.host_path):
        path = (device.path or device.host_path).rstrip("/") + node.path[len(device.host_path.rstrip("/")) :]
        yield replace(node, path=path, access=device.access)


def rule_of(node: Node) -> str:
    """The node's rule for the devices controller, in cgroup v1 syntax."""
    return f"{'b' if stat.S_ISBLK(node.mode) else 'c'} {node.major}:{node.minor} {node.access}"


def _host_nodes(directory: str) -> Iterator[Node]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in ("pts", "shm", "mqueue", "fd"):
                    yield from _host_nodes(entry.path)
            elif not entry.is_symlink():
                info = entry.stat(follow_symlinks=False)
                if (stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode)) and entry.name not in ("console", "ptmx"):
                    major, minor = os.major(info.st_rdev), os.minor(info.st_rdev)
                    yield Node(entry.path, info.st_mode, major, minor, info.st_uid, info.st_gid)


def device_nodes(spec: ContainerSpec) -> tuple[Node, ...]:
    """All nodes of the container's /dev: the defaults, the host's when privileged, the user's last."""
    nodes = {node.path: node for node in DEFAULT_NODES}
    if spec.privileged:
        for node in _host_nodes("/dev"):
            nodes.setdefault(node.path, node)
    for device in spec.devices:
        for node in _nodes_of(device):
            nodes[node.path] = node
    return tuple(nodes.values())


def device_rules(spec: ContainerSpec, nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """The rules of the devices controller for this container; ``a *:* rwm`` alone when privileged."""
    if spec.privileged:
        return ("a *:* rwm",)
    own = tuple(rule_of(node) for node in nodes if node not in DEFAULT_NODES)
    return DEFAULT_RULES + own + spec.resources.device_rules

"""The files of a container, running or not, with its volumes where it has them: what ``cp`` reads and writes."""

from __future__ import annotations

import errno
import os

from runtime.container import read_spec
from runtime.errors import RuntimeFault
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.state import ALIVE, State, is_alive, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots
    from runtime.spec import ContainerSpec, Mount

_namespaces: dict[int, int] = {}  # descriptor of a root: of the mount namespace that holds its volumes


def live_root(state: State) -> int:
    """The root of the container's process, or -1; checked afterwards, for a pid may have got another owner."""
    if state.status not in ALIVE:
        return -1
    try:
        root = os.open(f"/proc/{state.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    if not is_alive(state.pid, state.start_time):
        os.close(root)
        return -1
    return root


def open_root(roots: Roots, ident: str) -> int:
    """The container's root directory, running or not: a descriptor for :func:`close_root`. Raises RuntimeFault."""
    bundle = Bundle(roots, ident)
    root = live_root(read_state(bundle, boot_id()))
    return root if root >= 0 else files_with_volumes(read_spec(roots, ident), bundle)


def close_root(root: int) -> None:
    """Let go of what :func:`open_root` gave, and of what is mounted in it."""
    os.close(root)
    namespace = _namespaces.pop(root, -1)
    if namespace >= 0:
        os.close(namespace)


def files_with_volumes(spec: ContainerSpec, bundle: Bundle) -> int:
    """The root as a mount that no one else sees, binds and volumes mounted in it. It goes with :func:`close_root`.

    Linux 6.15 mounts on what is itself detached; before, a mount namespace of its own holds them.
    """
    from runtime.overlay import detached_root  # with ctypes, which a running container needs not

    root = detached_root(spec, bundle)
    binds = [mount for mount in sorted(spec.mounts, key=lambda one: one.destination) if mount.type == "bind"]
    try:
        try:
            _bind_all(root, binds)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _namespaces[root] = _bind_apart(root, binds, bundle.dir)
    except OSError as error:
        os.close(root)
        raise RuntimeFault(
            f"cannot open the volumes of container {bundle.id[:12]}: {os.strerror(error.errno or 0).lower()}",
            "start it and try again: in a running container they are there",
        ) from error
    return root


def _bind_all(root: int, binds: list[Mount]) -> None:
    for mount in binds:
        _bind(root, mount)


def _bind_apart(root: int, binds: list[Mount], place: str) -> int:
    """The same with the root attached at ``place`` in a new mount namespace, which lives as long as the descriptor."""
    from runtime.linux import mount as m
    from runtime.linux import process
    from runtime.remount import in_thread

    namespaces: list[int] = []

    def work() -> None:
        process.unshare(process.CLONE_NEWNS | process.CLONE_FS)
        namespaces.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        m.set_propagation(b"/", m.MS_REC | m.MS_PRIVATE)
        target = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            m.move_mount(root, target)
        finally:
            os.close(target)
        _bind_all(root, binds)

    try:
        in_thread(work)
    except OSError:
        for fd in namespaces:
            os.close(fd)
        raise
    return namespaces[0]


def _bind(root: int, mount: Mount) -> None:
    from runtime.linux import mount as m
    from runtime.mounts import bind_source, ensure_inside

    source = bind_source(mount.source, mount.within, mount.layers)
    try:
        readonly = m.MOUNT_ATTR_RDONLY if "ro" in mount.options else 0
        m.mount_setattr(source, set_=readonly, propagation=m.MS_PRIVATE, recursive=True)
        target = ensure_inside(root, mount.destination, directory=os.path.isdir(mount.source))
        try:
            m.move_mount(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)

"""The files of a container, running or not, with its volumes where it has them: what ``cp`` reads and writes."""

from __future__ import annotations

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
    """A descriptor of the container's root directory, whether it runs or not. Raises RuntimeFault."""
    bundle = Bundle(roots, ident)
    root = live_root(read_state(bundle, boot_id()))
    return root if root >= 0 else files_with_volumes(read_spec(roots, ident), bundle)


def files_with_volumes(spec: ContainerSpec, bundle: Bundle) -> int:
    """The root as a detached mount, binds and volumes mounted in it. It goes with the descriptor.

    Linux 6.15 mounts on what is itself detached; before, a container that has volumes raises RuntimeFault.
    """
    from runtime.overlay import detached_root  # with ctypes, which a running container needs not

    root = detached_root(spec, bundle)
    try:
        for mount in sorted(spec.mounts, key=lambda one: one.destination):
            if mount.type == "bind":
                _bind(root, mount)
    except OSError as error:
        os.close(root)
        raise RuntimeFault(
            f"cannot open the volumes of container {bundle.id[:12]}: {os.strerror(error.errno or 0).lower()}",
            "start it and try again: in a running container they are there",
        ) from error
    return root


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

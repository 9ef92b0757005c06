"""The files of a container that does not run, with its volumes where it has them: what ``cp`` reads and writes."""

from __future__ import annotations

import os

from runtime.errors import RuntimeFault
from runtime.linux import mount as m
from runtime.mounts import bind_source, ensure_inside
from runtime.overlay import detached_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Bundle
    from runtime.spec import ContainerSpec, Mount


def files_with_volumes(spec: ContainerSpec, bundle: Bundle) -> int:
    """The root as a detached mount, binds and volumes mounted in it. It goes with the descriptor.

    Linux 6.15 mounts on what is itself detached; before, a container that has volumes raises RuntimeFault.
    """
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

"""Images for the engine: pulled, pushed and built, with progress told as events of the step."""

from __future__ import annotations

import os

from compose.events import StepProgress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.engine.local import LocalEngine
    from compose.engine.protocol import OnCancel
    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import BuildOptions
    from runtime.images.registry.progress import Part
    from runtime.paths import Roots


def pull_image(engine: LocalEngine, reference: str, platform: str) -> None:
    """Pull, and pass on warnings of the registry and of the layers."""
    from runtime.images.registry.pull import pull

    result = pull(engine.roots, reference, platform, progress=teller(engine, reference), environ=engine.environ)
    for text in result.warnings:
        engine.note(f"{reference}: {text}")


def push_image(engine: LocalEngine, reference: str, compression: str) -> None:
    """Push; only what the registry does not have is sent."""
    from runtime.images.registry.push import push

    push(engine.roots, reference, compression, progress=teller(engine, reference), environ=engine.environ)


def build_image(
    engine: LocalEngine, desired: Desired, service: DesiredService, options: BuildOptions, on_cancel: OnCancel
) -> None:
    from compose.engine import building

    asked = building.BuildOptions(
        args=options.args,
        no_cache=options.no_cache,
        pull=options.pull,
        quiet=options.quiet,
        memory=options.memory,
        ssh=building.ssh_agents(options.ssh, engine.environ),
    )
    building.build_service(
        engine.roots,
        desired,
        service,
        asked,
        _Telling(engine),
        environ=engine.environ,
        store=lambda: engine.store,
        on_cancel=on_cancel,
    )


def remove_image(engine: LocalEngine, reference: str) -> None:
    """One that is gone is removed; one that is in use is kept, and a note says why."""
    from runtime.errors import Conflict, NotFound
    from runtime.images import store

    try:
        store.remove_image(engine.roots, reference, in_use=lambda digest: users_of(engine.roots, digest))
    except NotFound:
        pass
    except Conflict as reason:
        engine.note(f"image {reference} is kept: {str(reason).rpartition(': ')[2]}")


class _Telling:
    """The engine's way of telling as a Reporter."""

    def __init__(self, engine: LocalEngine) -> None:
        self.emit = engine.tell


def teller(engine: LocalEngine, reference: str) -> Callable[[Part], None]:
    """What turns the registry's parts into events of the image's step."""

    def tell(part: Part) -> None:
        engine.tell(StepProgress("image", reference, part.name, part.status, part.current, part.total, done=part.done))

    return tell


def tagged_at(roots: Roots, reference: str) -> float:
    """When a name was last given to its image or confirmed; seconds since the epoch, 0 when it has none."""
    from runtime.images.reference import normalise
    from runtime.images.store import reference_path

    try:
        return os.stat(reference_path(roots, normalise(reference).full)).st_mtime
    except OSError:
        return 0.0


def image_directories(roots: Roots, reference: str, subpath: str) -> list[str]:
    """What to stack, top first, to show an image or a path in it. Raises NotFound, RuntimeFault."""
    from runtime.errors import RuntimeFault
    from runtime.images.merged import Merged
    from runtime.images.store import resolve, rootfs_of

    layers = rootfs_of(roots, resolve(roots, reference)).layers
    if not subpath:
        return list(layers)
    found = Merged(layers).resolve(subpath)
    if found is None:
        raise RuntimeFault(f"cannot mount {subpath} of image {reference}: there is no such path in it")
    return [os.fsdecode(path) for path in found.dirs or (found.path,)]


def users_of(roots: Roots, digest: str) -> list[str]:
    """Names of the containers that are made from an image, or mount it."""
    from compose import labels
    from runtime.container import list_containers
    from runtime.errors import RuntimeFault
    from runtime.images.store import resolve

    found = []
    for one in list_containers(roots):
        used = [one.labels.get(labels.IMAGE)]
        for kind, reference, _target in one.info.get("mounts", ()):
            if kind == "image":
                try:
                    used.append(resolve(roots, reference).digest)
                except RuntimeFault:
                    continue
        if digest in used:
            found.append(one.name)
    return found

"""``build``, and the builds that ``up`` needs before it looks at the world."""

from __future__ import annotations

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compose.engine.building import BuildOptions
    from compose.events import Reporter
    from compose.plan.desired import Desired, DesiredService
    from netplan.store import Store
    from runtime.paths import Roots


@record
class Built:
    """An image that was built: for which service, its id, its names."""

    service: str
    image: str
    names: tuple[str, ...]


def select(desired: Desired, services: tuple[str, ...], *, dependencies: bool = False) -> list[str]:
    """The services with a build among those named (all when none is), in the order to build them. Raises UsageError.

    ``dependencies``: those that the named ones depend on, too.
    """
    from compose.engine.building import build_order, is_buildable

    known = {service.name: service for service in desired.services}
    for name in services:
        if name not in known:
            raise UsageError(f"no such service: {name}", hint=f"services: {', '.join(sorted(known))}")
    names = list(services or known)
    if dependencies:
        for name in names:  # grows meanwhile
            names += [edge.service for edge in known[name].dependencies if edge.service not in names]
    return build_order(desired, tuple(name for name in names if is_buildable(known[name])))


def build(
    roots: Roots,
    desired: Desired,
    names: list[str],
    options: BuildOptions,
    reporter: Reporter,
    environ: Mapping[str, str],
    *,
    store: Callable[[], Store] | None = None,
) -> list[Built]:
    """Build services in order; what is the same for several is built once. Raises EngineError."""
    from compose.engine.building import build_service, request_of
    from runtime.record import replace

    done: dict[str, str] = {}
    built = []
    for name in names:
        service = desired.service(name)
        request = request_of(desired, service, options, environ)
        same = repr(replace(request, tags=()))
        if same in done:
            _tag(roots, done[same], request.tags)
        else:
            done[same] = build_service(roots, desired, service, options, reporter, environ=environ, store=store)
        built.append(Built(name, done[same], request.tags))
    return built


def _tag(roots: Roots, image: str, names: tuple[str, ...]) -> None:
    from runtime.images.store import tag

    for name in names:
        tag(roots, image, name)


def needed_services(desired: Desired, name: str, alone: bool) -> tuple[str, ...]:
    """A service and those it depends on; ``alone``: only itself."""
    from compose.plan.select import select_services

    return tuple(select_services(desired, (name,), dependencies=not alone))


def builder_for_up(
    roots: Roots,
    desired: Desired,
    environ: Mapping[str, str],
    *,
    force: bool,
    quiet: bool,
    store: Callable[[], Store],
) -> Callable[[tuple[str, ...], Reporter], None]:
    """What ``up`` calls before it looks: builds what is missing of the services it is given.

    ``force``: build all of them (``--build``).
    """

    def make(names: tuple[str, ...], reporter: Reporter) -> None:
        from compose.engine.building import BuildOptions, is_buildable

        wanted = tuple(name for name in names if is_buildable(desired.service(name)))
        chosen = select(desired, wanted) if wanted else []
        needed = chosen if force else missing(roots, desired, chosen)
        if needed:
            build(roots, desired, needed, BuildOptions(quiet=quiet), reporter, environ, store=store)

    return make


def missing(roots: Roots, desired: Desired, names: list[str]) -> list[str]:
    """Those whose image is not in the store, or is to be built each time (``pull_policy: build``)."""
    return [name for name in names if _is_missing(roots, desired.service(name))]


def _is_missing(roots: Roots, service: DesiredService) -> bool:
    from runtime.errors import NotFound
    from runtime.images.store import resolve

    if service.config.get("pull_policy") == "build":
        return True
    try:
        resolve(roots, service.image)
    except NotFound:
        return True
    return False

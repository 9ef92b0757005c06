"""``build``; what ``up`` builds is in its plan (compose/plan/images.py)."""

from __future__ import annotations

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compose.engine.building import BuildOptions
    from compose.engine.protocol import OnCancel
    from compose.events import Reporter
    from compose.plan.desired import Desired
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
    on_cancel: OnCancel | None = None,
) -> list[Built]:
    """Build services in order; what is the same for several is built once. Raises EngineError.

    ``on_cancel``: is given what ends each build at once. Raises Interrupted then.
    """
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
            done[same] = build_service(
                roots, desired, service, options, reporter, environ=environ, store=store, on_cancel=on_cancel
            )
        built.append(Built(name, done[same], request.tags))
    return built


def _tag(roots: Roots, image: str, names: tuple[str, ...]) -> None:
    from runtime.images.store import tag

    for name in names:
        tag(roots, image, name)

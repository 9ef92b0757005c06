"""Containers that stay and become other ones: new attributes in place, a new name."""

from __future__ import annotations

from compose import labels as key
from compose.engine.making import Wanted, reload_signals, update, updated
from runtime import container as containers
from runtime.errors import NotFound
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.record import replace
from runtime.spec import encode
from runtime.state import ACTIVE, RUNNING, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.engine.local import LocalEngine
    from compose.plan.desired import Desired, DesiredService
    from runtime.spec import ContainerSpec


def update_container(
    engine: LocalEngine, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]
) -> None:
    one = containers.read_container(engine.roots, ident)
    if one is None:
        raise NotFound(f"cannot update container {ident[:12]}: it was removed")
    before = containers.read_annotations(engine.roots, ident)
    number = int(one.labels.get(key.NUMBER, "1") or 1)
    overrides, shares = before.get("overrides", {}), before.get("shares", {})
    wanted = Wanted(desired, service, number, ident, one.name, "", overrides, shares)
    old = containers.read_spec(engine.roots, ident)
    spec = update(engine.roots, wanted, engine.environ)
    tell_spec(engine, ident, spec)
    engine.joiner.refresh(desired, service, ident, changes)
    if old.files != spec.files and one.state.status == RUNNING:
        for signal in reload_signals(service, old, spec):
            engine.kill_container(ident, signal)
    updated(engine.roots, wanted, spec)


def rename_container(engine: LocalEngine, ident: str, name: str) -> None:
    containers.rewrite_labels(engine.roots, ident, name=name, labels={key.REPLACE: ""})
    spec = containers.read_spec(engine.roots, ident)
    if spec.name != name:
        spec = replace(spec, name=name)
        containers.rewrite_spec(engine.roots, spec, containers.read_annotations(engine.roots, ident))
        tell_spec(engine, ident, spec)


def tell_spec(engine: LocalEngine, ident: str, spec: ContainerSpec) -> None:
    """Give a container's shim what it is from now on."""
    if read_state(Bundle(engine.roots, ident), boot_id()).status in ACTIVE:
        engine.ask(ident, {"op": "update", "spec": encode(spec)})

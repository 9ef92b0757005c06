"""Services that something else provides: their steps, and what they put into the environment of their dependents."""

from __future__ import annotations

from compose import plain_json as json
from compose.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.plan.desired import Desired, DesiredService

    Values = Mapping[str, Mapping[str, str]]


def is_provided(service: DesiredService) -> bool:
    """Whether a plug-in makes the service, so that it has no containers."""
    return bool(service.config.get("provider"))


def with_values(service: DesiredService, values: Values) -> DesiredService:
    """The service with the variables of the providers it depends on; its hash stands for them too.

    ``values``: per provider what it said, under the names that containers see. They win over the service's own, as in
    docker compose.
    """
    found: dict[str, str] = {}
    for edge in service.dependencies:
        found |= values.get(edge.service, {})
    if not found:
        return service
    from compose.spec.digest import sha256_hex

    config = {**service.config, "environment": {**(service.config.get("environment") or {}), **found}}
    text = json.dumps([service.config_hash, found], sort_keys=True)
    return replace(service, config=config, config_hash=sha256_hex(text.encode()))


def with_all_values(desired: Desired, values: Values) -> Desired:
    """The project with what its providers said the last time."""
    if not values:
        return desired
    return replace(desired, services=tuple(with_values(service, values) for service in desired.services))

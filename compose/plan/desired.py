"""What should be, as the planner and the engine read it: made from a Project, or read back from the memo.

The canonical configuration of a service (``config``) is the mapping that ``pycompose config --format json`` prints for
it (docker compose's canonical form, paths absolute, env_file folded into environment), so that it can be stored beside
a container, compared attribute by attribute, and translated without pydantic. Durations in it are Go's text
(``1m30s``), byte sizes decimal text, numbers numbers.
"""

from __future__ import annotations

from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record
class Dependency:
    """An edge: ``condition`` service_started, service_healthy or service_completed_successfully."""

    service: str
    condition: str = "service_started"
    required: bool = True
    restart: bool = False


@record
class DesiredService:
    """One enabled service. ``config_hash``: sha256 hex of the canonical config without build, pull_policy, scale,
    deploy.replicas, depends_on and profiles, plus the content digests of its configs and secrets.

    ``networks``: keys of the project's networks in order of attachment (priority descending, then name). ``replicas``
    from scale or deploy.replicas, 1 by default. ``container_name`` is empty when derived. ``dependencies`` contains
    the implicit ones too.
    """

    name: str
    image: str
    config: Mapping[str, Any]
    config_hash: str
    replicas: int = 1
    container_name: str = ""
    dependencies: tuple[Dependency, ...] = ()
    networks: tuple[str, ...] = ()


@record
class DesiredNetwork:
    """A network of the project: ``key`` in the file, ``name`` on the machine, canonical ``config``."""

    key: str
    name: str
    external: bool
    config: Mapping[str, Any]
    config_hash: str


@record
class DesiredVolume:
    """A named volume of the project."""

    key: str
    name: str
    external: bool
    config: Mapping[str, Any]
    config_hash: str


@record
class DesiredFile:
    """A top-level secret or config. Exactly one source: ``file`` (absolute path), or ``content`` (latin-1 text, from
    ``content:`` or ``environment:``). ``digest``: sha256 of the bytes, part of the hash of services that use it."""

    key: str
    kind: str  # "secret" or "config"
    file: str = ""
    content: str = ""
    digest: str = ""


@record
class Refusal:
    """Something in the files that can be read but not run. The fields are those of compose.errors.SpecError."""

    message: str
    hint: str = ""
    where: str = ""
    path: str = ""


@record
class Desired:
    """A whole project. ``services`` in file order; ``order`` is networkx's topological order (dependencies first)."""

    project: str
    working_dir: str
    config_files: tuple[str, ...]
    environment_files: tuple[str, ...]
    services: tuple[DesiredService, ...]
    order: tuple[str, ...]
    networks: tuple[DesiredNetwork, ...] = ()
    volumes: tuple[DesiredVolume, ...] = ()
    files: tuple[DesiredFile, ...] = ()
    disabled: tuple[str, ...] = ()  # services left out by profiles: not orphans
    profiles: tuple[str, ...] = ()  # all that the files name, for completion
    warnings: tuple[str, ...] = ()
    separator: str = "-"  # between the parts of a container's name; "_" with --compatibility
    refusals: tuple[Refusal, ...] = ()  # what keeps it from being run; looking and stopping go on
    all_resources: bool = False  # create also networks and volumes that no service uses

    def service(self, name: str) -> DesiredService:
        """The service of that name. Raises KeyError."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)


_ROWS = {
    "services": DesiredService,
    "networks": DesiredNetwork,
    "volumes": DesiredVolume,
    "files": DesiredFile,
    "refusals": Refusal,
    "dependencies": Dependency,
}


def desired_from_plain(plain: Mapping[str, Any]) -> Desired:
    """The inverse of ``to_plain``: reads what the memo stores."""
    return Desired(**{key: _decode(key, value) for key, value in plain.items()})


def _decode(key: str, value: Any) -> Any:
    if key in _ROWS and isinstance(value, list) and (not value or isinstance(value[0], dict)):
        return tuple(_ROWS[key](**{name: _decode(name, item) for name, item in row.items()}) for row in value)
    if isinstance(value, list):
        return tuple(value)
    return value

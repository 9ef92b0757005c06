"""What is, as one look at the machine shows it."""

from __future__ import annotations

from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record
class ObservedEndpoint:
    """A network a container is attached to. ``ports``: (host_ip, host_port, container_port, protocol)."""

    network: str
    address: str
    prefix: int = 16
    mac_address: str = ""
    names: tuple[str, ...] = ()
    ports: tuple[tuple[str, int, int, str], ...] = ()
    address6: str = ""


@record
class ObservedContainer:
    """One container with our labels.

    ``status``: creating, created, running, paused, restarting, stopped (OCI's words; shown to users in Docker's).
    ``health``: "" without a check, else starting, healthy, unhealthy. ``supervised``: its shim is alive. Times are
    RFC 3339 text or empty. ``image``: digest of the image it was made from.
    """

    id: str
    name: str
    service: str
    number: int
    status: str
    oneoff: bool = False
    supervised: bool = True
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    health: str = ""
    restart_count: int = 0
    pid: int = 0
    image: str = ""
    config_hash: str = ""
    created_at: str = ""
    started_at: str = ""
    finished_at: str = ""
    labels: Mapping[str, str] = EMPTY
    config: Mapping[str, Any] | None = None  # the canonical service config it was made from
    endpoints: tuple[ObservedEndpoint, ...] = ()
    mounts: tuple[tuple[str, str, str], ...] = ()  # (type, volume name or source, destination)
    command: str = ""
    exposed: tuple[str, ...] = ()  # ports that are declared, published or not: 80/tcp
    hooks: tuple[str, ...] = ()  # phases it has commands for: post_start, pre_stop
    hook_pending: bool = False  # its post_start commands have not all succeeded since it was started
    spoiled: bool = False  # the machine stopped while it ran: what it wrote beside its volumes may be lost


@record
class ObservedNetwork:
    name: str
    config_hash: str = ""
    project: str = ""
    labels: Mapping[str, str] = EMPTY
    subnet: str = ""
    containers: tuple[str, ...] = ()  # ids attached, of any project


@record
class ObservedVolume:
    name: str
    config_hash: str = ""
    project: str = ""
    labels: Mapping[str, str] = EMPTY


@record
class ObservedImage:
    """An image in the store: ``digest`` of its config, and its config object (OCI image-spec).

    ``tagged``: when its name was last given to it or confirmed, seconds since the epoch; 0 where nobody asks.
    """

    reference: str
    digest: str
    config: Mapping[str, Any] = EMPTY
    tagged: float = 0.0


@record
class Observed:
    """Everything of one project (networks, volumes and images: also those others own, as far as names match).

    ``lost``: ids that hold an endpoint on one of these networks although no container has that id any more: a command
    was killed between removing the container and removing the network.
    """

    project: str
    containers: tuple[ObservedContainer, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    images: tuple[ObservedImage, ...] = ()
    names: Mapping[str, str] = EMPTY  # container names taken on the whole machine -> project
    lost: tuple[str, ...] = ()
    provided: Mapping[str, Mapping[str, str]] = EMPTY  # provider services -> the variables they gave the last time

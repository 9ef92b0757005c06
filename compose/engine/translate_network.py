"""Networks of a project in netplan's words: networks, endpoints with their names and ports, resolv.conf."""

from __future__ import annotations

from compose import labels
from compose.errors import EngineError
from compose.model.units import parse_port_range
from compose.record import EMPTY
from netplan.spec import EndpointSpec, NetworkSpec, PortMapping, SubnetSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.plan.desired import Desired, DesiredNetwork, DesiredService
    from netplan.spec import Network

VERSION = "0.1.0"  # of the label; docker compose puts its own there
RESOLVER = "127.0.0.11"
FAMILIES = ("ipv4", "ipv6")
IFNAME = "com.docker.network.endpoint.ifname"
IFPREFIX = "com.docker.network.container_iface_prefix"


def network_spec(project: str, network: DesiredNetwork) -> NetworkSpec:
    """A network of the project as netplan creates it, with Compose's labels."""
    config = network.config
    ipam = config.get("ipam") or {}
    if (ipam.get("driver") or "default") != "default":
        raise EngineError(
            f"cannot create network {network.name}: there is no ipam driver {ipam['driver']}", hint="use default"
        )
    return NetworkSpec(
        name=network.name,
        project=project,
        driver=config.get("driver") or "bridge",
        internal=bool(config.get("internal")),
        subnets=tuple(_subnet(row) for row in ipam.get("config") or () if row.get("subnet")),
        enable_ipv6=bool(config.get("enable_ipv6")),
        enable_ipv4=config.get("enable_ipv4") is not False,
        options={key: text(value) for key, value in (config.get("driver_opts") or {}).items()},
        labels={
            **{key: text(value) for key, value in (config.get("labels") or {}).items()},
            labels.PROJECT: project,
            labels.NETWORK: network.key,
            labels.CONFIG_HASH: network.config_hash,
            labels.VERSION: VERSION,
        },
    )


def _subnet(row: Mapping[str, Any]) -> SubnetSpec:
    return SubnetSpec(
        row["subnet"], row.get("gateway") or "", row.get("ip_range") or "", dict(row.get("aux_addresses") or {})
    )


def endpoint_spec(
    desired: Desired,
    service: DesiredService,
    number: int,
    *,
    ident: str,
    container_name: str,
    network_key: str,
    index: int,
    aliases: bool = True,
    overrides: Mapping[str, Any] | None = None,
    there: Mapping[str, Network] = EMPTY,
) -> EndpointSpec:
    """A container on one of the project's networks. ``index``: its place among the service's networks (ethN).

    ``aliases`` false (a one-off): it answers to its own names only. The ports go with the default route.
    ``there``: networks as they are on the machine, by name; the file says nothing of an external one.
    """
    network = _network(desired, network_key)
    own = attachment(service, network_key)
    default, default6 = (default_network(desired, service, family, there) == network_key for family in FAMILIES)
    config = {**service.config, **({"ports": overrides["ports"]} if overrides and "ports" in overrides else {})}
    first = default or (default6 and not default_network(desired, service, "ipv4", there))
    publishes = first and not _is_internal(network, there)
    options = {key: text(value) for key, value in (own.get("driver_opts") or {}).items()}
    driver_options = network.config.get("driver_opts") or {}
    place = sum(not _interface_name(attachment(service, key)) for key in service.networks[:index])
    interface = _interface_name(own) or f"{driver_options.get(IFPREFIX) or 'eth'}{place}"
    return EndpointSpec(
        network=network.name,
        container=ident,
        interface=str(interface),
        names=_names(service, number, ident, container_name, own, aliases),
        ipv4_address=own.get("ipv4_address") or "",
        mac_address=own.get("mac_address") or (service.config.get("mac_address") if index == 0 else "") or "",
        default_route=default,
        ports=ports(config) if publishes else (),
        links=links(desired, service),
        ipv6_address=own.get("ipv6_address") or "",
        default_route6=default6,
        link_local=tuple(own.get("link_local_ips") or ()),
        options=options,
    )


def _interface_name(own: Mapping[str, Any]) -> Any:
    """What the file calls the interface, or nothing; ethN counts those without a name."""
    return own.get("interface_name") or (own.get("driver_opts") or {}).get(IFNAME)


def attachment(service: DesiredService, key: str) -> Mapping[str, Any]:
    """What the service says of one of its networks; empty for nothing."""
    networks = service.config.get("networks") or {}
    found = networks.get(key) if hasattr(networks, "get") else None
    return found or {}


def default_network(
    desired: Desired, service: DesiredService, family: str = "ipv4", there: Mapping[str, Network] = EMPTY
) -> str:
    """The network that carries the default route of a family, or empty if none has it.

    Highest gw_priority, then not internal, then both families before one, then by name (Docker's order).
    """
    rows = []
    for key in service.networks:
        priority = attachment(service, key).get("gw_priority") or 0
        network = _network(desired, key)
        has = [name for name in FAMILIES if _has_family(network, name, there)]
        if family in has:
            rows.append((-int(priority), _is_internal(network, there), -len(has), network.name, key))
    return min(rows)[4] if rows else ""


def _is_internal(network: DesiredNetwork, there: Mapping[str, Network]) -> bool:
    found = there.get(network.name) if network.external else None
    return found.internal if found is not None else bool(network.config.get("internal"))


def _has_family(network: DesiredNetwork, family: str, there: Mapping[str, Network]) -> bool:
    """Whether a network has IPv4 or IPv6. An external one that nobody knows is taken to have both."""
    if network.external:
        found = there.get(network.name)
        return found is None or bool(found.subnet if family == "ipv4" else found.subnet6)
    option = (network.config.get("driver_opts") or {}).get(f"com.docker.network.enable_{family}")
    if option is not None:
        return text(option) in ("true", "1")
    return (
        network.config.get("enable_ipv4") is not False if family == "ipv4" else bool(network.config.get("enable_ipv6"))
    )


def ports(config: Mapping[str, Any]) -> tuple[PortMapping, ...]:
    """The published ports of a canonical service. Raises EngineError for one that cannot be published."""
    return tuple(_port(row) for row in config.get("ports") or ())


def _port(row: Mapping[str, Any]) -> PortMapping:
    published = str(row.get("published") or "")
    try:
        first, last = parse_port_range(published) if published not in ("", "0") else (0, 0)
    except ValueError as error:
        raise EngineError(
            f"cannot publish port {published!r}: expected {error}",
            hint="write PORT, or FIRST-LAST, each from 1 to 65535",
        ) from None
    end = last if last != first else 0
    protocol = row.get("protocol") or "tcp"
    return PortMapping(int(row["target"]), first, protocol, row.get("host_ip") or "", end)


def links(desired: Desired, service: DesiredService) -> dict[str, str]:
    """Private aliases by ``links`` and ``external_links``: alias → name that answers for it."""
    found: dict[str, str] = {}
    for text_ in service.config.get("links") or ():
        name, _, alias = text_.partition(":")
        found[alias or name] = name
        for number in range(1, _replicas(desired, name) + 1):
            container = labels.container_name(desired.project, name, number, desired.separator)
            found[f"{name}-{number}"] = container
    for text_ in service.config.get("external_links") or ():
        name, _, alias = text_.partition(":")
        found[alias or name] = name
    return found


def _replicas(desired: Desired, name: str) -> int:
    try:
        return desired.service(name).replicas
    except KeyError:
        return 0


def _names(
    service: DesiredService, number: int, ident: str, container_name: str, own: Mapping[str, Any], aliases: bool
) -> tuple[str, ...]:
    """DNS names in Docker's order: container, aliases, short id, hostname; each once."""
    del number  # the container's name carries it
    names = [container_name]
    if aliases:
        names += [service.name, *(own.get("aliases") or ())]
    names += [ident[:12], service.config.get("hostname") or ""]
    return tuple(dict.fromkeys(name for name in names if name))


def _network(desired: Desired, key: str) -> DesiredNetwork:
    for network in desired.networks:
        if network.key == key:
            return network
    raise EngineError(f"cannot find network {key!r} in project {desired.project}", hint="pycompose up makes it")


def resolv_conf(desired: Desired, service: DesiredService, host: str = "") -> str:
    """The container's /etc/resolv.conf.

    On the project's networks that is our resolver at 127.0.0.11, which forwards; elsewhere (``network_mode``) the
    service's ``dns``, else ``host``: the text of the host's file. Search domains and options are the service's, else
    the host's, as Docker has it; a search of ``.`` is none.
    """
    config = service.config
    servers = _list(config.get("dns"))
    if service.networks:
        servers = [RESOLVER]
    if not servers and not _list(config.get("dns_search")) and not _list(config.get("dns_opt")):
        return host
    search = _list(config.get("dns_search")) or _words(host, "search") or _words(host, "domain")
    options = _list(config.get("dns_opt")) or _words(host, "options")
    if service.networks and not any(option.startswith("ndots:") for option in options):
        options = [*options, "ndots:0"]
    lines = [f"nameserver {server}" for server in servers] or [
        line for line in host.splitlines() if line.startswith("nameserver")
    ]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _words(text_: str, keyword: str) -> list[str]:
    """The values of a resolv.conf(5) keyword; of several lines the last counts."""
    rows = [line.split()[1:] for line in text_.splitlines() if line.split()[:1] == [keyword]]
    return rows[-1] if rows else []


def dns_servers(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The servers a service names itself."""
    return tuple(_list(config.get("dns")))


def _list(value: Any) -> list[str]:
    rows = [value] if isinstance(value, str) else list(value or ())
    return [row for row in rows if row]


def text(value: Any) -> str:
    """A scalar as Compose prints it in labels and options: ``true``, not ``True``; null is empty."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)

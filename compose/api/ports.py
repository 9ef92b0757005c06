"""The ports of a container, published or only declared, as docker's listings have them."""

from __future__ import annotations

from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from compose.plan.observed import ObservedContainer

    Row = dict[str, object]


def publishers(container: ObservedContainer) -> list[Row]:
    """The ports, each once, by port inside: the published ones, and of a running container those only declared."""
    ports = {port for endpoint in container.endpoints for port in endpoint.ports}
    if container.status in ("running", "paused"):
        reached = {f"{inside}/{protocol}" for _host, _outside, inside, protocol in ports}
        ports |= {("", 0, *_port(text)) for text in container.exposed if text not in reached}
    return [
        {"URL": host, "TargetPort": inside, "PublishedPort": outside, "Protocol": protocol}
        for host, outside, inside, protocol in sorted(ports, key=lambda port: (port[2], port[3], port[1], port[0]))
    ]


def published_ports(container: ObservedContainer) -> list[Row]:
    """Those of :func:`publishers` that can be reached from outside."""
    return [row for row in publishers(container) if row["PublishedPort"]]


def _port(text: str) -> tuple[int, str]:
    number, _, protocol = text.partition("/")
    return int(number), protocol or "tcp"


def ports_text(rows: Iterable[Mapping[str, object]]) -> str:
    """The PORTS column: those only declared first, then ``0.0.0.0:8080->80/tcp, [::]:8080->80/tcp``."""
    listed = list(rows)
    declared = [f"{row['TargetPort']}/{row['Protocol']}" for row in listed if not row["PublishedPort"]]
    published = [
        f"{_bracketed(str(row['URL']))}:{row['PublishedPort']}->{row['TargetPort']}/{row['Protocol']}"
        for row in listed
        if row["PublishedPort"]
    ]
    return ", ".join([*declared, *published])


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def published(container: ObservedContainer, port: int, protocol: str) -> str:
    """``0.0.0.0:8080``, where the port inside is published. Raises UsageError when it is not."""
    rows = published_ports(container)
    for row in rows:
        if row["TargetPort"] == port and row["Protocol"] == protocol:
            return f"{_bracketed(str(row['URL']))}:{row['PublishedPort']}"
    listed = ports_text(rows)
    raise UsageError(
        f"no port {port}/{protocol} for container {container.name}",
        hint=f"published: {listed}" if listed else "it publishes no port",
    )

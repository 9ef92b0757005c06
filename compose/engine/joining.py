"""Containers on networks: endpoints by netplan, their sockets in the shims' keeping, /etc/hosts."""

from __future__ import annotations

import os
import threading

from compose import labels as key
from compose.engine import translate
from netplan import endpoint as endpoints
from netplan import network as networks
from netplan.dns import sockets as dns
from netplan.publish import port_name, socket_name
from runtime import container as containers
from runtime.errors import Conflict
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.record import replace
from runtime.spec import HOST_GATEWAY
from runtime.state import ACTIVE, ALIVE, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from compose.plan.desired import Desired, DesiredNetwork, DesiredService
    from netplan.spec import Endpoint, EndpointSpec, Network, PublishedPort
    from netplan.store import Store
    from runtime.container import Container
    from runtime.paths import Roots

    Ask = Callable[[str, dict[str, Any], tuple[int, ...]], dict[str, Any]]

BATCH = 200  # descriptors that travel with one message


def create_network(store: Store, project: str, network: DesiredNetwork) -> None:
    networks.create_network(store, translate.network_spec(project, network))


def remove_network(store: Store, roots: Roots, name: str) -> None:
    """Remove it with what ended containers left on it. Raises NetworkInUse while a running one is attached."""
    boot = boot_id()
    users = {row.container for row in endpoints.endpoints(store, network=name)}
    running = [ident for ident in users if read_state(Bundle(roots, ident), boot).status in ACTIVE]
    networks.remove_network(store, name, force=not running)


def _key(port: PublishedPort) -> tuple[str, str, int]:
    return port.protocol, port.host_ip, port.host_port


def _port_names(network: str, fds: tuple[int, ...]) -> dict[str, int]:
    """Reservation sockets by the names under which shims hold them."""
    return {f"port:{network}:{socket_name(fd)}": fd for fd in fds}


class Joiner:
    """Attaches containers. ``ask``: a request to a container's shim, with descriptors. ``is_new``: whether we made it,
    so that its shim cannot hold any sockets yet."""

    def __init__(self, roots: Roots, store: Store, ask: Ask, is_new: Callable[[str], bool]) -> None:
        self.roots = roots
        self.store = store
        self.ask = ask
        self.is_new = is_new
        self.turn = threading.Lock()
        self.resolving: set[str] = set()  # containers whose DNS sockets we know to be held

    def connect(self, desired: Desired, service: DesiredService, ident: str, network: str, aliases: bool) -> None:
        one = containers.read_container(self.roots, ident)
        if one is None or one.state.status not in ALIVE:
            raise Conflict(f"cannot connect container {ident[:12]}: it has no process")
        spec = self._endpoint_spec(desired, service, one, network, aliases)
        netns = os.open(f"/proc/{one.state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self.turn:  # the kernel does one at a time; waiting for it there would burn a processor
                endpoint, reserved = endpoints.attach(self.store, spec, netns)
            self._hold(ident, netns, _port_names(spec.network, reserved))
        finally:
            os.close(netns)
        self.write_hosts(ident, endpoint if len(service.networks) == 1 else None)

    def _endpoint_spec(
        self, desired: Desired, service: DesiredService, one: Container, network: str, aliases: bool
    ) -> EndpointSpec:
        number = int(one.labels.get(key.NUMBER, "1") or 1)
        oneoff = one.labels.get(key.ONEOFF) == "True"
        name = service.container_name or key.container_name(desired.project, service.name, number, desired.separator)
        return translate.endpoint_spec(
            desired,
            service,
            number,
            ident=one.id,
            container_name=one.name if oneoff else name,
            network_key=network,
            index=service.networks.index(network),
            aliases=aliases,
            overrides=containers.read_annotations(self.roots, one.id).get("overrides", {}) if oneoff else {},
            there=self._external(desired, service),
        )

    def _external(self, desired: Desired, service: DesiredService) -> dict[str, Network]:
        """The service's external networks as they are, if it has to choose among several."""
        if len(service.networks) < 2 or not any(one.external for one in desired.networks):
            return {}
        return {network.name: network for network in networks.list_networks(self.store)}

    def _hold(self, ident: str, netns: int, fds: dict[str, int]) -> None:
        """Hand the container's sockets to its shim, DNS sockets at the first network."""
        if ident not in self.resolving:
            if self.is_new(ident) or "dns_udp" not in self.ask(ident, {"op": "held"}, ())["names"]:
                fds["dns_udp"], fds["dns_tcp"] = dns.install(netns)
            self.resolving.add(ident)
        self._hand_over(ident, fds)

    def _hand_over(self, ident: str, fds: dict[str, int]) -> None:
        names = list(fds)
        try:
            for start in range(0, len(names), BATCH):
                part = names[start : start + BATCH]
                self.ask(ident, {"op": "hold", "names": part}, tuple(fds[name] for name in part))
        finally:
            for fd in fds.values():
                os.close(fd)

    def new_sockets(self, ident: str) -> dict[str, int]:
        """After every process of ours was killed: new DNS sockets, for the old ones died with their holders."""
        one = containers.read_container(self.roots, ident)
        if one is None or one.state.status not in ALIVE or not endpoints.endpoints(self.store, container=ident):
            return {}
        netns = os.open(f"/proc/{one.state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            udp, tcp = dns.install(netns)
        finally:
            os.close(netns)
        return {"dns_udp": udp, "dns_tcp": tcp}

    def disconnect(self, ident: str, network: str = "") -> None:
        """Give back lease, link, names and ports, on one network (by name) or on all."""
        bundle = Bundle(self.roots, ident)  # which may be gone: then there is nobody to tell
        active = read_state(bundle, boot_id()).status in ACTIVE
        endpoints.detach(self.store, ident, network, dying=not active and not self._is_shared(ident))
        if active:
            prefix = f"port:{network}:" if network else "port:"
            self.ask(ident, {"op": "release", "prefix": prefix}, ())
            self.write_hosts(ident)

    def _is_shared(self, ident: str) -> bool:
        """Whether another container lives in this one's network namespace (``network_mode: service:x``)."""
        others = containers.list_containers(self.roots)
        return any(one.info.get("network_of") == ident and one.state.status in ACTIVE for one in others)

    def write_hosts(self, ident: str, only: Endpoint | None = None) -> None:
        """The container's /etc/hosts: extra hosts and its addresses now; ``host-gateway`` is its first gateway.

        ``only``: its one endpoint, where that is known; else they are looked up.
        """
        spec = containers.read_spec(self.roots, ident)
        rows = [only] if only is not None else endpoints.endpoints(self.store, container=ident)
        rows.sort(key=lambda row: row.interface)
        wanted = any(where == HOST_GATEWAY for _name, where in spec.extra_hosts)
        gateways = host_addresses(self.store, rows) if wanted else []
        extra = tuple(
            (name, address)
            for name, where in spec.extra_hosts
            for address in (gateways if where == HOST_GATEWAY else (where,))
        )
        addresses = tuple(address for row in rows for address in (row.address, row.address6) if address)
        text = containers.hosts_text(replace(spec, extra_hosts=extra), addresses)
        containers.overwrite(Bundle(self.roots, ident).hosts, text)

    def refresh(self, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]) -> None:
        """Give a running container what changed attributes say: published ports and names without touching its links,
        other networks and addresses by attaching anew."""
        touched = {path.split(".")[0] for path in changes}
        if read_state(Bundle(self.roots, ident), boot_id()).status not in ALIVE:
            return
        if "extra_hosts" in touched:
            self.write_hosts(ident)
        if touched & {"ports", "networks", "links", "external_links"}:
            self._rewire(desired, service, ident)

    def _rewire(self, desired: Desired, service: DesiredService, ident: str) -> None:
        """Names and ports in place; networks that came or went, and other addresses, without touching the rest."""
        from netplan import live

        one = containers.read_container(self.roots, ident)
        if one is None:
            return
        there = {row.network for row in endpoints.endpoints(self.store, container=ident)}
        specs = {each: self._endpoint_spec(desired, service, one, each, True) for each in service.networks}
        kept = {spec.network for spec in specs.values() if spec.network in there and live.can_change(self.store, spec)}
        for network in sorted(there - kept):
            self.disconnect(ident, network)
        for network_key, spec in specs.items():
            if spec.network in kept:
                self._change(ident, spec)
            else:
                self.connect(desired, service, ident, network_key, True)

    def _change(self, ident: str, spec: EndpointSpec) -> None:
        from netplan import live

        endpoint, _gone, fds = live.change(self.store, spec)
        stay = {f"port:{spec.network}:{port_name(*_key(port))}" for port in endpoint.ports}
        for name in self.ask(ident, {"op": "held"}, ())["names"]:
            if name.startswith(f"port:{spec.network}:") and name not in stay:
                self.ask(ident, {"op": "release", "prefix": name}, ())
        self._hand_over(ident, _port_names(spec.network, fds))


def host_addresses(store: Store, rows: list[Endpoint]) -> list[str]:
    """Where the host answers: the gateways of the default routes, else (internal networks) the first bridge's own
    addresses, else nowhere but at the container itself."""
    found = [next((row.gateway for row in rows if row.gateway), "")]
    found.append(next((row.gateway6 for row in rows if row.gateway6), ""))
    if not any(found) and rows:
        network = networks.get_network(store, rows[0].network)
        found = [network.gateway, network.gateway6]
    return [address for address in found if address] or ["127.0.0.1"]

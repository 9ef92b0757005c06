"""Who is called what, as each container sees it. Pure: made from the store's rows.

A container sees the names of its own networks, in the order of its default route, then networks that are not internal,
then by name; the first network that knows a name answers alone. In each, its private aliases (links) come first.
``db.shop_default`` is tried as a name everywhere, then as ``db`` in network ``shop_default``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netplan.family import Family, Prefix
    from netplan.rows import EndpointRow, NetworkRow


class Zone:
    """All names of an instance."""

    def __init__(
        self,
        networks: Iterable[NetworkRow],
        endpoints: Iterable[EndpointRow],
        known: Iterable[tuple[str, str]] = (),
    ) -> None:
        """``known``: networks and names of one label that somebody on them has or had."""
        self._known = set(known)
        networks = list(networks)
        self._names: dict[str, dict[str, list[bytes]]] = {network.name: {} for network in networks}
        self._pointers: dict[str, dict[bytes, str]] = {name: {} for name in self._names}
        self._subnets: dict[str, list[tuple[Family, Prefix]]] = {
            network.name: [(family, area.subnet) for family, area in network.areas] for network in networks
        }
        self._internal = {network.name: network.internal for network in networks}
        self._views: dict[str, list[EndpointRow]] = {}
        for endpoint in endpoints:
            if endpoint.network in self._names:
                self._add(endpoint)
        for view in self._views.values():
            view.sort(
                key=lambda row: (not (row.default_route and row.address), self._internal[row.network], row.network)
            )

    def _add(self, endpoint: EndpointRow) -> None:
        self._views.setdefault(endpoint.container, []).append(endpoint)
        if not endpoint.ready:
            return
        packed = [family.pack(address) for family, address in endpoint.addresses.items() if address]
        names = self._names[endpoint.network]
        for name in dict.fromkeys(name.lower() for name in endpoint.names):
            names.setdefault(name, []).extend(packed)
        for address in packed:
            self._pointers[endpoint.network][address] = f"{endpoint.names[0]}.{endpoint.network}"

    def addresses(self, container: str, name: str) -> list[bytes] | None:
        """The packed addresses of a name, of both families, for this container; None if it does not know the name."""
        view = self._views.get(container, ())
        for row in view:
            if found := self._in_network(row, name):
                return found
        at = name.rfind(".")
        while at > 0:
            for row in view:
                if row.network.lower() == name[at + 1 :] and (found := self._in_network(row, name[:at])):
                    return found
            at = name.rfind(".", 0, at)
        return None

    def is_known(self, container: str, name: str) -> bool:
        """The name is one of ours though nobody has it now: a service that is stopped. Nobody else is asked for it."""
        return any((row.network, name) in self._known for row in self._views.get(container, ()))

    def _in_network(self, row: EndpointRow, name: str) -> list[bytes] | None:
        names = self._names[row.network]
        target = _link(row.links, name)
        if target and target in names:
            return names[target]
        return names.get(name)

    def pointer(self, container: str, address: bytes) -> str | None:
        """``name.network`` of an address; empty if it is in a network of the container and nobody has it; None if it
        is elsewhere."""
        number = int.from_bytes(address, "big")
        for row in self._views.get(container, ()):
            subnets = self._subnets[row.network]
            if any(family.size == len(address) and family.holds(subnet, number) for family, subnet in subnets):
                return self._pointers[row.network].get(address, "")
        return None

    def may_forward(self, container: str) -> bool:
        """A container that is only on internal networks asks nobody outside."""
        view = self._views.get(container)
        return not view or any(not self._internal[row.network] for row in view)


def _link(links: Mapping[str, str], name: str) -> str:
    for alias, target in links.items():
        if alias.lower() == name:
            return target.lower()
    return ""

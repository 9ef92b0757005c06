"""Change an endpoint while its container runs: its names, and its published ports. No link is touched.

Each function is one transaction of the store and then one of the firewall, and doing it twice is doing it once; the
next attach or detach after a kill -9 finds a row that says what is wanted and makes the rest agree.
"""

from __future__ import annotations

import os

from netplan import network as networks
from netplan import plain_json as json
from netplan import publish as host_ports
from netplan.endpoint import wanted_text
from netplan.errors import NetworkFault
from netplan.firewall import flows
from netplan.firewall import nft as firewall
from netplan.record import EMPTY, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netplan.rows import EndpointRow
    from netplan.spec import Endpoint, EndpointSpec, PortMapping, PublishedPort
    from netplan.store import Store


def set_aliases(
    store: Store, container: str, network: str, names: tuple[str, ...], links: Mapping[str, str] = EMPTY
) -> None:
    """Give the endpoint other DNS names and private aliases. The next query is answered by them.

    ``names`` as in EndpointSpec: the container's own name first. Raises NetworkFault if it is not attached.
    """
    with store:
        _find(store, container, network)
        store.execute(
            "UPDATE endpoint SET names = ?, links = ? WHERE container = ? AND network = ?",
            (json.dumps(names), json.dumps(dict(links)), container, network),
        )
        store.note_names(network, [name for name in names if name != container[:12]])


def publish(
    store: Store, container: str, network: str, ports: Iterable[PortMapping]
) -> tuple[tuple[PublishedPort, ...], tuple[int, ...]]:
    """Publish more ports of a running container.

    Returns what answers now in addition, and the sockets that reserve it: the caller keeps them open as it does those
    of attach (``netplan.publish.socket_name`` names them). What is published already is left alone and not returned,
    but what a killed process left half done of it is completed. Raises PortInUse, NetworkFault; then nothing has
    changed.
    """
    with store:
        on, row = networks.find(store, network), _find(store, container, network)
        if not on.bridged:
            return (), ()
        known, missing = host_ports.pair(on, row.ports, ports)
        fresh, fds = host_ports.reserve(store, on, missing, row.addresses)
        try:
            _write(store, row, (*row.ports, *fresh))
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
    try:
        firewall.ensure_network(store, on)
        firewall.publish(store, replace(row, ports=(*known, *fresh)))
        flows.forget_ports(store, fresh)
    except BaseException:
        for fd in fds:
            os.close(fd)
        withdraw(store, container, network, fresh)
        raise
    return fresh, (*fds, *host_ports.reserve_again(known))


def unpublish(store: Store, container: str, network: str, ports: Iterable[PortMapping]) -> tuple[PublishedPort, ...]:
    """Withdraw these mappings from a running container; established TCP connections go on, UDP ones are forgotten.

    Returns what no longer answers: the caller closes the sockets that reserve it. Mappings that are not in force do
    not matter.
    """
    row = store.endpoint(container, network)
    if row is None:
        return ()
    gone = host_ports.pair(networks.find(store, network), row.ports, ports)[0]
    return withdraw(store, container, network, gone)


def withdraw(store: Store, container: str, network: str, gone: Iterable[PublishedPort]) -> tuple[PublishedPort, ...]:
    """The same for ports as they are in force. The rule goes before the row, so that no port is free too early."""
    row = store.endpoint(container, network)
    doomed = tuple(port for port in row.ports if port in tuple(gone)) if row else ()
    if row is None or not doomed:
        return ()
    firewall.withdraw(store, [replace(row, ports=doomed)])
    with store:
        row = _find(store, container, network)
        _write(store, row, tuple(port for port in row.ports if port not in doomed))
    flows.forget_ports(store, doomed)
    return doomed


def can_change(store: Store, spec: EndpointSpec) -> bool:
    """Whether :func:`change` can do it: only names, links and ports differ from what was asked for before."""
    row = store.endpoint(spec.container, spec.network)
    return row is not None and row.ready and row.wanted == wanted_text(spec)


def change(store: Store, spec: EndpointSpec) -> tuple[Endpoint, tuple[PublishedPort, ...], tuple[int, ...]]:
    """Make names, links and ports of a running endpoint those of ``spec``: what stays the same is not interrupted.

    Returns the endpoint, the ports that went, and the sockets of those that came. An endpoint that differs in anything
    else (address, interface) has to be detached and attached: NetworkFault. If new ports are refused, the old ones are
    in force again.
    """
    row = _find(store, spec.container, spec.network)
    if not can_change(store, spec):
        raise NetworkFault(f"cannot change {spec.names[0]} on network {spec.network} while it runs: attach it anew")
    on = networks.find(store, spec.network)
    kept = host_ports.pair(on, row.ports, spec.ports)[0]
    gone = tuple(port for port in row.ports if port not in kept)
    withdraw(store, spec.container, spec.network, gone)
    try:
        _came, fds = publish(store, spec.container, spec.network, spec.ports)
    except NetworkFault:
        _restore(store, row, gone)
        raise
    set_aliases(store, spec.container, spec.network, spec.names, spec.links)
    return _find(store, spec.container, spec.network).public(on), gone, fds


def _restore(store: Store, row: EndpointRow, gone: tuple[PublishedPort, ...]) -> None:
    """Ports that were withdrawn a moment ago; their sockets are still held by whom they were given to."""
    with store:
        row = _find(store, row.container, row.network)
        _write(store, row, (*row.ports, *gone))
    firewall.publish(store, replace(row, ports=gone))


def _find(store: Store, container: str, network: str) -> EndpointRow:
    row = store.endpoint(container, network)
    if row is None:
        raise NetworkFault(f"cannot change container {container[:12]}: it is not on network {network}")
    return row


def _write(store: Store, row: EndpointRow, ports: tuple[PublishedPort, ...]) -> None:
    store.execute("DELETE FROM published WHERE container = ? AND network = ?", (row.container, row.network))
    store.publish(replace(row, ports=ports))

"""Host ports: chosen and really bound before any translation exists, so that a clash is an error and not a mystery.

The sockets only keep others out; the kernel translates before it would look for a socket. TCP on IPv4 listens (a bound
socket that does not listen would not stop others with SO_REUSEADDR) behind a filter that drops everything, so nobody
connects to it by accident. TCP on IPv6 is bound only: netplan/proxy.py listens on it, and without the proxy a client
is refused at once and goes on to IPv4.
"""

from __future__ import annotations

import _socket
import errno
import os
from array import array
from struct import pack

from netplan import owners
from netplan import plain_json as json
from netplan.errors import NetworkFault, PortInUse
from netplan.family import V4, V6, family_of
from netplan.spec import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netplan.family import Family
    from netplan.rows import NetworkRow
    from netplan.spec import PortMapping
    from netplan.store import Store

    Taken = dict[tuple[str, int], list[tuple[str, str]]]  # protocol and port -> address, who has it

ANY, ANY6 = "0.0.0.0", "::"
_ATTACH_FILTER, _V6ONLY, _IPPROTO_IPV6, _SCTP = 26, 26, 41, 132
_FALLBACK = (49153, 65535)
_BUSY = errno.EADDRINUSE
_ANOTHER = "another process"
_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


def reserve(
    store: Store, network: NetworkRow, mappings: Iterable[PortMapping], own: Mapping[Family, int]
) -> tuple[tuple[PublishedPort, ...], list[int]]:
    """Choose and bind host ports. In a transaction. Returns the ports and the sockets to hold.

    ``own``: the container's addresses, 0 for none. In gateway mode ``routed`` they are what is published, and nothing
    is bound.

    Raises PortInUse with the owner, NetworkFault for what cannot be published at all; then nothing stays bound.
    """
    ports: list[PublishedPort] = []
    held: list[int] = []
    taken = _taken(store) if mappings else {}
    try:
        for mapping in mappings:
            found, fds = _reserve_one(store, network, mapping, taken, own)
            ports += found
            held += fds
            for port in found:
                taken.setdefault((port.protocol, port.host_port), []).append((port.host_ip, "this container"))
    except BaseException:
        for fd in held:
            os.close(fd)
        raise
    return tuple(ports), held


def pair(
    network: NetworkRow, ports: Iterable[PublishedPort], mappings: Iterable[PortMapping]
) -> tuple[tuple[PublishedPort, ...], tuple[PortMapping, ...]]:
    """Which of the ports in force come from which mapping: those that do, and the mappings that have none.

    Mappings of one host port choose first, then ranges, then those that take any port. A port that is only open
    (gateway mode ``routed``) serves all mappings of it.
    """
    opened = [port for port in ports if _is_open(network, port)]
    left = [port for port in ports if port not in opened]
    found: dict[PublishedPort, None] = {}
    missing = []
    for mapping in sorted(mappings, key=lambda one: (not one.host_port, one.host_port_end > one.host_port)):
        taken = [port for port in left if _comes_from(network, port, mapping)]
        taken = [port for port in taken if port.host_port == taken[0].host_port]
        own = [port for port in opened if _same_target(port, mapping)]
        if not taken and (not own or _addresses(network, mapping)):
            missing.append(mapping)
        left = [port for port in left if port not in taken]
        found.update(dict.fromkeys((*taken, *own)))
    return tuple(found), tuple(missing)


def _is_open(network: NetworkRow, port: PublishedPort) -> bool:
    """The port is the container's own, at its own address."""
    family = family_of(port.host_ip)
    return network.mode(family) == "routed"


def _same_target(port: PublishedPort, mapping: PortMapping) -> bool:
    return (port.container_port, port.protocol) == (mapping.container_port, mapping.protocol)


def _comes_from(network: NetworkRow, port: PublishedPort, mapping: PortMapping) -> bool:
    if not _same_target(port, mapping) or port.host_ip not in _addresses(network, mapping):
        return False
    end = max(mapping.host_port, mapping.host_port_end)
    return not mapping.host_port or mapping.host_port <= port.host_port <= end


def agree(network: NetworkRow, ports: Iterable[PublishedPort], mappings: Iterable[PortMapping]) -> bool:
    """The ports in force are exactly those that the mappings ask for."""
    found, missing = pair(network, ports, mappings)
    return not missing and len(found) == len(tuple(ports))


def socket_name(fd: int) -> str:
    """``tcp/0.0.0.0/8080/``: what a reservation socket keeps; one name per published port."""
    sock = _socket.socket(fileno=os.dup(fd))
    try:
        protocol = "udp" if sock.type == _socket.SOCK_DGRAM else "sctp" if sock.proto == _SCTP else "tcp"
        return port_name(protocol, *sock.getsockname()[:2])
    finally:
        sock.close()


def port_name(protocol: str, host_ip: str, host_port: int) -> str:
    """The same for a published port."""
    return f"{protocol}/{host_ip}/{host_port}/"


def _taken(store: Store) -> Taken:
    """Our published ports: at which addresses, by whom. Their sockets may be lost; the port is theirs all the same."""
    rows = store.execute(
        "SELECT p.protocol, p.host_port, p.host_ip, e.names, n.project FROM published p"
        " JOIN endpoint e USING (container, network) JOIN network n ON n.name = p.network"
    )
    found: Taken = {}
    for protocol, number, host_ip, names, project in rows:
        owner = f"container {json.loads(names)[0]}" + (f" of project {project}" if project else "")
        found.setdefault((protocol, number), []).append((host_ip, owner))
    return found


def _reserve_one(
    store: Store, network: NetworkRow, mapping: PortMapping, taken: Taken, own: Mapping[Family, int]
) -> tuple[list[PublishedPort], list[int]]:
    routed = [(family, family.render_address(address)) for family, address in own.items() if address]
    opened = [
        PublishedPort(text, mapping.container_port, mapping.container_port, mapping.protocol)
        for family, text in routed
        if network.mode(family) == "routed"
    ]
    addresses = _addresses(network, mapping)
    if not addresses:
        if not opened:
            raise NetworkFault(
                f"cannot publish {mapping.host_ip}:{mapping.host_port}/{mapping.protocol}:"
                f" network {network.name} has no {family_of(mapping.host_ip).name}"
            )
        return [port for port in opened if not _is_taken(taken, port)], []
    what = f"{_shown(addresses[0])}:{mapping.host_port or '*'}/{mapping.protocol}"
    if mapping.protocol not in ("tcp", "udp", "sctp"):
        raise NetworkFault(
            f"cannot publish {what}: only tcp, udp and sctp can be published", hint="write tcp, udp or sctp"
        )
    owner = _ANOTHER
    for number in _candidates(store, mapping):
        holders = taken.get((mapping.protocol, number), ())
        owner = next((holder for host_ip, holder in holders if _meet(host_ip, addresses)), "")
        if owner:
            continue
        try:
            found, fds = _bind_all(addresses, number, mapping.protocol)
        except OSError as problem:
            if problem.errno != _BUSY:
                raise _unusual(what, problem) from None
            owner = _ANOTHER
            continue
        if not mapping.host_port:
            store.execute("INSERT OR REPLACE INTO meta VALUES ('ephemeral', ?)", (number,))
        bound = [PublishedPort(ip, number, mapping.container_port, mapping.protocol) for ip in found]
        return bound + opened, fds
    raise _in_use(mapping, addresses[0], owner)


def _addresses(network: NetworkRow, mapping: PortMapping) -> list[str]:
    """Where to bind: the host address given, else all of IPv4 and IPv6. Not where the gateway mode is ``routed``, and
    of IPv4 not for a container without it. What only IPv6 clients use of an IPv4 container goes through the proxy."""
    chosen = mapping.host_ip.strip("[]") or network.options.get(_HOST_BINDING, "")
    if chosen and not family_of(chosen).is_address(chosen):
        raise NetworkFault(
            f"cannot publish on {chosen!r}: it is not an address", hint="write an IP address of this host"
        )
    wanted = [chosen] if chosen and chosen != ANY else [ANY, ANY6] if not mapping.host_ip else [chosen]
    return [address for address in wanted if _reachable(network, family_of(address), mapping.protocol)]


def _reachable(network: NetworkRow, family: Family, protocol: str) -> bool:
    has = {kind for kind, _area in network.areas}
    if family in has:
        return network.mode(family) != "routed"
    return family is V6 and protocol != "sctp" and network.mode(V4) != "routed"


def _is_taken(taken: Taken, port: PublishedPort) -> bool:
    return any(ip == port.host_ip for ip, _owner in taken.get((port.protocol, port.host_port), ()))


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _meet(one: str, others: Iterable[str]) -> bool:
    return one in (ANY, ANY6) or any(other in (one, ANY, ANY6) for other in others)


def _candidates(store: Store, mapping: PortMapping) -> Iterable[int]:
    if mapping.host_port:
        return range(mapping.host_port, max(mapping.host_port, mapping.host_port_end) + 1)
    return _ephemeral(store)


def _ephemeral(store: Store) -> Iterable[int]:
    """From the kernel's range, going on after the last one given; then Docker's fallback range."""
    low, high = _read_range()
    avoided = _reserved_ports()
    found = store.execute("SELECT value FROM meta WHERE key = 'ephemeral'")
    start = int(found[0][0]) + 1 if found else low
    start = start if low <= start <= high else low
    for numbers in (range(start, high + 1), range(low, start), range(_FALLBACK[0], _FALLBACK[1] + 1)):
        yield from (number for number in numbers if number not in avoided)


def _read_range() -> tuple[int, int]:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = file.read().split()
            return int(low), int(high)
    except (OSError, ValueError):
        return _FALLBACK


def _reserved_ports() -> set[int]:
    """ip_local_reserved_ports: ``8080,9000-9010``."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_reserved_ports") as file:
            parts = file.read().strip().split(",")
    except OSError:
        return set()
    found: set[int] = set()
    for part in filter(None, parts):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found


def _bind_all(addresses: list[str], number: int, protocol: str) -> tuple[list[str], list[int]]:
    """Bind the port at all addresses or at none. Raises OSError. IPv6 everywhere is left out where there is no IPv6."""
    found: list[str] = []
    fds: list[int] = []
    try:
        for address in addresses:
            try:
                fds.append(bind(address, number, protocol))
            except OSError as problem:
                if address == ANY6 and len(addresses) > 1 and problem.errno != _BUSY:
                    continue
                raise
            found.append(address)
    except OSError:
        for fd in fds:
            os.close(fd)
        raise
    return found, fds


def bind(address: str, number: int, protocol: str, reuse: bool = True) -> int:
    """A socket that keeps the port. ``reuse``: also while old connections of the port fade. Raises OSError."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    kind = _socket.SOCK_DGRAM if protocol == "udp" else _socket.SOCK_STREAM
    sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, _SCTP if protocol == "sctp" else 0)
    try:
        if protocol != "udp" and reuse:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_IPPROTO_IPV6, _V6ONLY, 1)
        if family == _socket.AF_INET or protocol != "tcp":
            _drop_everything(sock)
        sock.bind((address, number))
        if family == _socket.AF_INET and protocol != "udp":
            sock.listen(1)
        return sock.detach()
    except OSError:
        sock.close()
        raise


def _drop_everything(sock: _socket.socket) -> None:
    """A classic BPF program of one instruction: return 0 bytes (SO_ATTACH_FILTER)."""
    program = array("B", pack("=HBBI", 6, 0, 0, 0))  # struct sock_filter: BPF_RET | BPF_K
    sock.setsockopt(_socket.SOL_SOCKET, _ATTACH_FILTER, pack("@HP", 1, program.buffer_info()[0]))


def reserve_again(ports: Iterable[PublishedPort]) -> list[int]:
    """Sockets for those of our ports that nobody holds: their holder was killed. What is held stays as it is."""
    fds = []
    for port in ports:
        try:
            # On IPv6 nobody may listen yet, and two sockets that only reuse the address would both get it.
            fds.append(bind(port.host_ip, port.host_port, port.protocol, reuse=":" not in port.host_ip))
        except OSError:
            continue
    return fds


def _unusual(what: str, problem: OSError) -> NetworkFault:
    if problem.errno == errno.EADDRNOTAVAIL:
        return NetworkFault(
            f"cannot publish {what}: this host does not have the address",
            hint="ip address shows those it has; 0.0.0.0 is all of them",
        )
    if problem.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return NetworkFault(f"cannot publish {what}: this kernel does not have the protocol")
    return NetworkFault(f"cannot publish {what}: {(problem.strerror or str(problem)).lower()}")


def _in_use(mapping: PortMapping, address: str, owner: str) -> PortInUse:
    end = max(mapping.host_port, mapping.host_port_end)
    shown = f"{mapping.host_port}" if end == mapping.host_port else f"{mapping.host_port}-{end}"
    if owner == _ANOTHER:
        owner = owners.process_on_port(mapping.protocol, end, address) or owner
    subject = "the port is" if end == mapping.host_port else "all of these ports are"
    return PortInUse(
        f"cannot publish {_shown(address)}:{shown}/{mapping.protocol}: {subject} in use by {owner}",
        owner,
        "stop what uses it, or publish another host port",
    )

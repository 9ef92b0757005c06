"""What our nf_tables tables say, in the builders' words. Pure.

One table per instance and family (ip, and ip6 while a network has IPv6). Base chains dispatch by verdict map to one
chain per network, so that a packet's cost does not grow with their number; publishing a port and attaching a container
only add elements. We never set a policy: traffic that is not of our bridges falls through untouched.

    filter  forward      iif in @leaving  -> from-BRIDGE (internal networks only: nothing leaves)
                         oif in @entering -> to-BRIDGE: replies, the bridge's own, published; all else is dropped
    nat     prerouting   to a local address -> publish: DNAT by map @pub-addr (address, protocol, port), then @pub
            output       the same, for the host's own clients; not for ::1, which cannot leave the host
            (netplan/proxy.py) postrouting  source in @sources -> nat-BRIDGE: masquerade what leaves, and hairpin
                         source 127/8 into one of our bridges -> masquerade (route_localnet)
    raw     prerouting   127/8 that does not come from lo, on our bridges -> drop

Gateway modes: ``nat`` as above; ``nat-unprotected`` drops nothing that enters; ``routed`` translates nothing and lets
in what is in @open, the containers' published ports, and ICMP; ``isolated`` is for internal networks, whose bridge then
has no address.
"""

from __future__ import annotations

from netplan.family import V4, V6
from netplan.netlink import nft
from netplan.rows import OPTION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.ipam import Range
    from netplan.rows import EndpointRow, NetworkRow
    from netplan.spec import PublishedPort

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_ICMP = {V4: 1, V6: 58}
_RAW, _DNAT, _FILTER, _SNAT = -300, -100, 0, 100
_ESTABLISHED_RELATED = 2 | 4
_LOOPBACK, _LOOPBACK_MASK = b"\x7f\0\0\0", b"\xff\0\0\0"
_SELF6 = (1).to_bytes(16, "big")  # ::1


def table(instance: str, family: Family = V4) -> nft.Ruleset:
    """The transaction that makes the instance's empty table; EEXIST says that it is there, whole."""
    rules = nft.Ruleset(family.inet, instance)
    rules.add_table(exclusive=True)
    rules.add_set("bridges", (nft.IFNAME,))
    rules.add_set("entering", (nft.IFNAME,), (nft.VERDICT,))
    rules.add_set("leaving", (nft.IFNAME,), (nft.VERDICT,))
    rules.add_set("sources", (family.kind,), (nft.VERDICT,), interval=True)
    rules.add_set("pub", (nft.PROTOCOL, nft.SERVICE), (family.kind, nft.SERVICE))
    rules.add_set("pub-addr", (family.kind, nft.PROTOCOL, nft.SERVICE), (family.kind, nft.SERVICE))
    rules.add_set("open", (family.kind, nft.PROTOCOL, nft.SERVICE))
    rules.add_chain("forward", "filter", nft.FORWARD, _FILTER)
    rules.add_rule("forward", nft.meta(6), nft.lookup("leaving", into=0))
    rules.add_rule("forward", nft.meta(7), nft.lookup("entering", into=0))
    _add_publish(rules, family)
    rules.add_chain("postrouting", "nat", nft.POSTROUTING, _SNAT)
    rules.add_rule("postrouting", nft.load_source(family=family), nft.lookup("sources", into=0))
    if family is V4:
        _add_loopback(rules)
    return rules


def _add_loopback(rules: nft.Ruleset) -> None:
    """127.0.0.0/8 through our bridges (route_localnet): out with the bridge's address, and never in."""
    loopback = nft.address_in(nft.load_source(), _LOOPBACK, _LOOPBACK_MASK)
    rules.add_rule("postrouting", loopback, nft.meta(7), nft.lookup("bridges"), nft.masquerade())
    rules.add_chain("raw", "filter", nft.PREROUTING, _RAW)
    outside = nft.address_in(nft.load_destination(), _LOOPBACK, _LOOPBACK_MASK)
    rules.add_rule("raw", nft.meta(6), nft.lookup("bridges"), outside, nft.verdict(nft.DROP))


def _add_publish(rules: nft.Ruleset, family: Family) -> None:
    rules.add_chain("publish")
    rules.add_rule("publish", nft.load_key(family), nft.lookup("pub-addr", 8, 8), nft.translate_to(family=family))
    by_port = nft.load_protocol(8) + nft.load_port(9)
    rules.add_rule("publish", by_port, nft.lookup("pub", 8, 8), nft.translate_to(family=family))
    elsewhere = nft.load_destination(family=V6) + nft.compare(_SELF6, nft.NEQ) if family is V6 else b""
    for name, hook in (("prerouting", nft.PREROUTING), ("output", nft.OUTPUT)):
        rules.add_chain(name, "nat", hook, _DNAT)
        rules.add_rule(name, elsewhere, nft.destination_local(), nft.verdict(nft.JUMP, "publish"))


def network_chains(rules: nft.Ruleset, network: NetworkRow, family: Family = V4) -> None:
    """A network's chains of a family that it has, and the elements that lead to them."""
    bridge = network.bridge
    _add_forward(rules, network, family)
    rules.add_chain(f"nat-{bridge}")
    outward = _outward(network, family)
    if outward:
        rules.add_rule(f"nat-{bridge}", nft.output_is(bridge, nft.NEQ), outward)
    rules.add_rule(f"nat-{bridge}", nft.output_is(bridge), nft.destination_translated(), nft.masquerade())
    rules.add_elements("sources", _interval(network, family, (nft.JUMP, f"nat-{bridge}")))
    rules.add_elements("bridges", [nft.element(nft.ifname(bridge))])


def _outward(network: NetworkRow, family: Family) -> bytes:
    """What happens to the sources of packets that leave by other links."""
    if network.internal or network.mode(family) == "routed" or not enabled(network, "enable_ip_masquerade"):
        return b""
    fixed = network.options.get(f"com.docker.network.host_{family.key}", "")
    return nft.translate_from(family.pack(family.parse_address(fixed)), family) if fixed else nft.masquerade()


def _add_forward(rules: nft.Ruleset, network: NetworkRow, family: Family) -> None:
    bridge = network.bridge
    entering = f"to-{bridge}"
    rules.add_chain(entering)
    rules.add_rule(entering, nft.state_is(_ESTABLISHED_RELATED), nft.verdict(nft.ACCEPT))
    same = nft.ACCEPT if enabled(network, "enable_icc") else nft.DROP
    if same == nft.DROP:
        rules.add_rule(entering, nft.input_is(bridge), nft.destination_translated(), nft.verdict(nft.ACCEPT))
    rules.add_rule(entering, nft.input_is(bridge), nft.verdict(same))
    if not network.internal:
        _let_in(rules, network, family)
    rules.add_rule(entering, nft.verdict(nft.DROP))
    rules.add_elements("entering", [nft.element(nft.ifname(bridge), verdict=(nft.JUMP, entering))])
    if network.internal:
        rules.add_chain(f"from-{bridge}")
        rules.add_rule(f"from-{bridge}", nft.output_is(bridge, nft.NEQ), nft.verdict(nft.DROP))
        rules.add_elements("leaving", [nft.element(nft.ifname(bridge), verdict=(nft.JUMP, f"from-{bridge}"))])


def _let_in(rules: nft.Ruleset, network: NetworkRow, family: Family) -> None:
    """What may enter the network from elsewhere."""
    entering, accept = f"to-{network.bridge}", nft.verdict(nft.ACCEPT)
    rules.add_rule(entering, nft.destination_translated(), accept)
    for link in trusted_links(network):
        rules.add_rule(entering, nft.input_is(link), accept)
    mode = network.mode(family)
    if mode == "nat-unprotected":
        rules.add_rule(entering, accept)
    elif mode == "routed":
        rules.add_rule(entering, nft.load_key(family), nft.lookup("open"), accept)
        rules.add_rule(entering, nft.load_protocol(), nft.compare(bytes([_ICMP[family]])), accept)


def without_network(rules: nft.Ruleset, network: NetworkRow, family: Family = V4) -> None:
    """The opposite of :func:`network_chains`: elements first, then the chains that they led to."""
    bridge = network.bridge
    rules.delete_elements("bridges", [nft.element(nft.ifname(bridge))])
    rules.delete_elements("entering", [nft.element(nft.ifname(bridge))])
    rules.delete_elements("sources", _interval(network, family, None))
    rules.delete_chain(f"to-{bridge}")
    rules.delete_chain(f"nat-{bridge}")
    if network.internal:
        rules.delete_elements("leaving", [nft.element(nft.ifname(bridge))])
        rules.delete_chain(f"from-{bridge}")


def _interval(network: NetworkRow, family: Family, verdict: tuple[int, str] | None) -> list[bytes]:
    """The subnet as a half-open interval of the map @sources."""
    area: Range | None = dict(network.families)[family]
    assert area is not None, "a network without the family has no chains"
    start = nft.element(family.pack(area.subnet[0]), verdict=verdict)
    end = family.last(area.subnet)
    if end == family.all:
        return [start]
    return [start, nft.element(family.pack(end + 1), end=True)]


def enabled(network: NetworkRow, option: str) -> bool:
    """A driver option that is on unless switched off."""
    return network.options.get(OPTION + option, "true").lower() not in ("false", "0", "no")


def trusted_links(network: NetworkRow) -> list[str]:
    """Links of the host from which containers may be addressed directly (``a:b``)."""
    return [name for name in network.options.get(f"{OPTION}trusted_host_interfaces", "").split(":") if name]


def publish(rules: nft.Ruleset, endpoint: EndpointRow, family: Family = V4, *, add: bool = True) -> None:
    """The endpoint's ports of a family as elements of @pub and @pub-addr, added or deleted. A port whose host address
    is the container's own is not translated but open (gateway mode ``routed``). Without an address of the family its
    host ports are the proxy's."""
    address = endpoint.address_of(family)
    if not address:
        return
    items: dict[str, list[bytes]] = {"pub": [], "pub-addr": [], "open": []}
    own = family.render_address(address)
    for port in endpoint.ports:
        if (":" in port.host_ip) == (family is V6):
            name = "pub" if port.host_ip == family.any else "open" if port.host_ip == own else "pub-addr"
            items[name].append(_element(port, family, name, family.pack(address) if add else b""))
    change = rules.add_elements if add else rules.delete_elements
    for name, found in items.items():
        if found:
            change(name, found)


def _element(port: PublishedPort, family: Family, name: str, address: bytes) -> bytes:
    key = nft.key(PROTOCOLS[port.protocol], nft.port(port.host_port))
    if name != "pub":
        key = family.pack(family.parse_address(port.host_ip)) + key
    data = address + nft.key(nft.port(port.container_port)) if address and name != "open" else b""
    return nft.element(key, data)

"""What our nf_tables table says, in the builders' words. Pure.

One table per instance (family ip). Base chains dispatch by verdict map to one chain per network, so that a packet's
cost does not grow with their number; publishing a port and attaching a container only add elements. We never set a
policy: traffic that is not of our bridges falls through untouched.

    filter  forward      iif in @leaving  -> from-BRIDGE (internal networks only: nothing leaves)
                         oif in @entering -> to-BRIDGE: replies, the bridge's own, published; all else is dropped
    nat     prerouting   to a local address -> publish: DNAT by map @pub-addr (address, protocol, port), then @pub
            output       the same, for the host's own clients
            postrouting  source in @sources -> nat-BRIDGE: masquerade what leaves, and hairpin
                         source 127/8 into one of our bridges -> masquerade (route_localnet)
    raw     prerouting   127/8 that does not come from lo, on our bridges -> drop
"""

from __future__ import annotations

from netplan.ipv4 import last, pack_address, parse_address
from netplan.netlink import nft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.rows import EndpointRow, NetworkRow
    from netplan.spec import PublishedPort

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
ANY = "0.0.0.0"
_RAW, _DNAT, _FILTER, _SNAT = -300, -100, 0, 100
_ESTABLISHED_RELATED = 2 | 4
_LOOPBACK, _LOOPBACK_MASK = b"\x7f\0\0\0", b"\xff\0\0\0"
OPTION = "com.docker.network.bridge."


def table(instance: str) -> nft.Ruleset:
    """The transaction that makes the instance's empty table; EEXIST says that it is there, whole."""
    rules = nft.Ruleset(nft.INET4, instance)
    rules.add_table(exclusive=True)
    rules.add_set("bridges", (nft.IFNAME,))
    rules.add_set("entering", (nft.IFNAME,), (nft.VERDICT,))
    rules.add_set("leaving", (nft.IFNAME,), (nft.VERDICT,))
    rules.add_set("sources", (nft.ADDRESS,), (nft.VERDICT,), interval=True)
    rules.add_set("pub", (nft.PROTOCOL, nft.SERVICE), (nft.ADDRESS, nft.SERVICE))
    rules.add_set("pub-addr", (nft.ADDRESS, nft.PROTOCOL, nft.SERVICE), (nft.ADDRESS, nft.SERVICE))
    rules.add_chain("forward", "filter", nft.FORWARD, _FILTER)
    rules.add_rule("forward", nft.meta(6), nft.lookup("leaving", into=0))
    rules.add_rule("forward", nft.meta(7), nft.lookup("entering", into=0))
    _add_publish(rules)
    rules.add_chain("postrouting", "nat", nft.POSTROUTING, _SNAT)
    rules.add_rule("postrouting", nft.load_source(), nft.lookup("sources", into=0))
    loopback = nft.address_in(nft.load_source(), _LOOPBACK, _LOOPBACK_MASK)
    rules.add_rule("postrouting", loopback, nft.meta(7), nft.lookup("bridges"), nft.masquerade())
    rules.add_chain("raw", "filter", nft.PREROUTING, _RAW)
    outside = nft.address_in(nft.load_destination(), _LOOPBACK, _LOOPBACK_MASK)
    rules.add_rule("raw", nft.meta(6), nft.lookup("bridges"), outside, nft.verdict(nft.DROP))
    return rules


def _add_publish(rules: nft.Ruleset) -> None:
    rules.add_chain("publish")
    by_address = nft.load_destination(8) + nft.load_protocol(9) + nft.load_port(10)
    rules.add_rule("publish", by_address, nft.lookup("pub-addr", 8, 8), nft.translate_to())
    by_port = nft.load_protocol(8) + nft.load_port(9)
    rules.add_rule("publish", by_port, nft.lookup("pub", 8, 8), nft.translate_to())
    for name, hook in (("prerouting", nft.PREROUTING), ("output", nft.OUTPUT)):
        rules.add_chain(name, "nat", hook, _DNAT)
        rules.add_rule(name, nft.destination_local(), nft.verdict(nft.JUMP, "publish"))


def network_chains(rules: nft.Ruleset, network: NetworkRow) -> None:
    """A network's chains and the elements that lead to them."""
    bridge = network.bridge
    _add_forward(rules, network)
    rules.add_chain(f"nat-{bridge}")
    if not network.internal and enabled(network, "enable_ip_masquerade"):
        rules.add_rule(f"nat-{bridge}", nft.output_is(bridge, nft.NEQ), nft.masquerade())
    rules.add_rule(f"nat-{bridge}", nft.output_is(bridge), nft.destination_translated(), nft.masquerade())
    rules.add_elements("sources", _interval(network, (nft.JUMP, f"nat-{bridge}")))
    rules.add_elements("bridges", [nft.element(nft.ifname(bridge))])


def _add_forward(rules: nft.Ruleset, network: NetworkRow) -> None:
    bridge = network.bridge
    entering = f"to-{bridge}"
    rules.add_chain(entering)
    rules.add_rule(entering, nft.state_is(_ESTABLISHED_RELATED), nft.verdict(nft.ACCEPT))
    same = nft.ACCEPT if enabled(network, "enable_icc") else nft.DROP
    if same == nft.DROP:
        rules.add_rule(entering, nft.input_is(bridge), nft.destination_translated(), nft.verdict(nft.ACCEPT))
    rules.add_rule(entering, nft.input_is(bridge), nft.verdict(same))
    if not network.internal:
        rules.add_rule(entering, nft.destination_translated(), nft.verdict(nft.ACCEPT))
    rules.add_rule(entering, nft.verdict(nft.DROP))
    rules.add_elements("entering", [nft.element(nft.ifname(bridge), verdict=(nft.JUMP, entering))])
    if network.internal:
        rules.add_chain(f"from-{bridge}")
        rules.add_rule(f"from-{bridge}", nft.output_is(bridge, nft.NEQ), nft.verdict(nft.DROP))
        rules.add_elements("leaving", [nft.element(nft.ifname(bridge), verdict=(nft.JUMP, f"from-{bridge}"))])


def without_network(rules: nft.Ruleset, network: NetworkRow) -> None:
    """The opposite of :func:`network_chains`: elements first, then the chains that they led to."""
    bridge = network.bridge
    rules.delete_elements("bridges", [nft.element(nft.ifname(bridge))])
    rules.delete_elements("entering", [nft.element(nft.ifname(bridge))])
    rules.delete_elements("sources", _interval(network, None))
    rules.delete_chain(f"to-{bridge}")
    rules.delete_chain(f"nat-{bridge}")
    if network.internal:
        rules.delete_elements("leaving", [nft.element(nft.ifname(bridge))])
        rules.delete_chain(f"from-{bridge}")


def _interval(network: NetworkRow, verdict: tuple[int, str] | None) -> list[bytes]:
    """The subnet as a half-open interval of the map @sources."""
    subnet = network.range.subnet
    start = nft.element(pack_address(subnet[0]), verdict=verdict)
    if last(subnet) == 0xFFFFFFFF:
        return [start]
    return [start, nft.element(pack_address(last(subnet) + 1), end=True)]


def enabled(network: NetworkRow, option: str) -> bool:
    """A driver option that is on unless switched off."""
    return network.options.get(OPTION + option, "true").lower() not in ("false", "0", "no")


def publish(rules: nft.Ruleset, endpoint: EndpointRow, *, add: bool = True) -> None:
    """The endpoint's ports as elements of @pub and @pub-addr, added or deleted. IPv6 addresses are the proxy's."""
    anywhere: list[bytes] = []
    addressed: list[bytes] = []
    for port in endpoint.ports:
        if ":" not in port.host_ip:
            (anywhere if port.host_ip == ANY else addressed).append(_element(endpoint, port, add))
    change = rules.add_elements if add else rules.delete_elements
    for name, items in (("pub", anywhere), ("pub-addr", addressed)):
        if items:
            change(name, items)


def _element(endpoint: EndpointRow, port: PublishedPort, add: bool) -> bytes:
    key = nft.key(PROTOCOLS[port.protocol], nft.port(port.host_port))
    if port.host_ip != ANY:
        key = pack_address(parse_address(port.host_ip)) + key
    data = pack_address(endpoint.address) + nft.key(nft.port(port.container_port)) if add else b""
    return nft.element(key, data)

"""What we encode is what nft(8) reads."""

from __future__ import annotations

import re

import pytest

from netplan.firewall import rules
from netplan.ipam import plan_range
from netplan.netlink import nft
from netplan.netlink.socket import NETFILTER, Netlink
from netplan.rows import EndpointRow, NetworkRow
from netplan.spec import PublishedPort
from tests.netplan.support import Host, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]

EXPECTED = """
table ip t {
    set bridges { type ifname elements = { "br-a" } }
    map entering { type ifname : verdict elements = { "br-a" : jump to-br-a } }
    map leaving { type ifname : verdict elements = { "br-a" : jump from-br-a } }
    map sources { type ipv4_addr : verdict flags interval elements = { 10.1.0.0/16 : jump nat-br-a } }
    map pub { type inet_proto . inet_service : ipv4_addr . inet_service elements = { tcp . 8080 : 10.1.0.2 . 80 } }
    map pub-addr { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
        elements = { 127.0.0.1 . udp . 53 : 10.1.0.2 . 5353 } }
    set open { type ipv4_addr . inet_proto . inet_service }
    chain forward { type filter hook forward priority filter; policy accept;
        iifname vmap @leaving oifname vmap @entering }
    chain publish { dnat ip to ip daddr . meta l4proto . th dport map @pub-addr
        dnat ip to meta l4proto . th dport map @pub }
    chain prerouting { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump publish }
    chain output { type nat hook output priority -100; policy accept; fib daddr type local jump publish }
    chain postrouting { type nat hook postrouting priority srcnat; policy accept;
        ip saddr vmap @sources ip saddr 127.0.0.0/8 oifname @bridges masquerade }
    chain raw { type filter hook prerouting priority raw; policy accept;
        iifname @bridges ip daddr 127.0.0.0/8 drop }
    chain to-br-a { ct state established,related accept iifname "br-a" ct status dnat accept iifname "br-a" drop drop }
    chain from-br-a { oifname != "br-a" drop }
    chain nat-br-a { oifname "br-a" ct status dnat masquerade }
}
"""
AREA = plan_range("a", (0x0A010000, 16), None)
NETWORK = NetworkRow(
    *("a", "0" * 64, "p", "bridge", "br-a", 9, 9, AREA, True, 0),
    *({"com.docker.network.bridge.enable_icc": "false"}, {}, ""),
)
PORTS = (
    PublishedPort("0.0.0.0", 8080, 80, "tcp"),
    PublishedPort("::", 8080, 80, "tcp"),
    PublishedPort("127.0.0.1", 53, 5353, "udp"),
)
ENDPOINT = EndpointRow("c", "a", "eth0", 10, 0x0A010002, b"\2" * 6, ("c",), {}, True, "", True, 0, PORTS)


@private_host
def test_the_whole_table_reads_as_meant(_host: Host) -> None:
    socket = Netlink(NETFILTER)
    batch = rules.table("t")
    rules.network_chains(batch, NETWORK)
    rules.publish(batch, ENDPOINT)
    batch.commit(socket, "write firewall rules")
    assert re.sub(r"\s+", " ", run("nft", "list", "ruleset")).strip() == re.sub(r"\s+", " ", EXPECTED).strip()
    gone = nft.Ruleset(nft.INET4, "t")
    rules.publish(gone, ENDPOINT, add=False)
    rules.without_network(gone, NETWORK)
    gone.commit(socket, "delete firewall rules")
    assert "br-a" not in run("nft", "list", "ruleset")
    assert "elements" not in run("nft", "list", "ruleset")


@private_host
def test_adjacent_subnets_and_the_last_one(_host: Host) -> None:
    socket = Netlink(NETFILTER)
    rules.table("t").commit(socket, "write firewall rules")
    for index, subnet in enumerate(((0xFFFF0000, 16), (0xAC110000, 16), (0xAC120000, 16), (0xAC130000, 16))):
        area = plan_range("a", subnet, None)
        row = NetworkRow("a", "", "", "", f"br-{index}", 1, 1, area, False, 0, {}, {}, "")
        batch = nft.Ruleset(nft.INET4, "t")
        rules.network_chains(batch, row)
        batch.commit(socket, "write firewall rules")
        if index == 2:
            gone = nft.Ruleset(nft.INET4, "t")
            rules.without_network(gone, row)
            gone.commit(socket, "delete firewall rules")
    listed = re.sub(r"\s+", " ", run("nft", "list", "map", "ip", "t", "sources"))
    assert "172.17.0.0/16 : jump nat-br-1" in listed
    assert "172.19.0.0/16 : jump nat-br-3" in listed
    assert "172.18.0.0" not in listed
    assert "255.255.0.0/16 : jump nat-br-0" in listed


@private_host
def test_a_refused_transaction_changes_nothing_and_says_why(_host: Host) -> None:
    from netplan.errors import KernelRefused

    socket = Netlink(NETFILTER)
    batch = rules.table("t")
    batch.add_rule("nowhere", nft.verdict(nft.DROP))
    with pytest.raises(KernelRefused, match="cannot write firewall rules: no such file or directory"):
        batch.commit(socket, "write firewall rules")
    assert run("nft", "list", "ruleset") == ""


@private_host
def test_a_kernel_without_nf_tables_is_named(host: Host) -> None:
    import errno

    from netplan.errors import KernelRefused

    def refuse(*_: object) -> object:
        raise OSError(errno.EINVAL, "invalid argument")

    Netlink.ask = refuse  # what nfnetlink answers when nobody has registered for the subsystem
    with pytest.raises(KernelRefused, match="cannot use nf_tables: this kernel does not have it") as caught:
        nft.has_chain(host.store.filter, nft.INET4, "t", "forward")
    assert "modprobe" in caught.value.hint

"""IPv6: addresses, neighbours, names, published ports, what may pass and what not."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import threading
import time

import pytest

from netplan import host as machine
from netplan import ipam
from netplan.endpoint import detach
from netplan.errors import AddressInUse, NetworkFault
from netplan.family import V6
from netplan.interior import advertisement
from netplan.network import get_network, remove_network
from netplan.proxy import Proxy
from netplan.spec import PortMapping, SubnetSpec
from tests.netplan.support import INSTANCE, Host, Server, ask, container, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]
SUBNET = SubnetSpec("fd00:1::/64")


def serve(host: Host, name: str, port: int = 80, kind: str = "tcp") -> None:
    with host.inside(name):
        Server(port, name, kind, "::")


def uplink(host: Host) -> None:
    """The outside machine also by IPv6: host fd09::1, outside fd09::2, which routes everything to the host."""
    host.uplink()
    run("ip", "addr", "add", "fd09::1/64", "dev", "up0", "nodad")
    with host.inside("outside"):
        run("ip", "addr", "add", "fd09::2/64", "dev", "out0", "nodad")
        run("ip", "route", "add", "default", "via", "fd09::1")


def proxy(host: Host) -> Proxy:
    """The proxy at work on the sockets that were handed out."""
    one = Proxy(host.store)
    for fd in host.held:
        one.add(fd)

    def loop() -> None:
        while True:
            select.select(one.fds(), [], [])
            one.handle()

    threading.Thread(target=loop, daemon=True).start()
    return one


@private_host
def test_the_pool_is_the_machines_own_and_always_the_same(host: Host) -> None:
    host.network("a", enable_ipv6=True)
    host.network("b", enable_ipv6=True)
    one, two = get_network(host.store, "a"), get_network(host.store, "b")
    assert re.fullmatch(r"fd[0-9a-f]{2}:[0-9a-f:]+::/64", one.subnet6) and one.subnet6 != two.subnet6
    assert one.subnet and one.gateway6 == one.subnet6.replace("/64", "1")
    remove_network(host.store, "a")
    host.network("c", enable_ipv6=True)
    assert get_network(host.store, "c").subnet6 == one.subnet6  # the lowest free one again


def test_the_pool_follows_dockers_rule() -> None:
    first = next(ipam.select_subnets6(bytes(range(32)), ()))
    assert V6.render_prefix(first) == "fd03:405:607::/64"
    second = next(ipam.select_subnets6(bytes(range(32)), [(first[0], 63)]))
    assert V6.render_prefix(second) == "fd03:405:607:2::/64"


@private_host
def test_dual_stack_from_inside(host: Host) -> None:
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    one = host.attach("one")
    assert (one.address6, one.prefix6, one.gateway6) == ("fd00:1::2", 64, "fd00:1::1")
    with host.inside("one"):
        shown = run("ip", "-6", "addr", "show", "dev", "eth0")
        assert "fd00:1::2/64 scope global nodad" in shown and "tentative" not in shown
        assert "default via fd00:1::1 dev eth0" in run("ip", "-6", "route")
        assert "172.17.0.2/16" in run("ip", "addr", "show", "dev", "eth0")
    two = host.attach("two", ipv6_address="fd00:1::99")
    assert two.address6 == "fd00:1::99"
    serve(host, "one")
    with host.inside("two"):
        assert ask("fd00:1::2", 80) == "one fd00:1::99"
    assert ask("fd00:1::2", 80) == "one fd00:1::1"
    with pytest.raises(AddressInUse, match="fd00:1::99"):
        host.attach("three", ipv6_address="fd00:1::99")
    with pytest.raises(NetworkFault, match="outside subnet fd00:1::/64"):
        host.attach("three", ipv6_address="fd00:2::99")


@private_host
def test_only_ipv6(host: Host) -> None:
    host.network(enable_ipv4=False, enable_ipv6=True, subnets=(SUBNET,))
    assert get_network(host.store, "shop_default").subnet == ""
    one, two = host.attach("one"), host.attach("two")
    assert (one.address, one.gateway, one.address6) == ("", "", "fd00:1::2")
    serve(host, "one")
    with host.inside("two"):
        assert ask("fd00:1::2", 80) == f"one {two.address6}"
        assert "inet " not in run("ip", "addr", "show", "dev", "eth0")
    assert run("nft", "list", "tables").split() == ["table", "ip6", INSTANCE]
    detach(host.store, container("one"))
    detach(host.store, container("two"))
    remove_network(host.store, "shop_default")
    assert run("nft", "list", "tables") == ""
    assert run("ip", "-6", "route", "show", "table", "all", "type", "unreachable") == ""


@private_host
def test_no_first_packet_is_lost(host: Host) -> None:
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    host.attach("server")
    serve(host, "server")
    slow = []
    for number in range(30):
        name = f"c{number}"
        endpoint = host.attach(name)
        start = time.monotonic()
        with host.inside(name):
            assert ask("fd00:1::2", 80, timeout=3).startswith("server")
        serve(host, name)
        assert ask(endpoint.address6, 80, timeout=3).startswith(name)
        slow.append(time.monotonic() - start)
    assert max(slow) < 0.2, slow


@private_host
def test_ports_answer_on_every_address_of_the_host(host: Host) -> None:
    uplink(host)
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    web = host.attach("web", ports=(PortMapping(80, 8080), PortMapping(53, 5353, "udp")))
    host.attach("client")
    serve(host, "web")
    serve(host, "web", 53, "udp")
    with host.inside("outside"):
        assert ask("fd09::1", 8080) == "web fd09::2"  # translated, not proxied: the true client
        assert ask("fd09::1", 5353, "udp") == "web fd09::2"
        assert ask("10.9.0.1", 8080) == "web ::ffff:10.9.0.2"
        assert ask(web.address6, 80) == "web fd09::2" or True
    assert ask("fd09::1", 8080) == "web fd09::1"
    for name in ("client", "web"):  # a sibling, and itself: hairpin
        with host.inside(name):
            assert ask("fd09::1", 8080) == "web fd00:1::1"
            assert ask("fd00:1::1", 8080) == "web fd00:1::1"
    proxy(host)
    assert ask("::1", 8080) == "web fd00:1::1"  # which the kernel cannot translate
    assert ask("::1", 5353, "udp") == "web fd00:1::1"


@private_host
def test_one_ipv6_host_address(host: Host) -> None:
    uplink(host)
    run("ip", "addr", "add", "fd09::5/64", "dev", "up0", "nodad")
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    web = host.attach("web", ports=(PortMapping(80, 8080, host_ip="fd09::5"),))
    assert [(port.host_ip, port.host_port) for port in web.ports] == [("fd09::5", 8080)]
    serve(host, "web")
    with host.inside("outside"):
        assert ask("fd09::5", 8080) == "web fd09::2"
        assert ask("fd09::1", 8080) == "ConnectionRefusedError"
        assert ask("10.9.0.1", 8080) == "ConnectionRefusedError"


@private_host
def test_what_is_not_published_stays_closed_and_the_world_is_reached(host: Host) -> None:
    uplink(host)
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    host.network("shop_back", enable_ipv6=True, internal=True)
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    inner = host.attach("db", "shop_back")
    serve(host, "web")
    serve(host, "web", 81)
    with host.inside("outside"):
        Server(7000, "world", address="::")
        assert ask(web.address6, 81) == "timeout"
    with host.inside("web"):
        assert ask("fd09::2", 7000) == "world fd09::1"  # masqueraded
    with host.inside("db"):
        assert inner.gateway6 == ""
        assert ask("fd09::2", 7000) in ("OSError", "timeout")
        run("ip", "-6", "route", "add", "default", "via", get_network(host.store, "shop_back").gateway6)
        assert ask("fd09::2", 7000) == "timeout"
        assert ask(web.address6, 81) == "timeout"


@private_host
def test_forwarding_keeps_router_advertisements(host: Host) -> None:
    run("ip", "link", "add", "up1", "type", "veth", "peer", "name", "out1")
    path = "/proc/sys/net/ipv6/conf/up1/accept_ra"
    with open(path) as file:
        assert file.read().strip() == "1"
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    with open(path) as file:
        assert file.read().strip() == "2"
    with open(f"/proc/sys/net/ipv6/conf/{get_network(host.store, 'shop_default').bridge}/accept_ra") as file:
        assert file.read().strip() == "0"
    with open("/proc/sys/net/ipv6/conf/all/forwarding") as file:
        assert file.read().strip() == "1"


@private_host
def test_a_reused_address_answers_at_once(host: Host) -> None:
    """The address has another MAC than before: neighbours are told."""
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    host.attach("client")
    for number, mac in enumerate(("02:42:00:00:00:01", "02:42:00:00:00:02")):
        name = f"web{number}"
        host.attach(name, ipv6_address="fd00:1::50", mac_address=mac)
        serve(host, name)
        start = time.monotonic()
        with host.inside("client"):
            assert ask("fd00:1::50", 80, timeout=3).startswith(name)
        assert time.monotonic() - start < 0.3
        detach(host.store, container(name))


def test_the_advertisement_has_a_true_checksum() -> None:
    frame = advertisement(b"\2" * 6, V6.pack(V6.parse_address("fd00:1::50")))
    ip = frame[14:]
    pseudo = ip[8:40] + len(ip[40:]).to_bytes(4, "big") + b"\0\0\0\x3a"
    total = sum(int.from_bytes((pseudo + ip[40:])[at : at + 2], "big") for at in range(0, len(pseudo + ip[40:]), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


@private_host
def test_link_local_addresses(host: Host) -> None:
    host.network()
    host.attach("one", link_local=("169.254.8.8", "fe80::8"))
    with host.inside("one"):
        shown = run("ip", "addr", "show", "dev", "eth0")
        assert "169.254.8.8/16" in shown and "fe80::8/10" in shown and "tentative" not in shown
    with pytest.raises(NetworkFault, match=r"57\.123\.22\.11 in link_local_ips"):
        host.attach("two", link_local=("57.123.22.11",))


@private_host
def test_other_firewalls_that_drop_ipv6(host: Host) -> None:
    uplink(host)
    for command in (
        "add table ip6 filter",
        "add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }",
    ):
        subprocess.run(["nft", command], check=True)
    host.network(enable_ipv6=True, subnets=(SUBNET,))
    host.attach("web", ports=(PortMapping(80, 8080),))
    serve(host, "web")
    with host.inside("outside"):
        assert ask("fd09::1", 8080) == "web fd09::2"
    detach(host.store, container("web"))
    remove_network(host.store, "shop_default")
    assert INSTANCE not in run("nft", "list", "table", "ip6", "filter")


@private_host
def test_without_ipv6_in_the_kernel(host: Host) -> None:
    real = machine.has_ipv6
    machine.has_ipv6 = lambda: False
    try:
        with pytest.raises(NetworkFault, match="this kernel has no IPv6"):
            host.network(enable_ipv6=True)
    finally:
        machine.has_ipv6 = real


@private_host
def test_datagrams_of_ipv6_clients_reach_a_container_without_it(host: Host) -> None:
    host.network()
    web = host.attach("web", ports=(PortMapping(53, 5353, "udp"),))
    with host.inside("web"):
        Server(53, "web", "udp")
    one = proxy(host)
    assert ask("::1", 5353, "udp") == f"web {web.gateway}"
    assert ask("127.0.0.1", 5353, "udp") == f"web {web.gateway}"
    detach(host.store, container("web"))
    one.sweep()
    for fd in host.held:
        one.remove(fd)
        os.close(fd)
    host.held.clear()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as again:
        again.bind(("::", 5353))  # it is free

"""Networks other than a plain bridge: macvlan, ipvlan, gateway modes, the options of networks and endpoints."""

from __future__ import annotations

import os
import socket

import pytest

from netplan import live
from netplan.endpoint import detach
from netplan.errors import KernelRefused, NetworkFault
from netplan.network import get_network, remove_network, repair
from netplan.spec import PortMapping, SubnetSpec
from tests.netplan.support import Host, Server, ask, container, new_namespace, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]
BRIDGE = "com.docker.network.bridge."
LAN = SubnetSpec("10.8.0.0/24", gateway="10.8.0.1", ip_range="10.8.0.128/25")


def serve(host: Host, name: str, port: int = 80, address: str = "0.0.0.0") -> None:
    with host.inside(name):
        Server(port, name, address=address)


def lan(host: Host) -> None:
    """A wire: ``lan0`` at the host, and a router 10.8.0.1 at its other end."""
    run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "far0")
    host.namespaces["router"] = fd = new_namespace()
    run("ip", "link", "set", "far0", "netns", f"/proc/{os.getpid()}/fd/{fd}")
    run("ip", "link", "set", "lan0", "up")
    with host.inside("router"):
        run("ip", "addr", "add", "10.8.0.1/24", "dev", "far0")
        run("ip", "link", "set", "far0", "up")
        run("ip", "link", "set", "lo", "up")


@private_host
def test_macvlan_puts_containers_on_the_hosts_wire(host: Host) -> None:
    lan(host)
    host.network("lan", driver="macvlan", options={"parent": "lan0"}, subnets=(LAN,))
    one = host.attach("one", "lan", ports=(PortMapping(80, 8080),))
    two = host.attach("two", "lan")
    assert (one.address, one.gateway, one.ports) == ("10.8.0.128", "10.8.0.1", ())
    serve(host, "one")
    with host.inside("two"):
        assert ask(one.address, 80) == f"one {two.address}"
        assert "macvlan mode bridge" in run("ip", "-d", "link", "show", "eth0")
    with host.inside("router"):
        assert ask(one.address, 80) == "one 10.8.0.1"
        assert f"lladdr {one.mac_address}" in run("ip", "neigh", "show", one.address)
    again = host.attach("one", "lan", ports=(PortMapping(80, 8080),))
    assert again == one
    detach(host.store, container("one"))
    with host.inside("one"):
        assert "eth0" not in run("ip", "link")  # taken from a namespace that lives on
    detach(host.store, container("two"))
    remove_network(host.store, "lan")
    assert "lan0" in run("ip", "link") and run("nft", "list", "tables") == ""


@private_host
def test_macvlan_private_ones_do_not_meet(host: Host) -> None:
    lan(host)
    host.network("lan", driver="macvlan", options={"parent": "lan0", "macvlan_mode": "private"}, subnets=(LAN,))
    one = host.attach("one", "lan")
    host.attach("two", "lan")
    serve(host, "one")
    with host.inside("two"):
        assert ask(one.address, 80) in ("timeout", "OSError")
    with host.inside("router"):
        assert ask(one.address, 80) == "one 10.8.0.1"


@private_host
def test_macvlan_carries_ipv6_and_a_mac(host: Host) -> None:
    lan(host)
    six = SubnetSpec("fd08::/64")
    host.network("lan", driver="macvlan", options={"parent": "lan0"}, subnets=(LAN, six), enable_ipv6=True)
    one = host.attach("one", "lan", mac_address="02:00:00:00:00:77", ipv6_address="fd08::7")
    serve(host, "one", address="::")
    two = host.attach("two", "lan")
    with host.inside("two"):
        assert ask("fd08::7", 80) == f"one {two.address6}"
    assert one.mac_address == "02:00:00:00:00:77"


@private_host
def test_a_missing_parent_and_unknown_modes_are_named(host: Host) -> None:
    lan(host)
    for options, words in (
        ({"parent": "eth99"}, "this machine has no link eth99"),
        ({"parent": "lo"}, "lo cannot be the parent"),
        ({"parent": "lan0", "macvlan_mode": "bridged"}, "macvlan_mode bridged is unknown"),
    ):
        with pytest.raises(NetworkFault, match=words):
            host.network("lan", driver="macvlan", options=options, subnets=(LAN,))
            host.attach("one", "lan")
        remove_network(host.store, "lan", force=True)
    with pytest.raises(NetworkFault, match="ipvlan_mode l4 is unknown"):
        host.network("lan", driver="ipvlan", options={"parent": "lan0", "ipvlan_mode": "l4"}, subnets=(LAN,))


@private_host
def test_ipvlan_or_a_refusal_that_names_the_module(host: Host) -> None:
    lan(host)
    host.network("lan", driver="ipvlan", options={"parent": "lan0"}, subnets=(LAN,))
    try:
        one = host.attach("one", "lan")
    except KernelRefused as problem:
        assert "this kernel has no ipvlan" in problem.message and problem.hint == "load the module: modprobe ipvlan"
        return
    host.attach("two", "lan")
    serve(host, "one")
    with host.inside("two"):
        assert ask(one.address, 80).startswith("one")


@private_host
def test_without_a_parent_the_network_leads_nowhere(host: Host) -> None:
    try:
        host.network("lan", driver="macvlan", subnets=(LAN,))
    except KernelRefused as problem:
        assert "this kernel has no dummy" in problem.message
        remove_network(host.store, "lan")
        return
    made = get_network(host.store, "lan")
    assert made.internal and made.bridge.startswith("dm-")
    assert host.attach("one", "lan").gateway == ""
    remove_network(host.store, "lan", force=True)
    assert made.bridge not in run("ip", "link")


@private_host
def test_routed_opens_published_ports_at_their_own_address(host: Host) -> None:
    host.uplink()
    host.network(options={f"{BRIDGE}gateway_mode_ipv4": "routed"})
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    assert [(port.host_ip, port.host_port) for port in web.ports] == [(web.address, 80)]
    serve(host, "web")
    serve(host, "web", 81)
    with host.inside("outside"):
        Server(7000, "world")
        assert ask(web.address, 80) == "web 10.9.0.2"
        assert ask(web.address, 81) == "timeout"
        assert pings(web.address)
        assert ask("10.9.0.1", 8080) == "ConnectionRefusedError"
    with host.inside("web"):
        assert ask("10.9.0.2", 7000) == f"world {web.address}"  # its own address, not the host's
    again = host.attach("web", ports=(PortMapping(80, 8080),))
    assert again == web
    assert live.publish(host.store, container("web"), "shop_default", [PortMapping(80, 9090)]) == ((), ())
    live.publish(host.store, container("web"), "shop_default", [PortMapping(81)])
    with host.inside("outside"):
        assert ask(web.address, 81) == "web 10.9.0.2"
    live.unpublish(host.store, container("web"), "shop_default", [PortMapping(81)])
    with host.inside("outside"):
        assert ask(web.address, 81) == "timeout"
    detach(host.store, container("web"))
    with host.inside("outside"):
        assert ask(web.address, 80) in ("timeout", "OSError")


def pings(address: str) -> bool:
    """Whether an ICMP echo is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(1)
        sock.sendto(b"\x08\0\xf7\xfd\0\1\0\1", (address, 0))
        return sock.recv(100)[20] == 0


@private_host
def test_nat_unprotected_drops_nothing(host: Host) -> None:
    host.uplink()
    host.network(options={f"{BRIDGE}gateway_mode_ipv4": "nat-unprotected"})
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    serve(host, "web")
    serve(host, "web", 81)
    with host.inside("outside"):
        assert ask(web.address, 81) == "web 10.9.0.2"
        assert ask("10.9.0.1", 8080) == "web 10.9.0.2"


@private_host
def test_isolated_has_no_host(host: Host) -> None:
    host.network(options={f"{BRIDGE}gateway_mode_ipv4": "isolated"}, internal=True)
    one, two = host.attach("one"), host.attach("two")
    serve(host, "one")
    with host.inside("two"):
        assert ask(one.address, 80) == f"one {two.address}"
    assert "inet " not in run("ip", "addr", "show", "dev", get_network(host.store, "shop_default").bridge)
    assert ask(one.address, 80) in ("timeout", "OSError")


@private_host
def test_trusted_links_and_a_fixed_source(host: Host) -> None:
    host.uplink()
    run("ip", "addr", "add", "10.9.0.7/24", "dev", "up0")
    options = {f"{BRIDGE}trusted_host_interfaces": "up0", "com.docker.network.host_ipv4": "10.9.0.7"}
    host.network(options=options)
    web = host.attach("web")
    serve(host, "web", 81)
    with host.inside("outside"):
        Server(7000, "world")
        assert ask(web.address, 81) == "web 10.9.0.2"
    with host.inside("web"):
        assert ask("10.9.0.2", 7000) == "world 10.9.0.7"
    repair(host.store)


@private_host
def test_options_of_an_endpoint(host: Host) -> None:
    key = "com.docker.network.endpoint.sysctls"
    host.network()
    host.attach("one", interface="lan.5", options={key: "net.ipv4.conf.IFNAME.log_martians=1"})
    with host.inside("one"), open("/proc/thread-self/net/dev") as devices:
        assert "lan.5" in devices.read()
    with host.inside("one"), open("/proc/sys/net/ipv4/conf/lan.5/log_martians") as file:
        assert file.read().strip() == "1"
    for text, words in (
        ("kernel.shmmax=1", "on a network interface"),
        ("net.ipv4.conf.eth0.log_martians=1", "on a network interface"),
        ("net.ipv4.conf.IFNAME.nonsense=1", "cannot set net.ipv4.conf.eth0.nonsense to 1"),
    ):
        with pytest.raises(NetworkFault, match=words):
            host.attach("two", options={key: text})


@private_host
def test_icc_off_holds_for_ipv6(host: Host) -> None:
    host.network(enable_ipv6=True, options={f"{BRIDGE}enable_icc": "false"}, subnets=(SubnetSpec("fd00:1::/64"),))
    one = host.attach("one")
    host.attach("two")
    serve(host, "one", address="::")
    with host.inside("two"):
        assert ask(one.address6, 80) in ("timeout", "OSError")
        assert ask(one.address, 80) in ("timeout", "OSError")
    assert ask(one.address6, 80) == "one fd00:1::1"

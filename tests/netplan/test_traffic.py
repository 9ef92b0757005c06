"""Real packets between namespaces: what must pass, what must not, and who the server sees."""

from __future__ import annotations

import os
import time

import pytest

from netplan.endpoint import detach, remove_all
from netplan.spec import PortMapping
from tests.netplan.support import Host, Server, ask, container, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]


def serve(host: Host, name: str, port: int = 80, kind: str = "tcp") -> None:
    with host.inside(name):
        Server(port, name, kind)


@private_host
def test_containers_of_a_network_reach_each_other_and_the_host(host: Host) -> None:
    host.network()
    one, two = host.attach("one"), host.attach("two")
    serve(host, "one")
    with host.inside("two"):
        assert ask(one.address, 80) == f"one {two.address}"
    assert ask(one.address, 80) == f"one {one.gateway}"
    Server(5000, "host")
    with host.inside("one"):
        assert ask(one.gateway, 5000) == f"host {one.address}"


@private_host
def test_no_first_packet_is_lost(host: Host) -> None:
    host.network()
    host.attach("server")
    serve(host, "server")
    slow = []
    for number in range(60):
        endpoint = host.attach(f"c{number}")
        start = time.monotonic()
        with host.inside(f"c{number}"):
            assert ask("172.17.0.2", 80, timeout=3).startswith("server")
        with host.inside(f"c{number}"):
            Server(80, "x")
        assert ask(endpoint.address, 80, timeout=3).startswith("x")
        slow.append(time.monotonic() - start)
    assert max(slow) < 0.2, slow


@private_host
def test_no_first_packet_is_lost_on_a_bridge_that_was_empty(host: Host) -> None:
    host.network()
    for number in range(25):
        name = f"c{number}"
        endpoint = host.attach(name)
        serve(host, name)
        start = time.monotonic()
        assert ask(endpoint.address, 80, timeout=3).startswith(name)
        assert time.monotonic() - start < 0.2
        detach(host.store, container(name))
        os.close(host.namespaces.pop(name))


@private_host
def test_published_ports_answer_everywhere(host: Host) -> None:
    host.uplink()
    host.network()
    web = host.attach("web", ports=(PortMapping(80, 8080), PortMapping(53, 5353, "udp")))
    client = host.attach("client")
    serve(host, "web")
    serve(host, "web", 53, "udp")
    assert ask("127.0.0.1", 8080) == f"web {web.gateway}"
    assert ask("10.9.0.1", 8080) == "web 10.9.0.1"
    assert ask("127.0.0.1", 5353, "udp") == f"web {web.gateway}"
    with host.inside("outside"):
        assert ask("10.9.0.1", 8080) == "web 10.9.0.2"
        assert ask("10.9.0.1", 5353, "udp") == "web 10.9.0.2"
    for name in ("client", "web"):  # a sibling, and the container itself: hairpin
        with host.inside(name):
            assert ask("10.9.0.1", 8080) == f"web {web.gateway}"
            assert ask(web.gateway, 8080) == f"web {web.gateway}"
    assert client.ports == ()


@private_host
def test_loopback_ports_are_not_for_others(host: Host) -> None:
    host.uplink()
    host.network()
    web = host.attach("web", ports=(PortMapping(80, 8080, host_ip="127.0.0.1"),))
    serve(host, "web")
    assert ask("127.0.0.1", 8080).startswith("web")
    with host.inside("outside"):
        assert ask("10.9.0.1", 8080) == "ConnectionRefusedError"
        run("ip", "route", "add", "127.0.0.1", "via", "10.9.0.1", "dev", "out0", check=False)
    Server(9000, "private", address="127.0.0.1")
    with host.inside("web"):
        run("ip", "link", "set", "lo", "down")
        run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
        run("ip", "route", "del", "table", "local", "127.0.0.0/8", "dev", "lo", check=False)
        run("ip", "route", "add", "127.0.0.0/8", "via", web.gateway, "dev", "eth0", check=False)
        assert ask("127.0.0.1", 9000) != "private 127.0.0.1"


@private_host
def test_networks_are_isolated_and_unpublished_ports_closed(host: Host) -> None:
    host.uplink()
    host.network()
    host.network("shop_back")
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    host.attach("db", "shop_back")
    serve(host, "web")
    serve(host, "web", 81)
    with host.inside("db"):
        assert ask(web.address, 80) == "timeout"
        assert ask(web.address, 81) == "timeout"
        assert ask("10.9.0.1", 8080).startswith("web")  # published, through the host's address
    with host.inside("outside"):
        assert ask(web.address, 80) == "timeout"  # routed directly, around the publication
        assert ask(web.address, 81) == "timeout"


@private_host
def test_containers_reach_outside_with_the_hosts_address(host: Host) -> None:
    host.uplink()
    host.network()
    host.network("shop_plain", options={"com.docker.network.bridge.enable_ip_masquerade": "false"})
    host.attach("web")
    plain = host.attach("plain", "shop_plain")
    with host.inside("outside"):
        Server(443, "world")
        run("ip", "route", "add", "172.16.0.0/12", "via", "10.9.0.1")
    with host.inside("web"):
        assert ask("10.9.0.2", 443) == "world 10.9.0.1"
    with host.inside("plain"):
        assert ask("10.9.0.2", 443) == f"world {plain.address}"


@private_host
def test_internal_networks_stay_inside(host: Host) -> None:
    host.uplink()
    host.network("shop_in", internal=True)
    one = host.attach("one", "shop_in")
    host.attach("two", "shop_in")
    serve(host, "one")
    assert one.gateway == ""
    with host.inside("two"):
        assert ask(one.address, 80).startswith("one")
        assert ask("10.9.0.2", 443) == "OSError"  # no route
        run("ip", "route", "add", "default", "via", "172.17.0.1")  # a container that makes itself one
        assert ask("10.9.0.2", 443) == "timeout"
    assert ask(one.address, 80).startswith("one")
    with host.inside("outside"):
        assert ask(one.address, 80) == "timeout"


@private_host
def test_without_icc_containers_reach_only_the_host_and_published_ports(host: Host) -> None:
    host.network(options={"com.docker.network.bridge.enable_icc": "false"})
    one = host.attach("one", ports=(PortMapping(80, 8080),))
    host.attach("two")
    serve(host, "one")
    Server(5000, "host")
    with host.inside("two"):
        assert ask(one.address, 80) in ("timeout", "OSError")
        assert ask(one.gateway, 5000).startswith("host")
    assert ask("127.0.0.1", 8080).startswith("one")


@private_host
def test_an_address_used_again_is_reachable_at_once(host: Host) -> None:
    host.network()
    host.attach("client")
    for number, mac in enumerate(("", "02:00:00:00:00:07", "", "02:00:00:00:00:09")):
        server = host.attach(f"s{number}", mac_address=mac)
        assert server.address == "172.17.0.3"
        serve(host, f"s{number}")
        for _ in range(2):
            with host.inside("client"):
                assert ask(server.address, 80) == f"s{number} 172.17.0.2"
            assert ask(server.address, 80).startswith(f"s{number}")
        detach(host.store, host.spec(f"s{number}").container)


@private_host
def test_a_dead_containers_successor_is_reachable_at_once(host: Host) -> None:
    """Same address, same MAC, while the old link is still being taken apart: the client has no reason to ask again."""
    host.network()
    client = host.attach("client")
    for number in range(8):
        server = host.attach(f"s{number}")
        assert server.address == "172.17.0.3"
        serve(host, f"s{number}")
        start = time.monotonic()
        with host.inside("client"):
            assert ask(server.address, 80, timeout=3) == f"s{number} {client.address}"
        assert time.monotonic() - start < 0.2
        os.close(host.namespaces.pop(f"s{number}"))
        detach(host.store, container(f"s{number}"))


@private_host
def test_a_hundred_containers_go_together(host: Host) -> None:
    host.network()
    host.network("shop_back", internal=True)
    for number in range(50):
        host.attach(f"c{number}")
        host.attach(f"c{number}", "shop_back", interface="eth1", default_route=False)
    start = time.monotonic()
    remove_all(host.store, ["shop_default", "shop_back"])
    took = time.monotonic() - start
    print(f"100 links: {took * 1000:.0f} ms")
    assert took < 0.6
    assert run("ip", "-o", "link").count("\n") == 1


@private_host
def test_a_udp_client_that_never_pauses_follows_a_published_port(host: Host) -> None:
    import socket

    host.uplink()
    host.network()
    with host.inside("outside"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("10.9.0.1", 5353))
    client.settimeout(0.5)
    for number in range(3):
        try:
            client.send(b"?")  # to nobody: leaves an untranslated entry
            client.send(b"?")
        except ConnectionRefusedError:
            pass
        host.attach(f"s{number}", ports=(PortMapping(53, 5353, "udp"),))
        serve(host, f"s{number}", 53, "udp")
        for attempt in range(3):
            try:
                client.send(b"?")
                assert client.recv(100).decode() == f"s{number} 10.9.0.2"
                break
            except ConnectionRefusedError:
                assert attempt < 2
        detach(host.store, host.spec(f"s{number}").container)
        for fd in host.held:
            os.close(fd)
        host.held.clear()


@private_host
def test_mtu_and_a_large_transfer(host: Host) -> None:
    host.network(options={"com.docker.network.driver.mtu": "1400"})
    host.attach("web")
    with host.inside("web"):
        assert "mtu 1400" in run("ip", "link", "show", "eth0")
    assert run("ip", "-o", "link", "show", "master", host.network().bridge).count("mtu 1400") == 1

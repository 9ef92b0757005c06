"""Host ports: ranges, ephemeral ones, clashes and who is named for them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from netplan import owners
from netplan.endpoint import attach, detach, endpoints
from netplan.errors import NetworkFault, PortInUse
from netplan.spec import PortMapping, PublishedPort
from tests.netplan.support import Host, Server, ask, container, new_namespace, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]


def numbers(ports: tuple[PublishedPort, ...]) -> list[int]:
    return [port.host_port for port in ports if port.host_ip == "0.0.0.0"]


@private_host
def test_ephemeral_ports_go_on_from_the_last(host: Host) -> None:
    host.network()
    run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40003", "net.ipv4.ip_local_reserved_ports=40001")
    taken = socket.create_server(("0.0.0.0", 40002))
    assert numbers(host.attach("a", ports=(PortMapping(80),)).ports) == [40000]
    assert numbers(host.attach("b", ports=(PortMapping(80),)).ports) == [40003]
    assert numbers(host.attach("c", ports=(PortMapping(80),)).ports) == [49153]
    detach(host.store, container("a"))
    for fd in host.held:
        os.close(fd)
    assert numbers(host.attach("d", ports=(PortMapping(80),)).ports) == [40000]
    taken.close()


@private_host
def test_ranges_give_the_first_free_port(host: Host) -> None:
    host.network()
    wanted = (PortMapping(80, 8000, host_port_end=8002),)
    assert numbers(host.attach("a", ports=wanted).ports) == [8000]
    taken = socket.create_server(("0.0.0.0", 8001))
    assert numbers(host.attach("b", ports=wanted).ports) == [8002]
    with pytest.raises(PortInUse, match=r"cannot publish 0.0.0.0:8000-8002/tcp: all of these ports are in use by"):
        host.attach("c", ports=wanted)
    assert endpoints(host.store, container("c")) == []
    taken.close()


@private_host
def test_a_clash_names_the_process(host: Host) -> None:
    host.network()
    for kind, taken in (
        ("tcp", socket.create_server(("127.0.0.1", 8080))),
        ("udp", socket.socket(type=socket.SOCK_DGRAM)),
    ):
        if kind == "udp":
            taken.bind(("0.0.0.0", 8080))
        with pytest.raises(PortInUse) as caught:
            host.attach("web", ports=(PortMapping(80, 8080, kind),))
        name = open("/proc/self/comm").read().strip()
        assert caught.value.owner == f"{name} (pid {os.getpid()})"
        assert caught.value.message == f"cannot publish 0.0.0.0:8080/{kind}: the port is in use by {caught.value.owner}"
        taken.close()
    assert endpoints(host.store) == []
    assert "veth" not in run("ip", "link")
    assert run("ss", "-Hltun") == ""


@private_host
def test_a_clash_names_our_container_even_if_its_reservation_is_lost(host: Host) -> None:
    host.network()
    host.attach("web", ports=(PortMapping(80, 8080, host_ip="127.0.0.1"),), names=("shop-web-1", "web"))
    for fd in host.held:
        os.close(fd)
    host.held.clear()
    with pytest.raises(PortInUse) as caught:
        host.attach("other", ports=(PortMapping(80, 8081), PortMapping(80, 8080)))
    assert caught.value.owner == "container shop-web-1 of project shop"
    assert run("ss", "-Hltun") == ""
    host.attach("other", ports=(PortMapping(80, 8080, host_ip="127.0.0.2"), PortMapping(80, 8080, "udp")))


@private_host
def test_attaching_again_is_the_same_and_reserves_what_is_lost(host: Host) -> None:
    host.network()
    first = host.attach("web", ports=(PortMapping(80), PortMapping(53, 5353, "udp")))
    assert host.attach("web", ports=(PortMapping(80), PortMapping(53, 5353, "udp"))) == first
    assert len(host.held) == 4
    os.close(host.held.pop(0))
    again, fds = attach(
        host.store, host.spec("web", ports=(PortMapping(80), PortMapping(53, 5353, "udp"))), host.namespaces["web"]
    )
    assert (again, len(fds)) == (first, 1)
    with pytest.raises(OSError):
        socket.create_server(("0.0.0.0", first.ports[0].host_port))


@private_host
def test_another_wish_is_another_endpoint(host: Host) -> None:
    host.network()
    host.attach("web", ports=(PortMapping(80, 8080),))
    for fd in host.held:
        os.close(fd)
    host.held.clear()
    changed = host.attach("web", ports=(PortMapping(80, 9090),), ipv4_address="172.17.0.99")
    assert (changed.address, numbers(changed.ports)) == ("172.17.0.99", [9090])
    renamed = host.attach("web", ports=(PortMapping(80, 9090),), ipv4_address="172.17.0.99", names=("web", "new"))
    assert endpoints(host.store, container("web"))[0].names == ("web", "new")
    assert renamed.host_link == changed.host_link
    with host.inside("web"):
        assert run("ip", "-o", "link").count("eth0") == 1


@private_host
def test_static_addresses_and_macs(host: Host) -> None:
    from netplan.errors import AddressInUse

    host.network()
    assert host.attach("a", ipv4_address="172.17.0.2").mac_address == "02:42:ac:11:00:02"
    assert host.attach("b", mac_address="02-00-00-00-00-07").mac_address == "02:00:00:00:00:07"
    for wish, words in (
        ({"ipv4_address": "172.17.0.2"}, "172.17.0.2 on network shop_default: it is in use"),
        ({"ipv4_address": "172.17.0.1"}, "it is the gateway"),
        ({"ipv4_address": "172.17.255.255"}, "it is in use"),
        ({"mac_address": "02:00:00:00:00:07"}, "container b has it"),
    ):
        with pytest.raises(AddressInUse, match=words):
            host.attach("c", **wish)
    for wish, words in (
        ({"ipv4_address": "10.0.0.1"}, "outside subnet"),
        ({"mac_address": "01:00:00:00:00:07"}, "MAC address"),
    ):
        with pytest.raises(NetworkFault, match=words):
            host.attach("c", **wish)


@private_host
def test_many_ports_are_one_step(host: Host) -> None:
    import time

    host.network()
    host.namespaces["web"] = new_namespace()
    mappings = tuple(PortMapping(10000 + n, 10000 + n, "udp") for n in range(1000))
    start = time.perf_counter()
    web = host.attach("web", ports=mappings)
    took = time.perf_counter() - start
    print(f"1000 ports: {took * 1000:.0f} ms")
    assert took < 0.4
    assert len(web.ports) == 2000  # of IPv4 and IPv6
    with host.inside("web"):
        Server(10999, "last", "udp")
    assert ask("127.0.0.1", 10999, "udp").startswith("last")
    detach(host.store, container("web"))
    assert "10999" not in run("nft", "list", "ruleset")


@private_host
def test_nobody_connects_to_a_reservation(host: Host) -> None:
    from netplan.publish import bind

    fds = [bind("127.0.0.1", 8080, "tcp"), bind("127.0.0.1", 8080, "udp"), bind("::1", 8080, "tcp")]
    assert ask("127.0.0.1", 8080) == "timeout"
    assert ask("127.0.0.1", 8080, "udp") == "timeout"
    assert ask("::1", 8080) == "ConnectionRefusedError"
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.1")):
        with pytest.raises(OSError):
            socket.create_server((address, 8080), family=family)
    assert host and len(fds) == 3


@private_host
def test_what_cannot_be_published_is_said(host: Host) -> None:
    host.network()
    for mapping, words in (
        (PortMapping(80, 8080, host_ip="203.0.113.9"), "this host does not have the address"),
        (PortMapping(80, 8080, host_ip="nonsense"), "it is not an address"),
        (PortMapping(80, 8080, "icmp"), "only tcp, udp and sctp"),
        (PortMapping(80, 8080, "icmp"), "only tcp, udp and sctp"),
    ):
        with pytest.raises(NetworkFault, match=words):
            host.attach("web", ports=(mapping,))


@private_host
def test_without_ipv6_ports_are_published_on_ipv4(host: Host) -> None:
    run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    host.network()
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    with host.inside("web"):
        Server(80, "web")
    assert ask("127.0.0.1", 8080).startswith("web")
    assert web.ports[0] == PublishedPort("0.0.0.0", 8080, 80, "tcp")


@private_host
def test_a_default_host_address_of_the_network(host: Host) -> None:
    host.uplink()
    host.network(options={"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"})
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    with host.inside("web"):
        Server(80, "web")
    assert [port.host_ip for port in web.ports] == ["127.0.0.1"]
    with host.inside("outside"):
        assert ask("10.9.0.1", 8080) == "ConnectionRefusedError"


@private_host
def test_twenty_threads_attach_at_once(host: Host) -> None:
    import threading

    host.network()
    host.network("back")
    spaces = {f"c{n}": new_namespace() for n in range(20)}
    host.namespaces.update(spaces)
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            host.attach(name, ports=(PortMapping(80),))
            host.attach(name, "back", interface="eth1", default_route=False)
        except BaseException as problem:
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(name,)) for name in spaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = endpoints(host.store)
    assert len({(e.network, e.address) for e in found}) == 40
    assert len({p.host_port for e in found for p in e.ports}) == 20


@private_host
def test_a_clash_with_docker_names_its_container(host: Host) -> None:
    """Docker's proxy has the port. Which container that is, its arguments say; its name Docker would, if it is there."""
    host.network()
    path = f"{host.run_dir}/docker-proxy"
    words = "-proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.9 -container-port 80".split()
    with open(path, "w") as file:
        body = "import socket, time; s = socket.create_server(('0.0.0.0', 8080)); print(1, flush=True); time.sleep(60)"
        file.write(f"#!{sys.executable} -IS\n{body}\n")
    os.chmod(path, 0o700)
    os.environ["DOCKER_HOST"] = f"unix://{host.run_dir}/no-docker.sock"
    with subprocess.Popen([path, *words], stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout and proxy.stdout.readline()
        with pytest.raises(
            PortInUse, match=rf"a container of Docker \(172.17.0.9:80, by docker-proxy, pid {proxy.pid}\)"
        ):
            host.attach("web", ports=(PortMapping(80, 8080),))
        proxy.kill()


def test_addresses_of_proc_net() -> None:
    assert owners._address("0100007F") == "127.0.0.1"
    assert owners._address("00000000000000000000000001000000") == "::1"


@private_host
def test_a_process_on_another_address_is_not_blamed(host: Host) -> None:
    run("ip", "addr", "add", "127.0.0.7/8", "dev", "lo")
    with socket.create_server(("127.0.0.7", 8080)):
        assert owners.process_on_port("tcp", 8080, "127.0.0.1") == ""
        assert owners.process_on_port("tcp", 8080, "127.0.0.7")
        assert owners.process_on_port("tcp", 8080)

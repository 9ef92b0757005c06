"""Subnets, names, conflicts and races of networks."""

from __future__ import annotations

import errno
import json
import os
import time

import pytest

from netplan import host as host_module
from netplan import store as store_module
from netplan.endpoint import detach
from netplan.errors import AddressInUse, KernelRefused, NetworkFault, NetworkInUse, NetworkNotFound, PoolExhausted
from netplan.netlink.socket import NETFILTER
from netplan.network import create_network, get_network, list_networks, remove_all, remove_network, repair
from netplan.spec import NetworkSpec, SubnetSpec
from netplan.store import open_store
from netplan.subnets import CLAIMS
from tests.netplan.support import INSTANCE, Host, in_child, new_namespace, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]


def links() -> dict[str, dict[str, object]]:
    return {link["ifname"]: link for link in json.loads(run("ip", "-d", "-j", "link"))}


@private_host
def test_a_network_is_what_ip_says(host: Host) -> None:
    network = host.network(labels={"a": "b"}, options={"com.docker.network.driver.mtu": "1400"})
    link = links()[network.bridge]
    assert link["ifalias"] == f"{INSTANCE}:{network.id[:12]}"
    assert (link["mtu"], link["group"], link["linkinfo"]["info_kind"]) == (1400, str(network.group), "bridge")
    assert link["inet6_addr_gen_mode"] == "none"
    assert network.bridge == f"br-{network.id[:12]}"
    address = json.loads(run("ip", "-j", "addr", "show", network.bridge))[0]["addr_info"][0]
    assert (address["local"], address["prefixlen"]) == (network.gateway, 16)
    assert open(f"/proc/sys/net/ipv4/conf/{network.bridge}/route_localnet").read() == "1\n"
    assert open("/proc/sys/net/ipv4/ip_forward").read() == "1\n"
    assert host.network() == network
    end = host.attach("web").host_link
    assert links()[end]["ifalias"].startswith(f"{INSTANCE}:{network.id[:12]}:")
    assert "inet6" not in run("ip", "addr", "show", end)
    detach(host.store, host.spec("web").container)
    assert get_network(host.store, "shop_default") == network
    assert list_networks(host.store, "shop") == [network]
    assert list_networks(host.store, "other") == []


@private_host
def test_the_lowest_free_chunk_is_taken_and_used_again(host: Host) -> None:
    names = [f"n{number}" for number in range(4)]
    assert [host.network(name).subnet for name in names] == [f"172.{17 + n}.0.0/16" for n in range(4)]
    remove_network(host.store, "n1")
    assert host.network("again").subnet == "172.18.0.0/16"


@private_host
def test_routes_and_nameservers_are_avoided(host: Host) -> None:
    run("ip", "link", "add", "vpn0", "type", "bridge")
    run("ip", "link", "set", "vpn0", "up")
    run("ip", "addr", "add", "172.17.5.1/24", "dev", "vpn0")
    run("ip", "addr", "add", "10.8.0.1/24", "dev", "vpn0")
    for wide in ("0.0.0.0/1", "128.0.0.0/1", "172.16.0.0/12"):  # not on-link: a VPN's, which reserve nothing
        run("ip", "route", "add", wide, "via", "10.8.0.2")
    host_module.RESOLV_CONF = f"{host.run_dir}/resolv.conf"
    with open(host_module.RESOLV_CONF, "w") as file:
        file.write("nameserver 172.18.0.53\nnameserver fe80::1%eth0\nnameserver\n")
    assert host.network().subnet == "172.19.0.0/16"


@private_host
def test_all_pools_used_says_by_whom(host: Host) -> None:
    for number in range(31):
        host.network(f"n{number}")
    assert get_network(host.store, "n15").subnet == "192.168.0.0/20"
    with pytest.raises(PoolExhausted, match=r"cannot create network more: all address pools .*n7 172.24.0.0/16"):
        host.network("more")
    assert len(list_networks(host.store)) == 31
    start = time.monotonic()
    remove_all(host.store, [f"n{number}" for number in range(31)])
    assert time.monotonic() - start < 1
    assert list(links()) == ["lo"]


@private_host
def test_explicit_subnets(host: Host) -> None:
    subnet = SubnetSpec("10.5.0.0/24", "10.5.0.254", "10.5.0.128/28", {"router": "10.5.0.129"})
    network = host.network(subnets=(SubnetSpec("fd00::/64"), subnet))
    assert (network.subnet, network.gateway) == ("10.5.0.0/24", "10.5.0.254")
    assert host.attach("web").address == "10.5.0.128"
    assert host.attach("db").address == "10.5.0.130"
    with host.inside("web"):
        assert "default via 10.5.0.254" in run("ip", "route")
    with pytest.raises(AddressInUse, match=r"overlaps 10.5.0.0/24 of network shop_default"):
        host.network("wide", subnets=(SubnetSpec("10.0.0.0/8"),))
    run("ip", "link", "add", "lan0", "type", "bridge")
    run("ip", "link", "set", "lan0", "up")
    run("ip", "addr", "add", "10.6.0.1/16", "dev", "lan0")
    with pytest.raises(AddressInUse, match=r"subnet 10.6.3.0/24 overlaps 10.6.0.0/16 on lan0"):
        host.network("lan", subnets=(SubnetSpec("10.6.3.0/24"),))


@pytest.mark.parametrize(
    ("subnet", "words"),
    [
        (SubnetSpec("10.0.0.1/24"), "it should be 10.0.0.0/24"),
        (SubnetSpec("10.0.0.0"), "cannot read '10.0.0.0' as a subnet"),
        (SubnetSpec("10.0.0.0/24", gateway="10.0.1.1"), "gateway 10.0.1.1 is outside subnet 10.0.0.0/24"),
        (SubnetSpec("10.0.0.0/24", ip_range="10.0.1.0/28"), "ip_range 10.0.1.0/28 is outside"),
        (SubnetSpec("10.0.0.0/24", aux_addresses={"a": "10.0.1.1"}), "a 10.0.1.1 is outside"),
    ],
)
def test_bad_subnets_are_named(subnet: SubnetSpec, words: str) -> None:
    @private_host
    def test(host: Host) -> None:
        with pytest.raises(NetworkFault) as caught:
            host.network(subnets=(subnet,))
        assert words in caught.value.message
        assert list_networks(host.store) == []

    test()


@private_host
def test_bad_options_are_named(host: Host) -> None:
    for options, words in (
        ({"com.docker.network.driver.mtu": "big"}, "mtu 'big'"),
        ({"com.docker.network.bridge.name": "a name/with"}, "is not a bridge name"),
        ({"com.docker.network.bridge.gateway_mode_ipv4": "open"}, "gateway mode open is unknown"),
        ({"com.docker.network.bridge.gateway_mode_ipv6": "isolated"}, "isolated is for internal networks"),
        ({"com.docker.network.enable_ipv4": "false"}, "neither IPv4 nor IPv6"),
    ):
        with pytest.raises(NetworkFault, match=words):
            host.network(options=options)
    with pytest.raises(NetworkFault, match="there is no driver overlay"):
        host.network(driver="overlay")
    with pytest.raises(NetworkFault, match="second IPv4 subnet"):
        host.network(subnets=(SubnetSpec("10.0.0.0/24"), SubnetSpec("10.0.1.0/24")))


@private_host
def test_a_strangers_bridge_is_not_touched(host: Host) -> None:
    name = {"com.docker.network.bridge.name": "custom0"}
    run("ip", "link", "add", "custom0", "type", "bridge")
    with pytest.raises(AddressInUse, match="a link custom0 exists and is not ours"):
        host.network(options=name)
    run("ip", "link", "del", "custom0")
    assert host.network(options=name).bridge == "custom0"
    with pytest.raises(AddressInUse, match="bridge custom0 is that of network shop_default"):
        host.network("other", options=name)


@private_host
def test_a_strangers_index_is_avoided(host: Host) -> None:
    first = host.network().group
    run("ip", "link", "add", "x0", "index", str(first + 1), "type", "bridge")
    other = host.network("other")
    assert links()["x0"].get("ifalias") is None
    assert other.group != first + 1
    assert links()[other.bridge]["group"] == str(other.group)


@private_host
def test_networks_in_use_stay_unless_forced(host: Host) -> None:
    host.network()
    host.attach("web")
    with pytest.raises(NetworkInUse, match="cannot remove network shop_default: it is used by web"):
        remove_network(host.store, "shop_default")
    remove_network(host.store, "shop_default", force=True)
    remove_network(host.store, "shop_default")
    with pytest.raises(NetworkNotFound, match="cannot find network shop_default"):
        get_network(host.store, "shop_default")
    assert list(links()) == ["lo"]
    with host.inside("web"):
        assert list(links()) == ["lo"]


@private_host
def test_strangers_in_the_group_survive(host: Host) -> None:
    network = host.network()
    host.attach("web")
    run("ip", "link", "add", "x0", "group", str(network.group), "type", "bridge")
    remove_all(host.store, ["shop_default"])
    assert list(links()) == ["lo", "x0"]


@private_host
def test_a_deleted_bridge_and_flushed_rules_come_back(host: Host) -> None:
    from netplan.spec import PortMapping
    from tests.netplan.support import Server, ask

    network = host.network()
    host.attach("web", ports=(PortMapping(80, 8080),))
    with host.inside("web"):
        Server(80, "web")
    run("ip", "link", "del", network.bridge)
    run("nft", "flush", "ruleset")
    assert host.network() == network
    assert ask("127.0.0.1", 8080, timeout=3).startswith("web")
    run("nft", "flush", "ruleset")
    host.attach("other")
    assert ask("127.0.0.1", 8080).startswith("web")
    run("nft", "flush", "ruleset")
    run("ip", "link", "del", network.bridge)
    repair(host.store, "another")
    assert run("nft", "list", "ruleset") == ""
    repair(host.store, "shop")
    assert ask("127.0.0.1", 8080, timeout=3).startswith("web")


@private_host
def test_other_stores_do_not_get_the_same_subnet(host: Host) -> None:
    with open_store(f"{host.run_dir}/other", "pycompose-othertest") as other:
        pass
    assert host.network().subnet == "172.17.0.0/16"
    run("ip", "link", "del", host.network().bridge)  # no route any more, only the claim
    assert create_network(other, NetworkSpec("theirs")).subnet == "172.18.0.0/16"
    remove_network(other, "theirs")
    remove_network(host.store, "shop_default")
    assert run("ip", "route", "show", "table", str(CLAIMS), check=False) == ""


@private_host
def test_twenty_processes_race_for_networks(host: Host) -> None:
    """Half of them share a store, the others have their own: all subnets differ."""
    read, write = os.pipe()
    pids = []
    for number in range(20):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                directory = host.run_dir if number % 2 else f"{host.run_dir}/{number}"
                with_store = open_store(directory, INSTANCE if number % 2 else f"pycompose-race{number}")
                for index in range(5):
                    spec = NetworkSpec(
                        f"p{number}-{index}", subnets=() if index else (SubnetSpec(f"10.{number}.0.0/16"),)
                    )
                    try:
                        found = create_network(with_store, spec).subnet
                    except PoolExhausted:
                        continue
                    os.write(write, f"{found}\n".encode())
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 20
    os.close(write)
    with open(read) as file:
        subnets = file.read().split()
    assert len(subnets) == 20 + 31
    assert len(set(subnets)) == len(subnets)
    assert run("ip", "-o", "link", "show", "type", "bridge").count("\n") == len(subnets)


@private_host
def test_the_same_network_created_by_ten_processes_is_one(host: Host) -> None:
    def create() -> None:
        for _ in range(5):
            create_network(open_store(host.run_dir, INSTANCE), NetworkSpec("shop_default", "shop"))

    pids = []
    for _ in range(10):
        pid = os.fork()
        if not pid:
            os._exit(in_child(create) != 0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 10
    assert len([name for name in links() if name.startswith("br-")]) == 1
    assert run("nft", "list", "ruleset").count("chain to-br-") == 1


@private_host
def test_creating_and_removing_race_without_leaks(host: Host) -> None:
    def churn(number: int) -> None:
        store = open_store(host.run_dir, INSTANCE)
        for _ in range(8):
            create_network(store, NetworkSpec(f"n{number}"))
            remove_network(store, f"n{number}")

    pids = []
    for number in range(6):
        pid = os.fork()
        if not pid:
            os._exit(in_child(lambda: churn(number)) != 0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 6
    assert list(links()) == ["lo"]
    assert INSTANCE not in run("nft", "list", "ruleset")
    assert run("ip", "route", "show", "table", str(CLAIMS), check=False) == ""


@private_host
def test_it_is_fast(host: Host) -> None:
    """Guards against an accidental grace period; the targets are 2 ms and 2.5 ms."""
    host.network("first")
    creates, attaches, detaches = [], [], []
    for number in range(10):
        start = time.perf_counter()
        host.network(f"n{number}")
        creates.append(time.perf_counter() - start)

        host.namespaces[f"c{number}"] = new_namespace()
        start = time.perf_counter()
        host.attach(f"c{number}", f"n{number}")
        attaches.append(time.perf_counter() - start)
        time.sleep(0.05)  # the kernel gives up the netlink socket's hold on the namespace a grace period later
        os.close(host.namespaces.pop(f"c{number}"))
        start = time.perf_counter()
        detach(host.store, host.spec(f"c{number}").container)
        detaches.append(time.perf_counter() - start)
    middle = [sorted(times)[2] * 1000 for times in (creates, attaches, detaches)]  # others may use the machine
    print("create, attach, detach after death:", [f"{value:.2f} ms" for value in middle])
    assert middle[0] < 8 and middle[1] < 8 and middle[2] < 8


@private_host
def test_without_nf_tables_nothing_is_made_and_one_sentence_says_why(host: Host) -> None:
    """As on a kernel without it: the socket cannot be opened, or the question is not understood."""
    real = store_module.Netlink

    def absent(protocol: int) -> object:
        if protocol == NETFILTER:
            raise KernelRefused("cannot open a netlink socket: protocol not supported", errno.EPROTONOSUPPORT)
        return real(protocol)

    host.store._filter = None
    store_module.Netlink = absent
    with pytest.raises(KernelRefused) as caught:
        host.network()
    assert caught.value.message.startswith("cannot use nf_tables: this kernel does not have it")
    assert "network_mode: host" in caught.value.hint
    assert list_networks(host.store) == [] and "br-" not in run("ip", "link")
    store_module.Netlink = real
    host.network()


@private_host
def test_a_subnet_of_dockers_is_said_to_be(host: Host) -> None:
    for name, subnet in (("docker0", "172.17"), ("br-0123456789ab", "172.19")):
        run("ip", "link", "add", name, "type", "bridge")
        run("ip", "addr", "add", f"{subnet}.0.1/16", "dev", name)
        run("ip", "link", "set", name, "up")
        with pytest.raises(AddressInUse, match=rf"overlaps {subnet}.0.0/16 on {name}, a network of Docker"):
            host.network(subnets=(SubnetSpec(f"{subnet}.5.0/24"),))
    assert host.network().subnet == "172.18.0.0/16"  # what Docker has is stepped over
    with pytest.raises(AddressInUse, match="a link docker0 exists and is not ours"):
        host.network("own", options={"com.docker.network.bridge.name": "docker0"})

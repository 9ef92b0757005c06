"""Killed anywhere, the next command converges. Every step of every operation is tried."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from netplan import live
from netplan.endpoint import attach, detach, endpoints, remove_all, sweep
from netplan.netlink.socket import Netlink
from netplan.network import create_network, list_networks, remove_network
from netplan.spec import NetworkSpec, PortMapping, SubnetSpec
from netplan.store import Store, open_store
from tests.netplan.support import INSTANCE, Host, Server, ask, container, new_namespace, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]
_POINTS = (
    (Netlink, "attempt"),
    (Netlink, "batch"),
    (Netlink, "ask"),
    (Netlink, "dump"),
    (Store, "execute"),
    (Store, "__exit__"),
)


def killed_at(step: int, run_dir: str, work: Callable[[Store], None]) -> bool:
    """Run ``work`` in a child that is killed before its n-th step. Whether it lived to the end."""
    pid = os.fork()
    if not pid:
        left = [step]

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **more: object) -> object:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return call

        store = open_store(run_dir, INSTANCE)
        for owner, name in _POINTS:
            setattr(owner, name, counted(getattr(owner, name)))
        code = 1
        try:
            work(store)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return status == 0


def assert_clean(host: Host) -> None:
    assert list_networks(host.store) == []
    assert endpoints(host.store) == []
    assert INSTANCE not in run("ip", "-o", "link"), run("ip", "link")
    assert "veth" not in run("ip", "-o", "link")
    assert INSTANCE not in run("nft", "list", "ruleset")
    assert "unreachable" not in run("ip", "route", "show", "table", "all")


def working(host: Host) -> None:
    """The network and the endpoint work, as if nothing had happened."""
    host.network()
    web = host.attach("web", ports=(PortMapping(80, 8080), PortMapping(81, 8081, "udp")))
    with host.inside("web"):
        server = Server(80, "web")
    assert ask("127.0.0.1", 8080) == f"web {web.gateway}"
    assert ask(web.address, 80) == f"web {web.gateway}"
    assert web.address == "172.17.0.2"
    server.close()


def through(
    host: Host, work: Callable[[Store], None], before: Callable[[], None], after: Callable[[], None], stride: int = 1
) -> int:
    for step in range(1, 400, stride):
        before()
        done = killed_at(step, host.run_dir, work)
        after()
        release(host)
        if done:
            return step
    raise AssertionError("no end")


def release(host: Host) -> None:
    """Close the port reservations, as the helper does when a container ends."""
    for fd in host.held:
        os.close(fd)
    host.held.clear()


def clear(host: Host) -> None:
    remove_all(host.store, ["shop_default"])
    assert_clean(host)


@private_host
def test_create_killed_anywhere_is_completed_or_cleared(host: Host) -> None:
    def create(store: Store) -> None:
        create_network(store, NetworkSpec("shop_default", "shop"))

    def completed() -> None:
        host.network()
        run("nft", "list", "chain", "ip", INSTANCE, f"nat-{list_networks(host.store)[0].bridge}")
        assert "172.17.0.1/16" in run("ip", "-o", "addr")
        remove_network(host.store, "shop_default")
        assert_clean(host)

    def another() -> None:
        assert host.network("other").subnet.startswith("172.1")
        remove_all(host.store, ["shop_default", "other"])
        assert list_networks(host.store) == []

    assert through(host, create, lambda: None, completed) > 10
    through(host, create, lambda: None, another)
    host.network()
    clear(host)


@private_host
def test_attach_killed_anywhere_is_completed(host: Host) -> None:
    host.namespaces["web"] = new_namespace()
    spec = host.spec("web", ports=(PortMapping(80, 8080), PortMapping(81, 8081, "udp")))

    def work(store: Store) -> None:
        attach(store, spec, host.namespaces["web"])

    def after() -> None:
        working(host)
        detach(host.store, spec.container)
        assert "veth" not in run("ip", "-o", "link")
        assert "8080" not in run("nft", "list", "ruleset")

    assert through(host, work, host.network, after) > 20
    clear(host)


@private_host
def test_attach_killed_anywhere_is_cleared(host: Host) -> None:
    def before() -> None:
        host.network()
        host.namespaces["web"] = new_namespace()

    def work(store: Store) -> None:
        attach(store, host.spec("web", ports=(PortMapping(80, 8080),)), host.namespaces["web"])

    def after() -> None:
        if len(host.namespaces) % 2:
            detach(host.store, container("web"))
        clear(host)
        os.close(host.namespaces.pop("web"))

    through(host, work, before, after)


@private_host
def test_attach_to_a_new_namespace_after_a_kill(host: Host) -> None:
    """The container died with its command: the row is there, the namespace another one."""

    def work(store: Store) -> None:
        attach(
            store, host.spec("web", ports=(PortMapping(80, 8080), PortMapping(81, 8081, "udp"))), host.namespaces["web"]
        )

    def before() -> None:
        host.network()
        host.namespaces["web"] = new_namespace()

    def after() -> None:
        os.close(host.namespaces.pop("web"))
        host.namespaces["web"] = new_namespace()
        working(host)
        detach(host.store, container("web"))
        os.close(host.namespaces.pop("web"))

    through(host, work, before, after)
    clear(host)


@private_host
def test_detach_killed_anywhere_is_completed(host: Host) -> None:
    def before() -> None:
        working(host)

    def after() -> None:
        detach(host.store, container("web"))
        assert "veth" not in run("ip", "-o", "link")
        assert "8080" not in run("nft", "list", "ruleset")

    def again() -> None:
        release(host)
        working(host)

    def work(store: Store) -> None:
        detach(store, container("web"))

    assert through(host, work, before, after) > 5
    through(host, work, before, again)
    clear(host)


@private_host
def test_teardown_killed_anywhere_is_completed(host: Host) -> None:
    def before() -> None:
        working(host)
        host.network("shop_back")
        host.attach("web", "shop_back", interface="eth1", default_route=False)
        host.attach("db", "shop_back")

    def work(store: Store) -> None:
        remove_all(store, ["shop_default", "shop_back"])

    def after() -> None:
        work(host.store)
        assert_clean(host)

    assert through(host, work, before, after) > 10


@private_host
def test_sweep_clears_dead_containers_and_a_lost_store(host: Host) -> None:
    host.network()
    host.attach("dead", ports=(PortMapping(80, 8080),))
    host.attach("alive")
    sweep(host.store, lambda ident: ident == container("alive"))
    assert [endpoint.container for endpoint in endpoints(host.store)] == [container("alive")]
    sweep(host.store, lambda ident: True)
    assert len(endpoints(host.store)) == 1
    run(
        "nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop ; }"
    )
    host.network("other")
    host.store.close()
    for name in os.listdir(host.run_dir):
        os.unlink(f"{host.run_dir}/{name}")
    host.store = open_store(host.run_dir, INSTANCE)
    release(host)
    host.namespaces.clear()
    working(host)  # the first address of the first pool: nothing of the old store is in the way
    assert run("ip", "-o", "link", "show", "type", "bridge").count(INSTANCE) == 1
    assert run("nft", "list", "ruleset").count(f'comment "{INSTANCE}') == 2
    detach(host.store, container("web"))
    clear(host)


@private_host
def test_ipv6_killed_anywhere_is_completed_and_cleared(host: Host) -> None:
    six = {"enable_ipv6": True, "subnets": (SubnetSpec("fd00:1::/64"),)}

    def before() -> None:
        host.namespaces["web"] = new_namespace()

    def work(store: Store) -> None:
        create_network(store, NetworkSpec("shop_default", "shop", **six))
        attach(store, host.spec("web", ports=(PortMapping(80, 8080),)), host.namespaces["web"])
        remove_all(store, ["shop_default"])

    def after() -> None:
        host.network(**six)
        web = host.attach("web", ports=(PortMapping(80, 8080),))
        with host.inside("web"):
            server = Server(80, "web", address="::")
        assert ask(web.address6, 80, timeout=3) == "web fd00:1::1"
        assert ask("127.0.0.1", 8080, timeout=3).startswith("web")
        server.close()
        clear(host)
        assert "unreachable fd00" not in run("ip", "-6", "route", "show", "table", "all")
        os.close(host.namespaces.pop("web"))

    assert through(host, work, before, after, stride=4) > 40


@private_host
def test_macvlan_killed_anywhere_is_completed_and_cleared(host: Host) -> None:
    run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "far0")
    lan = {"driver": "macvlan", "options": {"parent": "lan0"}, "subnets": (SubnetSpec("10.8.0.0/24"),)}

    def before() -> None:
        host.namespaces["web"] = new_namespace()

    def work(store: Store) -> None:
        create_network(store, NetworkSpec("lan", "shop", **lan))
        attach(store, host.spec("web", "lan"), host.namespaces["web"])
        detach(store, container("web"))
        remove_network(store, "lan")

    def after() -> None:
        host.network("lan", **lan)
        host.attach("web", "lan")
        with host.inside("web"):
            assert "10.8.0.2/24" in run("ip", "addr", "show", "eth0")
        detach(host.store, container("web"))
        with host.inside("web"):
            assert "eth0" not in run("ip", "link")
        remove_network(host.store, "lan")
        assert list_networks(host.store) == []
        os.close(host.namespaces.pop("web"))

    assert through(host, work, before, after, stride=3) > 15


@private_host
def test_a_live_change_killed_anywhere_is_made_by_the_next(host: Host) -> None:
    first, then = (PortMapping(80, 8080),), (PortMapping(80, 9090), PortMapping(81, 9091, "udp"))

    def before() -> None:
        host.network()
        host.attach("web", ports=first)

    def work(store: Store) -> None:
        live.change(store, host.spec("web", ports=then, names=("web", "front")))

    def after() -> None:
        release(host)
        endpoint, _gone, fds = live.change(host.store, host.spec("web", ports=then, names=("web", "front")))
        host.held += fds
        assert {port.host_port for port in endpoint.ports} == {9090, 9091} and endpoint.names == ("web", "front")
        with host.inside("web"):
            server = Server(80, "web")
        firewall = run("nft", "list", "ruleset")
        assert "9091" in firewall and "8080" not in firewall and "9090" in firewall
        assert ask("127.0.0.1", 9090) == f"web {endpoint.gateway}"
        server.close()
        clear(host)

    assert through(host, work, before, after) > 8

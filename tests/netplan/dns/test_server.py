"""Lookups over the containers' real sockets, against upstream servers in the same private host."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time

import pytest

from netplan import host as host_module
from netplan.dns import sockets, wire
from netplan.dns.server import Resolver
from netplan.endpoint import detach
from netplan.spec import SubnetSpec
from netplan.store import open_store
from tests.netplan.support import INSTANCE, Host, container, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]


class Running:
    """A resolver in a thread of its own, as the project's helper has it in its loop."""

    def __init__(self, host: Host, servers: tuple[str, ...] | None = ()) -> None:
        self.host = host
        self.resolver = Resolver(open_store(host.run_dir, INSTANCE), servers)
        self.stop, self._stop = os.pipe()
        self.thread = threading.Thread(target=self._loop, daemon=True)

    def add(self, *names: str) -> None:
        for name in names:
            self.resolver.add(container(name), *sockets.install(self.host.namespaces[name]))

    def start(self) -> Running:
        self.thread.start()
        return self

    def _loop(self) -> None:
        epoll = select.epoll()
        for fd in (self.stop, *self.resolver.fds()):
            epoll.register(fd, select.EPOLLIN)
        while True:
            deadline = self.resolver.deadline()
            for fd, _ in epoll.poll(-1 if deadline is None else max(0.0, deadline - time.monotonic())):
                if fd == self.stop:
                    return
                self.resolver.handle(fd)
            self.resolver.tick()

    def halt(self) -> None:
        os.write(self._stop, b"x")
        self.thread.join()


def message(name: str, kind: int = wire.A, ident: int = 77) -> bytes:
    return struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0) + wire.write_name(name) + struct.pack(">HH", kind, wire.IN)


def decode(data: bytes) -> tuple[int, list[str]]:
    count = struct.unpack_from(">H", data, 6)[0]
    at = data.index(b"\0", 12) + 5
    found = []
    for _ in range(count):
        kind, _class, _ttl, size = struct.unpack_from(">HHIH", data, at + 2)
        raw = data[at + 12 : at + 12 + size]
        family = {wire.A: socket.AF_INET, wire.AAAA: socket.AF_INET6}.get(kind)
        found.append(socket.inet_ntop(family, raw) if family else raw.decode("latin-1"))
        at += 12 + size
    return wire.code_of(data), found


def lookup(
    host: Host, who: str, name: str, kind: int = wire.A, tcp: bool = False, timeout: float = 3
) -> tuple[int, list[str]]:
    with host.inside(who):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(timeout)
        sock.connect(("127.0.0.11", 53))
        data = message(name, kind)
        if tcp:
            frame = len(data).to_bytes(2, "big") + data
            sock.sendall(frame[:5])
            sock.sendall(frame[5:])
            size = int.from_bytes(sock.recv(2), "big")
            return decode(sock.recv(size))
        sock.send(data)
        return decode(sock.recv(4096))


class Upstream:
    """A DNS server that answers every A question with its own mark, or as told."""

    def __init__(self, address: str, code: int = 0, silent: bool = False) -> None:
        self.seen = 0
        self.code, self.silent, self.mark = code, silent, int(address.rsplit(".", 1)[1])
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, 53))
        self.tcp.listen()
        threading.Thread(target=self._datagrams, daemon=True).start()
        threading.Thread(target=self._streams, daemon=True).start()

    def reply(self, data: bytes) -> bytes:
        self.seen += 1
        query = wire.parse_query(data)
        record = [] if self.code else [wire.address_record(bytes([9, 9, 9, self.mark]))]
        return wire.reply(query, self.code, record)

    def _datagrams(self) -> None:
        while True:
            data, client = self.udp.recvfrom(4096)
            if self.silent:
                self.seen += 1
            else:
                self.udp.sendto(self.reply(data), client)

    def _streams(self) -> None:
        while True:
            peer, _ = self.tcp.accept()
            data = peer.recv(4096)
            reply = self.reply(data[2:])
            peer.sendall(len(reply).to_bytes(2, "big") + reply)
            peer.close()


@private_host
def test_names_aliases_links_and_pointers(host: Host) -> None:
    host.network()
    host.network("shop_back", internal=True)
    for number in (1, 2, 3):
        host.attach(f"web-{number}", names=(f"shop-web-{number}", "web"))
    host.attach("db", "shop_back", names=("shop-db-1", "db"), interface="eth0")
    host.attach("one", names=("shop-one-1", "one"), links={"Cache": "shop-web-2"})
    host.attach("one", "shop_back", names=("shop-one-1", "one"), interface="eth1", default_route=False)
    running = Running(host)
    running.add("one", "db", "web-1")
    running.start()
    web = [f"172.17.0.{n}" for n in (2, 3, 4)]
    seen = [lookup(host, "one", "WEB")[1] for _ in range(6)]
    assert all(sorted(found) == web for found in seen)
    assert {found[0] for found in seen} == set(web)
    assert lookup(host, "one", "web", tcp=True)[0] == 0
    assert lookup(host, "one", "shop-web-2") == (0, ["172.17.0.3"])
    assert lookup(host, "one", "cache") == (0, ["172.17.0.3"])
    assert lookup(host, "web-1", "cache") == (wire.NXDOMAIN, [])  # a private alias; there is no upstream
    assert lookup(host, "one", "db") == (0, ["172.18.0.2"])
    assert lookup(host, "one", "db.shop_back") == (0, ["172.18.0.2"])
    assert lookup(host, "one", "web.shop_back") == (wire.SERVFAIL, [])
    assert lookup(host, "web-1", "db") == (wire.NXDOMAIN, [])  # another network's
    assert lookup(host, "db", "web") == (wire.NXDOMAIN, [])  # internal: nobody outside is asked
    assert lookup(host, "one", "web", wire.AAAA) == (0, [])
    assert lookup(host, "one", "web", 15) == (0, [])
    assert lookup(host, "one", "3.0.17.172.in-addr.arpa", wire.PTR) == (0, ["\x0ashop-web-2\x0cshop_default\0"])
    assert lookup(host, "one", "99.0.17.172.in-addr.arpa", wire.PTR) == (wire.NXDOMAIN, [])
    running.halt()


@private_host
def test_answers_follow_the_store_at_once(host: Host) -> None:
    host.network()
    host.attach("client")
    running = Running(host)
    running.add("client")
    running.start()
    for _ in range(5):
        assert lookup(host, "client", "late") == (wire.NXDOMAIN, [])
        host.attach("late", names=("late",))
        assert lookup(host, "client", "late") == (0, ["172.17.0.3"])
        detach(host.store, container("late"))
    running.halt()


@private_host
def test_unknown_names_go_to_the_servers_in_order(host: Host) -> None:
    refusing, good = Upstream("127.0.0.61", wire.SERVFAIL), Upstream("127.0.0.62")
    host.network()
    host.attach("client")
    running = Running(host, ("127.0.0.60", "127.0.0.61", "127.0.0.62"))  # the first: nobody listens
    running.add("client")
    running.start()
    assert lookup(host, "client", "example.com") == (0, ["9.9.9.62"])
    assert lookup(host, "client", "example.com", tcp=True) == (0, ["9.9.9.62"])
    assert (refusing.seen, good.seen) == (2, 2)
    running.halt()


@private_host
def test_a_silent_server_does_not_hold_up_others_and_nxdomain_is_final(host: Host) -> None:
    from netplan.dns import forward

    forward._PATIENCE = 0.3
    silent, no = Upstream("127.0.0.61", silent=True), Upstream("127.0.0.62", wire.NXDOMAIN)
    unasked = Upstream("127.0.0.63")
    host.network()
    host.attach("client", names=("client",))
    running = Running(host, ("127.0.0.61", "127.0.0.62", "127.0.0.63"))
    running.add("client")
    running.start()
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(lookup(host, "client", "example.com")))
    waiting.start()
    while not silent.seen:
        time.sleep(0.005)
    start = time.monotonic()
    assert lookup(host, "client", "client") == (0, ["172.17.0.2"])
    assert time.monotonic() - start < 0.2
    waiting.join()
    assert results == [(wire.NXDOMAIN, [])]
    assert (silent.seen, no.seen, unasked.seen) == (1, 1, 0)
    running.halt()


@private_host
def test_both_families_are_answered(host: Host) -> None:
    host.network(enable_ipv6=True, subnets=(SubnetSpec("fd00:1::/64"),))
    host.network("old")
    for name in ("client", "db"):
        host.attach(name)
    host.attach("client", "old", interface="eth1", default_route=False)
    running = Running(host)
    running.add("client")
    running.start()
    assert lookup(host, "client", "db", wire.AAAA) == (0, ["fd00:1::3"])
    assert lookup(host, "client", "db") == (0, ["172.17.0.3"])
    assert lookup(host, "client", "client.old", wire.AAAA) == (0, [])
    reverse = ".".join(reversed("fd000001000000000000000000000003"))
    assert "db" in lookup(host, "client", f"{reverse}.ip6.arpa", wire.PTR)[1][0]
    unknown = ".".join(reversed("fd000001000000000000000000000099"))
    assert lookup(host, "client", f"{unknown}.ip6.arpa", wire.PTR) == (wire.NXDOMAIN, [])
    running.halt()


@private_host
def test_servers_of_a_service_are_asked_from_its_namespace(host: Host) -> None:
    """A neighbour on an internal network, and one on the container's own loopback; the host has servers there too."""
    host.network(internal=True)
    host.attach("client")
    host.attach("named")
    outer = Upstream("127.0.0.61")
    with host.inside("named"):
        neighbour = Upstream("172.17.0.3")
    with host.inside("client"):
        own = Upstream("127.0.0.61")
    own.mark = 200
    running = Running(host)
    for server, mark in (("172.17.0.3", "3"), ("127.0.0.61", "200")):
        running.resolver.add(container("client"), *sockets.install(host.namespaces["client"]), [server])
        if not running.thread.is_alive():
            running.start()
        assert lookup(host, "client", "example.com") == (0, [f"9.9.9.{mark}"])
        assert lookup(host, "client", "example.com", tcp=True) == (0, [f"9.9.9.{mark}"])
    assert (outer.seen, neighbour.seen) == (0, 2)
    running.halt()


@private_host
def test_a_stopped_services_name_is_not_asked_for_elsewhere(host: Host) -> None:
    upstream = Upstream("127.0.0.61")
    host.network()
    host.attach("client", names=("client",))
    host.attach("db", names=("db", "db.example.com"))
    running = Running(host, ("127.0.0.61",))
    running.add("client")
    running.start()
    detach(host.store, container("db"))
    assert lookup(host, "client", "DB") == (wire.NXDOMAIN, [])
    assert upstream.seen == 0
    assert lookup(host, "client", "db.example.com") == (0, ["9.9.9.61"])  # the world's again
    assert lookup(host, "client", "never") == (0, ["9.9.9.61"])
    running.halt()


@private_host
def test_without_servers_a_short_name_does_not_exist(host: Host) -> None:
    host.network()
    host.attach("client")
    running = Running(host, ())
    running.add("client")
    running.start()
    assert lookup(host, "client", "never") == (wire.NXDOMAIN, [])
    assert lookup(host, "client", "example.com") == (wire.SERVFAIL, [])
    running.halt()


@private_host
def test_the_hosts_servers_are_read_again_when_they_change(host: Host) -> None:
    Upstream("127.0.0.61")
    Upstream("127.0.0.62")
    host_module.RESOLV_CONF = f"{host.run_dir}/resolv.conf"
    host.network()
    host.attach("client")
    running = Running(host, None)
    running.add("client")
    running.start()
    for server in ("61", "62"):
        with open(host_module.RESOLV_CONF + ".new", "w") as file:
            file.write(f"# a comment\nnameserver 127.0.0.11\nnameserver 127.0.0.{server}\nsearch x\n")
        os.rename(host_module.RESOLV_CONF + ".new", host_module.RESOLV_CONF)
        assert lookup(host, "client", "example.com") == (0, [f"9.9.9.{server}"])
    running.halt()


@private_host
def test_a_container_keeps_its_port_53(host: Host) -> None:
    host.network()
    host.attach("named")
    running = Running(host)
    running.add("named")
    running.start()
    with host.inside("named"):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind(("0.0.0.0", 53))
    own.settimeout(2)
    assert lookup(host, "named", "web") == (0, ["172.17.0.2"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", ("172.17.0.2", 53))
        assert own.recv(100) == b"hello"
    running.halt()


@private_host
def test_queries_wait_while_a_killed_resolver_is_replaced(host: Host) -> None:
    host.network()
    host.attach("client")
    udp, tcp = sockets.install(host.namespaces["client"])
    first = Running(host)
    first.resolver.add(container("client"), os.dup(udp), os.dup(tcp))
    first.start()
    assert lookup(host, "client", "web")[1]
    first.halt()
    first.resolver.close()
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(lookup(host, "client", "web")))
    waiting.start()
    time.sleep(0.2)
    second = Running(host)
    second.resolver.add(container("client"), os.dup(udp), os.dup(tcp))
    second.start()
    waiting.join()
    assert results == [(0, ["172.17.0.2"])]
    second.halt()


@private_host
def test_installed_twice_the_new_sockets_answer(host: Host) -> None:
    host.network()
    host.attach("client")
    old = sockets.install(host.namespaces["client"])
    running = Running(host)
    running.add("client")
    running.start()
    assert lookup(host, "client", "web")[1]
    assert lookup(host, "client", "web", tcp=True)[1]
    assert old
    running.halt()


@private_host
def test_without_nf_tables_port_53_itself_is_bound(host: Host) -> None:
    sockets._translate = lambda *_: False
    host.network()
    host.attach("client")
    running = Running(host)
    running.add("client")
    running.start()
    assert lookup(host, "client", "web") == (0, ["172.17.0.2"])
    with host.inside("client"):
        assert "127.0.0.11:53" in run("ss", "-Hlun")
    running.halt()


@private_host
def test_a_removed_container_has_no_sockets_left(host: Host) -> None:
    host.network()
    host.attach("client")
    running = Running(host)
    running.add("client")
    with host.inside("client"):
        assert run("ss", "-Hlunt").count("127.0.0.11") == 2
        running.resolver.remove(container("client"))
        assert run("ss", "-Hlunt") == ""
    assert running.resolver.containers() == []


@private_host
def test_speed(host: Host) -> None:
    """Not a benchmark: a guard against an accidental millisecond per query."""
    host.network()
    host.attach("client")
    running = Running(host)
    running.add("client")
    with host.inside("client"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.11", 53))
    start = time.perf_counter()
    for _ in range(2000):
        sock.send(message("web"))
        running.resolver.handle()
        sock.recv(512)
    each = (time.perf_counter() - start) / 2000
    print(f"{each * 1e6:.1f} us per query, both sides")
    assert each < 0.0005


@private_host
def test_an_answer_that_is_too_long_is_cut_and_whole_over_tcp(host: Host) -> None:
    host.network()
    for number in range(40):
        host.attach(f"c{number}", names=("web",))
    running = Running(host)
    running.add("c0")
    running.start()
    with host.inside("c0"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(2)
        sock.connect(("127.0.0.11", 53))
        sock.send(message("web"))
        data = sock.recv(4096)
    assert len(data) <= 512 and data[2] & 2  # TC: ask again over TCP
    assert 20 < len(decode(data)[1]) < 40
    assert len(set(lookup(host, "c0", "web", tcp=True)[1])) == 40
    running.halt()

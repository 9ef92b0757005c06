from __future__ import annotations

import os
import select
import socket
import threading

import pytest

from netplan.proxy import Proxy
from netplan.spec import PortMapping
from tests.netplan.support import Host, Server, ask, private_host

pytestmark = [pytest.mark.root, pytest.mark.network]


def serve(host: Host) -> Proxy:
    proxy = Proxy(host.store)
    assert [proxy.add(fd) for fd in host.held].count(True) == 1

    def loop() -> None:
        while True:
            select.select(proxy.fds(), [], [])
            proxy.handle()

    threading.Thread(target=loop, daemon=True).start()
    return proxy


@private_host
def test_ipv6_loopback_reaches_the_container(host: Host) -> None:
    host.network()
    web = host.attach("web", ports=(PortMapping(80, 8080),))
    with host.inside("web"):
        Server(80, "web")
    assert ask("::1", 8080) == "ConnectionRefusedError"
    serve(host)
    assert ask("::1", 8080) == f"web {web.gateway}"
    assert ask("127.0.0.1", 8080) == f"web {web.gateway}"


@private_host
def test_megabytes_both_ways_and_half_closed_ends(host: Host) -> None:
    host.network()
    host.attach("web", ports=(PortMapping(80, 8080),))
    with host.inside("web"):
        listener = socket.create_server(("0.0.0.0", 80))

    def echo() -> None:
        peer, _ = listener.accept()
        data = b""
        while part := peer.recv(65536):
            data += part
        peer.sendall(data)
        peer.close()

    threading.Thread(target=echo, daemon=True).start()
    serve(host)
    data = bytes(range(256)) * 20000
    with socket.create_connection(("::1", 8080)) as client:
        client.settimeout(5)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while part := client.recv(65536):
            found += part
    assert found == data


@private_host
def test_a_port_that_is_not_published_any_more_is_closed(host: Host) -> None:
    from netplan.endpoint import detach

    host.network()
    host.attach("web", ports=(PortMapping(80, 8080),))
    proxy = serve(host)
    detach(host.store, host.spec("web").container)
    with socket.create_connection(("::1", 8080)) as client:
        client.settimeout(2)
        assert client.recv(10) == b""
    proxy.sweep()
    for fd in host.held:
        proxy.remove(fd)
        os.close(fd)
    host.held.clear()
    host.attach("next", ports=(PortMapping(80, 8080),))
    proxy.add(next(fd for fd in host.held if ":" in socket.socket(fileno=os.dup(fd)).getsockname()[0]))
    proxy.sweep()
    with socket.create_connection(("::1", 8080)):
        pass
    for fd in host.held:
        proxy.remove(fd)
    assert ask("::1", 8080) == "ConnectionRefusedError"

"""Names and ports of an endpoint change while its container runs."""

from __future__ import annotations

import os

import pytest

from netplan import live
from netplan.endpoint import endpoints
from netplan.errors import NetworkFault, PortInUse
from netplan.publish import port_name, socket_name
from netplan.spec import PortMapping
from tests.netplan.support import Host, Server, ask, container, private_host

pytestmark = [pytest.mark.root, pytest.mark.network]
NET = "shop_default"


@private_host
def test_ports_come_and_go_while_the_container_runs(host: Host) -> None:
    host.network()
    host.attach("web", ports=(PortMapping(80, 8080),))
    with host.inside("web"):
        Server(80, "web")
    web = container("web")
    came, fds = live.publish(host.store, web, NET, [PortMapping(80, 8080), PortMapping(80, 9090)])
    assert {(port.host_ip, port.host_port) for port in came} == {("0.0.0.0", 9090), ("::", 9090)}
    assert {socket_name(fd) for fd in fds} == {port_name("tcp", port.host_ip, 9090) for port in came}
    assert live.publish(host.store, web, NET, [PortMapping(80, 9090)]) == ((), ())
    assert ask("127.0.0.1", 8080).startswith("web") and ask("127.0.0.1", 9090).startswith("web")
    gone = live.unpublish(host.store, web, NET, [PortMapping(80, 8080)])
    assert [port.host_port for port in gone] == [8080, 8080]
    assert not ask("127.0.0.1", 8080).startswith("web") and ask("127.0.0.1", 9090).startswith("web")
    assert live.unpublish(host.store, web, NET, [PortMapping(80, 8080)]) == ()
    assert {port.host_port for port in endpoints(host.store, web)[0].ports} == {9090}


@private_host
def test_a_refused_port_leaves_everything_as_it_was(host: Host) -> None:
    host.network()
    host.attach("web", ports=(PortMapping(80, 8080),))
    host.attach("other", ports=(PortMapping(80, 9090),))
    with host.inside("web"):
        Server(80, "web")
    web = container("web")
    with pytest.raises(PortInUse, match="container other"):
        live.publish(host.store, web, NET, [PortMapping(80, 7000), PortMapping(80, 9090)])
    assert not ask("127.0.0.1", 7000).startswith("web")
    with pytest.raises(PortInUse):
        live.change(host.store, host.spec("web", ports=(PortMapping(80, 9090),)))
    assert ask("127.0.0.1", 8080).startswith("web")
    endpoint, gone, fds = live.change(host.store, host.spec("web", ports=(PortMapping(80, 8081),)))
    assert {port.host_port for port in gone} == {8080} and {port.host_port for port in endpoint.ports} == {8081}
    assert ask("127.0.0.1", 8081).startswith("web") and len(fds) == 2
    for fd in fds:
        os.close(fd)
    again = host.attach("web", ports=(PortMapping(80, 8081),))
    assert again.host_link == endpoint.host_link  # the same endpoint, not a new one


@private_host
def test_names_change_in_place(host: Host) -> None:
    host.network()
    before = host.attach("web")
    live.set_aliases(host.store, container("web"), NET, ("web", "front"), {"cache": "redis"})
    after = endpoints(host.store, container("web"))[0]
    assert (after.names, dict(after.links)) == (("web", "front"), {"cache": "redis"})
    assert after.host_link == before.host_link
    with pytest.raises(NetworkFault, match="not on network"):
        live.set_aliases(host.store, container("nobody"), NET, ("x",))
    assert not live.can_change(host.store, host.spec("web", ipv4_address="172.17.0.99"))

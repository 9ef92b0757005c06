"""Network modes, families, drivers and DNS settings, as processes inside see them."""

from __future__ import annotations

import http.client
import socket

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.test_network import HTTPD, SLEEP, free_port, get, serving

pytestmark = pytest.mark.root


def test_both_families_of_addresses(project: MakeProject) -> None:
    port = free_port()
    app = project(f"""
services:
  web:
    image: IMAGE
    {HTTPD}
    ports: ["{port}:80"]
    extra_hosts: ["host.docker.internal:host-gateway"]
    networks:
      default: {{ipv6_address: "fd12:7::77", ipv4_address: 10.77.1.9, aliases: [front], link_local_ips: [169.254.7.7]}}
  client:
    image: IMAGE
    {SLEEP}
networks:
  default:
    enable_ipv6: true
    ipam:
      config:
        - {{subnet: 10.77.1.0/24, gateway: 10.77.1.3, ip_range: 10.77.1.128/25, aux_addresses: {{printer: 10.77.1.128}}}}
        - {{subnet: "fd12:7::/64", gateway: "fd12:7::5"}}
""")
    serving(app)
    app.up()
    shown = app.sh("web", "ip addr show eth0")
    assert (
        "10.77.1.9/24" in shown and "fd12:7::77/64" in shown and "169.254.7.7/16" in shown and "tentative" not in shown
    )
    assert "default via 10.77.1.3" in app.sh("web", "ip route")
    assert "default via fd12:7::5" in app.sh("web", "ip -6 route")
    assert "inet 10.77.1.129/24" in app.sh("client", "ip addr show eth0")
    answer = app.sh("client", "nslookup front 127.0.0.11")
    assert "fd12:7::77" in answer and "10.77.1.9" in answer
    assert f"{app.name}-web-1.{app.name}_default" in app.sh("client", "nslookup fd12:7::77 127.0.0.11")
    assert app.sh("client", "wget -qO- http://front/").strip() == "it works"
    assert app.sh("client", "wget -qO- 'http://[fd12:7::77]/'").strip() == "it works"
    hosts = app.sh("web", "cat /etc/hosts")
    assert "fd12:7::5\thost.docker.internal" in hosts and "10.77.1.3\thost.docker.internal" in hosts
    assert "fd12:7::77\t" in hosts
    assert get("127.0.0.1", port) == "it works"
    assert get("::1", port) == "it works"


def test_only_ipv6(project: MakeProject) -> None:
    app = project("""
services:
  one: {image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL}
  two: {image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL}
networks:
  default: {enable_ipv4: false, enable_ipv6: true}
""")
    app.up()
    assert "inet " not in app.sh("one", "ip addr show eth0")
    assert "1 packets received" in app.sh("one", "ping -6 -c1 -W1 two")


def test_network_modes(project: MakeProject) -> None:
    other = project(f"""
services:
  base: {{image: IMAGE, {SLEEP.replace(chr(10) + "    ", ", ")}, container_name: nm-base-{free_port()}}}
""")
    other.up()
    base = other.names()[0]
    app = project(f"""
services:
  hosted: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, network_mode: host}}
  nothing: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, network_mode: none}}
  plain: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, network_mode: bridge}}
  guest: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, network_mode: "container:{base}"}}
  sibling: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, network_mode: "service:plain"}}
  outer: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, networks: [machine]}}
networks:
  machine: {{external: true, name: host}}
""")
    app.up()
    mine = {"nothing": "none"}
    links = {name: app.sh(name, "ls /sys/class/net").split() for name in ("nothing", "plain", "guest", "sibling")}
    assert links["nothing"] == ["lo"] and mine
    assert links["plain"] == ["eth0", "lo"]

    def space(one: object, name: str) -> str:
        return one.sh(name, "readlink /proc/self/ns/net").strip()  # type: ignore[attr-defined]

    with open("/proc/self/net/dev") as file:
        assert app.sh("hosted", "cat /proc/net/dev | wc -l").strip() == str(len(file.readlines()))
    assert space(app, "hosted") == space(app, "outer")
    assert space(app, "guest") == space(other, "base")
    assert space(app, "sibling") == space(app, "plain")
    assert "default via" in app.sh("plain", "ip route")
    for file in ("hosts", "resolv.conf", "hostname"):
        assert app.sh("sibling", f"cat /etc/{file}") == app.sh("plain", f"cat /etc/{file}")
    assert "127.0.0.11" in app.sh("guest", "cat /etc/resolv.conf")
    app.down()


def test_interface_names_prefixes_and_sysctls(project: MakeProject) -> None:
    app = project(f"""
services:
  web:
    image: IMAGE
    {SLEEP}
    networks:
      front: {{priority: 10, mac_address: "02:00:00:00:00:21"}}
      back: {{interface_name: lan0, gw_priority: 1,
              driver_opts: {{com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.log_martians=1"}}}}
      third: {{driver_opts: {{com.docker.network.endpoint.ifname: wan9}}}}
networks:
  front: {{driver_opts: {{com.docker.network.container_iface_prefix: net, com.docker.network.driver.mtu: 1400}}}}
  back: {{attachable: true, labels: {{who: me}}}}
  third: {{internal: true}}
""")
    app.up()
    assert sorted(app.sh("web", "ls /sys/class/net").split()) == ["lan0", "lo", "net0", "wan9"]
    assert app.sh("web", "cat /sys/class/net/net0/mtu").strip() == "1400"
    assert app.sh("web", "cat /sys/class/net/net0/address").strip() == "02:00:00:00:00:21"
    assert app.sh("web", "cat /proc/sys/net/ipv4/conf/lan0/log_martians").strip() == "1"
    assert "dev lan0" in app.sh("web", "ip route show default")


def test_dns_settings(project: MakeProject) -> None:
    app = project(f"""
services:
  web:
    image: IMAGE
    {SLEEP}
    dns_search: [corp.example, example]
    dns_opt: ["timeout:1", "attempts:1"]
    dns: ["127.0.0.1"]
  plain: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, network_mode: bridge, dns: ["192.0.2.9"]}}
""")
    app.up()
    text = app.sh("web", "cat /etc/resolv.conf").splitlines()
    assert text[:3] == ["nameserver 127.0.0.11", "search corp.example example", "options timeout:1 attempts:1 ndots:0"]
    assert "127.0.0.11" in app.sh("plain", "cat /etc/resolv.conf")


def test_macvlan_from_a_file(project: MakeProject) -> None:
    import os
    import subprocess

    name = f"mv{os.getpid() % 100000}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    try:
        for link in (name, f"{name}p"):
            subprocess.run(["ip", "link", "set", link, "up"], check=True)
        app = project(f"""
services:
  one:
    image: IMAGE
    {SLEEP}
    networks: {{lan: {{ipv4_address: 10.78.0.9}}}}
  two: {{image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL, networks: [lan]}}
networks:
  lan:
    driver: macvlan
    driver_opts: {{parent: {name}}}
    ipam: {{config: [{{subnet: 10.78.0.0/24, gateway: 10.78.0.1}}]}}
""")
        app.up()
        assert "10.78.0.9/24" in app.sh("one", "ip addr show eth0")
        assert "1 packets received" in app.sh("two", "ping -c1 -W1 one")
        app.run("restart", "-t", "0", "one")
        assert "1 packets received" in app.sh("two", "ping -c1 -W1 10.78.0.9")
        app.down()
        assert subprocess.run(["ip", "link", "show", name], capture_output=True).returncode == 0
    finally:
        subprocess.run(["ip", "link", "del", name], check=False)


def test_drivers_and_networks_that_are_not_there_are_named(project: MakeProject) -> None:
    app = project("""
services:
  web: {image: IMAGE, networks: [mesh]}
networks:
  mesh: {driver: overlay}
""")
    assert 'networks.mesh.driver "overlay"' in app.run("up", "-d", code=1).stderr
    app.write("""
services:
  web: {image: IMAGE, networks: [mesh]}
networks:
  mesh: {external: true, name: never-made}
""")
    refused = app.run("up", "-d", code=1).stderr
    assert "cannot find network 'never-made', declared as external (mesh)" in refused


def test_routed_networks_show_the_containers_own_port(project: MakeProject) -> None:
    app = project(f"""
services:
  web:
    image: IMAGE
    {HTTPD}
    ports: ["8080:80"]
networks:
  default: {{driver_opts: {{com.docker.network.bridge.gateway_mode_ipv4: routed}}}}
""")
    serving(app)
    app.up()
    publisher = app.row("web")["Publishers"][0]
    assert get(publisher["URL"], publisher["PublishedPort"]) == "it works"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", 8080), 1).close()
    assert http.client is not None

"""Names, addresses and published ports, from inside and from this machine."""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project, eventually

pytestmark = pytest.mark.root

HTTPD = 'command: ["httpd", "-f", "-p", "80", "-h", "/www"]\n    stop_signal: SIGKILL\n    volumes: ["./www:/www:ro"]'
ECHO = (
    "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 9)); "
    "[s.sendto(*s.recvfrom(99)) for _ in iter(int, 1)]"
)
SLEEP = 'command: ["sleep", "1000"]\n    stop_signal: SIGKILL'


def get(address: str, port: int) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=3)
    try:
        connection.request("GET", "/index.html")
        return connection.getresponse().read().decode().strip()
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def own_addresses() -> list[str]:
    """Addresses of this machine that are not loopback and belong to no bridge."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


def serving(app: Project, text: str = "it works") -> None:
    (app.dir / "www").mkdir(exist_ok=True)
    (app.dir / "www" / "index.html").write_text(text + "\n")


def test_published_ports(project: MakeProject) -> None:
    port, local = free_port(), free_port()
    app = project(f"""
services:
  web:
    image: IMAGE
    {HTTPD}
    ports: ["{port}:80", "127.0.0.1:{local}:80"]
""")
    serving(app)
    app.up()
    assert get("127.0.0.1", port) == "it works"
    assert get("127.0.0.1", local) == "it works"
    for address in own_addresses():
        assert get(address, port) == "it works"
        with pytest.raises(OSError):
            get(address, local)
    assert app.run("port", "web", "80").stdout.strip() in (f"0.0.0.0:{port}", f"127.0.0.1:{local}")
    publishers = app.row("web")["Publishers"]
    assert {(row["PublishedPort"], row["TargetPort"], row["Protocol"]) for row in publishers} == {
        (port, 80, "tcp"),
        (local, 80, "tcp"),
    }
    app.run("restart", "-t", "0")
    eventually(lambda: get("127.0.0.1", port) == "it works", 3)
    app.down()
    with pytest.raises(OSError):
        get("127.0.0.1", port)
    with socket.create_server(("0.0.0.0", port)):
        pass  # it is free again


def test_udp_and_random_ports_and_ranges(project: MakeProject) -> None:
    port = free_port()
    app = project(f"""
services:
  echo:
    image: host
    command: ["python3", "-S", "-c", "{ECHO}"]
    stop_signal: SIGKILL
    ports: ["127.0.0.1:{port}:9/udp"]
  web:
    image: IMAGE
    {HTTPD}
    ports: ["80"]
    scale: 2
""")
    serving(app)
    app.up()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))

        def answered() -> bool:
            client.send(b"ping")
            return client.recv(100) == b"ping"

        eventually(answered, 5)
    ports = [app.row("web", number)["Publishers"][0]["PublishedPort"] for number in (1, 2)]
    assert len(set(ports)) == 2
    assert [get("127.0.0.1", one) for one in ports] == ["it works", "it works"]


def test_a_connection_comes_from_the_outside(project: MakeProject) -> None:
    """A container reaches another one's published port through the host (hairpin), and the host itself."""
    port = free_port()
    app = project(f"""
services:
  web:
    image: IMAGE
    {HTTPD}
    ports: ["{port}:80"]
  client:
    image: IMAGE
    {SLEEP}
""")
    serving(app)
    app.up()
    gateway = app.sh("client", "ip route | awk '/default/ { print $3 }'")
    assert app.sh("client", f"wget -q -O - http://{gateway}:{port}/index.html") == "it works"
    for address in own_addresses():
        assert app.sh("client", f"wget -q -O - http://{address}:{port}/index.html") == "it works"
        assert app.sh("web", f"wget -q -O - http://{address}:{port}/index.html") == "it works"


def test_two_networks(project: MakeProject) -> None:
    app = project(f"""
services:
  front:
    image: IMAGE
    {SLEEP}
    networks: [front]
  middle:
    image: IMAGE
    {SLEEP}
    networks:
      front: {{aliases: [api]}}
      back:
  db:
    image: IMAGE
    {SLEEP}
    networks: [back]
networks:
  front:
  back:
    internal: true
""")
    app.up()
    assert "1 packets received" in app.sh("front", "ping -c 1 -W 2 api")
    assert "1 packets received" in app.sh("middle", "ping -c 1 -W 2 db")
    app.sh("front", "nslookup db", code=1)
    address = app.sh("db", "hostname -i").split()[0]
    app.sh("front", f"ping -c 1 -W 1 {address}", code=1)
    assert "default" not in app.sh("db", "ip route")
    links = app.sh("middle", "ls /sys/class/net").split()
    assert {"lo", "eth0", "eth1"} <= set(links)


def test_names(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    scale: 2
  b:
    image: IMAGE
    {SLEEP}
    container_name: custom-{Path(__file__).stem.replace("_", "-")}
    hostname: callme
""")
    app.up()
    addresses = set(app.sh("b", "nslookup a | awk '/^Address/ && !/127.0.0.11/ { print $NF }'").split())
    assert len(addresses) == 2
    for name in (f"{app.name}-a-1", f"{app.name}-a-2", "a"):
        assert "1 packets received" in app.sh("b", f"ping -c 1 -W 2 {name}")
    for name in ("b", "custom-test-network", "callme"):
        assert "1 packets received" in app.sh("a", f"ping -c 1 -W 2 {name}")
    app.sh("b", "nslookup no-such-name", code=1)
    app.run("stop", "-t", "0", "b")
    eventually(lambda: app.exec("a", "nslookup", "callme", code=None) is not None)
    app.run("scale", "a=1")
    addresses = set(app.sh("a", "nslookup a | awk '/^Address/ && !/127.0.0.11/ { print $NF }'").split())
    assert len(addresses) == 1


def test_network_modes(project: MakeProject) -> None:
    app = project(f"""
services:
  alone:
    image: IMAGE
    {SLEEP}
    network_mode: none
  bare:
    image: IMAGE
    {SLEEP}
    network_mode: host
  owner:
    image: IMAGE
    {HTTPD}
  guest:
    image: IMAGE
    {SLEEP}
    network_mode: service:owner
""")
    serving(app)
    app.up()
    assert app.sh("alone", "ls /sys/class/net").split() == ["lo"]
    assert "127.0.0.1" in app.sh("bare", "ip addr show lo")
    assert set(app.sh("bare", "ls /proc/sys/net/ipv4/conf").split()) >= {"all", "lo"}
    assert app.sh("guest", "wget -q -O - http://127.0.0.1/index.html") == "it works"


def test_static_addresses_and_subnets(project: MakeProject) -> None:
    lan = f"10.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # another run of these tests may be at work
    app = project(f"""
services:
  fixed:
    image: IMAGE
    {SLEEP}
    networks: {{lan: {{ipv4_address: {lan}.9}}}}
  other:
    image: IMAGE
    {SLEEP}
    networks: [lan]
networks:
  lan:
    ipam: {{config: [{{subnet: {lan}.0/24, gateway: {lan}.1}}]}}
""")
    app.up()
    assert f"{lan}.9/24" in app.sh("fixed", "ip -4 addr show eth0")
    assert f"via {lan}.1" in app.sh("other", "ip route")
    assert "1 packets received" in app.sh("other", f"ping -c 1 -W 2 {lan}.9")


def test_fifty_services_answer_to_each_other(project: MakeProject) -> None:
    count = 50
    service = f"image: IMAGE\n    {SLEEP}\n"
    app = project("services:\n" + "".join(f"  s{number}:\n    {service}" for number in range(count)))
    app.up()
    assert len(app.names()) == count
    names = " ".join(f"s{number}" for number in range(count))
    script = f"for name in {names}; do ping -c 1 -W 2 $name >/dev/null || echo $name; done"
    for place in (0, count // 2, count - 1):
        assert app.sh(f"s{place}", script) == ""
    assert app.steps() == []
    app.down()
    assert app.rows() == []


def test_changed_ports_do_not_interrupt_the_container(project: MakeProject) -> None:
    old, new = free_port(), free_port()
    text = """
services:
  web:
    image: IMAGE
    {httpd}
    ports: [{ports}]
"""
    app = project(text.format(httpd=HTTPD, ports=f'"{old}:80"'))
    serving(app)
    app.up()
    link = app.run("exec", "-T", "web", "cat", "/sys/class/net/eth0/ifindex").stdout
    app.write(text.format(httpd=HTTPD, ports=f'"{new}:80"'))
    app.up()
    assert app.run("exec", "-T", "web", "cat", "/sys/class/net/eth0/ifindex").stdout == link
    assert get("127.0.0.1", new) == "it works"
    with pytest.raises(OSError):
        get("127.0.0.1", old)
    with socket.create_server(("0.0.0.0", old)):
        pass  # given back


def test_a_shared_namespace_is_that_of_the_container_that_runs_now(project: MakeProject) -> None:
    app = project("""
services:
  web: {image: IMAGE, command: "sh -c 'mkdir /w; hostname > /w/id; exec httpd -f -h /w'", stop_signal: SIGKILL}
  side: {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, network_mode: "service:web", pid: "service:web"}
""")
    app.up()
    app.run("up", "-d", "--force-recreate", "web")  # side is not asked for, but its namespaces are gone
    eventually(lambda: app.sh("side", "wget -qO- localhost/id") == app.sh("web", "hostname"))
    app.run("stop", "side")
    app.run("up", "-d", "--force-recreate", "web")
    app.run("start", "side")
    eventually(lambda: app.sh("side", "wget -qO- localhost/id") == app.sh("web", "hostname"))
    assert app.sh("side", "cat /etc/hosts") == app.sh("web", "cat /etc/hosts")
    assert "unchanged" in app.up().stderr

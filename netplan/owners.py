"""Who has a host port: looked up only to explain a refusal, from /proc/net and /proc/PID/fd; and for Docker's proxies
from their arguments, and its socket if that answers."""

from __future__ import annotations

import _socket
import os
from struct import unpack

_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}
_LISTEN = "0A"
_PROXY = "docker-proxy"
_DOCKER = "/var/run/docker.sock"
_PATIENCE = 0.5  # seconds for Docker's answer


def process_on_port(protocol: str, port: int, address: str = "0.0.0.0") -> str:
    """``nginx (pid 812)``, or empty if no process of this machine is found to have the port.

    ``address``: the one that was to be bound; a process on another address of the machine is not in its way.
    """
    inodes = _inodes(protocol, port, address)
    if not inodes:
        return ""
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        if _has_socket(pid, links):
            name = _read(f"/proc/{pid}/comm") or "a process"
            return _container_of_docker(pid, protocol, port) if name == _PROXY else f"{name} (pid {pid})"
    return ""


def _inodes(protocol: str, port: int, address: str) -> list[str]:
    suffix = f":{port:04X}"
    found = []
    for table in _TABLES.get(protocol, ()):
        rows = [line.split() for line in _read(f"/proc/thread-self/net/{table}").split("\n")[1:] if line]
        for row in rows:
            if not row[1].endswith(suffix) or (protocol != "udp" and row[3] != _LISTEN):
                continue
            if _meet(_address(row[1].partition(":")[0]), address):
                found.append(row[9])
    return found


def _address(digits: str) -> str:
    """An address as /proc/net has it: 32-bit words in host order."""
    words = unpack(f">{len(digits) // 8}I", bytes.fromhex(digits))
    packed = b"".join(word.to_bytes(4, "little") for word in words)
    return _socket.inet_ntop(_socket.AF_INET if len(packed) == 4 else _socket.AF_INET6, packed)


def _meet(bound: str, wanted: str) -> bool:
    """Sockets of the two addresses exclude each other: equal, or one of them is all addresses (``::`` may take
    IPv4)."""
    anywhere = ("0.0.0.0", "::")
    return bound == wanted or bound in anywhere or wanted in anywhere


def _has_socket(pid: int, links: set[str]) -> bool:
    try:
        return any(_target(f"/proc/{pid}/fd/{fd}") in links for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _container_of_docker(pid: int, protocol: str, port: int) -> str:
    """``Docker's container web (172.17.0.2:80)``: the proxy's arguments say where to, Docker says who that is."""
    words = _read(f"/proc/{pid}/cmdline").split("\0")
    given = dict(zip(words[1::2], words[2::2]))
    where = f"{given.get('-container-ip', '?')}:{given.get('-container-port', '?')}"
    name = _ask_docker(protocol, port)
    return (
        f"Docker's container {name} ({where})" if name else f"a container of Docker ({where}, by {_PROXY}, pid {pid})"
    )


def _ask_docker(protocol: str, port: int) -> str:
    """The name of the container that publishes the port; empty if Docker does not say."""
    import json

    path = os.environ.get("DOCKER_HOST", "").removeprefix("unix://")
    question = f'/containers/json?filters={{"publish":["{port}/{protocol}"]}}'.replace('"', "%22")
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_PATIENCE)
        sock.connect(path if path.startswith("/") else _DOCKER)
        sock.send(f"GET {question} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while part := sock.recv(1 << 16):
            answer += part
        rows = json.loads(answer.partition(b"\r\n\r\n")[2])
        names = [row["Names"][0].lstrip("/") for row in rows if _publishes(row, protocol, port)]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""
    finally:
        sock.close()
    return str(names[0]) if names else ""


def _publishes(row: dict[str, list[dict[str, object]]], protocol: str, port: int) -> bool:
    return any((entry.get("PublicPort"), entry.get("Type")) == (port, protocol) for entry in row["Ports"])

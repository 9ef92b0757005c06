"""A private host for every test: a forked child in its own network namespace, with as many containers as wanted."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable

from netplan import netns
from netplan.endpoint import attach
from netplan.netns import inside
from netplan.network import create_network
from netplan.spec import Endpoint, EndpointSpec, NetworkSpec, PortMapping
from netplan.store import Store, open_store

INSTANCE = "pycompose-test"


class Host:
    """The private host. ``store`` is open; ``run`` runs a command and returns what it printed."""

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        run("ip", "link", "set", "lo", "up")
        self.store = open_store(run_dir, INSTANCE)
        self.namespaces: dict[str, int] = {}
        self.held: list[int] = []

    def network(self, name: str = "shop_default", **more: object) -> object:
        return create_network(self.store, NetworkSpec(name, **{"project": "shop", **more}))

    def spec(self, name: str, network: str = "shop_default", **more: object) -> EndpointSpec:
        return EndpointSpec(network, container(name), **{"interface": "eth0", "names": (name, "web"), **more})

    def attach(self, name: str, network: str = "shop_default", **more: object) -> Endpoint:
        if name not in self.namespaces:
            self.namespaces[name] = new_namespace()
        endpoint, fds = attach(self.store, self.spec(name, network, **more), self.namespaces[name])
        self.held += fds
        return endpoint

    def inside(self, name: str) -> inside:
        return inside(self.namespaces[name])

    def uplink(self) -> None:
        """An outside machine: host 10.9.0.1, outside 10.9.0.2, which routes everything to the host."""
        run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "out0")
        self.namespaces["outside"] = fd = new_namespace()
        run("ip", "link", "set", "out0", "netns", f"/proc/{os.getpid()}/fd/{fd}")
        run("ip", "addr", "add", "10.9.0.1/24", "dev", "up0")
        run("ip", "link", "set", "up0", "up")
        with self.inside("outside"):
            run("ip", "addr", "add", "10.9.0.2/24", "dev", "out0")
            run("ip", "link", "set", "out0", "up")
            run("ip", "link", "set", "lo", "up")
            run("ip", "route", "add", "default", "via", "10.9.0.1")


def container(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def run(*command: str, check: bool = True) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    assert not check or result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def new_namespace() -> int:
    """An empty network namespace that lives as long as the descriptor."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netns.unshare()
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        netns.setns(home)
        os.close(home)


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child; the wait status. What it raises is printed."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def private_host(test: Callable[[Host], None]) -> Callable[[], None]:
    """Give the test a Host of its own; nothing of it outlives the test."""

    @functools.wraps(test)
    def wrapper() -> None:
        run_dir = tempfile.mkdtemp(prefix="netplan-", dir="/dev/shm")

        def work() -> None:
            netns.unshare()
            test(Host(run_dir))

        try:
            assert in_child(work) == 0
        finally:
            shutil.rmtree(run_dir, ignore_errors=True)

    del wrapper.__wrapped__  # pytest must not see the parameter
    return wrapper


class Server:
    """A TCP or UDP server in the calling thread's namespace; answers with the client's address and its own name."""

    def __init__(self, port: int, name: str = "server", kind: str = "tcp", address: str = "0.0.0.0") -> None:
        self.name = name
        self.tcp = kind == "tcp"
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM if self.tcp else socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((address, port))
        if self.tcp:
            self.sock.listen(64)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self.sock.close()

    def _serve(self) -> None:
        while True:
            try:
                self._answer()
            except OSError:
                return

    def _answer(self) -> None:
        if self.tcp:
            peer, address = self.sock.accept()
            peer.sendall(f"{self.name} {address[0]}".encode())
            peer.close()
        else:
            _, address = self.sock.recvfrom(100)
            self.sock.sendto(f"{self.name} {address[0]}".encode(), address)


def ask(address: str, port: int, kind: str = "tcp", timeout: float = 0.5) -> str:
    """Connect from the calling thread's namespace; the server's answer, or the kind of failure."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
            if kind == "udp":
                sock.send(b"?")
            return sock.recv(100).decode()
        except TimeoutError:
            return "timeout"
        except OSError as problem:
            return type(problem).__name__


__all__ = [
    "Host",
    "PortMapping",
    "Server",
    "Store",
    "ask",
    "container",
    "in_child",
    "new_namespace",
    "private_host",
    "run",
]

"""Errors that Docker has to do with: an API on a socket of our own answers in its place."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compose.cli.foreign import docker_containers, explained
from compose.errors import EngineError

WEB = {
    "Names": ["/shop-web-1"],
    "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.project.working_dir": "/srv/shop"},
    "Ports": [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 81, "Type": "tcp"}],
}
LONE = {"Names": ["/proxy"], "Labels": None, "Ports": [{"PrivatePort": 80, "PublicPort": 80, "Type": "tcp"}]}
Docker = Callable[..., dict[str, str]]


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    """``docker(container, ...)``: the environment of a machine where Docker runs these."""
    servers: list[socket.socket] = []

    def make(*containers: Any, status: str = "200 OK") -> dict[str, str]:
        path = str(tmp_path / "docker.sock")
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        servers.append(server)
        body = json.dumps(containers).encode()

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                assert connection.recv(4096).startswith(b"GET /containers/json HTTP/1.0\r\n")
                connection.sendall(f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n".encode() + body)

        threading.Thread(target=serve, daemon=True).start()
        return {"DOCKER_HOST": f"unix://{path}"}

    yield make
    for server in servers:
        server.close()


def port_error(port: int = 8080) -> EngineError:
    text = f"cannot publish 0.0.0.0:{port}/tcp: the port is in use by docker-proxy (pid 12)"
    return EngineError(text, hint="stop what uses it")


def test_the_project_that_holds_the_port_is_named(docker: Docker) -> None:
    error = explained(port_error(), "mine", docker(LONE, WEB))
    assert error.hint.splitlines() == [
        "docker compose runs project shop in /srv/shop (shop-web-1): docker compose -p shop down",
        "  stop what uses it",
    ]


def test_a_lone_container_is_named(docker: Docker) -> None:
    hint = explained(port_error(80), "mine", docker(WEB, LONE)).hint
    assert hint.startswith("Docker's container proxy is in the way: docker stop proxy\n")


@pytest.mark.parametrize(
    "message",
    [
        "cannot create network shop_default: a link br0 exists and is not ours",
        "cannot create network shop_default: subnet 10.0.0.0/24 overlaps 10.0.0.0/24 on br-1234",
    ],
)
def test_a_network_in_the_way_may_be_the_same_projects(docker: Docker, message: str) -> None:
    error = explained(EngineError(message, code=3), "shop", docker(LONE, WEB))
    assert error.hint.startswith("docker compose runs project shop in /srv/shop")
    assert (error.message, error.code) == (message, 3)


def test_a_network_of_another_project(docker: Docker) -> None:
    error = explained(EngineError("cannot create network x: a link br0 exists and is not ours"), "x", docker(WEB))
    assert error.hint == "Docker runs on this machine, with 1 containers: docker network ls shows its networks"


def test_other_errors_ask_nobody() -> None:
    error = EngineError("cannot find image x")
    assert explained(error, "shop", {"DOCKER_HOST": "unix:///nowhere"}) is error


def test_no_docker_and_odd_dockers_are_no_error(docker: Docker) -> None:
    error = port_error()
    assert explained(error, "shop", {"DOCKER_HOST": "unix:///nowhere"}) is error
    assert explained(error, "shop", {"DOCKER_HOST": "tcp://127.0.0.1:1"}) is error
    assert docker_containers(docker(WEB, status="500 Internal Server Error")) == []

"""When a port, a link or a subnet is taken: whether Docker on this machine has it, and by which of its projects.

Asked only after a command has failed for that reason. What docker compose has started is Docker's; our project of the
same name is another one, with its own containers, networks and volumes, but the host's ports are the same.
"""

from __future__ import annotations

import json

from compose import labels
from compose.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TAKEN = ("in use by docker", "exists and is not ours", "overlaps ")
DEFAULT = "/var/run/docker.sock"
PATIENCE = 1.0  # s for Docker's answer


def explained(error: EngineError, project: str, environ: Mapping[str, str]) -> EngineError:
    """The same error with a hint about Docker, if that is what is in the way."""
    if not any(words in error.message for words in TAKEN):
        return error
    running = docker_containers(environ)
    same = [one for one in running if _label(one, labels.PROJECT) == project]
    port = _port_of(error.message)
    holders = [one for one in running if port and port in _ports(one)]
    if holders:
        hint = _of(holders[0])
    elif same:
        hint = _of(same[0])
    elif running and "in use by docker" not in error.message:
        hint = f"Docker runs on this machine, with {len(running)} containers: docker network ls shows its networks"
    else:
        return error
    hint = "\n  ".join(text for text in (hint, error.hint) if text)
    return EngineError(error.message, hint=hint, where=error.where, code=error.code)


def docker_containers(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Docker's running containers as its API lists them; none when there is no Docker to ask at a local socket."""
    host = environ.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        return []
    try:
        answer = _ask(host.removeprefix("unix://") or DEFAULT, "/containers/json")
        found = json.loads(answer)
    except (OSError, ValueError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _ask(path: str, what: str) -> bytes:
    """The body of an HTTP/1.0 answer."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(f"GET {what} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    finally:
        connection.close()
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ValueError("not what was asked for")
    return body


def _of(one: dict[str, Any]) -> str:
    """Whose it is, and what to type."""
    name = (one.get("Names") or ["?"])[0].lstrip("/")
    project = _label(one, labels.PROJECT)
    if not project:
        return f"Docker's container {name} is in the way: docker stop {name}"
    where = _label(one, labels.WORKING_DIR)
    place = f" in {where}" if where else ""
    return f"docker compose runs project {project}{place} ({name}): docker compose -p {project} down"


def _label(one: dict[str, Any], key: str) -> str:
    return str((one.get("Labels") or {}).get(key, ""))


def _ports(one: dict[str, Any]) -> set[str]:
    """``28080/tcp`` of the host."""
    return {
        f"{port['PublicPort']}/{port.get('Type', 'tcp')}" for port in one.get("Ports") or () if "PublicPort" in port
    }


def _port_of(message: str) -> str:
    """``28080/tcp`` of ``cannot publish 0.0.0.0:28080/tcp: the port is in use``."""
    if not message.startswith("cannot publish "):
        return ""
    return message.removeprefix("cannot publish ").partition(": ")[0].rpartition(":")[2]

"""Blobs to a registry: whole ones with one PUT, streams with one PATCH, in parts where a registry takes no stream."""

from __future__ import annotations

import os
import tempfile

from runtime.images.registry.client import fault_of
from runtime.images.registry.errors import RegistryFault, Unreachable
from runtime.images.registry.fetch import ReadAhead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from runtime.images.registry.client import Client
    from runtime.images.registry.transport import Answer, Target

    Stream = Callable[[], Iterator[bytes]]

_NO_STREAM = (400, 405, 411, 413, 415, 501)  # answers to a PATCH without a length
_PART = 32 << 20
_PIECE = 1 << 18


def upload_bytes(client: Client, digest: str, data: bytes) -> None:
    """One small blob. Raises RegistryFault."""
    target, place = _begin(client)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(data))}
    answer = client.request("PUT", _with_digest(place, digest), headers, lambda: (data,), target=target)
    if answer.status != 201:
        raise fault_of(answer, f"{client.host} does not take {digest[:19]}")
    answer.close()


def upload_stream(client: Client, stream: Stream) -> tuple[str, int]:
    """(digest, size) of what was sent. ``stream`` is begun anew for each attempt. Raises RegistryFault."""
    for attempt in range(1, client.settings.attempts + 1):
        try:
            sent = _patch(client, stream)
            return sent if sent is not None else _in_parts(client, stream)
        except Unreachable:
            if attempt == client.settings.attempts:
                raise
            client.pause(attempt)
    raise AssertionError("there is at least one attempt")


class _Counted:
    """Hashes and counts what passes; a thread compresses ahead of the socket. Each call begins anew."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._digest: Any = None
        self.size = 0

    def __call__(self) -> Iterator[bytes]:
        from hashlib import sha256

        self._digest, self.size = sha256(), 0
        with ReadAhead(self._stream()) as pieces:
            for piece in pieces:
                self._digest.update(piece)
                self.size += len(piece)
                yield piece

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def _begin(client: Client) -> tuple[Target, str]:
    path = client.path("blobs/uploads/")
    answer = client.request("POST", path, {"Content-Length": "0"}, lambda: ())
    if answer.status != 202:
        raise fault_of(answer, f"{client.host} does not take uploads")
    place = client.location(answer, path)
    answer.read(1)
    return place


def _patch(client: Client, stream: Stream) -> tuple[str, int] | None:
    """Everything in one PATCH of unknown length; None when the registry wants a length."""
    target, place = _begin(client)
    body = _Counted(stream)
    headers = {"Content-Type": "application/octet-stream"}
    try:
        answer = client.request("PATCH", place, headers, body, target=target, attempts=1)
    except BaseException:
        _cancel(client, target, place)
        raise
    if answer.status in _NO_STREAM:
        answer.close()
        _cancel(client, target, place)
        return None
    if answer.status != 202:
        raise _failed(client, answer)
    target, place = client.location(answer, place)
    answer.read(1)
    _finish(client, target, place, body.digest)
    return body.digest, body.size


def _in_parts(client: Client, stream: Stream) -> tuple[str, int]:
    """Through a file, as its length must be known; one PUT, or several PATCHes with ranges for a long one."""
    body = _Counted(stream)
    with tempfile.TemporaryFile() as file:
        for piece in body():
            file.write(piece)
        file.flush()
        target, place = _begin(client)
        try:
            offset = 0
            while offset < body.size:
                length = min(_PART, body.size - offset)
                target, place = _send_part(client, target, place, file.fileno(), offset, length)
                offset += length
        except BaseException:
            _cancel(client, target, place)
            raise
    _finish(client, target, place, body.digest)
    return body.digest, body.size


def _send_part(client: Client, target: Target, place: str, fd: int, offset: int, length: int) -> tuple[Target, str]:
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(length),
        "Content-Range": f"{offset}-{offset + length - 1}",
    }
    answer = client.request("PATCH", place, headers, lambda: _slices(fd, offset, length), target=target)
    if answer.status != 202:
        raise _failed(client, answer)
    where = client.location(answer, place)
    answer.read(1)
    return where


def _slices(fd: int, offset: int, length: int) -> Iterator[bytes]:
    while length:
        data = os.pread(fd, min(_PIECE, length), offset)
        yield data
        offset += len(data)
        length -= len(data)


def _finish(client: Client, target: Target, place: str, digest: str) -> None:
    headers = {"Content-Length": "0"}
    answer = client.request("PUT", _with_digest(place, digest), headers, lambda: (), target=target)
    if answer.status != 201:
        raise fault_of(answer, f"{client.host} does not take {digest[:19]}")
    answer.read(1)


def _cancel(client: Client, target: Target, place: str) -> None:
    """Give an upload up; whatever comes of that."""
    try:
        client.request("DELETE", place, {}, target=target, attempts=1).close()
    except RegistryFault:
        pass


def _failed(client: Client, answer: Answer) -> RegistryFault:
    fault = fault_of(answer, f"{client.host} does not take a layer")
    if fault.status >= 500 or fault.status == 429:
        return Unreachable(fault.message, fault.hint, fault.status, fault.code)
    return fault


def _with_digest(place: str, digest: str) -> str:
    return f"{place}{'&' if '?' in place else '?'}digest={digest}"

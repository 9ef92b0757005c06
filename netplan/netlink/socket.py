"""A netlink socket: send messages, read acknowledgements, raise what the kernel says.

The kernel executes a datagram's messages synchronously in ``send``; a failing one does not stop the rest (rtnetlink) or
discards all (nf_tables batches). A socket belongs to the network namespace in which it was made. Several threads may
use one: a lock keeps question and answer together.
"""

from __future__ import annotations

import _socket
import os
import sys
import threading

from netplan.errors import KernelRefused
from netplan.netlink.message import (
    ACK,
    DONE,
    DUMP,
    DUMP_INTR,
    ERROR,
    REQUEST,
    attributes,
    frame,
    messages,
    string,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.netlink.message import Message

ROUTE, NETFILTER = 0, 12
_AF_NETLINK, _SOL_NETLINK, _CAP_ACK, _EXT_ACK = 16, 270, 10, 11
_BUFFER = 1 << 18
_MSG_TRUNC = 0x20


class Netlink:
    """One socket of one protocol (``ROUTE`` or ``NETFILTER``)."""

    def __init__(self, protocol: int) -> None:
        try:
            self._socket = _socket.socket(_AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, protocol)
        except OSError as problem:
            raise KernelRefused(f"cannot open a netlink socket: {problem.strerror}", problem.errno or 0) from None
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._lock = threading.Lock()
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def run(self, what: str, *todo: Message) -> None:
        """Execute the messages in one datagram. Raises KernelRefused ("cannot <what>: ...") for the first failure."""
        errors = self.attempt(*todo)
        for index in sorted(errors):
            number, detail = errors[index]
            raise refusal(what, number, detail)

    def attempt(self, *todo: Message) -> dict[int, tuple[int, str]]:
        """Execute the messages; failures that they do not tolerate, by position: ``(errno, the kernel's words)``.

        Only the last message asks for an acknowledgement: failures are reported without asking, and in order.
        """
        with self._lock:
            first, last = self._sequence + 1, self._sequence + len(todo)
            self._sequence = last
            parts = [frame(kind, flags, first + i, body) for i, (kind, flags, body, _) in enumerate(todo[:-1])]
            kind, flags, body, _ = todo[-1]
            parts.append(frame(kind, flags | ACK, last, body))
            self._socket.send(b"".join(parts))
            errors: dict[int, tuple[int, str]] = {}
            while True:
                for kind, flags, sequence, body in messages(self._receive()):
                    if kind != ERROR or sequence < first:
                        continue
                    number, detail = _failure(flags, body)
                    if number and number not in todo[sequence - first][3]:
                        errors[sequence - first] = (number, detail)
                    if sequence == last:
                        return errors

    def batch(self, begin: bytes, end: bytes, todo: list[Message]) -> dict[int, tuple[int, str]]:
        """Like :meth:`attempt` for one nf_tables transaction, between the bodies of its two brackets.

        A position of -1 means the transaction as a whole.
        """
        with self._lock:
            first, last = self._sequence + 1, self._sequence + len(todo)
            self._sequence = last + 1
            parts = [frame(0x10, REQUEST, first - 1, begin)]
            for i, (kind, flags, body, _) in enumerate(todo):
                parts.append(frame(kind, flags | (ACK if first + i == last else 0), first + i, body))
            parts.append(frame(0x11, REQUEST, last + 1, end))
            self._socket.send(b"".join(parts))
            errors: dict[int, tuple[int, str]] = {}
            while True:
                for kind, flags, sequence, body in messages(self._receive()):
                    if kind != ERROR or sequence < first - 1:
                        continue
                    number, detail = _failure(flags, body)
                    if number:
                        errors[sequence - first] = (number, detail)
                    if sequence in (first - 1, last):
                        return errors

    def ask(self, question: Message) -> tuple[int, bytes]:
        """The one answer to a question: ``(type, body)``. Raises OSError with the kernel's number."""
        kind, flags, body, _ = question
        with self._lock:
            self._sequence += 1
            self._socket.send(frame(kind, flags, self._sequence, body))
            while True:
                for kind, flags, sequence, body in messages(self._receive()):
                    if sequence != self._sequence:
                        continue
                    if kind == ERROR:
                        number, detail = _failure(flags, body)
                        raise OSError(number, detail or os.strerror(number))
                    return kind, body

    def dump(self, question: Message) -> list[tuple[int, bytes]]:
        """All answers: ``(type, body)`` of each. Asked again if the kernel says that the list changed meanwhile."""
        kind, flags, body, _ = question
        with self._lock:
            while True:
                self._sequence += 1
                self._socket.send(frame(kind, flags | DUMP, self._sequence, body))
                found, whole = self._read_dump()
                if whole:
                    return found

    def _read_dump(self) -> tuple[list[tuple[int, bytes]], bool]:
        found: list[tuple[int, bytes]] = []
        whole = True
        while True:
            for kind, flags, sequence, body in messages(self._receive()):
                if sequence != self._sequence:
                    continue
                whole = whole and not flags & DUMP_INTR
                if kind == DONE:
                    return found, whole
                if kind == ERROR:
                    number, detail = _failure(flags, body)
                    raise OSError(number, detail or os.strerror(number))
                found.append((kind, body))

    def _receive(self) -> bytes:
        data, _ancillary, flags, _address = self._socket.recvmsg(_BUFFER)
        if flags & _MSG_TRUNC:
            raise OSError(90, "netlink message longer than the buffer")
        return data


def _failure(flags: int, body: bytes) -> tuple[int, str]:
    """Error number and text of an acknowledgement; the offending header follows the number (NETLINK_CAP_ACK)."""
    number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    if not number or not flags & 0x200:
        return number, ""
    size = 20 if flags & 0x100 else 4 + int.from_bytes(body[4:8], sys.byteorder)
    return number, string(attributes(body, size).get(1))


def refusal(what: str, number: int, detail: str) -> KernelRefused:
    """The error for what the kernel did not do."""
    words = os.strerror(number).lower()
    hint = "run as root, or give CAP_NET_ADMIN" if number in (1, 13) else ""
    return KernelRefused(f"cannot {what}: {detail or words}", number, hint)

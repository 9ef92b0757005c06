"""DNS messages as bytes (RFC 1035, RFC 6891). Pure, and only what a resolver of a few names needs."""

from __future__ import annotations

from struct import error as StructError
from struct import pack, unpack_from

from netplan.record import record

A, PTR, SOA, AAAA, OPT = 1, 12, 6, 28, 41
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
TTL = 600  # Docker's
_TRUNCATED, _RESPONSE, _RECURSION_AVAILABLE = 0x0200, 0x8000, 0x0080
_KEPT = 0x7900  # of the question's flags: opcode and "recursion desired"
_PLAIN = 512
_LARGEST = 1232  # what we say we take; fits every path's packets


@record
class Query:
    """A question. ``name`` is in lower case without the last dot; ``question`` the bytes as they came (their case is
    part of some clients' check); ``limit``: the longest reply over UDP; ``edns``: the client speaks EDNS."""

    id: int
    flags: int
    name: str
    type: int
    class_: int
    question: bytes
    limit: int
    edns: bool


def parse_query(data: bytes) -> Query | None:
    """Read a query of one question. None for what is none, to be answered by :func:`refuse` or not at all."""
    if len(data) < 17:
        return None
    ident, flags, questions, _answers, _authorities, additional = unpack_from(">6H", data)
    if flags & _RESPONSE or questions != 1:
        return None
    try:
        name, at = _read_name(data, 12)
        kind, class_ = unpack_from(">HH", data, at)
        limit, edns = _read_opt(data, at + 4) if additional else (_PLAIN, False)
    except (IndexError, ValueError, StructError):
        return None
    return Query(ident, flags, name, kind, class_, data[12 : at + 4], limit, edns)


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """A name without compression, which a question does not have; and where it ends."""
    labels = []
    while size := data[at]:
        if size > 63 or at + size >= len(data):
            raise ValueError
        labels.append(data[at + 1 : at + 1 + size])
        at += size + 1
    return b".".join(labels).decode("latin-1").lower(), at + 1


def _read_opt(data: bytes, at: int) -> tuple[int, bool]:
    """The EDNS record, if it is the first additional one, as clients send it."""
    if len(data) >= at + 11 and data[at] == 0 and unpack_from(">H", data, at + 1)[0] == OPT:
        return max(_PLAIN, unpack_from(">H", data, at + 3)[0]), True
    return _PLAIN, False


def address_record(data: bytes) -> bytes:
    """An A or AAAA answer to the question, by the length of the packed address."""
    return pack(">HHHIH", 0xC00C, A if len(data) == 4 else AAAA, IN, TTL, len(data)) + data


def pointer_record(name: str) -> bytes:
    data = write_name(name)
    return pack(">HHHIH", 0xC00C, PTR, IN, TTL, len(data)) + data


def write_name(name: str) -> bytes:
    """A name as length-prefixed labels; a label is 63 bytes at most and longer ones are cut."""
    labels = [label.encode("latin-1", "replace")[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reply(query: Query, code: int, records: list[bytes], limit: int = 65535) -> bytes:
    """The answer. What does not fit ``limit`` is left out and the reply marked truncated."""
    opt = pack(">BHHIH", 0, OPT, _LARGEST, 0, 0) if query.edns else b""
    flags = query.flags & _KEPT | _RESPONSE | _RECURSION_AVAILABLE | code
    room = limit - 12 - len(query.question) - len(opt)
    kept = []
    for item in records:
        room -= len(item)
        if room < 0:
            flags |= _TRUNCATED
            break
        kept.append(item)
    header = pack(">6H", query.id, flags, 1, len(kept), 0, 1 if opt else 0)
    return header + query.question + b"".join(kept) + opt


def refuse(data: bytes, code: int) -> bytes:
    """A bare reply to what could not be read; empty if there is not even a header, or it is a reply itself."""
    if len(data) < 12 or data[2] & 0x80:
        return b""
    ident, flags = unpack_from(">HH", data)
    return pack(">6H", ident, flags & _KEPT | _RESPONSE | code, 0, 0, 0, 0)


def opcode(query: Query) -> int:
    return query.flags >> 11 & 15


def code_of(data: bytes) -> int:
    """The response code of a reply."""
    return data[3] & 15


def answers(data: bytes, ident: int, question: bytes) -> bool:
    """Whether the reply is to the question that we sent."""
    if len(data) < 12 + len(question) or int.from_bytes(data[:2], "big") != ident or not data[2] & 0x80:
        return False
    return data[12 : 12 + len(question)].lower() == question.lower()


def reversed_address(name: str) -> bytes | None:
    """The address that ``2.0.18.172.in-addr.arpa`` or ``2.0. ... d.f.ip6.arpa`` asks for, packed, or None."""
    labels = name.split(".")
    if len(labels) == 34 and labels[32:] == ["ip6", "arpa"]:
        try:
            return (
                bytes.fromhex("".join(reversed(labels[:32]))) if all(len(label) == 1 for label in labels[:32]) else None
            )
        except ValueError:
            return None
    if len(labels) != 6 or labels[4:] != ["in-addr", "arpa"]:
        return None
    value = 0
    for label in reversed(labels[:4]):
        if not label.isdigit() or int(label) > 255:
            return None
        value = value << 8 | int(label)
    return value.to_bytes(4, "big")

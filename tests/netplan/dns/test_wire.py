from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from netplan.dns import wire

QUESTION = b"\x02Db\x04shop\x00" + struct.pack(">HH", wire.A, wire.IN)


def query(question: bytes = QUESTION, opt: bytes = b"", flags: int = 0x0100) -> bytes:
    return struct.pack(">6H", 7, flags, 1, 0, 0, 1 if opt else 0) + question + opt


def test_a_query_keeps_its_bytes_and_lowers_its_name() -> None:
    parsed = wire.parse_query(query())
    assert parsed is not None
    assert (parsed.name, parsed.type, parsed.limit, parsed.question) == ("db.shop", wire.A, 512, QUESTION)


def test_a_reply_names_the_question_and_its_addresses() -> None:
    parsed = wire.parse_query(query())
    reply = wire.reply(parsed, wire.NOERROR, [wire.address_record(b"\x0a\0\0\1")])
    assert struct.unpack_from(">6H", reply) == (7, 0x8180, 1, 1, 0, 0)
    assert reply[12 : 12 + len(QUESTION)] == QUESTION
    assert reply.endswith(b"\xc0\x0c\0\1\0\1\0\0\x02\x58\0\4\x0a\0\0\1")


def test_edns_is_answered_with_edns_and_raises_the_limit() -> None:
    opt = struct.pack(">BHHIH", 0, wire.OPT, 1400, 0, 0)
    parsed = wire.parse_query(query(opt=opt))
    assert (parsed.limit, parsed.edns) == (1400, True)
    assert struct.unpack_from(">6H", wire.reply(parsed, 0, []))[5] == 1


def test_what_does_not_fit_is_cut_and_marked() -> None:
    parsed = wire.parse_query(query())
    reply = wire.reply(parsed, 0, [wire.address_record(bytes([10, 0, 0, n])) for n in range(100)], parsed.limit)
    assert len(reply) <= 512
    assert reply[2] & 2
    assert struct.unpack_from(">H", reply, 6)[0] == (512 - 12 - len(QUESTION)) // 16


def test_pointers() -> None:
    assert wire.reversed_address("2.0.18.172.in-addr.arpa") == b"\xac\x12\0\2"
    six = ".".join("0" * 31)
    assert wire.reversed_address(f"{'.'.join(reversed('fd000000000000000000000000000002'))}.ip6.arpa") == (
        b"\xfd" + bytes(14) + b"\2"
    )
    assert wire.reversed_address(f"{six}.ip6.arpa") is None
    assert wire.reversed_address("2.0.18.in-addr.arpa") is None
    assert wire.reversed_address("2.0.18.300.in-addr.arpa") is None
    assert wire.pointer_record("db.net").endswith(b"\x02db\x03net\0")


def test_replies_are_matched_by_id_and_question_whatever_the_case() -> None:
    reply = struct.pack(">6H", 9, 0x8180, 1, 0, 0, 0) + QUESTION.lower()
    assert wire.answers(reply, 9, QUESTION)
    assert not wire.answers(reply, 8, QUESTION)
    assert not wire.answers(query(), 7, QUESTION)
    assert not wire.answers(reply, 9, b"\x05other\0" + QUESTION[9:])


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    wire.parse_query(data)
    wire.parse_query(query(data))
    wire.refuse(data, wire.FORMERR)


def test_replies_are_never_answered() -> None:
    assert wire.parse_query(query(flags=0x8180)) is None
    assert wire.refuse(query(flags=0x8180), wire.FORMERR) == b""

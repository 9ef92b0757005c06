from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from netplan.netlink import message as m


def test_attributes_are_padded_and_read_back() -> None:
    data = m.text(3, "eth0") + m.u32(4, 1500) + m.nest(18, m.text(1, "veth")) + m.u8(5, 7)
    assert len(data) % 4 == 0
    found = m.attributes(data)
    assert m.string(found[3]) == "eth0"
    assert (m.number(found[4]), m.number(found[5])) == (1500, 7)
    assert m.string(m.attributes(found[18])[1]) == "veth"


def test_a_frame_has_its_length_and_request_flag() -> None:
    kind, flags, body, tolerated = m.message(16, m.CREATE, b"\0" * 16, m.u32(1, 2), tolerate=(17,))
    frame = m.frame(kind, flags, 5, body)
    assert struct.unpack_from("=IHHII", frame) == (40, 16, 0x401, 5, 0)
    assert tolerated == (17,)
    assert m.messages(frame + frame) == [(16, 0x401, 5, body)] * 2


@given(st.binary(max_size=64))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    m.messages(data)
    m.attributes(data)


@given(st.lists(st.tuples(st.integers(1, 100), st.binary(max_size=20)), unique_by=lambda item: item[0]))
def test_what_is_packed_is_unpacked(items: list[tuple[int, bytes]]) -> None:
    assert m.attributes(b"".join(m.attr(kind, data) for kind, data in items)) == dict(items)

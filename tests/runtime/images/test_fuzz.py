"""Archives made of anything: unpacking gives a tree or BadArchive, never another error and never an escape."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.errors import BadArchive
from runtime.images import tape
from runtime.images.compare import layer_problem
from runtime.images.merged import Merged
from runtime.images.tar import BLOCKDEV, CHAR, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry, Source, TarReader
from runtime.images.unpack import Extractor
from runtime.record import replace
from tests.runtime.images.conftest import Body, make_tar

pytestmark = pytest.mark.root

QUIET = settings(
    max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
part = st.sampled_from([b"a", b"b", b"..", b".", b"", b".wh.a", b".wh..wh..opq", b"canary", b"victim"])
path = st.lists(part, min_size=1, max_size=5).map(b"/".join).filter(bool)
target = st.one_of(path, st.sampled_from([b"/", b"..", b"{canary}", b"../../../../../../../../../../../..{canary}"]))


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    kind = draw(st.sampled_from([FILE, FILE, HARDLINK, SYMLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO]))
    data = draw(st.binary(max_size=3)) if kind == FILE else b""
    link = draw(target) if kind in (HARDLINK, SYMLINK) else b""
    numbers = {"major": draw(st.integers(0, 3)), "minor": draw(st.integers(0, 3))} if kind in (CHAR, BLOCKDEV) else {}
    mode = draw(st.sampled_from([0, 0o777, 0o4755]))
    return Entry(draw(path), kind, mode, draw(st.integers(0, 2)), 0, len(data), 0, link, **numbers), data


@pytest.fixture(scope="module")
def area() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp())
    (base / "canary").mkdir()
    (base / "canary/victim").write_bytes(b"secret")
    (base / "canary/victim").chmod(0o600)
    yield base
    shutil.rmtree(base)


def unpack(area: Path, raw: bytes, lower: list[str]) -> tuple[str, bool]:
    """The place of a layer (``diff/`` and its tape), and whether it was accepted."""
    place = tempfile.mkdtemp(dir=area)
    os.mkdir(f"{place}/diff", 0o755)
    fd = os.open(f"{place}/diff", os.O_RDONLY)
    kept = tape.Tape(f"{place}/{tape.NAME}")
    try:
        Extractor(fd, Merged(lower)).run(TarReader(Source(iter([raw]), None, kept)))
        return place, True
    except BadArchive:
        return place, False
    finally:
        os.close(fd)
        kept.close()


def compared(made: list[str]) -> str:
    """What ``image verify`` says of the uppermost layer."""
    below = [f"{place}/diff" for place in made[:-1]]
    digest = sha256(b"".join(tape.play(made[-1]))).hexdigest()
    return layer_problem(made[-1], below, f"sha256:{digest}", ())


def check_canary(area: Path) -> None:
    info = os.stat(area / "canary/victim")
    assert (info.st_mode, info.st_nlink, info.st_uid, info.st_size) == (0o100600, 1, os.getuid(), 6)
    assert os.listdir(area / "canary") == ["victim"]


SELF = (Entry(b"a", HARDLINK, link=b"a"), b"")
INSIDE_ITSELF = (Entry(b"a/b", HARDLINK, link=b"a/b/c"), b"")


@QUIET
@example([(Entry(b"a", FILE), b"")], [SELF])
@example([(Entry(b"a/b/c", FILE), b"")], [INSIDE_ITSELF])
@given(st.lists(bodies(), max_size=8), st.lists(bodies(), max_size=8))
def test_entries_of_every_kind(area: Path, first: list[Body], second: list[Body]) -> None:
    home = os.fsencode(area / "canary")
    with tempfile.TemporaryDirectory(dir=area) as scratch:
        made: list[str] = []
        for members in (first, second):
            filled = [(replace(entry, link=entry.link.replace(b"{canary}", home)), data) for entry, data in members]
            raw = make_tar(*filled)
            place, accepted = unpack(Path(scratch), raw, [f"{below}/diff" for below in made[::-1]])
            made.append(place)
            check_canary(area)
            if accepted:
                assert b"".join(tape.play(place)) == raw
                assert compared(made) == ""
        assert sorted(os.listdir(scratch)) == sorted(os.path.basename(path) for path in made)
    assert os.listdir(area) == ["canary"]


names = st.sampled_from([b"a", b"a/b", b"a/b/c", b"a/c", b"b", b"b/a", b"./a//b"])


@st.composite
def repeated(draw: st.DrawFn) -> Body:
    kind = draw(st.sampled_from([FILE, FILE, FILE, DIRECTORY, DIRECTORY, HARDLINK, FIFO]))
    data = draw(st.binary(max_size=700)) if kind == FILE else b""
    xattrs = {"user.a": b"1"} if kind in (FILE, DIRECTORY) and draw(st.booleans()) else None
    link = draw(names) if kind == HARDLINK else b""
    mode, time = draw(st.sampled_from([0o600, 0o4755])), draw(st.integers(0, 3)) * 1_000_000_007
    return Entry(draw(names), kind, mode, 0, draw(st.integers(0, 1)), len(data), time, link, xattrs=xattrs), data


@settings(QUIET, max_examples=200)
@given(st.lists(repeated(), max_size=12), st.lists(repeated(), max_size=12))
def test_names_that_come_again(area: Path, first: list[Body], second: list[Body]) -> None:
    """Files, directories and links over each other: the tape gives the archive back, byte for byte."""
    with tempfile.TemporaryDirectory(dir=area) as scratch:
        made: list[str] = []
        for members in (first, second):
            raw = make_tar(*members)
            place, accepted = unpack(Path(scratch), raw, [f"{below}/diff" for below in made[::-1]])
            if accepted:
                made.append(place)
                assert b"".join(tape.play(place)) == raw
                assert tape.length(place) == len(raw)
                assert compared(made) == ""


@QUIET
@given(st.binary(max_size=2000), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6))
def test_damaged_bytes(area: Path, junk: bytes, changes: list[tuple[int, int]]) -> None:
    xattrs = {"user.a": b"1"}
    raw = bytearray(
        make_tar(
            (Entry(b"d/" + b"x" * 120, FILE, size=700, xattrs=xattrs, mtime_ns=5_000_000_123), b"y" * 700),
            (Entry(b"c", CHAR, major=5, minor=1), b""),
            (Entry(b"h", HARDLINK, link=b"c"), b""),
        )
        + junk
    )
    for at, value in changes:
        raw[at % len(raw)] = value
    for offset in range(0, len(raw) - 511, 512):  # headers stay plausible: the checksum must not hide the rest
        block = raw[offset : offset + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b"        "
            raw[offset + 148 : offset + 156] = b"%06o\0 " % sum(block)
    shutil.rmtree(unpack(area, bytes(raw), [])[0])
    check_canary(area)

"""Digests of layers beside the build: the same ones, each worked out once, and nothing left behind when it ends early."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from runtime.build import snapshot
from runtime.build.cache import Cache, Piece
from runtime.build.hashing import Hashing
from runtime.build.instructions import parse
from runtime.build.stages import plan_stages
from runtime.images.ingest import prepare
from runtime.paths import Roots


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    roots = Roots(str(tmp_path / "state"), str(tmp_path / "run"))
    prepare(roots)
    return Cache(roots)


def layer(cache: Cache, tmp_path: Path, key: str) -> Piece:
    place = tmp_path / key
    (place / "diff").mkdir(parents=True)
    (place / "diff/file").write_bytes(os.urandom(3 << 20))
    return cache.put(key * 40, str(place), 3 << 20)


def test_a_layer_is_hashed_once(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [layer(cache, tmp_path, key) for key in "ab"]
    plain = [snapshot.diff_id(piece.path) for piece in pieces]
    real, calls = snapshot.diff_id, []

    def counted(diff: str, leave: object) -> str:
        calls.append((diff, threading.current_thread() is threading.main_thread()))
        return real(diff)

    monkeypatch.setattr(snapshot, "diff_id", counted)
    hashing = Hashing(cache)
    for piece in pieces:
        hashing.add(piece)
    assert [cache.diff_id(piece) for piece in pieces] == plain
    hashing.close()
    assert sorted(diff for diff, _main in calls) == sorted(piece.path for piece in pieces)


def test_an_end_in_the_middle_leaves_nothing(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piece = layer(cache, tmp_path, "a")
    reached, real, before = threading.Event(), snapshot.tar_chunks, threading.active_count()

    def endless(diff: str) -> object:
        while True:
            reached.set()
            yield b"x"

    monkeypatch.setattr(snapshot, "tar_chunks", endless)
    hashing = Hashing(cache)
    hashing.add(piece)
    assert reached.wait(10)
    hashing.close()
    monkeypatch.setattr(snapshot, "tar_chunks", real)
    assert threading.active_count() == before
    assert '"diff_id":""' in Path(piece.path, "../meta.json").read_text()
    assert cache.diff_id(piece) == snapshot.diff_id(piece.path)
    hashing.add(piece)  # after the end: nothing begins


def test_a_layer_that_is_gone_is_no_error(cache: Cache, tmp_path: Path) -> None:
    hashing = Hashing(cache)
    hashing.add(Piece("layers/gone.build", str(tmp_path / "gone")))
    good = layer(cache, tmp_path, "b")
    hashing.add(good)
    assert cache.diff_id(good).startswith("sha256:")
    hashing.close()


def test_only_layers_of_the_image_are_wanted() -> None:
    text = b"FROM scratch AS a\nFROM a AS b\nFROM scratch AS tool\nFROM b\nCOPY --from=tool /x /y\n"
    plan = plan_stages(parse(text), {}, {})
    assert plan.needed == (0, 1, 2, 3)
    assert plan.lineage == {0, 1, 3}

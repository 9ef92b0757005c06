"""Ways out of a layer, as a catalogue: each is tried alone, and against a lower layer; nothing outside may change.

After each the canary (conftest.py) is as it was, and what the layer made lies inside of its own directory.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.errors import BadArchive
from runtime.images import store
from runtime.images.tar import DIRECTORY, HARDLINK, SYMLINK
from runtime.paths import Roots
from tests.runtime.images.conftest import Body, make_tar, member

pytestmark = pytest.mark.root

OUT = "CANARY"  # becomes the path of the canary's directory, without its first slash
CASES: dict[str, list[Body]] = {
    "dot-dot": [member(f"../../../../../../../{OUT}/pwn", data=b"x")],
    "absolute": [member(f"/{OUT}/pwn", data=b"x")],
    "dot-dot in the middle": [member(f"a/../../../../../../../{OUT}/pwn", data=b"x")],
    "symlink, then through it": [member("x", SYMLINK, link=f"/{OUT}".encode()), member("x/pwn", data=b"x")],
    "relative symlink": [member("x", SYMLINK, link=b"../" * 12 + OUT.encode()), member("x/pwn", data=b"x")],
    "symlink to a symlink": [
        member("a", SYMLINK, link=b"b"),
        member("b", SYMLINK, link=f"/{OUT}".encode()),
        member("a/pwn", data=b"x"),
    ],
    "symlink named like a parent": [
        member("a/b", DIRECTORY),
        member("a/b/c", SYMLINK, link=f"/{OUT}".encode()),
        member("a/b/c/pwn", data=b"x"),
    ],
    "write through a symlink to a file": [
        member("x", SYMLINK, link=f"/{OUT}/victim".encode()),
        member("x", data=b"overwritten"),
    ],
    "directory, then symlink, then directory": [
        member("d", DIRECTORY),
        member("d", SYMLINK, link=f"/{OUT}".encode()),
        member("d", DIRECTORY, mode=0o777),
    ],
    "hard link to the victim": [member("x", HARDLINK, link=f"/{OUT}/victim".encode()), member("x", data=b"y")],
    "hard link by dots": [member("x", HARDLINK, link=b"../" * 12 + f"{OUT}/victim".encode())],
    "hard link through a symlink": [
        member("s", SYMLINK, link=f"/{OUT}".encode()),
        member("x", HARDLINK, link=b"s/victim"),
    ],
    "hard link to a symlink, then modes": [
        member("s", SYMLINK, link=f"/{OUT}/victim".encode()),
        member("x", HARDLINK, link=b"s", mode=0o777),
    ],
    "hard link of a directory": [member("d", DIRECTORY), member("x", HARDLINK, link=b"d")],
    "whiteout outside": [member(f"../../../../../../{OUT}/.wh.victim")],
    "whiteout through a symlink": [member("s", SYMLINK, link=f"/{OUT}".encode()), member("s/.wh.victim")],
    "opaque through a symlink": [member("s", SYMLINK, link=f"/{OUT}".encode()), member("s/.wh..wh..opq")],
    "whiteout of dot-dot": [member("d/.wh...")],
    "whiteout of dot": [member("d/.wh..")],
    "root as a symlink": [member("./", SYMLINK, link=f"/{OUT}".encode()), member("pwn", data=b"x")],
    "dot-dot as a symlink": [member("..", SYMLINK, link=f"/{OUT}".encode()), member("../pwn", data=b"x")],
    "empty parts": [member(f"//..//..//{OUT}//pwn", data=b"x")],
    "proc magic link": [member("p", SYMLINK, link=b"/proc/self/root"), member(f"p/{OUT}/pwn", data=b"x")],
    "proc cwd": [member("p", SYMLINK, link=b"/proc/self/cwd"), member("p/pwn-cwd", data=b"x")],
    "a file as a parent": [member("f", data=b"x"), member("f/../../pwn", data=b"x")],
    "loop": [member("a", SYMLINK, link=b"b"), member("b", SYMLINK, link=b"a"), member("a/pwn", data=b"x")],
}


def layer(name: str, canary: str) -> bytes:
    def put(text: bytes) -> bytes:
        return text.replace(OUT.encode(), canary.lstrip("/").encode())

    return make_tar(*[member(put(e.name), e.type, data, link=put(e.link), mode=e.mode) for e, data in CASES[name]])


@pytest.mark.parametrize("name", CASES)
def test_nothing_gets_out(roots: Roots, tmp_path: Path, canary: str, name: str) -> None:
    (tmp_path / "x.tar").write_bytes(layer(name, canary))
    before = set(os.listdir("/"))
    try:
        store.import_rootfs(roots, str(tmp_path / "x.tar"), "x:1")
    except BadArchive:
        assert os.listdir(f"{roots.state}/images/layers") == []
    assert set(os.listdir("/")) == before
    assert not os.path.exists("pwn-cwd")
    assert os.listdir(f"{roots.state}/images/staging") == []


@pytest.mark.parametrize("name", CASES)
def test_nothing_gets_out_by_a_lower_layer(roots: Roots, canary: str, name: str) -> None:
    """The first entries in one layer, the last one in the next: what was a symlink below is followed inside."""
    from runtime.images.compression import decompress
    from runtime.images.ingest import Layer, Staging

    def put(text: bytes) -> bytes:
        return text.replace(OUT.encode(), canary.lstrip("/").encode())

    rows = [member(put(e.name), e.type, data, link=put(e.link), mode=e.mode) for e, data in CASES[name]]
    layers: list[Layer] = []
    with Staging(roots) as staging:
        try:
            for part in (rows[:-1], rows[-1:]):
                layers.append(staging.add_layer(decompress([make_tar(*part)]), layers))
        except BadArchive:
            return
        for one in layers:
            top = os.stat(one.path).st_dev
            for directory, _names, files in os.walk(one.path):
                assert all(os.lstat(f"{directory}/{file}").st_dev == top for file in files)

"""What misses the cache and what does not: BuildKit's rules, asked of our builder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.build.cache import Cache, kept_layers, prune
from runtime.build.errors import BuildFault
from runtime.build.request import Secret
from runtime.images import store
from tests.runtime.build.build_support import Workshop

pytestmark = pytest.mark.root

FILE = """FROM base:1
ARG A=1
COPY a.txt /a
RUN echo $A > /r
LABEL l=1
RUN echo second > /tmp/s
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    made = Workshop(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/a.txt").write_text("a\n")
    (tmp_path / "c/Dockerfile").write_text(FILE)
    return made


def cached(workshop: Workshop, **settings: object) -> str:
    """One letter a step: c(ached) or m(ade)."""
    _image, events = workshop.build(workshop.directory / "c", **settings)
    return "".join("c" if hit else "m" for _title, hit in workshop.steps(events))


def test_nothing_changed_gives_the_same_image(workshop: Workshop) -> None:
    first, _events = workshop.build(workshop.directory / "c", tags=("t:1",))
    assert cached(workshop) == "ccc"
    assert workshop.build(workshop.directory / "c", tags=("t:1",))[0] == first


def touch(context: Path) -> None:
    os.utime(context / "a.txt", (1, 1))


def other_file(context: Path) -> None:
    (context / "b.txt").write_text("b")


def content(context: Path) -> None:
    (context / "a.txt").write_text("other")


def mode(context: Path) -> None:
    (context / "a.txt").chmod(0o600)


def edit(old: str, new: str) -> Callable[[Path], None]:
    def change(context: Path) -> None:
        path = context / "Dockerfile"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (touch, "ccc"),
        (other_file, "ccc"),
        (content, "mmm"),
        (mode, "mmm"),
        (edit("LABEL l=1", "LABEL l=2"), "ccc"),
        (edit("LABEL l=1", "# comment\nCMD x\nEXPOSE 1"), "ccc"),
        (edit("LABEL l=1", "ENV E=1"), "ccm"),
        (edit("LABEL l=1", "USER app"), "ccm"),
        (edit("LABEL l=1", 'SHELL ["/bin/sh", "-e", "-c"]'), "ccm"),
        (edit("ARG A=1", "ARG A=2"), "cmm"),
        (edit("ARG A=1", "ARG A=1\nARG B"), "ccc"),
        (edit("ARG A=1", "ENV A=1"), "ccc"),
        (edit("COPY a.txt", "COPY --chmod=600 a.txt"), "mmm"),
    ],
)
def test_what_misses(workshop: Workshop, change: Callable[[Path], None], expected: str) -> None:
    assert cached(workshop) == "mmm"
    change(workshop.directory / "c")
    assert cached(workshop) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"args": {"A": "9"}}, "cmm"),
        ({"args": {"UNDECLARED": "9"}}, "ccc"),
        ({"args": {"HTTP_PROXY": "http://p"}}, "ccc"),
        ({"labels": {"x": "y"}}, "ccc"),
        ({"extra_hosts": (("a", "1.2.3.4"),)}, "cmm"),
        ({"no_cache": True}, "mmm"),
    ],
)
def test_what_of_the_request_misses(workshop: Workshop, settings: dict[str, object], expected: str) -> None:
    cached(workshop)
    assert cached(workshop, **settings) == expected


def test_the_address_of_an_extra_host_is_not_in_the_key(workshop: Workshop) -> None:
    cached(workshop, extra_hosts=(("a", "1.2.3.4"),))
    assert cached(workshop, extra_hosts=(("a", "4.3.2.1"),)) == "ccc"


def test_secrets_are_not_in_the_key(workshop: Workshop) -> None:
    (workshop.directory / "c/Dockerfile").write_text("FROM base:1\nRUN --mount=type=secret,id=s true\n")
    assert cached(workshop, secrets={"s": Secret(b"1")}) == "m"
    assert cached(workshop, secrets={"s": Secret(b"2")}) == "c"
    assert cached(workshop) == "c"


def test_a_stage_that_ran_again_with_the_same_files_leaves_copies_of_it_cached(workshop: Workshop) -> None:
    text = (
        "FROM base:1 AS a\nARG X=1\nRUN mkdir /o && echo same > /o/f\nFROM base:1\nCOPY --from=a /o /o\nRUN cat /o/f\n"
    )
    (workshop.directory / "c/Dockerfile").write_text(text)
    assert cached(workshop) == "mmm"
    assert cached(workshop, args={"X": "2"}) == "mcc"


def test_a_copy_found_by_its_stage_leaves_what_follows_cached(workshop: Workshop, tmp_path: Path) -> None:
    text = "FROM base:1 AS a\nRUN echo x > /f\nFROM base:1\nCOPY --from=a /f /f\nWORKDIR /w\nRUN cat /f\n"
    (workshop.directory / "c/Dockerfile").write_text(text)
    first = workshop.build(workshop.directory / "c")[0]
    assert cached(workshop) == "cccc"
    words = (f"type=local,dest={tmp_path}/cache",)
    assert workshop.build(workshop.directory / "c", cache_to=words)[0].digest == first.digest
    (tmp_path / "elsewhere").mkdir()
    other = Workshop(tmp_path / "elsewhere")
    _image, events = other.build(workshop.directory / "c", cache_from=(f"type=local,src={tmp_path}/cache",))
    assert all(hit for _title, hit in other.steps(events))


def test_the_size_of_an_image_counts_its_base(workshop: Workshop) -> None:
    image = workshop.build(workshop.directory / "c")[0]
    assert image.size == workshop.base.size + len("a\n") + len("1\n") + len("second\n")


def test_a_linked_copy_does_not_depend_on_what_is_below(workshop: Workshop) -> None:
    (workshop.directory / "c/Dockerfile").write_text(
        "FROM base:1\nARG X=1\nRUN echo $X\nCOPY --link a.txt /l/\nRUN true\n"
    )
    assert cached(workshop) == "mmm"
    assert cached(workshop, args={"X": "2"}) == "mcm"


def test_no_cache_of_one_stage_and_the_next_build_takes_the_newer_results(workshop: Workshop) -> None:
    text = "FROM base:1 AS a\nRUN head -c 8 /dev/urandom | od -x > /r || date > /r\nFROM base:1 AS b\nRUN true\nCOPY --from=a /r /\n"
    (workshop.directory / "c/Dockerfile").write_text(text)
    cached(workshop)
    assert sorted(cached(workshop, no_cache_stages=("a",))) == sorted("mcm")
    assert cached(workshop) == "ccc"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("FROM a\nRUN cat /r > /s\nCOPY a.txt /a\nCOPY --link a.txt /l\n", "mmmc"),
        ("FROM base:1\nRUN --mount=from=a,target=/m cat /m/r > /s\nRUN true\n", "mmm"),
        ("FROM base:1\nCOPY --from=a /r /r\nRUN cat /r > /s\n", "mmm"),
        ("FROM base:1\nCOPY --from=a /same /r\nRUN cat /r > /s\n", "mcc"),
    ],
)
def test_what_stands_on_a_command_that_ran_again_is_made_again(workshop: Workshop, rest: str, expected: str) -> None:
    """As BuildKit has it, asked with --no-cache-filter: else the image would have old and new results side by side."""
    text = f"FROM base:1 AS a\nRUN cat /proc/sys/kernel/random/uuid > /r && echo same > /same\n{rest}"
    (workshop.directory / "c/Dockerfile").write_text(text)
    cached(workshop)
    assert cached(workshop, no_cache_stages=("a",)) == expected
    assert cached(workshop) == "c" * len(expected)


def test_removing_the_image_keeps_the_cache_and_prune_takes_it(workshop: Workshop) -> None:
    workshop.build(workshop.directory / "c", tags=("t:1",))
    store.remove_image(workshop.roots, "t:1", True)
    assert cached(workshop) == "ccc"
    workshop.build(workshop.directory / "c", tags=("t:2",))
    assert kept_layers(workshop.roots)
    records, _freed = prune(workshop.roots)
    assert records >= 3
    assert not kept_layers(workshop.roots)
    assert store.resolve(workshop.roots, "t:2").snapshots  # an image's layers stay
    for name in store.resolve(workshop.roots, "t:2").snapshots:
        assert os.path.isdir(f"{workshop.roots.state}/images/{name}/diff")
    assert cached(workshop) == "mmm"


def test_a_cache_directory_carries_results_to_another_store(workshop: Workshop, tmp_path: Path) -> None:
    text = FILE + "RUN rm -r /home && mkdir /home\nCOPY --link a.txt /l\n"
    (workshop.directory / "c/Dockerfile").write_text(text)
    first, _events = workshop.build(workshop.directory / "c", cache_to=(f"type=local,dest={tmp_path}/kept",))
    (tmp_path / "other").mkdir()
    other = Workshop(tmp_path / "other")
    source = (f"type=local,src={tmp_path}/kept", "type=gha")
    image, events = other.build(workshop.directory / "c", cache_from=source)
    assert [hit for _title, hit in other.steps(events)] == [True] * 5
    assert image.layers == first.layers
    assert [event.text for event in events.of("Warned")] == [
        "cache type=gha is not used: known types are local, registry, inline"
    ]
    blobs = Path(f"{tmp_path}/kept/blobs/sha256")
    for blob in blobs.iterdir():
        blob.write_bytes(b"\0" * 10240)
    (tmp_path / "third").mkdir()
    third = Workshop(tmp_path / "third")
    _image, events = third.build(workshop.directory / "c", cache_from=source)
    assert [hit for _title, hit in third.steps(events)] == [False] * 5


def test_after_a_power_failure_only_what_was_on_the_disk_counts(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("runtime.build.cache.syncfs", lambda fd: synced.append(fd))
    cached(workshop)
    assert len(synced) == 1  # the image was written, and before it all that it names
    assert cached(workshop) == "ccc" and len(synced) == 1
    time.sleep(0.02)
    (workshop.directory / "c/Dockerfile").write_text(FILE + "RUN echo third > /t\nRUN exit 1\n")
    with pytest.raises(BuildFault):
        cached(workshop)
    (workshop.directory / "c/Dockerfile").write_text(FILE + "RUN echo third > /t\n")
    monkeypatch.setattr("runtime.build.cache.boot_id", lambda: "another")
    assert cached(workshop) == "cccm"


def test_a_damaged_record_is_a_miss(workshop: Workshop) -> None:
    cached(workshop)
    cache = Cache(workshop.roots)
    for name in os.listdir(cache.directory):
        Path(cache.directory, name).write_text("{")
    assert cached(workshop) == "mmm"


def test_a_build_killed_anywhere_leaves_a_store_that_builds(workshop: Workshop) -> None:
    (workshop.directory / "c/Dockerfile").write_text(FILE + "RUN sleep 0.2 && echo x > /x\n")
    code = (
        "import sys; from pathlib import Path; from runtime.build import build; from runtime.build.request import *\n"
        "from runtime.paths import Roots\n"
        "class Quiet:\n    def emit(self, event): pass\n"
        "build(Roots(sys.argv[1], sys.argv[2]), BuildRequest(sys.argv[3], tags=('t:1',)), Quiet())\n"
    )
    argv = [sys.executable, "-c", code, workshop.roots.state, workshop.roots.run, str(workshop.directory / "c")]
    for delay in (0.05, 0.15, 0.25, 0.3, 0.4):
        process = subprocess.Popen(argv, cwd=Path(__file__).parents[3])
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    image, _events = workshop.build(workshop.directory / "c", tags=("t:1",))
    assert store.resolve(workshop.roots, "t:1").digest == image.digest
    deadline = time.monotonic() + 5
    while os.listdir(f"{workshop.roots.run}/containers") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert os.listdir(f"{workshop.roots.run}/containers") == []
    assert os.listdir(f"{workshop.roots.state}/images/staging") == []

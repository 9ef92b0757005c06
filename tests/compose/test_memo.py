from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compose import memo
from compose.errors import SpecError
from compose.plan.desired import Desired
from compose.project import LoadOptions, load_desired

BASE = """\
services:
  web:
    image: ${IMAGE:-nginx}
    env_file: web.env
    secrets: [key]
    depends_on: [db]
  db: {image: postgres, environment: [TOKEN]}
secrets: {key: {file: ./key}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "compose.yaml").write_text(BASE)
    (directory / "web.env").write_text("A=1\n")
    (directory / "key").write_text("secret")
    return directory


def load(place: Path, environ: dict[str, str] | None = None, **options: object) -> Desired:
    return load_desired(LoadOptions(cwd=str(place), **options), environ or {}, str(place.parent / "state"))  # type: ignore[arg-type]


def memos(place: Path) -> list[Path]:
    return sorted((place.parent / "state" / "memos").glob("*.json"))


def remembered(place: Path, environ: dict[str, str] | None = None, **options: object) -> Desired | None:
    """What the memo alone answers."""
    wanted = LoadOptions(cwd=str(place), **options)  # type: ignore[arg-type]
    return memo.read(memo.path_of(wanted, str(place), str(place.parent / "state")), environ or {})


def test_the_memo_answers_like_the_load(place: Path) -> None:
    first = load(place)
    assert remembered(place) == first
    assert load(place) == first


def test_the_memo_is_private_and_tells_no_variables(place: Path) -> None:
    load(place, {"IMAGE": "very-special-image", "UNRELATED": "unrelated-value"})
    [path] = memos(place)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    written = json.loads(path.read_text())
    assert "IMAGE" in written["variables"] and "UNRELATED" not in written["variables"]
    assert "very-special-image" not in json.dumps(written["variables"])
    assert list(path.parent.iterdir()) == [path]  # no temporary file stays


def rewrite(path: Path, text: str) -> None:
    """Change a file without changing its size's and times' stamp more than the kernel does."""
    path.write_text(text)


CHANGES = {
    "a Compose file": lambda p: rewrite(p / "compose.yaml", BASE.replace("postgres", "postgrey")),
    "an env file": lambda p: rewrite(p / "web.env", "A=2\n"),
    "a secret": lambda p: rewrite(p / "key", "SECRET"),
    "an override appears": lambda p: rewrite(p / "compose.override.yaml", "services: {db: {image: new}}"),
    "a .env appears": lambda p: rewrite(p / ".env", "IMAGE=fromfile\n"),
    "a better candidate": lambda p: rewrite(p / "compose.yml", "services: {}"),
    "a secret goes": lambda p: (p / "key").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input_is_noticed(change: str, place: Path) -> None:
    before = load(place)
    CHANGES[change](place)
    assert remembered(place) is None
    after = load(place)
    assert after != before
    assert remembered(place) == after


def test_same_size_and_times_but_other_content(place: Path) -> None:
    load(place)
    path = place / "web.env"
    status = path.stat()
    with open(path, "r+b") as file:
        file.write(b"A=9\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load(place).service("web").config["environment"]["A"] == "9"


def test_young_files_are_compared_by_content(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change within the clock's step leaves the stamp as it was."""
    load(place)
    kept = {str(p): memo._stamp(str(p)) for p in place.iterdir()}
    (place / "web.env").write_text("A=7\n")
    real = memo._stamp
    monkeypatch.setattr(memo, "_stamp", lambda path: kept.get(path, real(path)))
    assert remembered(place) is None


def test_old_files_are_compared_by_stamp_only(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda real=time.time_ns: real() + 10_000_000_000)
    first = load(place)
    [path] = memos(place)
    assert {entry[1] for entry in json.loads(path.read_text())["files"].values() if entry} == {""}
    assert remembered(place) == first


def test_variables(place: Path) -> None:
    unset = load(place)
    assert unset.service("db").config["environment"] == {"TOKEN": None}
    assert remembered(place, {"TOKEN": "t"}) is None
    assert load(place, {"TOKEN": "t"}).service("db").config["environment"] == {"TOKEN": "t"}
    assert remembered(place, {"TOKEN": ""}) is None
    assert remembered(place, {"TOKEN": "t", "OTHER": "x"}) is not None


def test_options_have_memos_of_their_own(place: Path) -> None:
    load(place)
    load(place, project_name="other")
    load(place, profiles=("p",))
    assert len(memos(place)) == 3


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b"\xff", b'{"format":1,"key":"zz","files":{},"variables":{}}']
)
def test_a_damaged_memo_counts_as_none(damage: bytes, place: Path) -> None:
    first = load(place)
    [path] = memos(place)
    path.write_bytes(damage)
    assert load(place) == first
    assert remembered(place) == first


def test_a_memo_that_others_may_write_is_not_trusted(place: Path) -> None:
    load(place)
    memos(place)[0].chmod(0o666)
    assert remembered(place) is None


def test_without_a_state_directory(place: Path) -> None:
    (place.parent / "state").write_text("a file is in the way")
    assert load(place) == load(place)


def test_errors_are_not_remembered(place: Path) -> None:
    (place / "compose.yaml").write_text("services: {a: {}}")
    for _ in range(2):
        with pytest.raises(SpecError, match="neither an image nor a build"):
            load(place)
    assert memos(place) == []


EDITS = st.lists(
    st.one_of(
        st.tuples(
            st.just("compose.yaml"),
            st.sampled_from([BASE, BASE.replace("nginx", "caddy"), "services: {a: {image: x}}"]),
        ),
        st.tuples(
            st.just("compose.override.yaml"),
            st.sampled_from(["", "services: {db: {image: q}}", "services: {n: {image: n}}"]),
        ),
        st.tuples(st.just("web.env"), st.sampled_from(["A=1\n", "A=2\n", "B=${IMAGE}\n"])),
        st.tuples(st.just(".env"), st.sampled_from(["", "IMAGE=a\n", "COMPOSE_PROJECT_NAME=zz\n", "TOKEN=q\n"])),
        st.tuples(st.just("key"), st.sampled_from(["", "one", "two"])),
        st.tuples(st.just("$IMAGE"), st.sampled_from(["", "i1", "i2"])),
        st.tuples(st.just("$COMPOSE_PROFILES"), st.sampled_from(["", "p"])),
        st.tuples(st.just("forget"), st.just("")),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_memo_and_load_agree_after_any_edits(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str]]
) -> None:
    place = tmp_path_factory.mktemp("p") / "app"
    place.mkdir()
    for name, text in (("compose.yaml", BASE), ("web.env", "A=1\n"), ("key", "k")):
        (place / name).write_text(text)
    environ: dict[str, str] = {}
    for name, text in edits:
        if name == "forget":
            for path in memos(place):
                path.unlink()
        elif name.startswith("$"):
            environ[name[1:]] = text
        elif text or name == "key":
            (place / name).write_text(text)
        else:
            (place / name).unlink(missing_ok=True)
        fresh = load_desired(LoadOptions(cwd=str(place)), environ, str(place.parent / f"fresh{time.monotonic_ns()}"))
        assert load(place, environ) == fresh
        assert load(place, environ) == fresh


def test_what_a_remembered_load_imports(place: Path) -> None:
    load(place)
    root = str(Path(__file__).resolve().parents[2])
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from compose.project import LoadOptions, load_desired
load_desired(LoadOptions(cwd=sys.argv[2]), {}, sys.argv[3])
heavy = "yaml pydantic networkx typing dataclasses socket pathlib subprocess enum inspect logging hashlib typer collections.abc"
print(*sorted(set(heavy.split()) & sys.modules.keys()))
"""
    out = subprocess.run(
        [sys.executable, "-S", "-c", code, root, str(place), str(place.parent / "state")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(out.stdout.split()) <= {"enum", "collections.abc"}  # what re and os bring


def test_a_first_load_imports_neither_pydantic_nor_networkx(place: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from compose.project import LoadOptions, load_desired
load_desired(LoadOptions(cwd=sys.argv[2]), {}, sys.argv[3])
print(*sorted({"pydantic", "networkx", "hashlib", "yaml"} & sys.modules.keys()))
"""
    out = subprocess.run(
        [sys.executable, "-c", code, root, str(place), str(place.parent / "state")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert out.stdout.split() == ["yaml"]


def test_fifty_services_are_read_back_fast(tmp_path: Path) -> None:
    services = "".join(
        f"  s{i}:\n    image: nginx:{i}\n    environment: {{A: b, C: d, E: f}}\n    ports: ['{8000 + i}:80']\n"
        f"    volumes: [./d{i}:/data]\n    labels: {{x: y}}\n"
        for i in range(50)
    )
    (tmp_path / "compose.yaml").write_text("services:\n" + services)
    options, state = LoadOptions(cwd=str(tmp_path)), str(tmp_path / "state")
    load_desired(options, {}, state)
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        load_desired(options, {}, state)
        best = min(best, time.perf_counter() - start)
    assert best < 0.003


def test_byte_code_that_is_written_meanwhile_changes_no_version() -> None:
    spec = Path(memo.__file__).parent / "spec"
    before = memo.version()
    (spec / "__pycache__").mkdir(exist_ok=True)
    marker = spec / "__pycache__" / "written-by-a-test.pyc"
    marker.touch()
    marker.unlink()
    assert memo.version() == before

"""Properties: whatever the bytes, a project or a SpecError, soon; merging groups as one likes; texts survive."""

from __future__ import annotations

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from compose.api.config import Question, answer
from compose.errors import ComposeError, SpecError
from compose.project import LoadOptions
from compose.spec.check import Check
from compose.spec.document import parse_documents
from compose.spec.interpolate import substitute
from compose.spec.merge import merge_documents
from compose.spec.pipeline import LENIENT, load
from compose.spec.schema import check_document
from compose.spec.tree import Map, Report

from .mergeable import ATTRIBUTES, documents
from .recorded import HERE
from .test_spec_robust import FILES

GOOD = [
    path.read_text().split("-- f0.yaml --\n")[1].split("\n-- ")[0].encode()
    for path in sorted((HERE / "known").glob("*.txt"))
]
QUESTIONS = (
    Question(),
    Question(interpolate=False),
    Question(about="variables"),
    Question(about="explain", detail="services"),
)
SLOWEST = 2.0  # seconds of the processor: other tests may run beside
quiet = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.getbasetemp() / "properties"
    directory.mkdir(exist_ok=True)
    return directory


def survives(content: bytes, directory: Path, questions: tuple[Question, ...] = QUESTIONS) -> None:
    """Every question about a file is answered or refused with our own errors, and soon."""
    (directory / "c.yaml").write_bytes(content)
    for question in questions:
        start = time.process_time()
        try:
            text = answer(LoadOptions(files=("c.yaml",), cwd=str(directory)), question, {"HOME": "/root"}).text
            assert isinstance(text, str)
        except ComposeError as error:
            assert error.message and "Broken object" not in error.text()
        assert time.process_time() - start < SLOWEST


@quiet
@given(content=st.binary(max_size=200))
@example(content=b"\xff\xfe")
@example(content=b"\xef\xbb\xbfservices: {a: {image: x}}")
@example(content=b"services: {a: {image: \x00}}")
@example(content="services: {a: {image: \ud83d\ude00}}".encode("utf-8", "surrogatepass"))
@example(content=b"services: {a: {image: x, labels: {a: 2024-13-99, b: 0x, c: 1e999, d: -.inf}}}")
def test_any_bytes(content: bytes, place: Path) -> None:
    survives(content, place)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good file with a few cuts, doubled pieces and foreign bytes."""
    content = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 30)))
        foreign = draw(st.sampled_from([b"", b":", b"\n", b"  ", b"- ", b"{", b"]", b"*a", b"&a ", b"<<: ", b"!reset ",
                                        b"!override ", b"${", b"$$", b"'", b'"', b"null", b"~", b"0", b"\t", b"#", b"| ", b"\xc3"]))  # fmt: skip
        doubled = draw(st.booleans())
        content = (
            content[:start] + foreign + (content[start:end] if doubled else b"") + content[start if doubled else end :]
        )
    return content


@settings(quiet, max_examples=200)
@given(content=mutated())
def test_mutations_of_good_files(content: bytes, place: Path) -> None:
    survives(content, place)


HARD: dict[str, bytes] = {
    "deep lists": b"x-a: " + b"[" * 5000 + b"]" * 5000,
    "deep mappings": b"x-a: " + b"{a: " * 3000 + b"}" * 3000,
    "deep blocks": b"".join(b" " * i + b"a:\n" for i in range(400)),
    "deep variables": b"services: {a: {image: '" + b"${A:-" * 3000 + b"}" * 3000 + b"'}}",
    "unclosed variables": b"services: {a: {image: '" + b"${A" * 100_000 + b"'}}",
    "many unset variables": b"services: {a: {image: x, command: [" + b", ".join(b"$A%d" % i for i in range(10_000)) + b"]}}",
    "many unknown keys": b"services: {a: {image: x, " + b", ".join(b"key%d: 1" % i for i in range(5000)) + b"}}",
    "many unknown services": b"services: {a: {image: x, depends_on: [" + b", ".join(b"s%d" % i for i in range(3000)) + b"]}}",
    "a long cycle": b"services:\n" + b"".join(b"  s%d: {image: x, depends_on: [s%d]}\n" % (i, (i + 1) % 2000) for i in range(2000)),
    "a number of many digits": b"x-a: " + b"9" * 100_000,
    "a hexadecimal number of many digits": b"x-a: 0x" + b"f" * 100_000,
    "an exponent": b"services: {a: {image: x, cpus: 1e400, mem_limit: 1e300, scale: 1e99, pids_limit: 99999999999999999999}}",
    "sizes": b"services: {a: {image: x, mem_limit: " + b"9" * 5000 + b"g, shm_size: 1e5000, stop_grace_period: " + b"9" * 5000 + b"h}}",
    "a port of many digits": b"services: {a: {image: x, ports: ['" + b"9" * 5000 + b"']}}",
    "many ports": b"services: {a: {image: x, ports: ['1-9000:1-9000']}}",
    "one long line": b"services: {a: {image: '" + b"x" * 2_000_000 + b"'}}",
    "many aliases": b"x-a: &a [" + b"1," * 900 + b"]\nx-b: [" + b"*a," * 200 + b"]",
    "many merge keys": b"x-a: &a {" + b", ".join(b"k%d: 1" % i for i in range(300)) + b"}\nx-b: {<<: [" + b"*a," * 300 + b"]}",
    "many documents": b"---\nservices: {a: {image: x}}\n" * 2000,
    "the same item often": b"services: {a: {image: x, security_opt: [" + b"a," * 5000 + b"]}}",
}  # fmt: skip


@pytest.mark.parametrize("case", HARD)
def test_hard(case: str, place: Path) -> None:
    survives(HARD[case], place, QUESTIONS[:1])


def layer(document: Any) -> Map | None:
    """A document in canonical form, or None when something is wrong with it."""
    report = Report()
    [root] = parse_documents(json.dumps(document).encode(), "f", report)
    check = Check(root, report)
    found = check_document(root, check)
    return found if isinstance(found, Map) and not (report.problems or check.deferred) else None


def told(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_merging_may_be_grouped(name: str) -> None:
    """Of any three files, with null: as docker compose groups them, from the left, or otherwise.

    Only a change of log drivers is not alike, where docker compose's grouping decides.
    """
    layers = [layer(document) for document in documents(name)]
    assert None not in layers
    for first, second, third in product([found for found in layers if found is not None], repeat=3):
        left = merge_documents(merge_documents(first, second), third)
        right = merge_documents(first, merge_documents(second, third))
        blocks = [found["services"]["a"].get("logging") or {} for found in (first, second, third)]
        if len({block["driver"] for block in blocks if "driver" in block}) < 2:
            assert told(left) == told(right)
        else:
            assert told(left["services"]["a"]["logging"]) == told(_from_the_left(blocks))


def _from_the_left(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """What docker compose 2.40 makes of log settings: another driver starts anew, all else is added."""
    result: dict[str, Any] = {}
    for block in blocks:
        if {result.get("driver"), block.get("driver")} - {None, block.get("driver", result.get("driver"))}:
            result = {}
        options = {**result.get("options", {}), **block.get("options", {})}
        result = {**result, **block, **({"options": options} if options else {})}
    return result


@settings(quiet, max_examples=60)
@given(document=FILES)
def test_merging_with_nothing_or_twice(document: Any) -> None:
    found = layer(document)
    if found is None:
        return
    whole = merge_documents(Map(), found)
    assert told(merge_documents(whole, Map())) == told(whole)
    assert told(merge_documents(Map(), whole)) == told(whole)


@settings(quiet, max_examples=300)
@given(text=st.text(max_size=40))
@example(text="$")
@example(text="${A:-$$}")
def test_what_config_escapes_comes_back(text: str) -> None:
    assert substitute(text.replace("$", "$$"), lambda name: None, lambda name: None) == text


@settings(quiet, max_examples=60)
@given(
    value=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff\u2028\u2029\x85"),
        max_size=30,
    )
)
def test_any_text_survives_config(value: str, place: Path) -> None:
    document = {
        "services": {
            "a": {
                "image": "x",
                "environment": {"V": value.replace("$", "$$")},
                "command": ["c", value.replace("$", "$$")],
            }
        }
    }
    (place / "t.yaml").write_text(json.dumps(document, ensure_ascii=False))
    for format in ("yaml", "json"):
        text = answer(LoadOptions(files=("t.yaml",), cwd=str(place)), Question(format=format), {}).text
        (place / "again.yaml").write_text(text)
        service = load(LoadOptions(files=("again.yaml",), cwd=str(place)), {}, LENIENT).root["services"]["a"]
        assert (service["environment"]["V"], service["command"][1]) == (value, value)


@settings(quiet, max_examples=100)
@given(name=st.text(max_size=12), content=st.binary(max_size=120))
def test_any_env_file(name: str, content: bytes, place: Path) -> None:
    (place / "e.yaml").write_text("services: {a: {image: x, env_file: [any.env, {path: any.env, format: raw}]}}")
    (place / "any.env").write_bytes(name.encode("utf-8", "replace") + b"=" + content)
    try:
        load(LoadOptions(files=("e.yaml",), cwd=str(place)), {}, LENIENT)
    except SpecError as error:
        assert "any.env" in error.text()

"""Whatever a file holds, loading ends in a project or in a SpecError; and the tables are complete."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compose.errors import SpecError
from compose.model.project import Service
from compose.project import LoadOptions
from compose.spec import schema, support
from compose.spec.desire import desired_from_loaded, plain_project
from compose.spec.pipeline import LENIENT, load
from compose.spec.scalars import go_text, resolve_plain

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70000), st.floats(allow_nan=False, width=32),
    st.sampled_from(["", "a", "b", "80:80", "./x:/x", "v:/v", "service:a", "1g", "1s", "$A", "${A:-b}", "${", "A=b", "10", "yes",
                     "on-failure:3", ":", "/", "~", "a:b:c:d", "=", "\u00e9", "'", "CMD", "service_started", "bind", "x-y"]),
)  # fmt: skip
KEYS = st.sampled_from(
    [*schema.SERVICE, "a", "b", "source", "target", "type", "path", "condition", "x-z", "limits", "soft", "hard"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
SERVICES = st.dictionaries(st.sampled_from(sorted(schema.SERVICE)), VALUES, max_size=5)
RESOURCES = st.dictionaries(st.sampled_from(["v", "n", "s", "default"]), VALUES, max_size=2)
FILES = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(SERVICES, VALUES), max_size=2)},
    optional={key: RESOURCES for key in ("networks", "volumes", "secrets", "configs")},
)


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(base=FILES, over=FILES)
def test_only_spec_errors(tmp_path_factory: pytest.TempPathFactory, base: Any, over: Any) -> None:
    directory = tmp_path_factory.getbasetemp() / "robust"
    directory.mkdir(exist_ok=True)
    (directory / "f0.yaml").write_text(json.dumps(base))
    (directory / "f1.yaml").write_text(json.dumps(over))
    try:
        loaded = load(LoadOptions(files=("f0.yaml", "f1.yaml"), cwd=str(directory)), {}, LENIENT)
        plain_project(loaded)
        desired_from_loaded(loaded)
    except SpecError as error:
        assert error.problems
        assert all(problem.message and "Broken" not in problem.text() for problem in error.problems)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(alphabet="abc: -[]{}&*!|>'\"\n\t#?<%@`,", max_size=60))
def test_only_spec_errors_for_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    directory = tmp_path_factory.getbasetemp() / "robust-text"
    directory.mkdir(exist_ok=True)
    (directory / "f.yaml").write_text(text)
    try:
        load(LoadOptions(files=("f.yaml",), cwd=str(directory)), {}, LENIENT)
    except SpecError:
        pass


@given(st.text(alphabet="0123456789+-._eExXobBnaif~ANTUEtruylsonu:", max_size=12))
def test_any_scalar_has_a_text(text: str) -> None:
    assert isinstance(go_text(resolve_plain(text)), str)


def test_the_support_table_names_every_attribute() -> None:
    assert set(support.SERVICE) == set(schema.SERVICE)
    assert set(support.TOP) == set(schema.TOP)


def test_the_model_has_every_attribute() -> None:
    gone = {"extends", "env_file", "label_file"}
    assert set(Service.model_fields) == (set(schema.SERVICE) - gone) | {"extensions"}


def test_the_support_page_is_the_table() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "spec-support.md"
    assert page.read_text() == support.table()


def test_five_thousand_lines(tmp_path: Path) -> None:
    body = "".join(
        f"  s{i}:\n    image: nginx:{i}\n    command: [a, b, '${{X:-{i}}}']\n    environment:\n      A: '1'\n      B: ${{HOME:-}}\n"
        f"      C: 3\n    ports:\n      - '{8000 + i}:80'\n    volumes:\n      - ./d{i}:/data\n      - vol:/vol:ro\n"
        f"    depends_on:\n      - s{max(i - 1, 0) if i else 300}\n    labels:\n      - a=b\n      - c=d\n"
        for i in range(300)
    )
    text = "services:\n" + body + "  s300: {image: x}\nvolumes:\n  vol:\n"
    assert text.count("\n") > 5000
    (tmp_path / "compose.yaml").write_text(text)
    start = time.process_time()  # of the processor: other tests may run beside
    loaded = load(LoadOptions(cwd=str(tmp_path)), {})
    desired_from_loaded(loaded)
    assert time.process_time() - start < 0.5


def test_the_ports_of_a_range_are_passed_on_as_they_are(tmp_path: Path) -> None:
    """A range may hold 65,535: each may cost only a few calls on its way through all phases."""
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, ports: ['1-2000:1-2000', '80:80']}}")
    options = LoadOptions(cwd=str(tmp_path))
    load(options, {}, LENIENT)  # imports
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        loaded = load(options, {}, LENIENT)
    finally:
        sys.setprofile(None)
    ports = loaded.root["services"]["a"]["ports"]
    assert len(ports) == 2000
    assert ports[-1] == {"mode": "ingress", "protocol": "tcp", "published": "2000", "target": 2000}
    assert calls < 8 * 2000

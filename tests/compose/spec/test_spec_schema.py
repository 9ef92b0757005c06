"""The JSON schema for editors: it accepts what the loader accepts, and knows every key the loader knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from compose.spec import schema, support
from compose.spec.check import STRING, schema_of
from compose.spec.schema import json_schema

from .recorded import Case
from .test_spec_answers import ANSWERS

jsonschema: Any = pytest.importorskip("jsonschema", reason="jsonschema is not installed: run make install")
WHOLE = json_schema()
SERVICE = WHOLE["properties"]["services"]["anyOf"][0]["additionalProperties"]["anyOf"][0]
VALIDATOR = jsonschema.Draft202012Validator(WHOLE)


class _Loader(yaml.SafeLoader):
    """YAML for the schema: our two tags are what they hold."""


def _tagged(loader: Any, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else None


for tag in ("!reset", "!override"):
    _Loader.add_constructor(tag, _tagged)
_Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(WHOLE)


def test_it_knows_every_key() -> None:
    assert set(WHOLE["properties"]) == set(schema.TOP)
    assert set(SERVICE["properties"]) == set(schema.SERVICE)


def test_every_kind_says_what_it_accepts() -> None:
    silent = {name for name, kind in {**schema.SERVICE, **schema.TOP}.items() if schema_of(kind) == {}}
    assert silent == {"version"}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: path.stem)
def test_it_accepts_what_loads(answer: Path, tmp_path: Path) -> None:
    case = Case(answer, tmp_path)
    for document in yaml.load_all((case.directory / case.files[0]).read_text(), _Loader):
        errors = [f"{list(error.path)}: {error.message}" for error in VALIDATOR.iter_errors(document or {})]
        assert errors == []


WRONG: dict[str, dict[str, Any]] = {
    "unknown key": {"services": {"a": {"imag": "x"}}},
    "unknown top key": {"service": {}},
    "name of a service": {"services": {"a b": {"image": "x"}}},
    "list for a mapping": {"services": []},
    "port without target": {"services": {"a": {"ports": [{"published": "80"}]}}},
    "mount without type": {"services": {"a": {"volumes": [{"target": "/x"}]}}},
    "condition": {"services": {"a": {"depends_on": {"b": {"condition": "service_up"}}}}},
    "restart": {"services": {"a": {"restart": "alway"}}},
}


@pytest.mark.parametrize("case", WRONG)
def test_it_finds(case: str) -> None:
    assert not VALIDATOR.is_valid(WRONG[case])


@pytest.mark.parametrize("value", ["${POLICY:-always}", "on-failure:3"])
def test_variables_may_stand_anywhere(value: str) -> None:
    document = {"services": {"a": {"restart": value, "cgroup": "${CGROUP}", "cpus": "${CPUS}"}}}
    assert VALIDATOR.is_valid(document)
    assert schema_of(schema.SERVICE["image"]) is STRING


def test_attributes_that_are_not_carried_out_say_so() -> None:
    said = {name: item["description"] for name, item in SERVICE["properties"].items() if "description" in item}
    assert said == {name: status for name, status in support.SERVICE.items() if status != support.DONE} != {}

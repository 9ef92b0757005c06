"""docs/compose-differences.md, row by row: what is read here where docker compose reads something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose.spec.pipeline import Switches
from compose.spec.render import render_plain

from .loading import errors, plain, project, service

SECRETS = "\nsecrets: {s: {file: s}}\nvolumes: {v: }\n"
# row → (attributes of a, of an override, what must come out)
ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "operators": ("command: a && b", "", {"command": ["a", "&&", "b"]}),
    "volume of one letter": (
        "volumes: ['v:/d']", "", {"volumes": [{"source": "v", "target": "/d", "type": "volume", "volume": {}}]},
    ),
    "create_host_path": (
        "volumes: [{type: bind, source: /x, target: /d}]", "",
        {"volumes": [{"source": "/x", "target": "/d", "type": "bind", "bind": {"create_host_path": True}}]},
    ),
    "untaken branch": ("user: '${HOME:-${B:?}}'", "", {"user": "/root"}),
    "braces": ("user: '${A:-{}}'", "", {"user": "{}"}),
    "NONE": ("healthcheck: {test: NONE}", "", {"healthcheck": {"test": ["NONE"]}}),
    "override null": ("command: [a]", "command: !override null", {"command": None}),
    "secret at one place": (
        "secrets: [s]", "secrets: [{source: s, target: /run/secrets/s}]",
        {"secrets": [{"source": "s", "target": "/run/secrets/s"}]},
    ),
    "port in both forms": (
        "ports: ['80:80']", "ports: [{target: 80, published: '80'}]",
        {"ports": [{"mode": "ingress", "protocol": "tcp", "published": "80", "target": 80}]},
    ),
    "keys that are numbers": ("labels: {80: x}", "", {"labels": {"80": "x"}}),
    "dates": ("environment: {D: 2024-01-31}", "", {"environment": {"D": "2024-01-31"}}),
    "numbers that change": ("environment: {V: 1.10}", "", {"environment": {"V": "1.1"}}),
    "networks twice": ("networks: [default, default]", "", {"networks": {"default": None}}),
    "depends_on twice": (
        "depends_on: [b, b]", "", {"depends_on": {"b": {"condition": "service_started", "required": True}}},
    ),
    "extra_hosts twice": ("extra_hosts: ['a=1.1.1.1']", "extra_hosts: {a: 1.1.1.1}", {"extra_hosts": ["a=1.1.1.1"]}),
    "zero of ulimits": ("ulimits: {core: 0}", "", {"ulimits": {"core": 0}}),
    "zero of mem_swappiness": ("mem_swappiness: 0", "", {"mem_swappiness": "0"}),
    "blkio_config": (
        "blkio_config: {device_read_bps: [{path: /a, rate: 1k}]}", "",
        {"blkio_config": {"device_read_bps": [{"path": "/a", "rate": "1024"}]}},
    ),
    "empty network_mode": ("network_mode: ''", "", {"networks": {"default": None}}),
    "permissions of a device": (
        "devices: ['/dev/a:rw']", "", {"devices": [{"source": "/dev/a", "target": "/dev/a", "permissions": "rw"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str, tmp_path: Path) -> None:
    base, over, expected = ROWS[row]
    texts = [f"services: {{a: {{image: x, {base}}}, b: {{image: y}}}}{SECRETS}"]
    found = service(tmp_path, *texts, *([f"services: {{a: {{{over}}}}}"] if over else []))
    assert {key: found.get(key) for key in expected} == expected


def test_a_service_included_and_here(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text("services: {a: {image: i, user: u}}")
    found = project(tmp_path, "include: [i.yaml]\nservices: {a: {image: x}}").services["a"]
    assert (found.image, found.user) == ("x", "u")


def test_an_infinite_number(tmp_path: Path) -> None:
    found = plain(tmp_path, "services: {a: {image: x}}\nx-a: [.inf, -.inf, .nan]")
    assert json.loads(render_plain(found, "json"))["x-a"] == [".inf", "-.inf", ".nan"]


def test_device_of_a_bind_volume(tmp_path: Path) -> None:
    text = (
        "services: {a: {image: x, volumes: ['v:/v']}}\nvolumes: {v: {driver_opts: {type: none, o: bind, device: ./d}}}"
    )
    assert project(tmp_path, text).volumes["v"].driver_opts["device"] == f"{tmp_path}/d"


def test_extends_of_an_earlier_file(tmp_path: Path) -> None:
    found = project(tmp_path, "services: {base: {image: b}}", "services: {a: {extends: base}}")
    assert found.services["a"].image == "b"


def test_labels_of_secrets_and_ssh_as_lists(tmp_path: Path) -> None:
    base = "services: {a: {build: {context: ., ssh: [default]}, secrets: [s]}}\nsecrets: {s: {file: f, labels: [a=1]}}"
    over = "services: {a: {build: {ssh: [k=/p]}}}\nsecrets: {s: {labels: [b=2]}}"
    found = plain(tmp_path, base, over)
    assert found["secrets"]["s"]["labels"] == {"a": "1", "b": "2"}
    assert found["services"]["a"]["build"]["ssh"] == ["default", "k=/p"]


def test_an_optional_dependency_that_is_not_there(tmp_path: Path) -> None:
    text = "services: {a: {image: x, depends_on: {b: {condition: service_started, required: false}}}}"
    [warning] = project(tmp_path, text).warnings
    assert '"b" is not defined and not required' in warning


def test_env_files_that_are_left_alone(tmp_path: Path) -> None:
    text = "services: {a: {image: x, env_file: gone.env}}"
    found = plain(tmp_path, text, switches=Switches(refuse=False, resolve_environment=False))
    assert found["services"]["a"]["env_file"] == [{"path": f"{tmp_path}/gone.env", "required": True}]


def test_models_are_printed_in_json(tmp_path: Path) -> None:
    found = plain(tmp_path, "services: {a: {image: x, models: [m]}}\nmodels: {m: {model: ai/x}}")
    assert json.loads(render_plain(found, "json"))["models"] == {"m": {"model": "ai/x"}}


def test_contents_are_in_the_hash(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("one")
    text = "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {file: s}}"
    before = project(tmp_path, text).hashes["a"]
    (tmp_path / "s").write_text("two")
    assert project(tmp_path, text).hashes["a"] != before


def test_a_volume_with_too_many_or_empty_parts(tmp_path: Path) -> None:
    told = errors(tmp_path, "services: {a: {image: x, volumes: ['a:b:c:d', ':']}}")
    assert [line.split("\n  ")[1] for line in told] == ["too many colons", "a part is empty"]


def test_a_list_of_an_extended_file_that_text_replaces(tmp_path: Path) -> None:
    (tmp_path / "o.yaml").write_text("services: {b: {image: x, mem_limit: []}}")
    found = service(tmp_path, "services: {a: {extends: {file: o.yaml, service: b}, mem_limit: 1g}}")
    assert found["mem_limit"] == "1073741824"

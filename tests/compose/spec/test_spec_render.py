"""What ``config`` prints, and its lists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose.api.config import Question, answer
from compose.project import LoadOptions
from compose.spec import render

from .loading import errors, plain, project, write

TEXT = """\
name: shop
services:
  web:
    image: nginx:1
    command: echo "$$HOME"
    environment: {B: "2", A: "0123", C: }
    x-note: keep
  db:
    build: .
    volumes: [data:/d]
  again: {image: nginx:1}
volumes: {data: , unused: }
x-top: {a: [1, 2.5, true, null, ünï]}
"""

YAML = """\
name: shop
services:
  web:
    command:
    - echo
    - $$HOME
    environment:
      A: '0123'
      B: '2'
      C: null
    image: nginx:1
    networks:
      default: null
    x-note: keep
  db:
    build:
      context: DIR
      dockerfile: Dockerfile
    networks:
      default: null
    volumes:
    - source: data
      target: /d
      type: volume
      volume: {}
  again:
    image: nginx:1
    networks:
      default: null
networks:
  default:
    name: shop_default
volumes:
  data:
    name: shop_data
x-top:
  a:
  - 1
  - 2.5
  - true
  - null
  - ünï
"""


def test_yaml(tmp_path: Path) -> None:
    text = render.render_config(project(tmp_path, TEXT))
    assert sorted(text.replace(str(tmp_path), "DIR").splitlines()) == sorted(YAML.splitlines())
    assert text.index("web:") < text.index("db:") < text.index("again:")


def test_lists(tmp_path: Path) -> None:
    found = plain(tmp_path, TEXT)
    assert render.list_services(found) == ("web", "db", "again")
    assert render.list_images(found) == ("nginx:1", "shop-db")
    assert render.list_volumes(found) == ("data",)
    assert render.list_networks(found) == ("default",)
    hashes = dict(render.list_hashes(found))
    assert list(hashes) == ["web", "db", "again"] and all(len(value) == 64 for value in hashes.values())
    assert render.list_hashes(found, ("db",)) == (("db", hashes["db"]),)
    with pytest.raises(KeyError):
        render.list_hashes(found, ("nope",))


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_the_plain_way_prints_the_same(format: str, tmp_path: Path) -> None:
    found = render.render_config(project(tmp_path, TEXT), format)
    assert render.render_plain(plain(tmp_path, TEXT), format) == found


def test_the_plain_way_does_without_pydantic(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml="services: {a: {image: x}}")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from compose.api.config import Question, answer
from compose.project import LoadOptions
assert "image: x" in answer(LoadOptions(cwd=sys.argv[2]), Question(), {}).text
print(*{"pydantic", "networkx"} & sys.modules.keys())
"""
    root = str(Path(__file__).resolve().parents[3])
    out = subprocess.run([sys.executable, "-c", code, root, str(tmp_path)], capture_output=True, text=True, check=True)
    assert out.stdout.split() == []


EXTENDED = """
services:
  a:
    image: x
    build: {context: ., x-b: {z: 1, a: null}}
    deploy: {x-d: 1, resources: {x-r: 1, reservations: {x-rs: 1, devices: [{capabilities: [gpu], x-dev: 1}]}}}
    develop: {watch: [{path: ., action: sync, target: /x, x-w: 1}]}
    healthcheck: {test: x, x-h: 1}
    networks: {n: {x-n: 1}}
    ports: [{target: 80, x-port: 1}]
    volumes: [{type: volume, source: v, target: /v, x-v: 1, volume: {x-vv: 1}}]
    ulimits: {nofile: {soft: 1, hard: 2, x-u: 1}}
    secrets: [{source: s, target: s, x-s: 1}]
    depends_on: {b: {condition: service_started, x-dep: 1}}
    gpus: [{count: 1, x-g: 1}]
    labels: {x-lab: 1}
  b: {image: y}
networks: {n: {x-net: 1, ipam: {x-ip: 1, config: [{subnet: 10.0.0.0/8, x-po: 1}], options: {a: x}}}}
volumes: {v: {x-vol: 1}}
secrets: {s: {file: f, x-sec: 1}}
"""
# Where docker compose 2.40 prints them; it leaves them out of items of gpus, ulimits, device reservations and pools.
KEPT = """
networks.n.ipam.x-ip networks.n.x-net secrets.s.x-sec services.a.build.x-b services.a.depends_on.b.x-dep
services.a.deploy.resources.reservations.x-rs services.a.deploy.resources.x-r services.a.deploy.x-d
services.a.develop.watch.0.x-w services.a.healthcheck.x-h services.a.labels.x-lab services.a.networks.n.x-n
services.a.ports.0.x-port services.a.secrets.0.x-s services.a.volumes.0.volume.x-vv services.a.volumes.0.x-v
volumes.v.x-vol
""".split()


def _extensions(value: Any, path: str = "") -> list[str]:
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    found = [f"{path}{key}" for key, _ in pairs if str(key).startswith("x-")]
    return found + [line for key, item in pairs for line in _extensions(item, f"{path}{key}.")]


def test_extensions_within_attributes_are_printed_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(EXTENDED)
    options, inputs = LoadOptions(cwd=str(tmp_path)), {"HOME": "/root"}
    shown = yaml.safe_load(answer(options, Question(), inputs).text)
    assert sorted(_extensions(shown)) == KEPT
    assert shown["services"]["a"]["build"]["x-b"] == {"z": 1, "a": None}
    assert _extensions(json.loads(answer(options, Question(format="json"), inputs).text)) == ["services.a.labels.x-lab"]
    assert shown["services"]["a"]["deploy"]["resources"]["reservations"]["devices"] == [
        {"capabilities": ["gpu"], "count": -1}
    ]
    assert "ipam" not in yaml.safe_load(answer(options, Question(services=("b",)), inputs).text)["networks"]["default"]


def test_extensions_within_attributes_are_no_part_of_what_runs(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(EXTENDED)
    hashes = plain(tmp_path, EXTENDED)["hashes"]
    without = re.sub(r"x-(?!lab)\w+: (\{[^}]*\}|\w+)(, )?", "", EXTENDED).replace(", }", "}")
    assert "x-" in without
    assert plain(tmp_path, without)["hashes"] == hashes


def test_options_of_ipam_are_text(tmp_path: Path) -> None:
    text = "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {ipam: {options: {a: 1}}}}"
    [told] = errors(tmp_path, text)
    assert told.startswith("compose.yaml:2:36: networks.n.ipam.options.a: expected text")

"""What ``config`` prints, and its lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compose.spec import render

from .loading import plain, project, write

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
    ipam: {}
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

"""Base, override, expected: what docker compose's recorded answers do not show (or do worse)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .loading import project, service

TRIPLES = {
    "ports add up, the same one once": (
        "ports: ['80:80', '81:81']",
        "ports: ['8080:80', '81:81', {target: 81, published: 81}]",
        {"ports": ["80>80", "81>81", "8080>80"]},
    ),
    "a mount replaces the one on its target": (
        "volumes: ['./a:/a', 'v:/v:ro']",
        "volumes: ['w:/v/', './c:/a:ro']",
        {"volumes": ["/c on /a", "w on /v"]},
    ),
    "override replaces, reset removes": (
        "cap_add: [A, B], environment: {A: 1, B: 2}, ports: ['80']",
        "cap_add: !override [C], environment: {A: !reset }, ports: !reset []",
        {"cap_add": ["C"], "environment": {"B": "2"}, "ports": None},
    ),
    "override below, in a list form base": (
        "environment: ['A=1', 'B=2']",
        "environment: !override {C: 3}",
        {"environment": {"C": "3"}},
    ),
    "null keeps, but not for commands": (
        "command: [a], entrypoint: [b], user: u, hostname: h",
        "command: , entrypoint: null, user: , hostname: ~",
        {"command": None, "entrypoint": None, "user": "u", "hostname": "h"},
    ),
    "scalars are replaced, false too": (
        "privileged: true, cpus: 2",
        "privileged: false, cpus: 0.5",
        {"privileged": None, "cpus": 0.5},
    ),
    "a dependency in list form is complete": (
        "depends_on: {b: {condition: service_healthy, restart: true}}",
        "depends_on: [b]",
        {"depends_on": {"b": {"condition": "service_started", "required": True, "restart": True}}},
    ),
    "a secret replaces the one at its target": (
        "secrets: [s, t]",
        "secrets: [{source: t, target: /run/secrets/s}]",
        {"secrets": ["t at /run/secrets/s", "t at /run/secrets/t"]},
    ),
    "scale is replicas too": (
        "scale: 2",
        "deploy: {update_config: {parallelism: 1}}",
        {"deploy": {"placement": {}, "replicas": 2, "resources": {}, "update_config": {"parallelism": 1}}},
    ),
    "x- keys merge": ("x-a: {b: 1, c: [1]}", "x-a: {d: 2, c: [2]}", {"x-a": {"b": 1, "c": [1, 2], "d": 2}}),
    "a port that an override gives in long form": (
        "ports: [{target: 80, published: '80', host_ip: 127.0.0.1}]",
        "ports: ['127.0.0.1:80:80']",
        {"ports": ["80>80"]},
    ),
}
TOP = "volumes: {v: , w: }\nsecrets: {s: {file: s}, t: {file: t}}"


def short(service: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Ports, volumes and secrets in few words."""
    result = dict(service)
    result["ports"] = [f"{p.get('published', '')}>{p['target']}" for p in service.get("ports", ())] or None
    result["volumes"] = [
        f"{v['source'].replace(str(directory), '')} on {v['target']}" for v in service.get("volumes", ())
    ]
    result["secrets"] = [f"{s['source']} at {s['target']}" for s in service.get("secrets", ())]
    return result


@pytest.mark.parametrize("name", TRIPLES)
def test_triple(name: str, tmp_path: Path) -> None:
    base, over, expected = TRIPLES[name]
    whole = f"services: {{a: {{image: x, {base}}}, b: {{image: y}}}}\n{TOP}"
    merged = short(service(tmp_path, whole, f"services: {{a: {{{over}}}}}"), tmp_path)
    assert {key: merged.get(key) for key in expected} == expected


def test_documents_of_one_file_are_merged_and_anchors_end_with_each(tmp_path: Path) -> None:
    text = "x: &a 1\n---\nservices: {a: {image: x}}\n---\nservices: {a: {image: y, user: u}}\n".replace(
        "x: &a", "x-a: &a"
    )
    found = service(tmp_path, text)
    assert (found["image"], found["user"]) == ("y", "u")


def test_the_base_is_not_changed_by_anchors_shared_between_services(tmp_path: Path) -> None:
    text = "services: {a: &a {image: x, labels: {k: v}}, b: *a}"
    found = project(tmp_path, text, "services: {a: {labels: {k: w}}}")
    assert found.services["a"].labels == {"k": "w"}
    assert found.services["b"].labels == {"k": "v"}


@pytest.mark.parametrize("signal", ["SIGINT", "term", "9", "SIGRTMIN+3", "RTMAX-1", "''"])
def test_signals_as_written(signal: str, tmp_path: Path) -> None:
    found = service(tmp_path, f"services: {{a: {{image: x, stop_signal: '{signal.strip(chr(39))}'}}}}")
    assert found.get("stop_signal", "") == signal.strip("'")


def test_merge_keys(tmp_path: Path) -> None:
    text = """\
x-env: &env {A: base, B: base}
services:
  a:
    image: x
    environment:
      A: own
      <<: *env
"""
    assert service(tmp_path, text)["environment"] == {"A": "own", "B": "base"}
    assert yaml.safe_load(text)["services"]["a"]["environment"] == {"A": "own", "B": "base"}

"""Compose files that meet each other: for each attribute with a rule of its own for merging, every form of it."""

from __future__ import annotations

from typing import Any

_MAPS: list[Any] = [{"K": "1"}, {"K": "2", "L": "x"}, ["K=3"], ["M", "L=y"], {}, {"K": None}]
# attribute of a service → values that mean something in every file
ATTRIBUTES: dict[str, list[Any]] = {
    "command": ["a b", ["c"], []],
    "entrypoint": ["e", ["f", "g"]],
    "environment": _MAPS,
    "labels": _MAPS,
    "annotations": _MAPS,
    "sysctls": [{"a.b": 1}, ["a.b=2"], {"c": "x"}],
    "logging": [
        {"driver": "json-file", "options": {"a": "1"}},
        {"driver": "syslog", "options": {"a": "2", "b": "3"}},
        {"options": {"c": "4"}},
        {"driver": "syslog"},
        {},
    ],
    "build": [".", {"context": "d", "args": ["A=1"]}, {"args": {"A": 2, "B": None}}, {"tags": ["t"]}],
    "healthcheck": [{"test": ["CMD", "a"], "retries": 1}, {"test": "b"}, {"disable": True}, {"interval": "1s"}],
    "ports": [["80:80"], ["80:80", "81"], [{"target": 80, "published": "80"}], []],
    "volumes": [["vv:/a"], ["./b:/a:ro"], [{"type": "tmpfs", "target": "/a"}, "ww:/b"]],
    "networks": [["n"], {"n": {"aliases": ["x"]}}, {"n": None, "m": {"priority": 2}}, {"n": {"aliases": ["y"]}}],
    "depends_on": [["b"], {"b": {"condition": "service_healthy"}}, {"b": {"condition": "service_started", "restart": True}}],
    "ulimits": [{"core": 1}, {"core": {"soft": 1, "hard": 2}}, {"nofile": 3}],
    "dns": ["1.1.1.1", ["1.1.1.1", "2.2.2.2"]],
    "tmpfs": ["/a", ["/a:size=1", "/b"]],
    "extra_hosts": [["h=1.1.1.1"], {"h": "1.1.1.1", "i": "2.2.2.2"}],
    "cap_add": [["A"], ["A", "B"]],
    "devices": [["/d"], ["/e:/d"]],
    "secrets": [["s"], [{"source": "t", "target": "s"}]],
    "env_file": ["e", [{"path": "e", "required": False}]],
    "profiles": [["p"], ["q", "p"]],
    "security_opt": [["a"], ["b"]],
    "user": ["u", "v", ""],
    "deploy": [{"replicas": 1}, {"labels": {"a": "1"}, "resources": {"limits": {"cpus": 1}}}, {"labels": ["a=2"]}],
    "extends": ["b", {"service": "b"}],
}  # fmt: skip

ABSENT = object()


def documents(name: str) -> list[dict[str, Any]]:
    """A file for every form of an attribute, one that leaves it empty, and one without it."""
    values = [*ATTRIBUTES[name], None, ABSENT]
    return [{"services": {"a": {} if value is ABSENT else {name: value}}} for value in values]

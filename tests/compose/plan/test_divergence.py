"""The table of attributes, and what a difference is called."""

from __future__ import annotations

from typing import Any

import pytest

from compose.plan.divergence import HOW, IGNORED, IN_PLACE, RECREATE, diff, how
from compose.spec.support import REFUSED, SERVICE


def test_every_attribute_that_is_accepted_has_a_row() -> None:
    resolved = {"extends"}  # is no more in a canonical service
    accepted = {name for name, status in SERVICE.items() if status != REFUSED}
    assert accepted - resolved - set(HOW) == set()


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("image", RECREATE),
        ("environment.PATH", RECREATE),
        ("environment.a.b", RECREATE),
        ("mem_limit", IN_PLACE),
        ("labels.traefik.enable", IN_PLACE),
        ("deploy.labels.x", IN_PLACE),
        ("deploy.resources.limits.memory", IN_PLACE),
        ("deploy.resources.reservations.devices", RECREATE),
        ("deploy.replicas", IGNORED),
        ("blkio_config.weight", IN_PLACE),
        ("blkio_config.weight_device", RECREATE),
        ("healthcheck.interval", IN_PLACE),
        ("networks.front.aliases", IN_PLACE),
        ("configs", RECREATE),
        ("never_heard_of", RECREATE),
    ],
)
def test_the_longest_prefix_counts(path: str, row: str) -> None:
    assert how(path) == row


@pytest.mark.parametrize(
    ("old", "new", "texts"),
    [
        ({}, {}, []),
        ({"image": "a"}, {"image": "b"}, ["image: a → b"]),
        ({"tty": False}, {"tty": True}, ["tty: false → true"]),
        ({"command": None}, {}, []),
        ({"command": None}, {"command": []}, ["command: (none) → []"]),
        ({"deploy": {}}, {}, []),
        ({"environment": {"A": "1"}}, {"environment": {"A": "2"}}, ["environment.A: changed"]),
        ({"environment": {"A": "1"}}, {}, ["environment.A: removed"]),
        ({}, {"environment": {"A": "1"}}, ["environment.A: added"]),
        ({}, {"mem_limit": "5", "build": {"context": "."}, "scale": 3}, ["mem_limit: (none) → 5"]),
        (
            {"ports": [{"target": 80}]},
            {"ports": [{"target": 81}]},
            ['ports: [{"target":80}] → [{"target":81}]'],
        ),
        ({"deploy": {"replicas": 1}}, {"deploy": {"replicas": 2}}, []),
        (
            {"deploy": {"resources": {"limits": {"cpus": 1}}}},
            {"deploy": {"resources": {"limits": {"cpus": 2}}}},
            ["deploy.resources.limits.cpus: 1 → 2"],
        ),
        ({"networks": {"a": None}}, {"networks": {"a": None, "b": None}}, ["networks.b: added"]),
        ({"networks": {"a": None, "b": {"aliases": ["x"]}}}, {"networks": {"a": None}}, ["networks.b: removed"]),
        (
            {"networks": {"a": None}},
            {"networks": {"a": {"aliases": ["x"]}}},
            ['networks.a.aliases: (none) → ["x"]'],
        ),
        ({"networks": {"a": None}}, {"networks": {"a": {}}}, []),
        ({"command": ["x" * 100]}, {}, ["command: " + ('["' + "x" * 100)[:59] + "… → (none)"]),
    ],
)
def test_texts(old: dict[str, Any], new: dict[str, Any], texts: list[str]) -> None:
    assert [change.text() for change in diff(old, new)] == texts


def test_values_of_variables_when_asked_for() -> None:
    (change,) = diff({"environment": {"A": "1"}}, {"environment": {"A": "2"}})
    assert change.text(show_values=True) == "environment.A: 1 → 2"

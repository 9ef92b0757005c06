"""When a problem is told: what docker compose 2.40 says of a wrong value that something replaces or takes away.

Its schema is checked after each document, its casts are made before; words of values are read after the last merge.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .loading import errors, plain, service, write

# what is wrong in the base, the override → whether docker compose accepts the two
CASES = {
    ("mem_limit: lots", "mem_limit: 1g"): True,
    ("mem_limit: lots", "mem_limit: !reset null"): True,
    ("mem_limit: lots", "mem_limit: !override 1g"): True,
    ("mem_limit: []", "mem_limit: 1g"): False,
    ("mem_limit: []", "mem_limit: !reset null"): False,
    ("mem_limit: 1g", "mem_limit: lots"): False,
    ("mem_limit: ", "mem_limit: 1g"): False,
    ("mem_swappiness: x", "mem_swappiness: 1"): True,
    ("stop_grace_period: foo", "stop_grace_period: 1s"): True,
    ("healthcheck: {interval: foo}", "healthcheck: {interval: 1s}"): True,
    ("healthcheck: {test: [a]}", "healthcheck: {test: [CMD, a]}"): True,
    ("healthcheck: {test: [a]}", "healthcheck: {disable: true}"): False,
    ("healthcheck: {retries: foo}", "healthcheck: {retries: 1}"): False,
    ("deploy: {resources: {limits: {memory: lots}}}", "deploy: {resources: {limits: {memory: 1g}}}"): True,
    ("blkio_config: {device_read_bps: [{path: /a, rate: foo}]}", "blkio_config: !reset {}"): True,
    ("command: 'a \" b'", "command: x"): True,
    ("entrypoint: 'a \" b'", "entrypoint: x"): True,
    ("extra_hosts: [x]", "extra_hosts: !reset []"): True,
    ("extra_hosts: [x]", "extra_hosts: ['x=1.1.1.1']"): False,
    ("devices: ['::']", "devices: !reset []"): True,
    ("devices: [{x: y}]", "devices: !reset []"): False,
    ("configs: [{source: c, mode: foo}]", "configs: !reset []"): True,
    ("env_file: [{path: x, required: maybe}]", "env_file: !reset []"): True,
    ("gpus: [{count: x}]", "gpus: !override all"): True,
    ("gpus: some", "gpus: !override all"): False,
    ("gpus: all", "gpus: all"): False,
    ("gpus: [{count: 1}]", "gpus: all"): False,
    ("gpus: all", "gpus: [{count: 1}]"): True,
    ("privileged: maybe", "privileged: true"): False,
    ("privileged: [1]", "privileged: true"): False,
    ("cpus: lots", "cpus: 1"): False,
    ("scale: x", "scale: 2"): False,
    ("cgroup: foo", "cgroup: host"): False,
    ("pull_policy: foo", "pull_policy: always"): False,
    ("ports: ['x:y:z']", "ports: !reset []"): False,
    ("environment: 3", "environment: {A: b}"): False,
    ("unknown: 1", "unknown: !reset null"): False,
    ("user: x", "unknown: !reset null"): True,
    ("provider: {options: {}}", "provider: {type: x}"): False,
    ("provider: {type: x}", "provider: {options: {a: b}}"): True,
    ("x-a: [1]", "x-a: 1"): False,
    ("x-a: {b: 1}", "x-a: [1]"): False,
    ("x-a: 1", "x-a: {b: 1}"): True,
}


@pytest.mark.parametrize("case", CASES, ids="|".join)
def test_an_override(case: tuple[str, str], tmp_path: Path) -> None:
    texts = [f"services: {{a: {{image: x, {case[0]}}}}}", f"services: {{a: {{{case[1]}}}}}"]
    for name, documents in (("files", texts), ("documents", ["\n---\n".join(texts)])):
        (tmp_path / name).mkdir()
        if CASES[case]:
            assert service(tmp_path / name, *documents)["image"] == "x"
        else:
            [*told] = errors(tmp_path / name, *documents)
            assert told
            assert told[0].startswith(("compose.yaml:1:", "compose.yaml:3:", "over1.yaml:1:"))


EXTENDED = """
services:
  list: {image: y, mem_limit: []}
  lots: {image: y, mem_limit: lots}
  unknown: {image: y, unknown: 1}
  cgroup: {image: y, cgroup: foo}
  good: {image: y, mem_limit: 1g}
foo: 1
"""


@pytest.mark.parametrize(
    ("base", "more", "line"),
    [
        ("good", "", 0),
        ("list", "", 3),
        ("list", "mem_limit: !reset null", 0),
        ("list", "mem_limit: !override 1g", 0),
        ("lots", "", 4),
        ("lots", "mem_limit: 1g", 0),
        ("unknown", "", 5),
        ("unknown", "unknown: !reset null", 0),
        ("cgroup", "", 6),
        ("cgroup", "cgroup: host", 0),
    ],
)
def test_an_extended_file_is_only_checked_where_it_is_used(base: str, more: str, line: int, tmp_path: Path) -> None:
    write(tmp_path, o__yaml=EXTENDED)
    text = f"services: {{a: {{extends: {{file: o.yaml, service: {base}}}{more and ', '}{more}}}}}"
    if line:
        [told] = errors(tmp_path, text)
        assert told.startswith(f"o.yaml:{line}:")
    else:
        assert service(tmp_path, text)["image"] == "y"


@pytest.mark.parametrize("wrong", ["privileged: maybe", "ports: ['x:y:z']"])
def test_what_is_read_at_once_is_told_of_every_service_of_an_extended_file(wrong: str, tmp_path: Path) -> None:
    write(tmp_path, o__yaml=f"services: {{b: {{image: y, {wrong}}}, c: {{image: y}}}}")
    [told] = errors(tmp_path, "services: {a: {extends: {file: o.yaml, service: c}}}")
    assert told.startswith("o.yaml:1:")


def test_included_files(tmp_path: Path) -> None:
    write(tmp_path, i__yaml="services: {a: {image: y, mem_limit: lots}}", j__yaml="services: {a: {mem_limit: 1g}}")
    include, later = "include: [i.yaml]\nservices: {b: {image: x}}", "services: {a: {mem_limit: 1g}}"
    assert [told.split(": ")[0] for told in errors(tmp_path, include)] == ["i.yaml:1:37"]
    assert service(tmp_path, include, later)["mem_limit"] == "1073741824"
    assert service(tmp_path, include.replace("i.yaml", "{path: [i.yaml, j.yaml]}"))["mem_limit"] == "1073741824"
    write(tmp_path, i__yaml="services: {a: {image: y, mem_limit: []}}")
    assert errors(tmp_path, include, later)[0].startswith("i.yaml:1:37")


def test_a_service_that_is_taken_away_or_replaced(tmp_path: Path) -> None:
    wrong = "services: {a: {image: y, mem_limit: lots}, b: {image: x}}"
    assert list(plain(tmp_path, wrong, "services: {a: !reset null}")["services"]) == ["b"]
    assert service(tmp_path, wrong, "services: {a: !override {image: z}}")["image"] == "z"


def test_a_base_within_the_file_is_told_once(tmp_path: Path) -> None:
    text = "services: {b: {image: y, mem_limit: lots}, a: {extends: b}}"
    [told] = errors(tmp_path, text)
    assert told.startswith("compose.yaml:1:37: services.b.mem_limit: ")
    assert service(tmp_path, text, "services: {a: {mem_limit: 1g}, b: {mem_limit: 1g}}")["image"] == "y"


def test_one_word_of_gpus_is_replaced_where_it_was_not_yet_read(tmp_path: Path) -> None:
    assert service(tmp_path, "services: {b: {image: y, gpus: all}, a: {extends: b, gpus: all}}")["gpus"] == [
        {"count": -1}
    ]
    [told] = errors(tmp_path, "services: {a: {image: y, gpus: all}}", "services: {a: {gpus: all}}")
    assert told == "over1.yaml:1:22: services.a.gpus: cannot be merged with what is there\n  replace it with !override"


def test_parts_that_a_later_file_gives_too_late(tmp_path: Path) -> None:
    models = "services: {a: {image: y}}\nmodels: {m: {context_size: 1}}"
    [told] = errors(tmp_path, models, "models: {m: {model: x}}")
    assert told == "compose.yaml:2:10: models.m: needs a model, the name of one"
    needs = "services: {b: {image: y}, a: {image: x, depends_on: {b: {required: false}}}}"
    [told] = errors(tmp_path, needs, "services: {a: {depends_on: [b]}}")
    assert told.startswith("compose.yaml:1:54: services.a.depends_on.b: needs a condition")

"""The format row by row: scalars of YAML, forms of variables, and what is easily got wrong, each a test by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose.errors import SpecError
from compose.project import LoadOptions, load_desired
from compose.spec.interpolate import MissingVariable, substitute
from compose.spec.scalars import go_text, resolve_plain

from .loading import errors, plain, project, service, write
from .recorded import HERE

# scalars of YAML; what docker compose made of them is recorded

DIALECT = (HERE / "rows" / "dialect.txt").read_text().split("-- expected.json --\n")
RECORDED: dict[str, Any] = json.loads(DIALECT[1])


@pytest.mark.parametrize("row", RECORDED["x-rows"])
def test_scalar(row: str, tmp_path: Path) -> None:
    found = plain(tmp_path, DIALECT[0].split("-- f0.yaml --\n")[1])
    value, expected = found["extensions"]["x-rows"][row], RECORDED["x-rows"][row]
    assert (value, isinstance(value, bool)) == (expected, isinstance(expected, bool))
    text = found["services"]["a"]["environment"][row]
    assert text == RECORDED["services"]["a"]["environment"][row]


def test_dates_keep_their_text(tmp_path: Path) -> None:
    text = "environment: {D: 2024-01-31, T: 2024-01-31T10:00:00Z}"
    assert service(tmp_path, f"services: {{a: {{image: x, {text}}}}}")["environment"] == {
        "D": "2024-01-31",
        "T": "2024-01-31T10:00:00Z",
    }


def test_a_number_that_changes_its_text_is_warned_about(tmp_path: Path) -> None:
    found = project(tmp_path, "services: {a: {image: x, environment: {V: 1.10}}}")
    assert found.warnings == (
        'compose.yaml:1:43: services.a.environment.V: 1.10 without quotes becomes "1.1"; write "1.10" in quotes to keep it',
    )


def test_duplicate_keys_are_errors(tmp_path: Path) -> None:
    assert errors(tmp_path, "services:\n  a: {image: x}\n  a: {image: y}\n") == [
        'compose.yaml:3:3: the key "a" is defined twice\n  it is already defined in line 2'
    ]


def test_keys_that_are_no_text_keep_their_text(tmp_path: Path) -> None:
    assert service(tmp_path, "services: {a: {image: x, labels: {80: a, true: b, 1.0: c}}}")["labels"] == {
        "1.0": "c",
        "80": "a",
        "true": "b",
    }


# forms of variables: form → (set, empty, unset); None is the error, "W" stands for the word

FORMS: dict[str, tuple[str | None, str | None, str | None]] = {
    "$V": ("v", "", ""),
    "${V}": ("v", "", ""),
    "${V:-W}": ("v", "W", "W"),
    "${V-W}": ("v", "", "W"),
    "${V:?W}": ("v", None, None),
    "${V?W}": ("v", "", None),
    "${V:+W}": ("W", "", ""),
    "${V+W}": ("W", "W", ""),
}
STATES: dict[str, dict[str, str]] = {"set": {"V": "v"}, "empty": {"V": ""}, "unset": {}}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("form", FORMS)
def test_form(form: str, state: str) -> None:
    expected = FORMS[form][list(STATES).index(state)]
    unset: list[str] = []
    if expected is None:
        with pytest.raises(MissingVariable) as caught:
            substitute(form, STATES[state].get, unset.append)
        assert caught.value.args == ("V", "W")
    else:
        assert substitute(f"<{form}>", STATES[state].get, unset.append) == f"<{expected}>"
    assert unset == (["V"] if state == "unset" and form in ("$V", "${V}") else [])


@pytest.mark.parametrize(
    "text, expected",
    [
        ("$$", "$"), ("$$V", "$V"), ("$$$V", "$v"), ("$5", "$5"), ("$(cmd)", "$(cmd)"), ("a$", "a$"), ("$-", "$-"),
        ("${A:-${B:-c}}", "c"), ("${A:-${V}}", "v"), ("${V:+${V}!}", "v!"), ("${V:-${B:?no}}", "v"),
        ("${A-a:-b}", "a:-b"), ("${A:-a-b}", "a-b"), ("${A:-{\"a\": {}}}", '{"a": {}}'), ("$V_", ""), ("${V}_", "v_"),
        ("$v", ""), ("${A:-$$}", "$"), ("${A:-}", ""), ("${A:-?}", "?"), ("$Vé", "vé"),
    ],
)  # fmt: skip
def test_template(text: str, expected: str) -> None:
    assert substitute(text, {"V": "v"}.get, lambda name: None) == expected


CASTS = {
    "replicas": ("deploy: {replicas: '${N}'}", ["deploy", "replicas"], 2),
    "scale": ("scale: '${N}'", ["scale"], 2),
    "boolean": ("tty: '${T}'", ["tty"], True),
    "cpus": ("cpus: '${C}'", ["cpus"], 0.5),
    "port": ("ports: [{target: '${N}'}]", ["ports", 0, "target"], 2),
    "ulimit": ("ulimits: {nofile: {soft: '${N}', hard: '${N}'}}", ["ulimits", "nofile", "soft"], 2),
    "nocopy": ("volumes: [{type: volume, target: /x, volume: {nocopy: '${T}'}}]", ["volumes", 0, "volume", "nocopy"], True),
    "required": ("depends_on: {b: {condition: service_started, required: '${T}'}}", ["depends_on", "b", "required"], True),
    "retries": ("healthcheck: {retries: '${N}'}", ["healthcheck", "retries"], 2),
}  # fmt: skip


@pytest.mark.parametrize("case", CASTS)
def test_a_variable_takes_the_type_of_its_place(case: str, tmp_path: Path) -> None:
    text, path, expected = CASTS[case]
    whole = f"services: {{a: {{image: x, {text}}}, b: {{image: y}}}}"
    found: Any = service(tmp_path, whole, environ={"N": "2", "T": "true", "C": "0.5"})
    for part in path:
        found = found[part]
    assert found == expected and type(found) is type(expected)


def test_keys_are_never_interpolated(tmp_path: Path) -> None:
    text = "services: {a: {image: x, environment: {'$K': 1}, labels: ['$K=$K']}}"
    found = service(tmp_path, text, environ={"K": "k"})
    assert (found["environment"], found["labels"]) == ({"$K": "1"}, {"k": "k"})


# what is easily got wrong

SUBTLE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "22:22 is text": ("environment: {P: 22:22}", "", {"environment": {"P": "22:22"}}),
    "restart: no is the word no": ("restart: no", "", {"restart": "no"}),
    "0644 and 0o644 are 420": ("environment: {A: 0644, B: 0o644}", "", {"environment": {"A": "420", "B": "420"}}),
    "1.0 in an environment is 1": ("environment: {A: 1.0}", "", {"environment": {"A": "1"}}),
    "a boolean in an environment is true": ("environment: {A: True}", "", {"environment": {"A": "true"}}),
    "null in an override keeps the base": ("user: u", "user: ", {"user": "u"}),
    "a list of depends_on resets the condition": (
        "depends_on: {b: {condition: service_healthy}}",
        "depends_on: [b]",
        {"depends_on": {"b": {"condition": "service_started", "required": True}}},
    ),
    "ports accumulate": ("ports: [80:80]", "ports: [81:80]", {"ports": ["80", "81"]}),
    "volumes are overridden by target": ("volumes: [./x:/d]", "volumes: [./y:/d]", {"volumes": ["y"]}),
    "environments as list and mapping merge by key": (
        "environment: [A=1, B=2]",
        "environment: {B: 3}",
        {"environment": {"A": "1", "B": "3"}},
    ),
    "options of the same log driver merge": (
        "logging: {driver: d, options: {a: 1}}",
        "logging: {driver: d, options: {b: 2}}",
        {"logging": {"driver": "d", "options": {"a": "1", "b": "2"}}},
    ),
    "options of another log driver replace": (
        "logging: {driver: d, options: {a: 1}}",
        "logging: {driver: e}",
        {"logging": {"driver": "e"}},
    ),
    "an empty command is not a missing one": ("command: ''", "", {"command": []}),
    "a command without value is missing": ("command: ", "", {"command": None}),
    "operators in a text command stay words": ("command: a && b > c", "", {"command": ["a", "&&", "b", ">", "c"]}),
    "$$ survives one level": ("command: echo $$A", "", {"command": ["echo", "$A"]}),
    "a required variable in a branch not taken": ("user: '${H:-${X:?}}'", "", {"user": "h"}),
    "empty networks join default": ("networks: {}", "", {"networks": {"default": None}}),
    "no networks join default": ("networks: []", "", {"networks": {"default": None}}),
    "scale 0": ("scale: 0", "", {"scale": 0}),
    "tmpfs with options": ("tmpfs: '/t:size=1m,mode=700'", "", {"tmpfs": ["/t:size=1m,mode=700"]}),
    "a relative target of a secret": (
        "secrets: [{source: s, target: t}]", "", {"secrets": [{"source": "s", "target": "t"}]},
    ),
}  # fmt: skip
BELOW = ", b: {image: y}}\nsecrets: {s: {file: s}}\n"


@pytest.mark.parametrize("case", SUBTLE)
def test_subtle(case: str, tmp_path: Path) -> None:
    base, over, expected = SUBTLE[case]
    texts = [f"services: {{a: {{image: x, {base}}}{BELOW}", *([f"services: {{a: {{{over}}}}}"] if over else [])]
    found = service(tmp_path, *texts, environ={"H": "h"})
    found["ports"] = [port["published"] for port in found.get("ports", ())]
    found["volumes"] = [Path(volume["source"]).name for volume in found.get("volumes", ())]
    assert {key: found.get(key) for key in expected} == expected


def test_value_less_environment_unsets(tmp_path: Path) -> None:
    found = service(tmp_path, "services: {a: {image: x, environment: {A: , B: '', C}}}", environ={"A": "1"})
    assert found["environment"] == {"A": "1", "B": "", "C": None}


def test_env_file_option_replaces_dot_env(tmp_path: Path) -> None:
    write(tmp_path, one="A=1\n")
    (tmp_path / ".env").write_text("A=dot\nB=dot\n")
    found = service(tmp_path, "services: {a: {image: '${A-no}${B-no}'}}", env_files=("one",))
    assert found["image"] == "1no"


def test_dot_env_sets_what_compose_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROFILES=p\nCOMPOSE_PROJECT_NAME=told\n")
    found = project(tmp_path, "services: {a: {image: x, profiles: [p]}}")
    assert (list(found.services), found.name) == (["a"], "told")


def test_env_file_of_a_service_left_out_is_not_read(tmp_path: Path) -> None:
    assert project(tmp_path, "services: {a: {image: x}, o: {image: x, env_file: none, profiles: [p]}}").services


def test_dot_env_of_an_included_file_only_supplies_defaults(tmp_path: Path) -> None:
    write(tmp_path, inc___c__yaml="services: {i: {image: '$A$B'}}")
    (tmp_path / "inc" / ".env").write_text("A=inner\nB=inner\n")
    (tmp_path / ".env").write_text("A=outer\n")
    found = project(tmp_path, "include: [inc/c.yaml]\nservices: {a: {image: x}}")
    assert found.services["i"].image == "outerinner"


def test_what_relative_paths_are_relative_to(tmp_path: Path) -> None:
    write(tmp_path, one___c__yaml="services: {a: {image: x, volumes: ['./v:/v']}}")
    write(tmp_path, two___o__yaml="services: {a: {volumes: ['./w:/w'], extends: {file: three/e.yaml, service: e}}}")
    write(tmp_path, one___three___e__yaml="services: {e: {volumes: ['./u:/u']}}")
    options = LoadOptions(files=("one/c.yaml", "two/o.yaml"), cwd=str(tmp_path))
    found = load_desired(options, {}, str(tmp_path / "state")).services[0].config["volumes"]
    assert {volume["target"]: volume["source"] for volume in found} == {
        "/u": f"{tmp_path}/one/three/u",
        "/v": f"{tmp_path}/one/v",
        "/w": f"{tmp_path}/one/w",
    }


def test_a_short_bind_creates_its_directory(tmp_path: Path) -> None:
    volume = service(tmp_path, "services: {a: {image: x, volumes: ['./v:/v']}}")["volumes"][0]
    assert volume["bind"] == {"create_host_path": True}


def test_a_host_path_needs_a_dot(tmp_path: Path) -> None:
    [error] = errors(tmp_path, "services: {a: {image: x, volumes: ['dir:/v']}}")
    assert "a host directory begins with ./ or /" in error


def test_the_default_network_only_if_it_is_used(tmp_path: Path) -> None:
    used = project(tmp_path, "services: {a: {image: x}}")
    unused = project(
        tmp_path, "services: {a: {image: x, networks: [n]}, b: {image: x, network_mode: none}}\nnetworks: {n: }"
    )
    assert (list(used.networks), list(unused.networks)) == (["default"], ["n"])


def test_external_names_have_no_prefix(tmp_path: Path) -> None:
    text = "services: {a: {image: x, networks: [n, m], volumes: ['vo:/v']}}\nname: p\nvolumes: {vo: {external: true}}\n"
    found = project(tmp_path, text + "networks: {n: {external: true}, m: }\n")
    assert (found.networks["n"].name, found.networks["m"].name, found.volumes["vo"].name) == ("n", "p_m", "vo")


def test_a_named_service_activates_its_profiles(tmp_path: Path) -> None:
    text = "services: {a: {image: x, profiles: [p]}, b: {image: x, profiles: [p]}, c: {image: x, profiles: [q]}}"
    assert list(project(tmp_path, text, targets=("a",)).services) == ["a", "b"]


def test_a_range_of_host_ports_is_any_free_one(tmp_path: Path) -> None:
    found = service(tmp_path, "services: {a: {image: x, ports: ['8000-8010:80'], scale: 3}}")
    assert [(port["published"], port["target"]) for port in found["ports"]] == [("8000-8010", 80)]


def test_x_below_services_is_a_service(tmp_path: Path) -> None:
    assert errors(tmp_path, "services: {x-a: {user: u}, b: {image: x}}") == [
        "compose.yaml:1:12: services.x-a: has neither an image nor a build\n  give it image: NAME, or build: ."
    ]


def test_anchors_end_with_their_document(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="undefined alias"):
        project(tmp_path, "x-a: &a 1\n---\nx-b: *a\nservices: {a: {image: x}}\n")


@pytest.mark.parametrize("key", ["build: .", "pull_policy: always", "scale: 2", "depends_on: [b]", "profiles: [p]"])
def test_the_hash_does_not_contain(key: str, tmp_path: Path) -> None:
    text = "services: {a: {image: x, deploy: {}}, b: {image: y}}"
    before = project(tmp_path, text, profiles=("*",)).hashes["a"]
    assert project(tmp_path, text.replace("deploy: {}", f"deploy: {{}}, {key}"), profiles=("*",)).hashes["a"] == before


def test_every_scalar_prints_as_it_reads() -> None:
    for text in ("1", "-5", "true", "abc", "22:22", "0.5", "1e+21"):
        assert go_text(resolve_plain(text)) == text

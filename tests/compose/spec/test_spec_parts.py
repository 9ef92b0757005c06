"""extends, include, profiles, env files and labels: the parts that a service is put together from."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.project import LoadOptions, load_desired

from .loading import errors, project, service, write


def test_extends_a_service_of_an_earlier_file(tmp_path: Path) -> None:
    found = service(tmp_path, "services: {b: {image: x, ports: ['80']}}", "services: {a: {extends: b, user: u}}")
    assert (found["image"], found["user"], found["ports"][0]["target"]) == ("x", "u", 80)


def test_extends_takes_paths_from_the_other_files_directory(tmp_path: Path) -> None:
    write(tmp_path, sub___base__yaml="services: {b: {extends: {file: deep/c.yaml, service: c}, volumes: [./d:/d]}}")
    write(
        tmp_path,
        sub___deep___c__yaml="services: {c: {image: x, env_file: c.env, volumes: [./e:/e]}}",
        sub___deep___c__env="A=1\n",
    )
    found = service(tmp_path, "services: {a: {extends: {file: sub/base.yaml, service: b}}}")
    assert [v["source"] for v in found["volumes"]] == [f"{tmp_path}/sub/deep/e", f"{tmp_path}/sub/d"]
    assert found["environment"] == {"A": "1"}


def test_extends_in_a_circle_over_files(tmp_path: Path) -> None:
    write(tmp_path, other__yaml="services: {b: {extends: {file: compose.yaml, service: a}}}")
    [error] = errors(tmp_path, "services: {a: {extends: {file: other.yaml, service: b}}}")
    assert "cannot extend in a circle: a → b in DIR/other.yaml → a in DIR/compose.yaml → b in DIR/other.yaml" in error


def test_include(tmp_path: Path) -> None:
    write(
        tmp_path,
        sub___i__yaml="name: other\nx-i: 1\nservices: {a: {image: '${TAG}', volumes: ['./v:/v', 'd:/d']}}\nvolumes: {d: }",
        sub___dot="",
    )
    (tmp_path / "sub" / ".env").write_text("TAG=fromsub\nHOME=/never\n")
    found = project(tmp_path, "include: [sub/i.yaml]\nservices: {a: {labels: [over=1]}}", project_name="main")
    a = found.services["a"]
    assert (a.image, a.labels, found.name) == ("fromsub", {"over": "1"}, "main")
    assert [m.source for m in a.volumes] == [f"{tmp_path}/sub/v", "d"]
    assert found.volumes["d"].name == "main_d"
    assert found.extensions == {}


def test_include_with_env_file_and_directory(tmp_path: Path) -> None:
    write(tmp_path, sub___i__yaml="services: {a: {image: '${K}-${L:-none}', volumes: ['./v:/v']}}", k__env="K=kk\n")
    (tmp_path / "sub" / ".env").write_text("L=ll\n")
    text = "include: [{path: sub/i.yaml, env_file: k.env, project_directory: .}]\nservices: {}"
    a = project(tmp_path, text).services["a"]
    assert (a.image, a.volumes[0].source) == ("kk-none", f"{tmp_path}/v")


def test_include_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, b__yaml="include: [compose.yaml]\nservices: {}")
    assert errors(tmp_path, "include: [b.yaml]\nservices: {}") == [
        "b.yaml:1:11: cannot include in a circle: compose.yaml → b.yaml → compose.yaml\n  remove one of these includes"
    ]


PROFILES = "services: {a: {image: x}, p: {image: x, profiles: [one, two]}, q: {image: x, profiles: [three]}}"


@pytest.mark.parametrize(
    ("options", "environ", "enabled"),
    [
        ({}, {}, "a"),
        ({"profiles": ("two",)}, {}, "ap"),
        ({"profiles": ("*",)}, {}, "apq"),
        ({}, {"COMPOSE_PROFILES": "one, three"}, "apq"),
        ({"targets": ("q",)}, {}, "aq"),
    ],
)
def test_profiles(options: dict[str, tuple[str, ...]], environ: dict[str, str], enabled: str, tmp_path: Path) -> None:
    found = project(tmp_path, PROFILES, environ=environ, **options)
    assert "".join(found.services) == enabled
    assert set(found.disabled) == set("apq") - set(enabled)


def test_a_dependency_left_out_by_profiles_is_no_dependency_of_desired(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: x, depends_on: {p: {condition: service_healthy, required: false}}}, p: {image: x, profiles: [q]}}"
    )
    desired = load_desired(LoadOptions(cwd=str(tmp_path)), {}, str(tmp_path / "state"))
    assert (desired.services[0].dependencies, desired.disabled, desired.order) == ((), ("p",), ("a",))


def test_env_files_and_environment(tmp_path: Path) -> None:
    write(tmp_path, one__env="A=1\nB=${A}x\nC=file\nD=file\nN\n", two__env='R="as is" # too\nB=raw $A\n')
    text = """\
services:
  a:
    image: x
    env_file: [one.env, {path: two.env, format: raw}, {path: none.env, required: false}]
    environment: {C: own, D: , E: , F: ''}
"""
    found = service(tmp_path, text, environ={"E": "outside"})
    assert found["environment"] == {
        "A": "1", "B": "raw $A", "C": "own", "D": None, "E": "outside", "F": "", "R": '"as is" # too',
    }  # fmt: skip


def test_env_files_of_disabled_services_are_not_read(tmp_path: Path) -> None:
    text = "services: {a: {image: x}, p: {image: x, profiles: [q], env_file: none.env}}"
    assert project(tmp_path, text).disabled == ("p",)


def test_label_files(tmp_path: Path) -> None:
    write(tmp_path, l__labels="a=1\nb=2\n")
    assert service(tmp_path, "services: {a: {image: x, label_file: l.labels, labels: {b: own}}}")["labels"] == {
        "a": "1",
        "b": "own",
    }


def test_implicit_dependencies(tmp_path: Path) -> None:
    text = "services: {a: {image: x, links: [b], network_mode: 'service:c', ipc: 'service:d'}, b: {image: x}, c: {image: x}, d: {image: x}}"
    found = service(tmp_path, text)["depends_on"]
    assert {name: (d["condition"], d["restart"]) for name, d in found.items()} == dict.fromkeys(
        "bcd", ("service_started", True)
    )


def test_a_lazy_branch_is_not_evaluated(tmp_path: Path) -> None:
    found = service(tmp_path, 'services: {a: {image: "${V:-${NOPE:?never}}", user: "${X:-{a}}"}}', environ={"V": "v"})
    assert (found["image"], found["user"]) == ("v", "{a}")


def test_warnings_have_places(tmp_path: Path) -> None:
    text = """\
version: "3"
services:
  a:
    image: x:${TAG}
    tty: yes
    environment: {V: 1.10, M: 0644}
    command: echo a > b
    volumes: [./a:/a:wat]
"""
    assert project(tmp_path, text).warnings == (
        'compose.yaml:4:12: the variable "TAG" is not set, a blank string is used',
        'compose.yaml:5:10: services.a.tty: "yes" is read as true; write true',
        'compose.yaml:6:22: services.a.environment.V: 1.10 without quotes becomes "1.1"; write "1.10" in quotes to keep it',
        'compose.yaml:6:31: services.a.environment.M: 0644 without quotes becomes "420"; write "0644" in quotes to keep it',
        'compose.yaml:7:14: services.a.command: ">" is passed on as it is, no shell is involved; use ["sh", "-c", "..."] for one',
        'compose.yaml:8:15: services.a.volumes[0]: the volume option "wat" is unknown and has no effect',
        "compose.yaml:1:1: the attribute version is obsolete and has no effect; remove it",
    )


def test_desired(tmp_path: Path) -> None:
    write(tmp_path, key="bytes")
    (tmp_path / "compose.yaml").write_text(
        """\
name: shop
services:
  web:
    image: x
    command: echo $$HOME
    depends_on: {db: {condition: service_healthy, restart: true}}
    networks: {back: {priority: 1}, front: {priority: 5}, also: }
    deploy: {replicas: 3}
    secrets: [key]
    configs: [text, var]
  db: {image: y, container_name: the-db, scale: 0, volumes: [data:/d], x-note: 1}
networks: {back: , front: {internal: true}, also: {external: true}, unused: }
volumes: {data: {labels: [a=b]}}
secrets: {key: {file: ./key}}
configs: {text: {content: "a $$b"}, var: {environment: VAR}}
"""
    )
    desired = load_desired(LoadOptions(cwd=str(tmp_path)), {"VAR": "ü"}, str(tmp_path / "state"))
    web, db = desired.services
    assert (desired.project, desired.order, desired.working_dir) == ("shop", ("db", "web"), str(tmp_path))
    assert web.config["command"] == ["echo", "$HOME"]
    assert (web.replicas, web.networks) == (3, ("front", "back", "also"))
    assert [(d.service, d.condition, d.restart) for d in web.dependencies] == [("db", "service_healthy", True)]
    assert (db.replicas, db.container_name, "x-note" in db.config) == (0, "the-db", False)
    assert {n.key: (n.name, n.external) for n in desired.networks} == {
        "back": ("shop_back", False), "front": ("shop_front", False), "also": ("also", True), "default": ("shop_default", False),
    }  # fmt: skip
    assert [(v.key, v.name) for v in desired.volumes] == [("data", "shop_data")]
    files = {f.key: (f.kind, f.file, f.content) for f in desired.files}
    assert files == {
        "key": ("secret", f"{tmp_path}/key", ""), "text": ("config", "", "a $b"), "var": ("config", "", "Ã¼"),
    }  # fmt: skip


def hashes(directory: Path, text: str) -> str:
    return project(directory, text).hashes["a"]


@pytest.mark.parametrize(
    "ignored", ["pull_policy: always", "scale: 3", "deploy: {replicas: 3}", "depends_on: [b]", "profiles: []", "x-a: 1"]
)
def test_what_the_config_hash_ignores(ignored: str, tmp_path: Path) -> None:
    text = "services: {a: {image: x, %s}, b: {image: y}}"
    if "deploy" in ignored:  # the block itself counts, the number does not
        assert hashes(tmp_path, text % "deploy: {replicas: 1}") == hashes(tmp_path, text % ignored)
    else:
        assert hashes(tmp_path, text % "labels: {}") == hashes(tmp_path, text % ignored)


def test_what_the_config_hash_contains(tmp_path: Path) -> None:
    text = "services: {a: {image: x, %s}}\nconfigs: {c: {content: %s}}"
    found = [
        hashes(tmp_path, text % pair)
        for pair in (("user: a", "x"), ("user: b", "x"), ("configs: [c]", "x"), ("configs: [c]", "y"))
    ]
    assert len(set(found)) == 4


def test_a_variable_of_a_secret_that_is_not_set(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: NOPE}}")
    with pytest.raises(Exception, match=r'secrets\.s: the variable "NOPE" is not set'):
        load_desired(LoadOptions(cwd=str(tmp_path)), {}, str(tmp_path / "state"))

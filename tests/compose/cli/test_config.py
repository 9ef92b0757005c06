"""``config``: every flag, its memory, and what editors get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compose.cli.commands import config
from compose.cli.main import run
from tests.support.flags import covers

FILE = """\
name: shop
services:
  web:
    image: nginx:${TAG:-1}
    command: echo $$HOME
    ports: ["${PORT:-80}:80"]
    environment: {A: "${REQUIRED:?must be set}", B: }
    env_file: [web.env]
    volumes: [./site:/site, data:/data]
    depends_on: [db]
  db: {build: ./db, networks: [back]}
  off: {image: x, profiles: [debug]}
networks: {back: , unused: }
volumes: {data: , unused: }
models: {m: {model: ai/x}}
"""
OVER = "services: {web: {image: 'nginx:${TAG}'}}\n"


class Here:
    """A directory with the files, and a way to ask."""

    def __init__(self, directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.capfd = capfd
        self.environ = {"PWD": str(directory), "PYCOMPOSE_STATE_DIR": str(directory / "state"), "REQUIRED": "r"}
        (directory / "compose.yaml").write_text(FILE)
        (directory / "web.env").write_text("FROM_FILE=1\n")

    def ask(self, *words: str, code: int = 0) -> str:
        """Standard output of a command line; ``err`` has the other."""
        assert run(words, self.environ) == code
        out, self.err = self.capfd.readouterr()
        return out


@pytest.fixture
def here(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path, capfd)


LISTS = {
    "--services": "web db",
    "--volumes": "data",
    "--networks": "back default",
    "--images": "nginx:1 shop-db",
    "--profiles": "debug",
}


@covers("config --services", "config --volumes", "config --networks", "config --images", "config --profiles")
@pytest.mark.parametrize("flag", LISTS)
def test_list(flag: str, here: Here) -> None:
    assert here.ask("config", flag).split() == LISTS[flag].split()


@covers("config --models")
def test_models(here: Here) -> None:
    (here.directory / "compose.yaml").write_text(FILE.replace("depends_on: [db]", "models: [m]"))
    assert here.ask("config", "--models") == "ai/x\n"


@covers("config --hash")
def test_hash(here: Here) -> None:
    lines = [line.split() for line in here.ask("config", "--hash", "*").splitlines()]
    assert [name for name, _ in lines] == ["web", "db"]
    assert here.ask("config", "--hash", "db") == f"db {lines[1][1]}\n"
    here.ask("config", "--hash", "nope", code=1)
    assert "no such service: nope" in here.err


@covers("config --environment")
def test_environment(here: Here) -> None:
    (here.directory / ".env").write_text("TAG=from-file\nREQUIRED=loses\n")
    lines = here.ask("config", "--environment").splitlines()
    assert lines == sorted(lines)
    assert {"TAG=from-file", "REQUIRED=r", "COMPOSE_PROJECT_NAME=shop"} <= set(lines)


@covers("config --variables")
def test_variables(here: Here) -> None:
    del here.environ["REQUIRED"]
    rows = [line.split() for line in here.ask("config", "--variables").splitlines()]
    assert rows[0] == ["NAME", "REQUIRED", "DEFAULT", "VALUE", "ALTERNATE", "VALUE"]
    assert rows[1:] == [["REQUIRED", "true"], ["TAG", "false", "1"], ["PORT", "false", "80"]]
    found = json.loads(here.ask("config", "--variables", "--format", "json"))
    assert found["REQUIRED"] == {"Name": "REQUIRED", "DefaultValue": "", "PresenceValue": "", "Required": True}


@covers("config --no-interpolate")
def test_no_interpolate(here: Here) -> None:
    del here.environ["REQUIRED"]
    found = json.loads(here.ask("config", "--no-interpolate", "--format", "json"))
    web = found["services"]["web"]
    assert web["image"] == "nginx:${TAG:-1}"
    assert web["ports"] == ["${PORT:-80}:80"]
    assert web["environment"] == {"A": "${REQUIRED:?must be set}", "B": None}
    assert web["command"] == "echo $$HOME"
    assert web["env_file"] == [{"path": f"{here.directory}/web.env", "required": True}]
    assert "off" in found["services"] and "unused" in found["networks"] and "unused" in found["volumes"]
    (here.directory / "again.yaml").write_text(here.ask("config", "--no-interpolate"))
    here.environ |= {"REQUIRED": "r", "TAG": "7", "PORT": "81"}
    again = here.ask("--project-directory", ".", "-f", "again.yaml", "config")
    assert again == here.ask("config")


@covers("config --no-path-resolution")
def test_no_path_resolution(here: Here) -> None:
    found = json.loads(here.ask("config", "--no-path-resolution", "--format", "json"))["services"]
    assert found["db"]["build"]["context"] == "./db"
    assert found["web"]["volumes"][0]["source"] == "./site"
    assert found["web"]["environment"]["FROM_FILE"] == "1"


@covers("config --no-normalize")
def test_no_normalize(here: Here) -> None:
    found = json.loads(here.ask("config", "--no-normalize", "--format", "json"))
    assert found["networks"] == {"back": {"ipam": {}}}
    assert "networks" not in found["services"]["web"]
    assert found["services"]["db"]["build"] == {"context": f"{here.directory}/db"}


@covers("config --no-consistency")
def test_no_consistency(here: Here) -> None:
    (here.directory / "compose.yaml").write_text("services: {a: {image: x, depends_on: [nope]}}")
    here.ask("config", code=1)
    assert "nope" in here.ask("config", "--no-consistency")


@covers("config --no-env-resolution")
def test_no_env_resolution(here: Here) -> None:
    (here.directory / "web.env").unlink()
    here.ask("config", code=1)
    found = json.loads(here.ask("config", "--no-env-resolution", "--format", "json"))["services"]["web"]
    assert found["env_file"] == [{"path": f"{here.directory}/web.env", "required": True}]
    assert found["environment"] == {"A": "r", "B": None}


def test_named_services(here: Here) -> None:
    found = json.loads(here.ask("config", "db", "--format", "json"))
    assert (list(found["services"]), list(found["networks"])) == (["db"], ["back"])
    assert "volumes" not in found
    assert list(json.loads(here.ask("config", "off", "--format", "json"))["services"]) == ["off"]
    here.ask("config", "nope", code=1)
    assert "services: web, db" in here.err


@covers("config --quiet", "config --output")
def test_quiet_and_output(here: Here) -> None:
    assert here.ask("config", "-q") == ""
    text = here.ask("config")
    assert here.ask("config", "-o", "out.yaml") == ""
    assert (here.directory / "out.yaml").read_text() == text
    here.ask("config", "-o", "no/such/dir", code=1)
    assert "cannot write no/such/dir" in here.err


@covers("config --format")
@pytest.mark.parametrize("format", ["toml", "table"])
def test_unknown_format(format: str, here: Here) -> None:
    here.ask("config", "--format", format, code=1)
    assert "formats: yaml, json" in here.err


def test_it_refuses_nothing_that_only_up_refuses(here: Here) -> None:
    (here.directory / "compose.yaml").write_text(
        "services: {a: {image: x, gpus: all, logging: {driver: syslog}, pre_stop: [{command: a b}],"
        " storage_opt: {size: 1G}, volumes: [{type: npipe, source: a, target: /b}]}}"
    )
    assert "syslog" in here.ask("config")


def test_an_unchanged_file_is_not_loaded_again(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    first = here.ask("config", "--format", "json")

    def fail(*args: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(config, "_question", fail)
    assert here.ask("config", "--format", "json") == first
    (here.directory / "web.env").write_text("FROM_FILE=2\n")
    monkeypatch.undo()
    monkeypatch.chdir(here.directory)
    assert '"FROM_FILE": "2"' in here.ask("config", "--format", "json")


def test_warnings_are_remembered_too(here: Here) -> None:
    (here.directory / "compose.yaml").write_text("services: {a: {image: 'x:${UNSET}'}}")
    for _ in range(2):
        here.ask("config")
        assert 'the variable "UNSET" is not set' in here.err


def test_problems_for_editors(here: Here) -> None:
    (here.directory / "compose.yaml").write_text("services:\n  a:\n    imag: x\n    tty: maybe\n")
    found = json.loads(here.ask("config", "-q", "--format", "json", code=1))
    assert found["problems"] == [
        {"file": "compose.yaml", "line": 2, "column": 3, "path": "services.a", "hint": "give it image: NAME, or build: .",
         "message": "services.a: has neither an image nor a build"},
        {"file": "compose.yaml", "line": 3, "column": 5, "path": "services.a.imag", "hint": 'did you mean "image"?',
         "message": "services.a.imag: unknown key"},
        {"file": "compose.yaml", "line": 4, "column": 10, "path": "services.a.tty", "hint": "",
         "message": 'services.a.tty: expected true or false, not "maybe"'},
    ]  # fmt: skip
    assert here.err == ""


def test_explain(here: Here) -> None:
    (here.directory / "over.yaml").write_text(OVER)
    (here.directory / ".env").write_text("# tags\nTAG=9\n")
    ask = ("-f", "compose.yaml", "-f", "over.yaml", "config", "--explain")
    assert here.ask(*ask, "services.web.image") == (
        'services.web.image: "nginx:9"\n'
        "  set in      over.yaml:1:25     services: {web: {image: 'nginx:${TAG}'}}\n"
        f'      TAG is "9", from {here.directory}/.env:2\n'
        "  replaces    compose.yaml:4:12  image: nginx:${TAG:-1}\n"
        f'      TAG is "9", from {here.directory}/.env:2\n'
    )
    assert here.ask(*ask, "services.web.environment.FROM_FILE") == (
        'services.web.environment.FROM_FILE: "1"\n  set in      web.env:1:1  FROM_FILE=1\n'
    )
    assert "no file says so" in here.ask(*ask, "networks.default.name")
    here.ask(*ask, "services.web.imag", code=1)
    assert 'did you mean "image"?' in here.err
    found = json.loads(here.ask(*ask, "services.web.volumes[1].target", "--format", "json"))
    assert (found["value"], found["settings"][0]["where"]) == ("/data", "compose.yaml:9:29")


def test_explain_goes_through_extends_and_include(here: Here) -> None:
    (here.directory / "compose.yaml").write_text(
        "include: [inc.yaml]\nservices:\n  a:\n    extends: {service: base, file: base.yaml}\n    user: me\n  c: {tty: true}\n"
    )
    (here.directory / "base.yaml").write_text("services:\n  base:\n    image: b\n    user: you\n")
    (here.directory / "inc.yaml").write_text("services:\n  c:\n    image: c\n")
    assert here.ask("config", "--explain", "services.a.user").splitlines()[1:] == [
        "  set in      compose.yaml:5:11  user: me",
        "  replaces    base.yaml:4:11     user: you",
    ]
    assert here.ask("config", "--explain", "services.a.image").splitlines()[1:] == [
        "  set in      base.yaml:3:12  image: b"
    ]
    assert here.ask("config", "--explain", "services.c.image").splitlines()[1:] == [
        "  set in      inc.yaml:3:12  image: c"
    ]


def test_explain_shows_a_reset(here: Here) -> None:
    (here.directory / "over.yaml").write_text("services:\n  web:\n    image: !reset\n    build: .\n")
    (here.directory / "more.yaml").write_text("services:\n  web:\n    image: third\n")
    lines = here.ask(
        "-f", "compose.yaml", "-f", "over.yaml", "-f", "more.yaml", "config", "--explain", "services.web.image"
    ).splitlines()
    assert [line.split()[-4:] for line in lines[2:3]] == [["!reset", "(removed", "by", "!reset)"]]


def test_digests_need_a_registry(here: Here) -> None:
    (here.directory / "compose.yaml").write_text("services: {web: {image: '127.0.0.1:9/x/y:1'}}\n")
    here.ask("config", "--lock-image-digests", code=1)
    assert "cannot find the digest of 127.0.0.1:9/x/y:1" in here.err


@covers("config --lock-image-digests", "config --resolve-image-digests")
def test_digests_of_a_registry(here: Here) -> None:
    from tests.runtime.images.registry.fake import registry

    with registry() as server:
        digest = server.add_image(b"", tag="1")["digest"]
        text = f"services: {{web: {{image: '{server.host}/x/y:1'}}, built: {{build: .}}}}\n"
        (here.directory / "compose.yaml").write_text(text)
        locked = here.ask("config", "--lock-image-digests")
        assert locked == f"services:\n  web:\n    image: {server.host}/x/y:1@{digest}\n"
        assert f"image: {server.host}/x/y:1@{digest}\n" in here.ask("config", "--resolve-image-digests")


@covers("convert --services", "convert --volumes", "convert --images", "convert --profiles", "convert --hash")
@covers("convert --format", "convert --no-consistency", "convert --no-interpolate", "convert --no-normalize")
@covers("convert --output", "convert --quiet", "convert --resolve-image-digests")
def test_convert_is_config(here: Here) -> None:
    """The name of old, with the flags of then: the same answers."""
    lines = ["--services", "--volumes", "--images", "--profiles", "--hash *", "--format json", "--no-consistency"]
    for line in [*lines, "--no-interpolate", "--no-normalize", "--quiet"]:
        assert here.ask("convert", *line.split()) == here.ask("config", *line.split()), line
    here.ask("convert", "--output", "out.yaml")
    assert (here.directory / "out.yaml").read_text() == here.ask("config")
    (here.directory / "compose.yaml").write_text("services: {web: {image: '127.0.0.1:9/x/y:1'}}\n")
    here.ask("convert", "--resolve-image-digests", code=1)
    assert "cannot find the digest of 127.0.0.1:9/x/y:1" in here.err

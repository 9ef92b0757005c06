"""Exact texts of the loader's errors: place, fact, hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from .loading import errors, project

CASES = {
    "image: x, depend_on: [b]": ['compose.yaml:1:26: services.a.depend_on: unknown key\n  did you mean "depends_on"?'],
    "qqq: 1": ["compose.yaml:1:26: services.a.qqq: unknown key"],
    'ports: ["80:foo"]': ['compose.yaml:1:34: services.a.ports[0]: expected a port or a range of ports, not "foo"'],
    'ports: ["80:70000"]': [
        'compose.yaml:1:34: services.a.ports[0]: expected a port from 1 to 65535, or a rising range of them, not "70000"'
    ],
    'ports: ["80-82:90-91"]': [
        'compose.yaml:1:34: services.a.ports[0]: expected ranges of the same size on both sides, not "80-82:90-91"'
    ],
    'ports: ["1.2.3:80:80"]': ['compose.yaml:1:34: services.a.ports[0]: expected an IP address of this host, not "1.2.3"'],
    "ports: [{published: 80}]": ["compose.yaml:1:34: services.a.ports[0]: a port needs a target, the port in the container"],
    "ports: {a: b}": ["compose.yaml:1:33: services.a.ports: expected a list, not a mapping"],
    "command: [sleep, 10]": [
        'compose.yaml:1:43: services.a.command[1]: expected text, not the number 10\n  put it in quotes: "10"'
    ],
    "hostname: 010": ['compose.yaml:1:36: services.a.hostname: expected text, not the number 010\n  put it in quotes: "010"'],
    "tty: maybe": ['compose.yaml:1:31: services.a.tty: expected true or false, not "maybe"'],
    "mem_limit: lots": ['compose.yaml:1:37: services.a.mem_limit: expected a size such as 512m or 1.5g, not "lots"'],
    'stop_grace_period: "10"': [
        'compose.yaml:1:45: services.a.stop_grace_period: expected a duration such as 1m30s, with a unit, not "10"'
    ],
    "stop_signal: SIGNOPE": [
        'compose.yaml:1:39: services.a.stop_signal: expected a signal such as SIGINT, not "SIGNOPE"'
    ],
    "restart: alway": [
        "compose.yaml:1:35: services.a.restart: expected no, always, unless-stopped, on-failure or on-failure:N, "
        'not "alway"\n  did you mean "always"?'
    ],
    "healthcheck: {test: [foo]}": [
        "compose.yaml:1:46: services.a.healthcheck.test: expected a list that begins with CMD, CMD-SHELL or NONE, "
        'not "foo"'
    ],
    "environment: {A: [1]}": [
        "compose.yaml:1:43: services.a.environment.A: expected text, a number, true or false, not a list"
    ],
    "volumes: [data:/x]": [
        'compose.yaml:1:36: services.a.volumes[0]: the volume "data" is not defined\n'
        "  declare it at top level, below volumes:; a host directory begins with ./ or /"
    ],
    'volumes: ["a:/b:c:d"]': [
        'compose.yaml:1:36: services.a.volumes[0]: expected source:target:options, not "a:/b:c:d"\n  too many colons'
    ],
    "volumes: [./a:b]": ['compose.yaml:1:36: services.a.volumes[0]: the target "b" is not an absolute path'],
    "tmpfs: /a, volumes: [./a:/a]": [
        'compose.yaml:1:33: services.a.tmpfs: "/a" is mounted by volumes already\n  remove one of the two'.replace("tmpfs:", "tmpfs[0]:")
    ],
    "networks: [n], network_mode: host": [
        'compose.yaml:1:37: services.a.networks.n: the network "n" is not defined\n'
        "  declare it at top level, below networks:",
        "compose.yaml:1:41: services.a.network_mode: cannot be used together with networks\n  remove one of the two",
    ],
    "secrets: [s]": [
        'compose.yaml:1:36: services.a.secrets[0]: the secret "s" is not defined\n'
        '  declare it at top level: "secrets: {s: {file: ./s.txt}}"'
    ],
    "depends_on: [c]": ['compose.yaml:1:39: services.a.depends_on.c: depends on "c", which is not defined'],
    "depends_on: {a: {restart: true}}": [
        "compose.yaml:1:39: services.a.depends_on.a: needs a condition\n"
        "  service_started, service_healthy or service_completed_successfully",
        "compose.yaml:1:39: dependency cycle: a → a\n  remove one of these dependencies",
    ],
    "container_name: ab, scale: 2": [
        "compose.yaml:1:42: services.a.container_name: cannot be used with 2 replicas: names of containers are unique\n  remove container_name"
    ],
    "scale: 2, deploy: {replicas: 3}": [
        "compose.yaml:1:33: services.a.scale: is 2, but deploy.replicas is 3\n  keep one of the two"
    ],
    "cpus: 1, deploy: {resources: {limits: {cpus: 2}}}": [
        "compose.yaml:1:32: services.a.cpus: is 1, but deploy.resources.limits.cpus is 2\n  keep one of the two"
    ],
    "ports: ": ["compose.yaml:1:26: services.a.ports: has no value\n  give it one, or remove the line"],
    "env_file: no.env": ["compose.yaml:1:36: cannot find the environment file DIR/no.env\n  check the path; it is relative to the directory it is written for"],
    "env_file: .": ["compose.yaml:1:36: cannot read the environment file DIR: it is a directory\n  name a file in it"],
    "image: y": ['compose.yaml:1:26: the key "image" is defined twice\n  it is already defined in line 1'],
    "labels: !foo {a: b}": [
        'compose.yaml:1:34: unknown YAML tag "!foo"\n  Compose knows !reset and !override'
    ],
    'user: "${1A}"': [
        "compose.yaml:1:32: services.a.user: cannot read '${1A}' as a variable\n"
        "  write ${NAME}, ${NAME:-default}, or $$ for a dollar sign"
    ],
    'user: "${U:?set the user}"': [
        "compose.yaml:1:32: services.a.user: the variable U is required: set the user\n"
        "  set U in the environment or in .env"
    ],
    "extends: b": ['compose.yaml:1:35: cannot extend "b": there is no such service'],
    "extends: a": ["compose.yaml:1:35: cannot extend in a circle: a → a\n  remove one of these extends"],
}  # fmt: skip


@pytest.mark.parametrize("attribute", CASES)
def test_service_attribute(attribute: str, tmp_path: Path) -> None:
    text = f"services: {{a: {{image: x, {attribute.removeprefix('image: x, ')}}}}}"
    assert errors(tmp_path, text, refuse=True) == CASES[attribute]


WHOLE = {
    "": ["compose.yaml: cannot load an empty Compose file\n  it needs at least services:"],
    "hello": ["compose.yaml:1:1: cannot load a Compose file that is text, not a mapping\n  begin with services:"],
    "- a": ["compose.yaml:1:1: cannot load a Compose file that is a list, not a mapping\n  begin with services:"],
    "services:\n\ta: x\n": [
        "compose.yaml:2:1: cannot read as YAML: found character that cannot start any token\n"
        "  YAML is indented with spaces, never with tabs"
    ],
    "services: {a: {image: x}\n": [
        "compose.yaml:2:1: cannot read as YAML: did not find expected ',' or '}'\n"
        "  while parsing a flow mapping which began in line 1"
    ],
    "services:": ["compose.yaml:1:1: services: expected a mapping, not nothing"],
    "services: {a: {}}": [
        "compose.yaml:1:12: services.a: has neither an image nor a build\n  give it image: NAME, or build: ."
    ],
    "services: {a: }": ["compose.yaml:1:12: services.a: has no value\n  give it one, or remove the line"],
    "services: {'a b': {image: x}}": [
        'compose.yaml:1:12: services.a b: "a b" cannot be the name of a service\n'
        "  use letters, digits, dots, dashes and underscores"
    ],
    "network: {}\nservices: {}": ['compose.yaml:1:1: network: unknown key\n  did you mean "networks"?'],
    "a: &a [*a]\nservices: {}": [
        "compose.yaml:1:4: cannot read an anchor that contains itself\n  an alias stands for what was written before it; use it outside of its anchor"
    ],
    "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [c]}, c: {image: x, depends_on: [a]}}": [
        "compose.yaml:1:39: dependency cycle: a → b → c → a\n  remove one of these dependencies"
    ],
    "services: {a: {image: x, container_name: foo}, b: {image: x, container_name: foo}}": [
        'compose.yaml:1:78: services.b.container_name: "foo" is the container_name of service "a" already\n  choose another'
    ],
    "services: {a: {image: x, depends_on: [b]}, b: {image: y, profiles: [p]}}": [
        'compose.yaml:1:39: services.a.depends_on.b: depends on "b", which no active profile includes\n'
        "  activate one of b's profiles with --profile, or set required: false"
    ],
    "services: {a: {image: x, volumes: [v:/v]}}\nvolumes: {v: {external: true, driver: d}}": [
        "compose.yaml:2:31: volumes.v.driver: an external volume exists already and cannot be described\n  remove this, or external"
    ],
    "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {}}": [
        "compose.yaml:2:11: secrets.s: has no file or environment; it needs exactly one"
    ],
    "include: [b.yaml]\nservices: {}": [
        "compose.yaml:1:11: cannot find the included file b.yaml\n  paths are relative to the project directory, or to the including file in an included one"
    ],
    "include: ['file:///no/such/repository.git']": [
        "compose.yaml:1:11: cannot read file:///no/such/repository.git: cannot fetch with git: fatal: '/no/such/repository.git' does not appear to be a git repository"
    ],
    "services: {a: {extends: {file: 'oci://127.0.0.1:1/a:1', service: b}}}": [
        "compose.yaml:1:25: cannot read oci://127.0.0.1:1/a:1: cannot connect to 127.0.0.1:1: connection refused"
    ],
    "name: ${N:?no name}\nservices: {}": [
        "compose.yaml:1:7: name: the variable N is required: no name\n  set N in the environment or in .env"
    ],
}


@pytest.mark.parametrize("text", WHOLE)
def test_whole_file(text: str, tmp_path: Path) -> None:
    assert errors(tmp_path, text) == WHOLE[text]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
services:
  web:
    image: x
    port: ["80:80"]
    tty: perhaps
    depends_on: [db]
  worker:
    command: [a, 1]
"""
    assert errors(tmp_path, text) == [
        'compose.yaml:4:5: services.web.port: unknown key\n  did you mean "ports"?',
        'compose.yaml:5:10: services.web.tty: expected true or false, not "perhaps"',
        'compose.yaml:6:18: services.web.depends_on.db: depends on "db", which is not defined',
        "compose.yaml:7:3: services.worker: has neither an image nor a build\n  give it image: NAME, or build: .",
        'compose.yaml:8:18: services.worker.command[1]: expected text, not the number 1\n  put it in quotes: "1"',
    ]


def test_a_problem_of_an_override_is_placed_there(tmp_path: Path) -> None:
    base, over = "services: {a: {image: x}}", "services:\n  a:\n    depends_on: [zz]\n    tty: 5\n"
    assert (
        errors(tmp_path, base, over)
        == [
            "over1.yaml:4:10: services.a.tty: expected true or false, not the number 5",
            'over1.yaml:3:18: services.a.depends_on.zz: depends on "zz", which is not defined',
        ][::-1]
    )


def test_alias_bomb(tmp_path: Path) -> None:
    lines = ["x0: &x0 [a,a,a,a,a,a,a,a,a,a]"]
    lines += [f"x{i}: &x{i} [{','.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 8)]
    assert errors(tmp_path, "\n".join(lines)) == [
        "compose.yaml: cannot read more than 100000 nodes of one document\n  use fewer aliases, or several files"
    ]


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"services: {a: {image: '\xe4\xff'}}")
    [error] = errors(tmp_path, "include: [latin.yaml]")
    assert error.startswith("latin.yaml: cannot read as YAML:")


def test_unsupported_attributes_are_refused_by_name(tmp_path: Path) -> None:
    text = """\
services:
  web:
    image: x
    use_api_socket: true
    logging: {driver: splunk}
    volumes: [{type: npipe, source: y, target: /y}]
    pre_start: [{command: "true", per_replica: true}]
    runtime: runsc
  off:
    profiles: [p]
    image: x
    use_api_socket: true
"""
    assert errors(tmp_path, text, refuse=True) == [
        "compose.yaml:4:5: services.web.use_api_socket is not supported: there is no daemon whose API the container could "
        "talk to",
        'compose.yaml:5:15: services.web.logging.driver "splunk" is not supported: a plug-in of Docker\'s engine, or a '
        "service of one cloud",
        'compose.yaml:6:16: services.web.volumes[0].type "npipe" is not supported: Windows only',
        "compose.yaml:7:35: services.web.pre_start[0].per_replica is not supported: docker compose refuses it too: a command "
        "runs once per service",
        'compose.yaml:8:5: services.web.runtime "runsc" is not supported: there is one runtime; gVisor, Kata and nvidia are '
        "not it (for GPUs use gpus)",
    ]
    assert project(
        tmp_path, "services: {web: {image: x}, off: {profiles: [p], image: x, use_api_socket: true}}", refuse=True
    ).disabled == ("off",)


READABLE = {
    "stop_signal: SIGNOPE": 'stop_signal: expected a signal such as SIGINT, not "SIGNOPE"',
    "restart: alway": 'restart: expected no, always, unless-stopped, on-failure or on-failure:N, not "alway"',
    "volumes: [./a:b]": 'volumes[0]: the target "b" is not an absolute path',
    "volumes: [{type: tmpfs, source: s, target: /t}]": "volumes[0]: a tmpfs mount has no source",
    "mem_limit: 2g, memswap_limit: 1g": "memswap_limit: is memory and swap together, and cannot be less than mem_limit",
    "ports: [{target: 0}]": "ports[0].target: expected a number from 1 to 65535, not 0",
    "devices: ['/dev/a:/dev/b:xyz']": 'devices[0]: expected permissions of r, w and m, not "xyz"',
    "cpus: -1": "cpus: expected a number from 0 to 1e+06, not -1",
    "scale: 20000": "scale: expected a number from 0 to 10000, not 20000",
    "deploy: {restart_policy: {condition: foo}}": "deploy.restart_policy.condition: expected none or on-failure or any",
    "blkio_config: {weight: 5000}": "blkio_config.weight: expected a number from 0 to 1000, not 5000",
    "mem_swappiness: 500": "mem_swappiness: expected a number from -1 to 100, not 500",
    "post_start: [{command: ''}]": "post_start[0]: a hook needs a command",
    "container_name: 'a b'": 'container_name: "a b" is no name for a container',
}


@pytest.mark.parametrize("attribute", READABLE)
def test_what_can_be_read_but_not_run_is_a_warning_of_config(attribute: str, tmp_path: Path) -> None:
    text = f"services: {{a: {{image: x, {attribute}}}}}"
    [warning] = project(tmp_path, text).warnings
    assert READABLE[attribute] in warning
    assert READABLE[attribute] in errors(tmp_path, text, refuse=True)[0]

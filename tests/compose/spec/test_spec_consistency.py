"""Every contradiction that docker compose refuses, one test each: where it is, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from .loading import errors, project

# name → (attributes of service a, or a whole file), the first problem
CASES: dict[str, tuple[str, str]] = {
    "neither image nor build nor provider": (
        "services: {a: {user: x}}",
        "compose.yaml:1:12: services.a: has neither an image nor a build",
    ),
    "dockerfile and dockerfile_inline": (
        "build: {context: ., dockerfile: D, dockerfile_inline: FROM x}",
        "services.a.build.dockerfile_inline: cannot be used together with dockerfile",
    ),
    "additional context of an unknown service": (
        "build: {context: ., additional_contexts: {b: 'service:nope'}}",
        'services.a.build.additional_contexts.b: the service "nope" is not defined',
    ),
    "additional context of a service without build": (
        "build: {context: ., additional_contexts: {b: 'service:other'}}",
        'services.a.build.additional_contexts.b: the service "other" has no build',
    ),
    "platforms without the platform": (
        "platform: linux/s390x, build: {context: ., platforms: [linux/amd64]}",
        'services.a.build.platforms: do not include the service\'s platform "linux/s390x"',
    ),
    "network_mode and networks": (
        "network_mode: host, networks: [net]",
        "services.a.network_mode: cannot be used together with networks",
    ),
    "undefined network": ("networks: [nett]", 'services.a.networks.nett: the network "nett" is not defined'),
    "undefined volume": ("volumes: ['voll:/v']", 'services.a.volumes[0]: the volume "voll" is not defined'),
    "undefined secret": ("secrets: [secrett]", 'services.a.secrets[0]: the secret "secrett" is not defined'),
    "undefined config": ("configs: [confi]", 'services.a.configs[0]: the config "confi" is not defined'),
    "undefined model": ("models: [modell]", 'services.a.models.modell: the model "modell" is not defined'),
    "undefined build secret": (
        "build: {context: ., secrets: [nope]}",
        'services.a.build.secrets[0]: the secret "nope" is not defined',
    ),
    "healthcheck.test begins wrongly": (
        "healthcheck: {test: [curl, x]}",
        'services.a.healthcheck.test: expected a list that begins with CMD, CMD-SHELL or NONE, not "curl"',
    ),
    "depends_on an undefined service": (
        "depends_on: [othr]",
        'services.a.depends_on.othr: depends on "othr", which is not defined',
    ),
    "depends_on a disabled service": (
        "depends_on: [off]",
        'services.a.depends_on.off: depends on "off", which no active profile includes',
    ),
    "network_mode of an unknown service": (
        "network_mode: 'service:nope'",
        'services.a.network_mode: depends on "nope", which is not defined',
    ),
    "scale differs from replicas": (
        "scale: 2, deploy: {replicas: 3}",
        "services.a.scale: is 2, but deploy.replicas is 3",
    ),
    "negative scale": ("scale: -1", "services.a.scale: expected a number from 0 to 10000, not -1"),
    "negative replicas": ("deploy: {replicas: -1}", "services.a.deploy.replicas: expected a number from 0 to"),
    "cpus differ from deploy": (
        "cpus: 1, deploy: {resources: {limits: {cpus: 2}}}",
        "services.a.cpus: is 1, but deploy.resources.limits.cpus is 2",
    ),
    "mem_limit differs from deploy": (
        "mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}",
        "services.a.mem_limit: is 1073741824, but deploy.resources.limits.memory is 2147483648",
    ),
    "mem_reservation differs from deploy": (
        "mem_reservation: 1g, deploy: {resources: {reservations: {memory: 2g}}}",
        "services.a.mem_reservation: is 1073741824, but deploy.resources.reservations.memory is 2147483648",
    ),
    "pids_limit differs from deploy": (
        "pids_limit: 1, deploy: {resources: {limits: {pids: 2}}}",
        "services.a.pids_limit: is 1, but deploy.resources.limits.pids is 2",
    ),
    "a limit beside deploy limits without it": (
        "pids_limit: 1, deploy: {resources: {limits: {cpus: 2}}}",
        "services.a.pids_limit: stands beside deploy.resources.limits, which has none",
    ),
    "container_name and more than one replica": (
        "container_name: one, scale: 2",
        "services.a.container_name: cannot be used with 2 replicas",
    ),
    "watch without a target": (
        "develop: {watch: [{path: ./x, action: sync}]}",
        "services.a.develop.watch[0]: sync needs a target, the path in the container",
    ),
    "watch with a blank path": (
        "develop: {watch: [{path: '', action: rebuild}]}",
        "services.a.develop.watch[0]: a rule needs a path",
    ),
    "watch without an action": (
        "develop: {watch: [{path: x}]}",
        "services.a.develop.watch[0]: a rule needs an action",
    ),
    "the same mount target twice": (
        "volumes: ['./x:/x'], tmpfs: ['/x']",
        'services.a.tmpfs[0]: "/x" is mounted by volumes already',
    ),
    "secret without a source": (
        "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {name: n}}",
        "secrets.s: has no file or environment; it needs exactly one",
    ),
    "secret with two sources": (
        "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {file: f, environment: E}}",
        "secrets.s: has file and environment; it needs exactly one",
    ),
    "config without a source": (
        "services: {a: {image: x, configs: [s]}}\nconfigs: {s: {name: n}}",
        "configs.s: has no file, content or environment; it needs exactly one",
    ),
    "config with two sources": (
        "services: {a: {image: x, configs: [s]}}\nconfigs: {s: {file: f, content: E}}",
        "configs.s: has file and content; it needs exactly one",
    ),
    "external volume with other attributes": (
        "services: {a: {image: x, volumes: ['vol:/v']}}\nvolumes: {vol: {external: true, labels: [a=b]}}",
        "volumes.vol.labels: an external volume exists already and cannot be described",
    ),
    "count and device_ids": (
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1, device_ids: ['0']}]}}}",
        "services.a.deploy.resources.reservations.devices[0]: count and device_ids exclude each other",
    ),
    "count and device_ids of gpus": (
        "gpus: [{count: 1, device_ids: ['0']}]",
        "services.a.gpus[0]: count and device_ids exclude each other",
    ),
    "invalid host_ip of a port": (
        "ports: [{target: 80, host_ip: 300.1.1.1}]",
        'services.a.ports[0].host_ip: expected an IP address of this host, not "300.1.1.1"',
    ),
    "dependency cycle": (
        "services: {a: {image: x, depends_on: [b]}, b: {image: x, links: [a]}}",
        "dependency cycle: a → b → a",
    ),
    "the same container_name twice": (
        "services: {a: {image: x, container_name: cn}, b: {image: x, container_name: cn}}",
        'services.b.container_name: "cn" is the container_name of service "a" already',
    ),
    "an item twice": (
        "security_opt: ['a=b', 'a=b']",
        'services.a.security_opt[1]: "a=b" is there twice',
    ),
    "provider without a type": (
        "services: {a: {provider: {options: {x: 1}}}}",
        "services.a.provider: needs a type",
    ),
    "hook without a command": (
        "post_start: [{user: root}]",
        "services.a.post_start[0]: a hook needs a command",
    ),
    "model without a model": (
        "services: {a: {image: x, models: [m]}}\nmodels: {m: {name: n}}",
        "models.m: needs a model",
    ),
    "device request without capabilities": (
        "deploy: {resources: {reservations: {devices: [{count: 1}]}}}",
        "services.a.deploy.resources.reservations.devices[0]: needs capabilities",
    ),
}  # fmt: skip
REST = """
  other: {image: y}
  off: {image: y, profiles: [p]}
networks: {net: }
volumes: {vol: }
"""


def text_of(case: str) -> str:
    text = CASES[case][0]
    if text.startswith("services:"):
        return text
    image = "" if text.startswith("build") else "image: x, "
    return f"services:\n  a: {{{image}{text}}}{REST}"


@pytest.mark.parametrize("case", CASES)
def test_refused(case: str, tmp_path: Path) -> None:
    first = errors(tmp_path, text_of(case))[0]
    assert CASES[case][1] in first
    assert first.startswith("compose.yaml:")


ALLOWED = {
    "an optional dependency that is not there": "depends_on: {nope: {condition: service_started, required: false}}",
    "an optional dependency that no profile includes": "depends_on: {off: {condition: service_started, required: false}}",
    "the same limit twice": "cpus: 2, deploy: {resources: {limits: {cpus: 2}}}",
    "scale like replicas": "scale: 2, deploy: {replicas: 2}",
    "no replicas": "scale: 0",
    "provider and image": "provider: {type: t}",
    "start_interval without start_period": "healthcheck: {test: x, start_interval: 1s}",
    "container_name with one replica": "container_name: one, scale: 1",
    "an empty probe": "healthcheck: {test: []}",
    "empty networks and a network_mode": "networks: [], network_mode: host",
    "watch that rebuilds has no target": "develop: {watch: [{path: x, action: rebuild}, {path: y, action: restart}]}",
}


@pytest.mark.parametrize("case", ALLOWED)
def test_allowed(case: str, tmp_path: Path) -> None:
    assert project(tmp_path, f"services:\n  a: {{image: x, {ALLOWED[case]}}}{REST}").services["a"].image == "x"


NEAR = {
    "key": ("imag: y", 'did you mean "image"?'),
    "service": ("depends_on: [othr]", 'did you mean "other"?'),
    "service of a namespace": ("pid: 'service:othr'", 'did you mean "other"?'),
    "service of a link": ("links: [othr]", 'did you mean "other"?'),
    "network": ("networks: [nett]", 'did you mean "net"?'),
    "volume": ("volumes: ['voll:/v']", 'did you mean "vol"?'),
    "word of a choice": ("cgroup: hots", 'did you mean "host"?'),
    "restart": ("restart: allways", 'did you mean "always"?'),
    "condition": ("depends_on: {other: {condition: service_helthy}}", 'did you mean "service_healthy"?'),
    "service to extend": ("extends: othr", 'did you mean "other"?'),
    "variable": ("user: '${HOEM:?}'", 'did you mean "HOME"?'),
}


@pytest.mark.parametrize("case", NEAR)
def test_the_nearest_name_is_offered(case: str, tmp_path: Path) -> None:
    wrong, hint = NEAR[case]
    assert any(hint in error for error in errors(tmp_path, f"services:\n  a: {{image: x, {wrong}}}{REST}", refuse=True))

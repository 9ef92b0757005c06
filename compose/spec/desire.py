"""Loaded → Desired and the plain project: config hashes, names on the machine, contents of secrets and configs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from compose import plain_json as json
from compose.errors import SpecError
from compose.plan.desired import (
    Dependency,
    Desired,
    DesiredFile,
    DesiredNetwork,
    DesiredService,
    DesiredVolume,
    Refusal,
)
from compose.spec.digest import sha256_hex
from compose.spec.pipeline import Loaded
from compose.spec.validate import network_order

# Changing these recreates nothing; the rest of the canonical config is what the hash stands for.
PREDEFINED = ("bridge", "host", "none")
PLAIN_MODES = ("bridge", "default")  # network_mode: a network of the project that only these services are on
BRIDGE_MODE = "bridge-mode"
NOT_HASHED = frozenset(["build", "pull_policy", "scale", "depends_on", "profiles"])


def desired_from_loaded(loaded: Loaded) -> Desired:
    """What the planner reads. Raises SpecError when a secret's or config's variable is not set."""
    root, place = loaded.root, loaded.place
    files = _files(loaded)
    digests = {(file.kind, file.key): file.digest for file in files}
    names = root["services"].keys()
    services = tuple(_service(loaded, name, item, digests, names) for name, item in root["services"].items())
    networks = [DesiredNetwork(*_resource(key, item)) for key, item in root["networks"].items()]
    if any(service.networks == (BRIDGE_MODE,) for service in services):
        plain = {"name": f"{loaded.name}_{BRIDGE_MODE}", "driver": "bridge"}
        networks.append(DesiredNetwork(*_resource(BRIDGE_MODE, plain)))
    return Desired(
        project=loaded.name,
        working_dir=place.directory,
        config_files=place.files,
        environment_files=place.env_files,
        services=services,
        order=loaded.order,
        networks=tuple(networks),
        volumes=tuple(DesiredVolume(*_resource(key, item)) for key, item in root["volumes"].items()),
        files=files,
        disabled=loaded.disabled,
        profiles=loaded.profiles,
        warnings=loaded.warnings,
        separator=loaded.separator,
        refusals=tuple(Refusal(r.message, r.hint, r.where, r.path) for r in loaded.refusals),
        all_resources=loaded.all_resources,
    )


def plain_project(loaded: Loaded) -> dict[str, Any]:
    """The fields of compose.model.project.Project as plain values."""
    root, place = loaded.root, loaded.place
    files = _files(loaded, missing_is_error=False)
    digests = {(file.kind, file.key): file.digest for file in files}
    return {
        "name": loaded.name,
        "working_dir": place.directory,
        "config_files": place.files,
        "environment_files": place.env_files,
        "services": root["services"],
        **{section: root[section] for section in ("networks", "volumes", "secrets", "configs", "models")},
        "order": loaded.order,
        "hashes": {name: config_hash(_config(item), digests) for name, item in root["services"].items()},
        "separator": loaded.separator,
        "disabled": loaded.disabled,
        "profiles": loaded.profiles,
        "warnings": loaded.warnings,
        "extensions": {key: value for key, value in root.items() if key.startswith("x-")},
    }


def _config(service: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in service.items() if not key.startswith("x-")}


def _service(
    loaded: Loaded, name: str, item: Mapping[str, Any], digests: Mapping[tuple[str, str], str], names: Collection[str]
) -> DesiredService:
    """``names``: the enabled services; a dependency on another one was declared not to be required, and is left out."""
    config = _with_mode(_config(item), loaded.root["networks"])
    provided = bool(config.get("provider"))  # something else than a container
    replicas = config.get("scale", (config.get("deploy") or {}).get("replicas"))
    return DesiredService(
        name=name,
        image="" if provided else config.get("image") or f"{loaded.name}{loaded.separator}{name}",
        config=config,
        config_hash=config_hash(config, digests),
        replicas=0 if provided else 1 if replicas is None else replicas,
        container_name=config.get("container_name", ""),
        dependencies=tuple(
            Dependency(target, d["condition"], d.get("required", True), d.get("restart", False))
            for target, d in config.get("depends_on", {}).items()
            if target in names
        ),
        networks=(BRIDGE_MODE,) if config.get("network_mode") in PLAIN_MODES else network_order(config.get("networks")),
    )


def _with_mode(config: dict[str, Any], networks: Mapping[str, Any]) -> dict[str, Any]:
    """Docker has networks of its own by the names of three modes; an external one of these names means that mode."""
    keys = network_order(config.get("networks"))
    only = networks.get(keys[0]) if len(keys) == 1 else None
    if not only or not only.get("external") or only["name"] not in PREDEFINED:
        return config
    return {**{key: value for key, value in config.items() if key != "networks"}, "network_mode": only["name"]}


def config_hash(config: Mapping[str, Any], digests: Mapping[tuple[str, str], str]) -> str:
    """sha256 of what a container is made from: the canonical config and the contents of its secrets and configs."""
    hashed = {key: value for key, value in config.items() if key not in NOT_HASHED}
    deploy = hashed.get("deploy")
    if deploy and "replicas" in deploy:
        hashed["deploy"] = {key: value for key, value in deploy.items() if key != "replicas"}
    contents = [
        digests.get((kind, reference["source"]), "")
        for kind, section in (("secret", "secrets"), ("config", "configs"))
        for reference in config.get(section, ())
    ]
    return _hash([hashed, contents])


def _hash(value: Any) -> str:
    return sha256_hex(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _resource(key: str, item: Mapping[str, Any]) -> tuple[str, str, bool, Mapping[str, Any], str]:
    return (key, item["name"], bool(item.get("external")), item, _hash(item))


def _files(loaded: Loaded, *, missing_is_error: bool = True) -> tuple[DesiredFile, ...]:
    result = []
    for kind, section in (("secret", "secrets"), ("config", "configs")):
        for key, item in loaded.root[section].items():
            if item.get("file"):
                result.append(DesiredFile(key, kind, item["file"], "", loaded.inputs.digest(item["file"])))
                continue
            content = item.get("content")
            if content is None and "environment" in item:
                content = loaded.place.variables(item["environment"])
                if content is None and missing_is_error:
                    raise SpecError(
                        f'{section}.{key}: the variable "{item["environment"]}" is not set',
                        hint="set it in the environment or in .env",
                    )
            raw = (content or "").encode("utf-8", "surrogateescape")
            result.append(DesiredFile(key, kind, "", raw.decode("latin-1"), sha256_hex(raw)))
    return tuple(result)

"""What Compose adds to a merged project: implicit networks and dependencies, names; and the shape it is printed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compose.spec.tree import Flat, Map, Report, Seq, locate

SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")
NULL_MEANS_NOTHING = frozenset(["command", "entrypoint", "pid", "deploy", "develop"])
_SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")

# Attributes that docker compose prints even when they are false, zero or empty; all others vanish then.
_KEPT = frozenset(
    """
    attach bind build command content count create_host_path driver_opts enable_ipv4 enable_ipv6 entrypoint hard
    healthcheck image init ipam logging max_attempts mem_swappiness parallelism placement replicas required
    resources retries scale soft stop_grace_period test tmpfs volume
    """.split()  # noqa: SIM905
)
_NULL_SHOWN = frozenset(("command", "entrypoint"))
_NAMED_RECORDS = frozenset(("networks", "depends_on", "models"))
# Maps whose keys are the user's: never pruned inside.
_OPAQUE = frozenset(
    """
    additional_contexts annotations args aux_addresses command depends_on driver_opts entrypoint environment
    extra_hosts labels models networks options storage_opt sysctls test ulimits
    """.split()  # noqa: SIM905
)
# docker compose keeps no extensions in the items of these, nor in those with capabilities.
_WITHOUT_EXTENSIONS = frozenset(("gpus", "config"))


def drop_version(root: Map, report: Report) -> None:
    """``version:`` means nothing any more; say so."""
    if "version" in root:
        where = locate(root, ("version",), key=True)
        report.warn("the attribute version is obsolete and has no effect; remove it", where=where)
        del root["version"]


def complete(root: Map, name: str, report: Report, *, normalize: bool = True) -> None:
    """Fill in defaults, in place. ``name``: the project's. Without ``normalize`` only what has a shape is given it."""
    root["name"] = name
    for section in SECTIONS:
        if root.get(section) is None:
            if section == "services" and "services" in root:
                report.problem("services: expected a mapping, not nothing", where=locate(root, ("services",), key=True))
            root[section] = Map()
    for key, service in root["services"].items():
        if isinstance(service, Map):
            _drop_nulls(root, key, service, report)
            _shape(service)
            if normalize:
                _service(root, key, service, report)
        else:
            report.without_value(root, ("services", key))
    for key in root["networks"]:
        network = root["networks"][key] = root["networks"][key] or Map()
        if isinstance(network, Map):
            network.setdefault("ipam", Map())
    if not normalize:
        return
    if any("default" in (s.get("networks") or ()) for s in root["services"].values() if isinstance(s, Map)):
        root["networks"].setdefault("default", None)
    for section in ("networks", "volumes", "secrets", "configs"):
        for key, item in root[section].items():
            _resource(root, section, key, item, name)


def _drop_nulls(root: Map, name: str, service: Map, report: Report) -> None:
    for key in [key for key, value in service.items() if value is None]:
        if key not in NULL_MEANS_NOTHING:
            report.without_value(root, ("services", name, key))
        del service[key]


def _shape(service: Map) -> None:
    """What docker compose prints of every service, said or not."""
    service.setdefault("command", None)
    service.setdefault("entrypoint", None)
    provider = service.get("provider")
    options = provider.get("options") if isinstance(provider, Map) else None
    if isinstance(options, Map):
        for key, option in options.items():
            options[key] = option if isinstance(option, Seq) else [option]
    deploy = service.get("deploy")
    if isinstance(deploy, Map):
        deploy.setdefault("placement", Map())
        deploy.setdefault("resources", Map())


def _service(root: Map, name: str, service: Map, report: Report) -> None:
    if not service.get("networks") and not service.get("network_mode") and "provider" not in service:
        service["networks"] = Map()
        service["networks"]["default"] = None
    for reference in _maps(service.get("secrets")):
        reference.setdefault("target", f"/run/secrets/{reference['source']}")
    deploy = service.get("deploy")
    if isinstance(deploy, Map) and "scale" in service:
        deploy.setdefault("replicas", service["scale"])
    build = service.get("build")
    if isinstance(build, Map) and "dockerfile_inline" not in build:
        build.setdefault("dockerfile", "Dockerfile")
    if isinstance(service.get("dns"), Seq):  # "" is what an unset ${DNS:-} leaves
        service["dns"] = [server for server in service["dns"] if server]
    if isinstance(service.get("extra_hosts"), Seq):
        service["extra_hosts"] = sorted(service["extra_hosts"])
    _dependencies(root, name, service, report)


def _maps(value: Any) -> list[dict[str, Any]]:
    return [item for item in value or () if isinstance(item, dict)] if isinstance(value, list) else []


def _dependencies(root: Map, name: str, service: Map, report: Report) -> None:
    """Complete the declared dependencies and add the implicit ones."""
    depends_on = service.get("depends_on")
    depends_on = depends_on if isinstance(depends_on, Map) else Map()
    for dependency in depends_on.values():
        if isinstance(dependency, Map):
            dependency.setdefault("required", True)
    for target, restart in implicit_dependencies(service):
        if target not in depends_on:
            entry = Map()
            entry["condition"] = "service_started"
            if restart:
                entry["restart"] = True
            entry["required"] = True
            depends_on[target] = entry
    if depends_on:
        service["depends_on"] = depends_on


def implicit_dependencies(service: Map) -> list[tuple[str, bool]]:
    """(service, restart) for links, shared namespaces and volumes_from, in that order."""
    found = []
    for link in service.get("links") or ():
        if isinstance(link, str):
            found.append((link.partition(":")[0], True))
    for key in _SHARED:
        value = service.get(key)
        if isinstance(value, str) and value.startswith("service:"):
            found.append((value.removeprefix("service:"), True))
    for source in service.get("volumes_from") or ():
        if isinstance(source, str) and not source.startswith("container:"):
            found.append((source.partition(":")[0], False))
    return found


def _resource(root: Map, section: str, key: str, item: Any, project: str) -> None:
    """The name of a network, volume, secret or config; an external one keeps its own."""
    if item is None:
        item = root[section][key] = Map()
    external = item.get("external")
    if isinstance(external, Map):
        item["external"] = True
        if "name" in external:
            item.setdefault("name", external["name"])
    if not item.get("name"):
        item["name"] = key if item.get("external") else f"{project}_{key}"
    if section == "networks":
        item.setdefault("ipam", Map())


SIGNAL = "x-signal"  # of a use of a config or secret: what tells the process that its content changed


def prune(root: Map, *, everything: bool = False, extensions: bool = False) -> None:
    """Leave out what is empty, and resources that no enabled service uses, the way docker compose prints a project.

    ``everything``: unused resources stay (--all-resources). ``extensions``: ``x-`` keys within attributes stay, too.
    """
    services = root["services"]
    for name, service in services.items():
        own = {key: _plain(service[key]) for key in service if key.startswith("x-")}
        services[name] = {**_pruned(service, extensions), **own}
    for section, names in used_resources(services).items():
        root[section] = {
            key: _pruned(item or {}, extensions) for key, item in root[section].items() if everything or key in names
        }


def used_resources(services: Mapping[str, Any]) -> dict[str, set[str]]:
    """Keys of networks, volumes, secrets, configs and models that some service uses."""
    used: dict[str, set[str]] = {
        "networks": set(),
        "volumes": set(),
        "secrets": set(),
        "configs": set(),
        "models": set(),
    }
    for service in services.values():
        volumes = [v for v in _maps(service.get("volumes")) if v.get("type") == "volume"]
        used["networks"].update(service.get("networks") or ())
        used["volumes"].update(v["source"] for v in volumes if v.get("source"))
        build = service.get("build")
        secrets = [service.get("secrets"), build.get("secrets") if isinstance(build, dict) else ()]
        used["secrets"].update(item["source"] for found in secrets for item in _maps(found))
        used["configs"].update(item["source"] for item in _maps(service.get("configs")))
        used["models"].update(service.get("models") or ())
    return used


def _pruned(value: Any, extensions: bool) -> Any:
    """A plain copy: keys sorted, false, zero and empty values left out unless they mean something."""
    if isinstance(value, list):
        return [_pruned(item, extensions) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value, Flat):
        return dict(value)
    result: dict[str, Any] = {}
    extensions = extensions and "capabilities" not in value
    for key in sorted(value):
        if key.startswith("x-"):
            if extensions or key == SIGNAL:
                result[key] = _plain(value[key])
            continue
        deeper = extensions and key not in _WITHOUT_EXTENSIONS
        item = _plain(value[key]) if key in _OPAQUE else _pruned(value[key], deeper)
        if key in _NAMED_RECORDS and isinstance(item, dict):
            item = {name: _pruned(entry, deeper) for name, entry in item.items()}
        if item or (key in _KEPT and item is not None) or key in _NULL_SHOWN:
            result[key] = item
    return result


def _plain(value: Any) -> Any:
    """A plain copy with nothing left out, keys sorted."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(item) for item in value] if isinstance(value, list) else value

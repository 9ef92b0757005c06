"""What can only be checked on the whole project: profiles, references between parts, contradictions, support."""

from __future__ import annotations

import re
from typing import Any

from compose import graph
from compose.spec import support
from compose.spec.check import suggest
from compose.spec.platforms import runs_here
from compose.spec.tree import Map, Path, Report, Seq, dotted, locate

_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def consistency(root: Map, disabled: tuple[str, ...], broken: set[Path], report: Report) -> None:
    """Report every contradiction within the project. ``broken``: what was taken out because it was reported already."""
    judge = _Judge(root, disabled, broken, report)
    names: dict[str, str] = {}
    for name, service in root["services"].items():
        if isinstance(service, Map):
            judge.service(name, service)
            judge.container_name(name, service, names)
    for key, volume in root["volumes"].items():
        if isinstance(volume, Map):
            judge.external_volume(key, volume)
    for section in ("secrets", "configs"):
        used = {item["source"] for s in root["services"].values() for _, item in _indexed(_at(s, section))}
        for key, item in root[section].items():
            if isinstance(item, Map) and (key in used or not item.get("external")):
                judge.file_source(section, key, item)


class _Judge:
    """The checks, each reporting with the place of what is wrong."""

    def __init__(self, root: Map, disabled: tuple[str, ...], broken: set[Path], report: Report) -> None:
        self.root = root
        self.disabled = disabled
        self.broken = broken
        self.report = report

    def fail(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        where = locate(self.root, path, key=key)
        self.report.problem(f"{dotted(path)}: {message}", hint=hint, where=where, path=path)

    def cannot_run(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        where = locate(self.root, path, key=key)
        self.report.cannot_run(f"{dotted(path)}: {message}", hint=hint, where=where, path=path)

    def near(self, name: str, known: Map) -> str:
        """A hint with the nearest of the known names."""
        return "" if self.report.crowded else suggest(name, tuple(known))

    def service(self, name: str, service: Map) -> None:
        path: Path = ("services", name)
        provider = service.get("provider")
        if isinstance(provider, Map) and not provider.get("type"):
            say = self.cannot_run if isinstance(provider.get("type"), str) else self.fail
            say((*path, "provider"), "needs a type, the program that provides the service", key=True)
        sources = ("image", "build", "provider")
        if not any(service.get(key) or (*path, key) in self.broken for key in sources):
            self.fail(path, "has neither an image nor a build", "give it image: NAME, or build: .", key=True)
        if service.get("network_mode") and service.get("networks"):
            self.fail(
                (*path, "network_mode"), "cannot be used together with networks", "remove one of the two", key=True
            )
        self.dependencies(path, service)
        self.references(path, service)
        self.mounts(path, service)
        self.limits(path, service)
        self.repeated(path, service)
        self.build(path, service)

    def dependencies(self, path: Path, service: Map) -> None:
        services = self.root["services"]
        depends_on = service.get("depends_on")
        if not isinstance(depends_on, Map):
            return
        for target, dependency in depends_on.items():
            if target in services or ("services", target) in self.broken:
                continue
            if isinstance(dependency, Map) and dependency.get("required") is False:
                if target not in self.disabled:
                    place = locate(self.root, (*path, "depends_on", target), key=True)
                    self.report.warn(f'"{target}" is not defined and not required: it is not waited for', where=place)
                continue
            where = (
                (*path, "depends_on", target) if target in depends_on.marks else self.implicit(path, service, target)
            )
            if target in self.disabled:
                self.fail(where, f'depends on "{target}", which no active profile includes', self.activate(target))
            else:
                self.fail(where, f'depends on "{target}", which is not defined', self.near(target, services), key=True)

    def implicit(self, path: Path, service: Map, target: str) -> Path:
        """Where an implicit dependency comes from."""
        for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
            if service.get(key) == f"service:{target}":
                return (*path, key)
        for key in ("links", "volumes_from"):
            for index, item in enumerate(service.get(key) or ()):
                if isinstance(item, str) and item.partition(":")[0] == target:
                    return (*path, key, index)
        return path

    def activate(self, target: str) -> str:
        return f"activate one of {target}'s profiles with --profile, or set required: false"

    def references(self, path: Path, service: Map) -> None:
        networks = service.get("networks")
        for key in networks if isinstance(networks, Map) else ():
            self.known("network", "networks", key, (*path, "networks", key), key=True)
        for index, volume in _indexed(service.get("volumes")):
            if volume.get("type") == "volume" and volume.get("source"):
                self.known("volume", "volumes", volume["source"], (*path, "volumes", index))
        for section, word in (("secrets", "secret"), ("configs", "config")):
            for index, item in _indexed(service.get(section)):
                self.known(word, section, item["source"], (*path, section, index))
        models = service.get("models")
        for key in models if isinstance(models, Map) else ():
            self.known("model", "models", key, (*path, "models", key), key=True)
        build = service.get("build")
        for index, item in _indexed(build.get("secrets") if isinstance(build, Map) else None):
            self.known("secret", "secrets", item["source"], (*path, "build", "secrets", index))

    def known(self, word: str, section: str, name: str, path: Path, *, key: bool = False) -> None:
        if name in self.root[section] or not self.broken.isdisjoint({(section,), (section, name)}):
            return
        hint = self.near(name, self.root[section])
        if not hint:
            example = f"{name}:" if word in ("network", "volume") else f"{name}: {{file: ./{name}.txt}}"
            hint = (
                f'declare it at top level: "{section}: {{{example.rstrip(":")}}}"'
                if word in ("secret", "config")
                else ""
            )
            hint = hint or f"declare it at top level, below {section}:"
            if word == "volume":
                hint += "; a host directory begins with ./ or /"
        self.fail(path, f'the {word} "{name}" is not defined', hint, key=key)

    def mounts(self, path: Path, service: Map) -> None:
        targets = {volume.get("target"): "volumes" for _, volume in _indexed(service.get("volumes"))}
        for index, item in enumerate(service.get("tmpfs") or ()):
            target = item.partition(":")[0] if isinstance(item, str) else ""
            if target in targets:
                self.fail(
                    (*path, "tmpfs", index),
                    f'"{target}" is mounted by {targets[target]} already',
                    "remove one of the two",
                )
            targets.setdefault(target, "tmpfs")
        for index, volume in _indexed(service.get("volumes")):
            if volume.get("type") == "bind" and not volume.get("source"):
                self.fail((*path, "volumes", index), "a bind mount needs a source")
            if volume.get("type") == "tmpfs" and volume.get("source"):
                self.cannot_run((*path, "volumes", index), "a tmpfs mount has no source")
            if not str(volume.get("target", "/")).startswith("/") and isinstance(volume.get("target"), str):
                self.cannot_run((*path, "volumes", index), f'the target "{volume["target"]}" is not an absolute path')
        for keys in (("deploy", "resources", "reservations", "devices"), ("gpus",)):
            for index, request in _indexed(_at(service, *keys)):
                if "count" in request and "device_ids" in request:
                    self.fail((*path, *keys, index), "count and device_ids exclude each other", "remove one of the two")

    def limits(self, path: Path, service: Map) -> None:
        """An attribute and its twin below deploy must agree."""
        for key, twin in (
            ("scale", ("deploy", "replicas")),
            ("cpus", ("deploy", "resources", "limits", "cpus")),
            ("mem_limit", ("deploy", "resources", "limits", "memory")),
            ("mem_reservation", ("deploy", "resources", "reservations", "memory")),
            ("pids_limit", ("deploy", "resources", "limits", "pids")),
        ):
            ours, theirs = service.get(key), _at(service, *twin)
            if ours is not None and theirs is not None and ours != theirs:
                self.fail((*path, key), f"is {ours}, but {'.'.join(twin)} is {theirs}", "keep one of the two")
            elif ours and theirs is None and len(twin) > 2 and _at(service, *twin[:-1]):
                text = f"stands beside {'.'.join(twin[:-1])}, which has none"
                self.fail((*path, key), text, f"move it there as {twin[-1]}, or move those limits up here", key=True)
        memory, swap = service.get("mem_limit"), service.get("memswap_limit")
        if isinstance(memory, str) and isinstance(swap, str) and 0 < int(swap) < int(memory):
            self.cannot_run((*path, "memswap_limit"), "is memory and swap together, and cannot be less than mem_limit")

    def build(self, path: Path, service: Map) -> None:
        build = service.get("build")
        if not isinstance(build, Map):
            return
        if build.get("dockerfile_inline") and "dockerfile" in build:
            self.fail(
                (*path, "build", "dockerfile_inline"),
                "cannot be used together with dockerfile",
                "remove one of the two",
                key=True,
            )
        platform, platforms = service.get("platform"), build.get("platforms")
        if platform and platforms and platform not in platforms:
            self.fail(
                (*path, "build", "platforms"), f'do not include the service\'s platform "{platform}"', "add it there"
            )
        contexts = build.get("additional_contexts")
        for key, value in contexts.items() if isinstance(contexts, Map) else ():
            if isinstance(value, str) and value.startswith("service:"):
                self.built((*path, "build", "additional_contexts", key), value.removeprefix("service:"))

    def built(self, path: Path, name: str) -> None:
        """A service whose image others build upon."""
        services = self.root["services"]
        if name not in services and ("services", name) not in self.broken:
            self.fail(path, f'the service "{name}" is not defined', self.near(name, services))
        elif isinstance(services.get(name), Map) and not services[name].get("build"):
            self.fail(path, f'the service "{name}" has no build', "name an image with docker-image://IMAGE")

    def repeated(self, path: Path, service: Map) -> None:
        """Lists whose items must differ; docker compose drops what is there twice in others, but not in these."""
        for key in ("device_cgroup_rules", "external_links", "group_add", "security_opt", "volumes_from"):
            seen = set()
            for index, item in enumerate(service.get(key) or ()):
                if item in seen:
                    self.fail((*path, key, index), f'"{item}" is there twice', "remove one of the two")
                seen.add(item)

    def container_name(self, name: str, service: Map, names: dict[str, str]) -> None:
        wanted = service.get("container_name")
        if not isinstance(wanted, str) or not wanted:
            return
        path: Path = ("services", name, "container_name")
        if not _CONTAINER_NAME.fullmatch(wanted):
            allowed = "letters, digits, dots, dashes and underscores, at least two of them, first a letter or digit"
            self.cannot_run(path, f'"{wanted}" is no name for a container: {allowed}')
        if wanted in names:
            self.fail(path, f'"{wanted}" is the container_name of service "{names[wanted]}" already', "choose another")
        names.setdefault(wanted, name)
        replicas = service.get("scale", _at(service, "deploy", "replicas"))
        if isinstance(replicas, int) and replicas > 1:
            self.fail(
                path,
                f"cannot be used with {replicas} replicas: names of containers are unique",
                "remove container_name",
            )

    def external_volume(self, key: str, volume: Map) -> None:
        extra = [name for name in ("driver", "driver_opts", "labels") if volume.get(name)]
        if volume.get("external") and extra:
            self.fail(
                ("volumes", key, extra[0]),
                "an external volume exists already and cannot be described",
                "remove this, or external",
                key=True,
            )

    def file_source(self, section: str, key: str, item: Map) -> None:
        path: Path = (section, key)
        allowed = ("file", "environment") if section == "secrets" else ("file", "content", "environment")
        if item.get("external"):
            self.fail(
                (*path, "external"), "external secrets and configs need a swarm, which there is none of", key=True
            )
            return
        given = [name for name in allowed if item.get(name) is not None]
        if len(given) != 1:
            text = f"has {' and '.join(given)}" if given else f"has no {', '.join(allowed[:-1])} or {allowed[-1]}"
            self.fail(path, f"{text}; it needs exactly one", key=True)
        for name in ("driver", "template_driver"):
            if item.get(name):
                self.fail(
                    (*path, name),
                    "drivers of secrets and configs are not supported",
                    "use file or environment",
                    key=True,
                )


def order_or_cycle(root: Map, report: Report) -> tuple[str, ...]:
    """Services in order of start; a cycle is reported at its first edge."""
    edges = {
        name: tuple(service.get("depends_on") or ()) if isinstance(service, Map) else ()
        for name, service in root["services"].items()
    }
    order = graph.topological_order(edges)
    if len(order) < len(edges):
        known: dict[str, dict[str, dict[str, Any]]] = {}
        known = {name: {target: {} for target in targets if target in edges} for name, targets in edges.items()}
        cycle = graph.find_cycle(graph.graph_of(known))
        where = locate(root, ("services", cycle[0], "depends_on", cycle[1 % len(cycle)]), key=True)
        report.problem(graph.cycle_message(cycle), hint="remove one of these dependencies", where=where)
    return order


def _indexed(value: Any) -> list[tuple[int, Map]]:
    return [(i, item) for i, item in enumerate(value) if isinstance(item, Map)] if isinstance(value, Seq) else []


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, Map) else None
    return node


def refuse_unsupported(root: Map, report: Report) -> None:
    """Report every attribute of an enabled service that is known but not done."""
    for name, service in root["services"].items():
        if isinstance(service, Map):
            for key in service:
                if support.SERVICE.get(key) == support.REFUSED and service[key]:
                    _refuse(root, ("services", name, key), report, key)
            for pattern in support.NESTED:
                _refuse_nested(root, ("services", name), pattern.split("."), service, pattern, report)
            _refuse_values(root, name, service, report)
            health = service.get("healthcheck")
            if isinstance(health, Map) and health.get("start_interval") and not health.get("start_period"):
                path: Path = ("services", name, "healthcheck", "start_interval")
                report.cannot_run(f"{dotted(path)}: needs a start_period", where=locate(root, path), path=path)
    for section, drivers in support.DRIVERS.items():
        for name, item in root[section].items():
            if not item.get("external") and item.get("driver", drivers[0]) not in drivers:
                key = f"{section}.*.driver: anything else"
                _refuse(root, (section, name, "driver"), report, key, f'"{item["driver"]}"')
    if root.get("models"):
        _refuse(root, ("models",), report, "models")


def _refuse(root: Map, path: Path, report: Report, row: str, value: str = "") -> None:
    """``row``: of the table of support, for the reason."""
    what = f"{dotted(path)} {value}".strip()
    reason = support.why(row)
    report.cannot_run(
        f"{what} is not supported: {reason}" if reason else f"{what} is not supported yet",
        where=locate(root, path, key=True),
        path=path,
    )


def _refuse_nested(root: Map, path: Path, parts: list[str], node: Any, pattern: str, report: Report) -> None:
    if support.NESTED[pattern] != support.REFUSED or not node:
        return
    if not parts:
        _refuse(root, path, report, pattern)
        return
    head, rest = parts[0], parts[1:]
    items: Any = node.items() if isinstance(node, Map) else enumerate(node) if isinstance(node, Seq) else ()
    for key, item in items:
        if head in ("*", key):
            _refuse_nested(root, (*path, key), rest, item, pattern, report)


def _refuse_values(root: Map, name: str, service: Map, report: Report) -> None:
    found: list[tuple[Path, str, Any]] = [
        (("logging", "driver"), "logging.driver", _at(service, "logging", "driver")),
    ]
    found += [((key,), key, service.get(key)) for key in ("userns_mode", "runtime", "isolation")]
    if (wanted := service.get("platform")) and not runs_here(wanted):
        found.append((("platform",), "platform", wanted))
    found += [(("volumes", i, "type"), "volumes.*.type", v.get("type")) for i, v in _indexed(service.get("volumes"))]
    for path, pattern, value in found:
        known = support.VALUES[pattern]
        if value and known.get(value, known.get("*")) == support.REFUSED:
            row = f"{pattern}: {value if value in known else 'anything else'}"
            _refuse(root, ("services", name, *path), report, row, f'"{value}"')


def network_order(attachments: Any) -> tuple[str, ...]:
    """Keys of a service's networks in the order of attachment: priority descending, then name."""
    items = (attachments or {}).items()
    return tuple(key for key, _ in sorted(items, key=lambda item: (-((item[1] or {}).get("priority") or 0), item[0])))

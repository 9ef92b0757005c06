"""An Engine without a machine: a small world in memory that refuses what the real one refuses.

It is for the executor, the verbs and the planner's property test. It keeps to the contract of
``compose/engine/protocol.py`` and to nothing else: no processes, no addresses.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from compose import labels
from compose.errors import DependencyFailed, EngineError
from compose.journal import Entry
from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
from compose.plan.hooks import SELF
from compose.plan.observed import (
    Observed,
    ObservedContainer,
    ObservedEndpoint,
    ObservedImage,
    ObservedNetwork,
    ObservedVolume,
)
from compose.record import replace

LIVE = ("running", "paused", "restarting")


class Recorder:
    """A Reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)

    def notes(self) -> list[str]:
        return [event.text for event in self.events if hasattr(event, "level")]


class FakeEngine:
    """``one_shots``: services whose containers exit 0 as soon as they start. ``fail``: method name → error to raise.

    ``calls`` records (method, what) in order. ``before`` is called with the method's name before each effect.
    """

    def __init__(self, *images: str, project: str = "shop", one_shots: tuple[str, ...] = ()) -> None:
        self.project = project
        self.images = {image: ObservedImage(image, f"sha256:{image:0<12}") for image in images}
        self.registry: dict[str, str] = {}  # what can be pulled: reference -> digest
        self.containers: dict[str, ObservedContainer] = {}
        self.networks: dict[str, ObservedNetwork] = {}
        self.volumes: dict[str, ObservedVolume] = {}
        self.one_shots = set(one_shots)
        self.fail: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.said: dict[str, dict[str, str]] = {}  # provider service -> variables that it will give
        self.values: dict[str, dict[str, str]] = {}  # ... that it gave
        self.unhealthy: set[str] = set()
        self.left: dict[str, str] = {}  # endpoints of containers that were removed while attached: id -> network
        self.remembered: list[Entry] = []
        self.before = lambda method: None
        self._lock = threading.RLock()
        self._clock = 0

    # helpers

    def _call(self, method: str, what: str) -> None:
        self.before(method)
        self.calls.append((method, what))
        if method in self.fail:
            raise self.fail[method]

    def _get(self, ident: str) -> ObservedContainer:
        if ident not in self.containers:
            raise EngineError(f"cannot find container {ident[:12]}")
        return self.containers[ident]

    def _set(self, ident: str, **changes: Any) -> None:
        self.containers[ident] = replace(self.containers[ident], **changes)

    def by_name(self, name: str) -> ObservedContainer:
        return next(one for one in self.containers.values() if one.name == name)

    def names(self) -> list[str]:
        return sorted(one.name for one in self.containers.values())

    # the Engine

    def warm_up(self, project: str = "") -> None:
        self.is_warm = True

    def forget(self, project: str) -> None:
        self.forgotten = project

    def remember(self, project: str, entries: list[Entry]) -> None:
        self.remembered += entries

    def settle(self, project: str) -> None:
        self.settled = project

    def observe(self, project: str, desired: Desired | None = None) -> Observed:
        with self._lock:
            mine = [one for one in self.containers.values() if one.labels.get(labels.PROJECT) == project]
            attached: dict[str, list[str]] = {}
            for one in self.containers.values():
                for endpoint in one.endpoints:
                    attached.setdefault(endpoint.network, []).append(one.id)
            return Observed(
                project,
                tuple(mine),
                tuple(replace(n, containers=tuple(attached.get(n.name, ()))) for n in self.networks.values()),
                tuple(self.volumes.values()),
                tuple(self.images.values()),
                {one.name: one.labels.get(labels.PROJECT, "") for one in self.containers.values()},
                tuple(ident for ident in self.left if ident not in self.containers),
                dict(self.values),
            )

    def create_network(self, project: str, network: DesiredNetwork) -> None:
        with self._lock:
            self._call("create_network", network.name)
            rows = {labels.NETWORK: network.key}
            self.networks.setdefault(network.name, ObservedNetwork(network.name, network.config_hash, project, rows))

    def remove_network(self, name: str) -> None:
        with self._lock:
            self._call("remove_network", name)
            for one in list(self.containers.values()):
                if any(endpoint.network == name for endpoint in one.endpoints):
                    if one.status in LIVE:
                        raise EngineError(f"cannot remove network {name}: {one.name} is on it")
                    self._drop(one, name)
            self.networks.pop(name, None)
            self.left = {ident: network for ident, network in self.left.items() if network != name}

    def _drop(self, one: ObservedContainer, network: str) -> None:
        kept = tuple(endpoint for endpoint in one.endpoints if network and endpoint.network != network)
        self._set(one.id, endpoints=kept)

    def run_provider(
        self, project: str, service: DesiredService | None, name: str, command: str
    ) -> Mapping[str, Mapping[str, str]]:
        with self._lock:
            self._call("run_provider", f"{name} {command}")
            if command == "up":
                self.values[name] = self.said.get(name, {})
            elif command == "down":
                self.values.pop(name, None)
            return dict(self.values)

    def provided(self, project: str) -> Mapping[str, Mapping[str, str]]:
        return dict(self.values)

    def pull_image(self, reference: str, platform: str = "") -> None:
        self._call("pull_image", reference)
        if reference not in self.registry:
            raise EngineError(f"cannot pull {reference}: not found")
        self.images[reference] = ObservedImage(reference, self.registry[reference])

    def build_image(self, desired: Desired, service: DesiredService, options: Any, on_cancel: Any) -> None:
        self._call("build_image", service.name)
        self.images[service.image] = ObservedImage(service.image, f"sha256:built-{service.name}")

    def disk_usage(self) -> dict[str, Any]:
        return {}

    def push_image(self, reference: str, compression: str = "gzip") -> None:
        self._call("push_image", reference)

    def create_volume(self, project: str, volume: DesiredVolume) -> None:
        with self._lock:
            self._call("create_volume", volume.name)
            self.volumes.setdefault(volume.name, ObservedVolume(volume.name, volume.config_hash, project))

    def remove_volume(self, name: str) -> None:
        with self._lock:
            self._call("remove_volume", name)
            self.volumes.pop(name, None)

    def remove_image(self, reference: str) -> None:
        with self._lock:
            self._call("remove_image", reference)

    def create_container(
        self,
        desired: Desired,
        service: DesiredService,
        number: int,
        *,
        ident: str,
        name: str,
        replaces: str = "",
        overrides: Mapping[str, Any] | None = None,
        shares: Mapping[str, str] | None = None,
    ) -> None:
        with self._lock:
            self._call("create_container", name)
            if ident in self.containers:
                return
            if any(one.name == name for one in self.containers.values()):
                raise EngineError(f"cannot create container {name}: the name is taken")
            mounts = []
            for mount in service.config.get("volumes") or ():
                volume = next(one.name for one in desired.volumes if one.key == mount["source"])
                if volume not in self.volumes:
                    raise EngineError(f"cannot find volume {volume}")
                mounts.append(("volume", volume, mount["target"]))
            for reference, other in (shares or {}).items():
                if reference != SELF and self._get(other).status != "running":
                    raise EngineError(f"cannot join container {other[:12]}: it does not run")
            self._clock += 1
            oneoff = bool((overrides or {}).get("oneoff"))
            self.containers[ident] = ObservedContainer(
                ident,
                name,
                service.name,
                number,
                "created",
                oneoff=oneoff,
                image=self.images[service.image].digest,
                config_hash=service.config_hash,
                config=service.config,
                created_at=f"{self._clock:06}",
                labels={labels.PROJECT: desired.project},
                mounts=tuple(mounts),
            )

    def prepare_container(self, ident: str) -> None:
        with self._lock:
            self._call("prepare_container", self._get(ident).name)
            if self._get(ident).status in LIVE:
                raise EngineError("cannot prepare a running container")
            self._set(ident, status="created", supervised=True, endpoints=())

    def adopt_container(self, ident: str) -> None:
        with self._lock:
            self._call("adopt_container", self._get(ident).name)
            self._set(ident, supervised=True)

    def connect(
        self, desired: Desired, service: DesiredService, ident: str, network: str, aliases: bool = True
    ) -> None:
        with self._lock:
            one = self._get(ident)
            self._call("connect", f"{one.name} {network}")
            name = next(row.name for row in desired.networks if row.key == network)
            if name not in self.networks:
                raise EngineError(f"cannot find network {name}")
            if one.status not in ("created", *LIVE):
                raise EngineError(f"cannot connect {one.name}: it has no process")
            ports = tuple(
                ("", int(row["published"]), int(row["target"]), "tcp") for row in service.config.get("ports") or ()
            )
            for other in self.containers.values():
                for endpoint in other.endpoints:
                    clash = {row[1] for row in endpoint.ports} & {row[1] for row in ports}
                    if other.id != ident and clash:
                        raise EngineError(f"cannot publish {clash}: {other.name} has it")
            kept = tuple(endpoint for endpoint in one.endpoints if endpoint.network != name)
            self._set(ident, endpoints=(*kept, ObservedEndpoint(name, "172.18.0.2", ports=ports)))

    def disconnect(self, ident: str, network: str = "") -> None:
        with self._lock:
            if self.left.pop(ident, None):
                return
            one = self._get(ident)
            self._call("disconnect", one.name)
            self._drop(one, network)

    def start_container(self, ident: str) -> None:
        with self._lock:
            one = self._get(ident)
            self._call("start_container", one.name)
            if one.status != "created":
                raise EngineError(f"cannot start {one.name}: it is {one.status}")
            if one.service in self.one_shots:
                self._set(ident, status="stopped", exit_code=0)
                return
            checked = bool((one.config or {}).get("healthcheck"))
            health = "unhealthy" if one.service in self.unhealthy else "healthy"
            self._set(ident, status="running", health=health if checked else "")

    def run_hooks(self, ident: str, phase: str) -> None:
        with self._lock:
            self._call("run_hooks", f"{self._get(ident).name} {phase}")
            if phase == "pre_start":
                self._set(ident, status="stopped", exit_code=0)
            elif phase == "post_start":
                self._set(ident, hook_pending=False)

    def stop_container(self, ident: str, timeout: float | None = None) -> None:
        with self._lock:
            self._call("stop_container", self._get(ident).name)
            self._set(ident, status="stopped", exit_code=143, health="")

    def kill_container(self, ident: str, signal: str = "SIGKILL") -> None:
        with self._lock:
            self._call("kill_container", f"{self._get(ident).name} {signal}")
            self._set(ident, status="stopped", exit_code=137)

    def pause_container(self, ident: str) -> None:
        with self._lock:
            one = self._get(ident)
            self._call("pause_container", one.name)
            if one.status == "paused":
                raise EngineError(f"cannot pause {one.name}: it is paused already")
            self._set(ident, status="paused")

    def unpause_container(self, ident: str) -> None:
        with self._lock:
            self._call("unpause_container", self._get(ident).name)
            self._set(ident, status="running")

    def remove_container(self, ident: str, *, volumes: bool = False, force: bool = False) -> None:
        with self._lock:
            if ident not in self.containers:
                return
            one = self.containers[ident]
            self._call("remove_container", one.name)
            if one.status in LIVE and not force:
                raise EngineError(f"cannot remove {one.name}: it runs")
            del self.containers[ident]
            self.left.update({ident: endpoint.network for endpoint in one.endpoints})

    def rename_container(self, ident: str, name: str) -> None:
        with self._lock:
            self._call("rename_container", f"{self._get(ident).name} {name}")
            if any(one.name == name and one.id != ident for one in self.containers.values()):
                raise EngineError(f"cannot rename to {name}: the name is taken")
            self._set(ident, name=name)

    def update_container(self, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]) -> None:
        with self._lock:
            self._call("update_container", f"{self._get(ident).name} {','.join(changes)}")
            self._set(ident, config=service.config, config_hash=service.config_hash)

    def wait_until(self, idents: tuple[str, ...], condition: str, timeout: float | None = None) -> None:
        for ident in idents:
            one = self._get(ident)
            self._call("wait_until", f"{one.name} {condition}")
            done = one.status == "stopped" and one.exit_code == 0
            met = {
                "healthy": one.status == "running" and one.health == "healthy",
                "completed": done,
                "running_or_healthy": done or (one.status == "running" and one.health in ("", "healthy")),
                "stopped": one.status == "stopped",
                "started": True,
            }[condition]
            if not met:
                raise DependencyFailed(f"cannot reach {condition} for {one.name}: it is {one.status} {one.health}")

"""The engine on this machine: plan actions become calls of runtime and netplan. See ``protocol.py``."""

from __future__ import annotations

import os
import threading

from compose import labels as key
from compose.engine import observe as observing
from compose.engine import translate, waiting
from compose.errors import EngineError
from compose.plan.observed import ObservedImage
from compose.record import EMPTY, record, replace
from netplan import endpoint as endpoints
from netplan import network as networks
from netplan.dns import sockets as dns
from netplan.errors import NetworkFault
from netplan.store import Store, open_store
from runtime import container as containers
from runtime import volumes
from runtime.errors import Conflict, NotFound, RuntimeFault, StartFailed
from runtime.images import store as images
from runtime.messages import Channel, Closed
from runtime.paths import Bundle, Roots, project_run_dir
from runtime.shim.output import timestamp
from runtime.state import ACTIVE, ALIVE, CREATED, RUNNING, STOPPED, boot_id, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from compose.engine.translate_storage import VolumeUse
    from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
    from compose.plan.observed import Observed
    from runtime.spec import ContainerSpec, Rootfs
    from runtime.volumes import Volume

    F = TypeVar("F", bound=Callable[..., Any])

HELPER = "compose.engine.helper"


def told(method: F) -> F:
    """Turn the faults of runtime and netplan into EngineError, the same words."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except StartFailed as fault:
            raise EngineError(fault.message, hint=fault.hint, code=fault.code) from fault
        except (RuntimeFault, NetworkFault) as fault:
            raise EngineError(fault.message, hint=fault.hint) from fault
        except OSError as error:
            place = f" {error.filename}" if error.filename else ""
            raise EngineError(f"cannot {method.__name__.replace('_', ' ')}:{place} {error.strerror}") from error

    call.__name__ = method.__name__
    call.__doc__ = method.__doc__
    return call  # type: ignore[return-value]


@record
class _Wanted:
    """A container to be made: who asked for it, and what it takes from others."""

    desired: Desired
    service: DesiredService
    number: int
    ident: str
    name: str
    replaces: str
    overrides: dict[str, Any]
    shares: dict[str, str]


class LocalEngine:
    """Implements :class:`compose.engine.protocol.Engine`. ``environ``: the command's environment."""

    def __init__(self, roots: Roots, environ: Mapping[str, str] | None = None) -> None:
        self.roots = roots
        self.environ = os.environ if environ is None else environ
        self.launcher = containers.Launcher(roots, HELPER)
        self.lock = threading.Lock()
        self.channels: dict[str, Channel] = {}
        self.resolving: set[str] = set()  # containers whose DNS sockets we know to be held
        self.helped: set[str] = set()
        self._store: Store | None = None
        self.removed = False

    def warm_up(self) -> None:
        """Start the launcher now, while the command still imports and parses."""
        containers.make_roots(self.roots)
        self.launcher.start()

    @property
    def store(self) -> Store:
        with self.lock:
            if self._store is None:
                containers.make_roots(self.roots)
                self._store = open_store(self.roots.run, self.roots.instance())
            return self._store

    def close(self) -> None:
        """Let go of the launcher and the connections; start emptying the trash."""
        for channel in self.channels.values():
            channel.close()
        self.channels.clear()
        self.launcher.close()
        if self.removed:
            containers.empty_trash(self.roots)

    # -- the look

    @told
    def observe(self, project: str, desired: Desired | None = None) -> Observed:
        store = self.store if os.path.exists(f"{self.roots.run}/netplan.db") else None
        return observing.observe(self.roots, store, project, desired)

    # -- networks and volumes

    @told
    def create_network(self, project: str, network: DesiredNetwork) -> None:
        networks.create_network(self.store, translate.network_spec(project, network))

    @told
    def remove_network(self, name: str) -> None:
        users = {row.container for row in endpoints.endpoints(self.store, network=name)}
        boot = boot_id()
        running = [ident for ident in users if read_state(Bundle(self.roots, ident), boot).status in ACTIVE]
        networks.remove_network(self.store, name, force=not running)

    @told
    def create_volume(self, project: str, volume: DesiredVolume) -> None:
        config = volume.config
        labels = {
            **(config.get("labels") or {}),
            key.PROJECT: project,
            key.VOLUME: volume.key,
            key.CONFIG_HASH: volume.config_hash,
        }
        volumes.create_volume(self.roots, volume.name, labels, config.get("driver_opts") or {})

    @told
    def remove_volume(self, name: str) -> None:
        volumes.remove_volume(self.roots, name)

    # -- containers

    @told
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
        shares: Mapping[str, str] = EMPTY,
    ) -> None:
        bundle = Bundle(self.roots, ident)
        if not os.path.exists(bundle.dir):
            wanted = _Wanted(desired, service, number, ident, name, replaces, dict(overrides or {}), dict(shares))
            self._write_bundle(wanted)
        if read_state(bundle, boot_id()).status not in ACTIVE:
            self._boot(ident, desired.project)

    def _write_bundle(self, wanted: _Wanted) -> None:
        observed, rootfs = self._image(wanted.service.image)
        paths, mounts = self._volumes(wanted, observed, rootfs)
        spec = self._spec(wanted, observed, rootfs, paths)
        host = containers.read_text("/etc/resolv.conf")
        containers.write_bundle(
            self.roots,
            spec,
            annotations={"config": wanted.service.config, "overrides": wanted.overrides, "shares": wanted.shares},
            created_at=timestamp(),
            resolv_conf=translate.resolv_conf(wanted.desired, wanted.service, host),
            info={"command": " ".join(spec.process.args), "mounts": mounts, "tty": spec.process.terminal},
        )

    def _image(self, reference: str) -> tuple[ObservedImage, Rootfs]:
        image = images.resolve(self.roots, reference)
        return ObservedImage(reference, image.digest, image.config), images.rootfs_of(self.roots, image)

    def _spec(self, wanted: _Wanted, image: ObservedImage, rootfs: Rootfs, paths: Mapping[str, str]) -> ContainerSpec:
        spec = translate.container_spec(
            wanted.desired,
            wanted.service,
            wanted.number,
            ident=wanted.ident,
            name=wanted.name,
            image=image,
            rootfs=rootfs,
            volume_paths=paths,
            overrides=wanted.overrides,
            environ=self.environ,
            shares=wanted.shares,
            replaces=wanted.replaces,
        )
        return replace(spec, helper_dir=project_run_dir(self.roots, wanted.desired.project))

    def _volumes(self, wanted: _Wanted, image: ObservedImage, rootfs: Rootfs) -> tuple[dict[str, str], list[list[str]]]:
        """Host directories by volume name (anonymous ones by their target), and what listings show of mounts."""
        inherited = self._anonymous(wanted.replaces) if wanted.replaces else {}
        paths: dict[str, str] = {}
        shown = []
        for use in translate.volume_requests(wanted.desired, wanted.service, image, wanted.overrides):
            if use.kind == "bind":
                _ensure_source(use.source, use.create_host_path)
            elif use.kind in ("named", "anonymous"):
                volume = self._volume(wanted, use, inherited)
                paths[use.key()] = volumes.acquire(self.roots, volume)
                if not use.nocopy and not use.subpath:
                    volumes.populate(self.roots, volume, rootfs, use.target)
                shown.append(["volume" if use.kind == "named" else "anonymous", volume.name, use.target])
                continue
            shown.append([use.kind, use.source, use.target])
        return paths, shown

    def _volume(self, wanted: _Wanted, use: VolumeUse, inherited: Mapping[str, str]) -> Volume:
        """The volume behind a use; an anonymous one is made, or taken over from the container it is shared with."""
        if use.name:
            try:
                return volumes.get_volume(self.roots, use.name)
            except NotFound:
                return volumes.create_volume(self.roots, use.name, {key.PROJECT: wanted.desired.project}, {})
        if use.shared_from:
            inherited = self._anonymous(wanted.shares.get(use.shared_from, ""))
        name = inherited.get(use.target) or _anonymous_name(wanted.ident, use.target)
        labels = {volumes.ANONYMOUS_LABEL: "", key.PROJECT: wanted.desired.project}
        return volumes.create_volume(self.roots, name, labels, {})

    def _anonymous(self, ident: str) -> dict[str, str]:
        """Target → name of a container's anonymous volumes."""
        one = containers.read_container(self.roots, ident)
        rows = one.info.get("mounts", ()) if one is not None else ()
        return {target: name for kind, name, target in rows if kind == "anonymous"}

    def _boot(self, ident: str, project: str) -> None:
        """Have a shim forked for the bundle, and wait until its container is ready to start."""
        channel = self._ask_launcher({"op": "create", "id": ident}, project)
        with self.lock:
            old = self.channels.pop(ident, None)
            self.resolving.discard(ident)
        if old is not None:
            old.close()
        try:
            containers.answer(channel, f"create container {ident[:12]}", self.roots)
        except RuntimeFault:
            channel.close()
            raise
        with self.lock:
            self.channels[ident] = channel

    def _ask_launcher(self, message: dict[str, Any], project: str) -> Channel:
        """One launcher serves the command; the project's helper comes before its first shim."""
        with self.lock:
            if project not in self.helped:
                directory = project_run_dir(self.roots, project)
                self.launcher.ask({"op": "helper", "dir": directory}).close()
                self.helped.add(project)
            return self.launcher.ask(message)

    @told
    def prepare_container(self, ident: str) -> None:
        status = read_state(Bundle(self.roots, ident), boot_id()).status
        if status not in ACTIVE:
            endpoints.detach(self.store, ident)
            self._boot(ident, self._project_of(ident))

    @told
    def adopt_container(self, ident: str) -> None:
        state = read_state(Bundle(self.roots, ident), boot_id())
        if state.status in ACTIVE and state.shim_pid == 0:
            channel = self._ask_launcher({"op": "adopt", "id": ident}, self._project_of(ident))
            containers.answer(channel, f"adopt container {ident[:12]}", self.roots)
            channel.close()

    def _project_of(self, ident: str) -> str:
        one = containers.read_container(self.roots, ident)
        if one is None:
            raise NotFound(f"cannot find container {ident[:12]}", "it was removed")
        return one.labels.get(key.PROJECT, "")

    # -- the network of a container

    @told
    def connect(
        self, desired: Desired, service: DesiredService, ident: str, network: str, aliases: bool = True
    ) -> None:
        one = containers.read_container(self.roots, ident)
        if one is None or one.state.status not in ALIVE:
            raise Conflict(f"cannot connect container {ident[:12]}: it has no process")
        number = int(one.labels.get(key.NUMBER, "1") or 1)
        oneoff = one.labels.get(key.ONEOFF) == "True"
        name = (
            one.name if oneoff else service.container_name or key.container_name(desired.project, service.name, number)
        )
        overrides = containers.read_annotations(self.roots, ident).get("overrides", {}) if oneoff else {}
        spec = translate.endpoint_spec(
            desired,
            service,
            number,
            ident=ident,
            container_name=name,
            network_key=network,
            index=service.networks.index(network),
            aliases=aliases,
            overrides=overrides,
        )
        netns = os.open(f"/proc/{one.state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _endpoint, reserved = endpoints.attach(self.store, spec, netns)
            self._hold(ident, netns, {f"port:{network}:{index}": fd for index, fd in enumerate(reserved)})
        finally:
            os.close(netns)
        self._write_hosts(ident)

    def _hold(self, ident: str, netns: int, fds: dict[str, int]) -> None:
        """Hand the container's sockets to its shim, DNS sockets at the first network."""
        if ident not in self.resolving:
            if ident in self.channels or "dns_udp" not in self._ask(ident, {"op": "held"})["names"]:
                fds["dns_udp"], fds["dns_tcp"] = dns.install(netns)
            self.resolving.add(ident)
        names = list(fds)
        try:
            for start in range(0, len(names), 200):
                part = names[start : start + 200]
                self._ask(ident, {"op": "hold", "names": part}, tuple(fds[name] for name in part))
        finally:
            for fd in fds.values():
                os.close(fd)

    def _ask(self, ident: str, message: dict[str, Any], fds: tuple[int, ...] = ()) -> dict[str, Any]:
        """A request on the connection we have, else on a new one."""
        channel = self.channels.get(ident)
        if channel is not None:
            try:
                return containers.raise_for(channel.ask(message, fds)[0])
            except Closed:
                self.channels.pop(ident, None)
        return containers.request(self.roots, ident, message, fds)

    def _write_hosts(self, ident: str) -> None:
        spec = containers.read_spec(self.roots, ident)
        rows = endpoints.endpoints(self.store, container=ident)
        addresses = tuple(row.address for row in sorted(rows, key=lambda row: row.interface))
        containers.overwrite(Bundle(self.roots, ident).hosts, containers.hosts_text(spec, addresses))

    @told
    def disconnect(self, ident: str, network: str = "") -> None:
        endpoints.detach(self.store, ident, network)
        state = read_state(Bundle(self.roots, ident), boot_id())
        if state.status in ACTIVE:
            self._ask(ident, {"op": "release", "prefix": f"port:{network}"})
            self._write_hosts(ident)

    # -- running

    @told
    def start_container(self, ident: str) -> None:
        state = read_state(Bundle(self.roots, ident), boot_id())
        if state.status == CREATED:
            self._ask(ident, {"op": "start"})
        elif state.status not in (RUNNING, *ACTIVE):
            name = containers.read_spec(self.roots, ident).name
            raise Conflict(f"cannot start container {name}: it is {state.status}", "run up again")

    @told
    def stop_container(self, ident: str, timeout: float | None = None) -> None:
        state = read_state(Bundle(self.roots, ident), boot_id())
        if state.status == STOPPED:
            return
        if state.shim_pid == 0:
            self.adopt_container(ident)
        containers.stop(self.roots, ident, timeout=timeout)

    @told
    def kill_container(self, ident: str, signal: str = "SIGKILL") -> None:
        self._ask(ident, {"op": "kill", "signal": signal})

    @told
    def pause_container(self, ident: str) -> None:
        self._ask(ident, {"op": "pause"})

    @told
    def unpause_container(self, ident: str) -> None:
        self._ask(ident, {"op": "unpause"})

    @told
    def remove_container(self, ident: str, *, volumes: bool = False, force: bool = False) -> None:
        anonymous = self._anonymous(ident) if volumes else {}
        if force:
            self.stop_container(ident, 0)
        channel = self.channels.pop(ident, None)
        if channel is not None:
            channel.close()
        containers.delete(self.roots, ident)
        self.removed = True
        for name in anonymous.values():
            _remove_volume(self.roots, name)

    @told
    def rename_container(self, ident: str, name: str) -> None:
        containers.rewrite_labels(self.roots, ident, name=name, labels={key.REPLACE: ""})
        spec = containers.read_spec(self.roots, ident)
        if spec.name != name:
            self._store_spec(replace(spec, name=name), containers.read_annotations(self.roots, ident))

    def _store_spec(self, spec: ContainerSpec, annotations: Mapping[str, Any]) -> None:
        containers.rewrite_spec(self.roots, spec, annotations)
        if read_state(Bundle(self.roots, spec.id), boot_id()).status in ACTIVE:
            from runtime.spec import encode

            self._ask(spec.id, {"op": "update", "spec": encode(spec)})

    @told
    def update_container(self, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]) -> None:
        one = containers.read_container(self.roots, ident)
        if one is None:
            raise NotFound(f"cannot update container {ident[:12]}: it was removed")
        number = int(one.labels.get(key.NUMBER, "1") or 1)
        observed, rootfs = self._image(service.image)
        before = containers.read_annotations(self.roots, ident)
        wanted = _Wanted(
            desired, service, number, ident, one.name, ident, before.get("overrides", {}), before.get("shares", {})
        )
        paths, _mounts = self._volumes(wanted, observed, rootfs)
        spec = self._spec(replace(wanted, replaces=""), observed, rootfs, paths)
        self._store_spec(spec, {**before, "config": service.config})
        self._reconnect(desired, service, ident, changes)
        gone = {name: "" for name in one.labels if name not in spec.labels}
        containers.rewrite_labels(self.roots, ident, labels={**gone, **spec.labels})

    def _reconnect(self, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]) -> None:
        """Published ports and networks changed in place: attach anew what the change touches."""
        if not any(path.split(".")[0] in ("ports", "networks", "extra_hosts", "links") for path in changes):
            return
        if read_state(Bundle(self.roots, ident), boot_id()).status not in ALIVE:
            return
        if any(path.split(".")[0] == "extra_hosts" for path in changes):
            self._write_hosts(ident)
        if any(path.split(".")[0] != "extra_hosts" for path in changes):
            self.disconnect(ident)
            for network in service.networks:
                self.connect(desired, service, ident, network)

    @told
    def wait_until(self, idents: tuple[str, ...], condition: str, timeout: float | None = None) -> None:
        waiting.wait_until(self.roots, idents, condition, timeout)


def _anonymous_name(ident: str, target: str) -> str:
    """64 hex digits that a second attempt finds again: drawn from the container's id and the target."""
    import hashlib

    return hashlib.sha256(f"{ident}:{target}".encode()).hexdigest()


def _ensure_source(path: str, create: bool) -> None:
    if os.path.exists(path):
        return
    if not create:
        raise RuntimeFault(
            f"cannot bind {path}: no such file or directory", "create it, or set bind.create_host_path: true"
        )
    os.makedirs(path, exist_ok=True)


def _remove_volume(roots: Roots, name: str) -> None:
    try:
        volumes.remove_volume(roots, name)
    except NotFound:
        pass

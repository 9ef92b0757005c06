"""The engine on this machine: plan actions become calls of runtime and netplan. See ``protocol.py``.

What only some commands need (images, volumes, netlink) is imported by the methods that need it: ``ps``, ``logs``,
``stop`` and their like must start in milliseconds.
"""

from __future__ import annotations

import os
import threading

from compose import labels as key
from compose.errors import EngineError
from compose.record import EMPTY
from netplan.errors import NetworkFault
from runtime import container as containers
from runtime import events
from runtime.errors import NotFound, RuntimeFault, StartFailed
from runtime.linux.identity import boot_id
from runtime.messages import Channel, Closed
from runtime.paths import Bundle, Roots, project_run_dir
from runtime.state import ACTIVE, CREATED, STOPPED, read_json, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from compose.engine.joining import Joiner
    from compose.engine.protocol import OnCancel
    from compose.events import Event
    from compose.journal import Entry
    from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
    from compose.plan.intent import BuildOptions
    from compose.plan.observed import Observed
    from netplan.store import Store
    from runtime.images.upkeep import Usage

    F = TypeVar("F", bound=Callable[..., Any])

HELPER = "compose.engine.helper"
NOT_HERE = "pycompose doctor says what this machine lacks"


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
            place = f" {error.filename}:" if error.filename else ""
            raise EngineError(
                f"cannot {method.__name__.replace('_', ' ')}:{place} {error.strerror}", hint=NOT_HERE
            ) from error

    call.__name__ = method.__name__
    call.__doc__ = method.__doc__
    return call  # type: ignore[return-value]


class LocalEngine:
    """Implements :class:`compose.engine.protocol.Engine`. ``environ``: the command's environment."""

    def __init__(self, roots: Roots, environ: Mapping[str, str] | None = None) -> None:
        self.roots = roots
        self.environ = os.environ if environ is None else environ
        self.launcher = containers.Launcher(roots, HELPER)
        self.lock = threading.Lock()
        self.channels: dict[str, Channel] = {}  # to shims that we had forked
        self.helpers: dict[str, Channel | None] = {}  # by directory: to those that ran before us
        self.helped: set[str] = set()  # projects that our launcher gave a helper
        self.removed = False
        self.note: Callable[[str], None] = lambda _text: None  # where remarks to the user go
        self.hook_output: Callable[[str, str, bytes], None] = lambda _name, _service, _line: None
        self.tell: Callable[[Event], None] = lambda _event: None  # where progress inside of steps goes
        self.before_start: Callable[[str], None] = lambda _ident: None  # connected, but nothing of it has run
        self._store: Store | None = None
        self._joiner: Joiner | None = None

    def warm_up(self, project: str = "") -> None:
        """Start the launcher now, while the command still imports and plans; needless where the helper runs."""
        containers.make_roots(self.roots)
        with self.lock:
            if not project or self._helper(project_run_dir(self.roots, project)) is None:
                self.launcher.start()

    @property
    def store(self) -> Store:
        """netplan's store, opened on first use."""
        with self.lock:
            if self._store is None:
                from netplan.store import open_store

                containers.make_roots(self.roots)
                self._store = open_store(self.roots.run, self.roots.instance())
            return self._store

    @property
    def joiner(self) -> Joiner:
        from compose.engine.joining import Joiner

        store = self.store
        with self.lock:
            if self._joiner is None:
                self._joiner = Joiner(self.roots, store, self.ask, self.channels.__contains__)
            return self._joiner

    def close(self) -> None:
        """Let go of the launcher and the connections; start emptying the trash."""
        for channel in (*self.channels.values(), *self.helpers.values()):
            if channel is not None:
                channel.close()
        self.channels.clear()
        self.launcher.close()
        if self.removed:
            containers.empty_trash(self.roots)

    # -- the look

    @told
    def observe(self, project: str, desired: Desired | None = None) -> Observed:
        from compose.engine.observe import observe

        store = self.store if os.path.exists(f"{self.roots.run}/netplan.db") else None
        return observe(self.roots, store, project, desired)

    @told
    def settle(self, project: str) -> None:
        self._forget_helper(project)
        self.removed |= containers.sweep_staging(self.roots) or containers.has_trash(self.roots)
        _remove_empty(f"{self.roots.run}/projects")
        if _has_half_made(f"{self.roots.state}/volumes"):
            from runtime import volumes

            volumes.sweep(self.roots)
        if os.path.exists(f"{self.roots.run}/netplan.db") and self.store.networks(project):
            from netplan.network import repair

            repair(self.store, project)

    @told
    def forget(self, project: str) -> None:
        from compose import journal
        from runtime.shim.keeping import clear_stale

        self._forget_helper(project)
        clear_stale(project_run_dir(self.roots, project))
        journal.remove(journal.path_of(self.roots.state, project))

    def remember(self, project: str, entries: list[Entry]) -> None:
        from compose import journal

        journal.append(journal.path_of(self.roots.state, project), entries)

    # -- networks and volumes

    @told
    def create_network(self, project: str, network: DesiredNetwork) -> None:
        from compose.engine.joining import create_network

        create_network(self.store, project, network)

    @told
    def remove_network(self, name: str) -> None:
        from compose.engine.joining import remove_network

        remove_network(self.store, self.roots, name)

    @told
    def create_volume(self, project: str, volume: DesiredVolume) -> None:
        from compose.engine.making import create_volume

        create_volume(self.roots, project, volume.name, volume.key, volume.config, volume.config_hash)

    @told
    def remove_volume(self, name: str) -> None:
        from compose.engine.making import remove_volume

        remove_volume(self.roots, name)

    # -- images

    @told
    def remove_image(self, reference: str) -> None:
        from compose.engine.images import remove_image

        remove_image(self, reference)

    @told
    def run_provider(
        self, project: str, service: DesiredService | None, name: str, command: str
    ) -> Mapping[str, Mapping[str, str]]:
        from compose.engine.providers import Providers

        return Providers(self.roots, project, self.environ, self.note, self.lock).run(service, name, command)

    @told
    def provided(self, project: str) -> Mapping[str, Mapping[str, str]]:
        from compose.engine.providers import provided

        return provided(self.roots, project)

    def pull_image(self, reference: str, platform: str = "") -> None:
        from compose.engine.images import pull_image

        pull_image(self, reference, platform)

    @told
    def build_image(
        self, desired: Desired, service: DesiredService, options: BuildOptions, on_cancel: OnCancel
    ) -> None:
        from compose.engine.images import build_image

        build_image(self, desired, service, options, on_cancel)

    @told
    def push_image(self, reference: str, compression: str = "gzip") -> None:
        from compose.engine.images import push_image

        push_image(self, reference, compression)

    @told
    def disk_usage(self) -> dict[str, Usage]:
        from compose.engine.usage import disk_usage

        return disk_usage(self.roots)

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
        from compose.engine.making import Wanted, write_bundle

        bundle = Bundle(self.roots, ident)
        if not os.path.exists(bundle.dir):
            wanted = Wanted(desired, service, number, ident, name, replaces, dict(overrides or {}), dict(shares))
            for path in write_bundle(self.roots, wanted, self.environ):
                self.note(f"created directory {path}: it is the source of a bind mount of {service.name}")
            made = read_json(bundle.labels)
            events.tell(self.roots, ident, "create", name=made["name"], labels=made["labels"])
        if containers.settled_state(self.roots, ident).status not in ACTIVE:
            self._boot(ident, desired.project)

    def _boot(self, ident: str, project: str) -> None:
        """Have a shim forked for the bundle, and wait until its container is ready to start."""
        containers.dismiss(self.roots, ident)
        if self._joiner is not None:
            self._joiner.resolving.discard(ident)  # the sockets of an earlier life went with its namespace
        channel = self._fork({"op": "create", "id": ident}, project)
        with self.lock:
            old = self.channels.pop(ident, None)
        if old is not None:
            old.close()
        try:
            made = containers.answer(channel, f"create container {ident[:12]}", self.roots)
        except RuntimeFault:
            channel.close()
            raise
        for text in made.get("notes", ()):
            self.note(f"{containers.read_spec(self.roots, ident).name}: {text}")
        with self.lock:
            self.channels[ident] = channel

    def _fork(self, message: dict[str, Any], project: str, fds: tuple[int, ...] = ()) -> Channel:
        """Have a shim forked: by the project's helper where it runs, else by our launcher, which starts one first."""
        directory = project_run_dir(self.roots, project)
        with self.lock:
            helper = self._helper(directory)
            if helper is not None:
                try:
                    return containers.ask_fork(helper, message, fds)
                except Closed:
                    self.helpers[directory] = None
            if project not in self.helped:
                self.launcher.ask({"op": "helper", "dir": directory}).close()
                self.helped.add(project)
            return self.launcher.ask(message, fds)

    def _helper(self, directory: str) -> Channel | None:
        """A connection to the helper that ran before this command, if any."""
        if directory not in self.helpers:
            try:
                self.helpers[directory] = Channel.connect(f"{directory}/helper.sock", 5.0)
            except OSError:
                self.helpers[directory] = None
        return self.helpers[directory]

    def _forget_helper(self, project: str) -> None:
        """Look anew for the project's helper: in a long life of ours it has ended with the last container, or begun."""
        with self.lock:
            helper = self.helpers.pop(project_run_dir(self.roots, project), None)
            self.helped.discard(project)
        if helper is not None:
            helper.close()

    @told
    def prepare_container(self, ident: str) -> None:
        if containers.settled_state(self.roots, ident).status not in ACTIVE:
            from compose.engine.rejoining import rejoin

            rejoin(self.roots, ident)
            self._boot(ident, self._project_of(ident))

    @told
    def adopt_container(self, ident: str) -> None:
        state = read_state(Bundle(self.roots, ident), boot_id())
        if state.status not in ACTIVE or state.shim_pid:
            return
        project = self._project_of(ident)
        sockets = self.joiner.new_sockets(ident)
        message = {"op": "adopt", "id": ident, "names": list(sockets)}
        try:
            channel = self._fork(message, project, tuple(sockets.values()))
        finally:
            for fd in sockets.values():
                os.close(fd)
        containers.answer(channel, f"adopt container {ident[:12]}", self.roots)
        channel.close()

    def _project_of(self, ident: str) -> str:
        one = containers.read_container(self.roots, ident)
        if one is None:
            raise NotFound(f"cannot find container {ident[:12]}", "it was removed")
        return one.labels.get(key.PROJECT, "")

    def ask(self, ident: str, message: dict[str, Any], fds: tuple[int, ...] = ()) -> dict[str, Any]:
        """A request on the connection we have, else on a new one."""
        channel = self.channels.get(ident)
        if channel is not None:
            try:
                return containers.raise_for(channel.ask(message, fds)[0])
            except Closed:
                self.channels.pop(ident, None)
        return containers.request(self.roots, ident, message, fds)

    @told
    def connect(
        self, desired: Desired, service: DesiredService, ident: str, network: str, aliases: bool = True
    ) -> None:
        self.joiner.connect(desired, service, ident, network, aliases)

    @told
    def disconnect(self, ident: str, network: str = "") -> None:
        self.joiner.disconnect(ident, network)

    @told
    def start_container(self, ident: str) -> None:
        state = read_state(Bundle(self.roots, ident), boot_id())
        if state.status == CREATED:
            if "post_start" in (read_json(Bundle(self.roots, ident).labels) or {}).get("info", {}).get("hooks", ()):
                from compose.engine.hooks import mark_pending

                mark_pending(Bundle(self.roots, ident))
            self.before_start(ident)
            self.ask(ident, {"op": "start"})
        elif state.status == STOPPED:
            name = containers.read_spec(self.roots, ident).name
            raise EngineError(f"cannot start container {name}: it has ended", hint="run up again")

    @told
    def run_hooks(self, ident: str, phase: str) -> None:
        from compose.engine.hooks import run_hooks

        if phase == "pre_start":
            from compose.engine.hooks import finish_container

            self.start_container(ident)
            finish_container(self.roots, ident, self.hook_output)
            return
        if phase == "pre_stop":
            self.adopt_container(ident)
        run_hooks(self.roots, ident, phase, self.hook_output)

    @told
    def stop_container(self, ident: str, timeout: float | None = None) -> None:
        state = containers.settled_state(self.roots, ident)
        if state.status == STOPPED:
            return
        if state.shim_pid == 0:
            self.adopt_container(ident)
        containers.stop(self.roots, ident, timeout=timeout)

    @told
    def kill_container(self, ident: str, signal: str = "SIGKILL") -> None:
        self.ask(ident, {"op": "kill", "signal": signal})

    @told
    def pause_container(self, ident: str) -> None:
        self.ask(ident, {"op": "pause"})

    @told
    def unpause_container(self, ident: str) -> None:
        self.ask(ident, {"op": "unpause"})

    @told
    def remove_container(self, ident: str, *, volumes: bool = False, force: bool = False) -> None:
        if force or containers.settled_state(self.roots, ident).status == CREATED:
            self.stop_container(ident, 0)
        channel = self.channels.pop(ident, None)
        if channel is not None:
            channel.close()
        one = containers.read_container(self.roots, ident)
        mounts = one.info.get("mounts", ()) if one is not None else ()
        containers.delete(self.roots, ident)
        self.removed = True
        if one is not None:
            events.tell(self.roots, ident, "destroy", name=one.name, labels=dict(one.labels))
        if any(kind in ("anonymous", "volume") for kind, _name, _target in mounts):
            from compose.engine.releasing import release_volumes

            release_volumes(self.roots, mounts, anonymous=volumes)

    @told
    def rename_container(self, ident: str, name: str) -> None:
        from compose.engine.changing import rename_container

        rename_container(self, ident, name)

    @told
    def update_container(self, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]) -> None:
        from compose.engine.changing import update_container

        update_container(self, desired, service, ident, changes)

    @told
    def wait_until(self, idents: tuple[str, ...], condition: str, timeout: float | None = None) -> None:
        from compose.engine.waiting import wait_until

        wait_until(self.roots, idents, condition, timeout)


def _remove_empty(directory: str) -> None:
    """Remove the empty directories in one: what a helper that was killed while leaving could not."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        try:
            os.rmdir(f"{directory}/{name}")
        except OSError:
            pass  # in use


def _has_half_made(directory: str) -> bool:
    """Whether a killed command left a volume half-made: its name begins with a plus."""
    try:
        return any(name.startswith("+") for name in os.listdir(directory))
    except FileNotFoundError:
        return False

"""Back to the state right after start-up, at a cost that does not depend on how much data there is.

A resettable stack's named volumes are overlays from their creation. The baseline is taken once everything is up, with
the writers frozen and one syncfs(2) per volume: what they wrote becomes a lower layer that is never written again. Each
reset mounts a fresh upper over it, inside the running containers too. A container whose processes have files of a
volume open would go on with the old ones: it is killed and started again, and finds the volume as it was.

A service with the label ``pycompose.reset: restart`` is stopped for the baseline instead of frozen, so that what is on
its volumes is what it writes when it is asked to end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compose.engine.local import told
from compose.errors import UsageError
from runtime import generations, rebase, remount
from runtime.cgroups.manager import open_cgroup
from runtime.container import read_spec
from runtime.linux.mount import syncfs
from runtime.volumes import get_volume, mountpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from compose.plan.observed import ObservedContainer
    from compose.testing.stack import Stack
    from runtime.cgroups.manager import Cgroup
    from runtime.remount import Mounted

LABEL = "pycompose.reset"


class Resetter:
    """The resets of one stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        there = {one.name for one in stack.observe().volumes}  # not those of services that were left out
        self._volumes = [
            one.name
            for one in stack.desired.volumes
            if one.name in there and not one.external and (one.config.get("driver_opts") or {}).get("type") == "overlay"
        ]

    @told
    def take_baseline(self) -> None:
        """Remember the state as it is now. Does nothing when it was taken before."""
        if any(generations.read(self.stack.roots, name).number for name in self._volumes):
            return
        full = self.stack.resettable == "full"
        stopped = [one.name for one in self.stack.desired.services if full or _wants_restart(one.config)]
        if stopped:
            self.stack.stop(*stopped)
        self._turn(keep=True, syncs=True)
        if full:
            for one in self.stack.containers():
                rebase.keep_root(self.stack.roots, one.id)
        if stopped:
            self.stack.start(*stopped)

    @told
    def reset(self, level: str) -> None:
        """Go back to the baseline. ``level``: none, volumes or full."""
        if level == "none":
            return
        order = ("none", "volumes", "full")
        if level not in order or order.index(level) > order.index(self.stack.resettable):
            hint = f'make it with Stack(..., resettable="{level}")' if level in order else f"levels: {', '.join(order)}"
            raise UsageError(f"cannot reset {level} of stack {self.stack.name}: it was not made for that", hint=hint)
        if self.stack._faults is not None:
            self.stack._faults.heal()
        if level == "full":
            self._reset_all()
        else:
            self._turn(keep=False)
        self.stack.recorder.say("stack", self.stack.name, "reset", level)

    def _reset_all(self) -> None:
        """Every container is killed and starts with the files that it had."""
        live = [one.service for one in self.stack.containers() if one.status in ("running", "paused", "restarting")]
        self.stack.stop(timeout=0)
        for one in self.stack.containers():
            rebase.reset_root(self.stack.roots, one.id)
        self._turn(keep=False)
        self._start(live)

    def _turn(self, *, keep: bool, syncs: bool = False) -> None:
        """Put a fresh upper on every volume, in the containers that run too."""
        users = [_User(self.stack, one) for one in self.stack.containers() if one.status in ("running", "paused")]
        points = {name: self._device(name) for name in self._volumes}
        using = [user for user in users if user.find(points)]
        try:
            for user in using:
                user.freeze()
            busy = [user for user in using if user.is_busy()]
            if syncs:
                self._sync()
            for user in busy:
                self.stack.engine.kill_container(user.container.id)
                user.thaw()
            self._wait_for(busy)
            old = {name: generations.rotate(self.stack.roots, name, keep=keep) for name in self._volumes}
            for user in using:
                if user not in busy:
                    user.exchange({name: self._point(name) for name in self._volumes})
        finally:
            for user in using:
                user.thaw()
        self._start([user.container.service for user in busy])
        generations.discard(self.stack.roots, old.values())

    def _wait_for(self, busy: Iterable[_User]) -> None:
        idents = tuple(user.container.id for user in busy)
        if idents:
            self.stack.engine.wait_until(idents, "stopped", self.stack.timeout)

    def _start(self, services: Iterable[str]) -> None:
        names = tuple(dict.fromkeys(services))
        if names:
            self.stack.start(*names)

    def _point(self, name: str) -> str:
        return mountpoint(self.stack.roots, get_volume(self.stack.roots, name))

    def _device(self, name: str) -> str:
        return remount.device_of(self._point(name))

    def _sync(self) -> None:
        """Write out the file system that all the uppers are on, once."""
        for name in self._volumes[:1]:
            fd = os.open(generations.read(self.stack.roots, name).upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(fd)
            finally:
                os.close(fd)


class _User:
    """A running container, and where in it the volumes are mounted."""

    def __init__(self, stack: Stack, container: ObservedContainer) -> None:
        self.container = container
        parent = read_spec(stack.roots, container.id).resources
        self.cgroup: Cgroup = open_cgroup(stack.roots, container.id, getattr(parent, "cgroup_parent", ""))
        self.mounts: dict[str, list[Mounted]] = {}
        self.frozen = container.status == "paused"

    def find(self, devices: dict[str, str]) -> bool:
        """Whether any of the volumes is mounted in it."""
        found = {name: remount.mounts_of(self.container.pid, device) for name, device in devices.items()}
        self.mounts = {name: mounts for name, mounts in found.items() if mounts}
        return bool(self.mounts)

    def freeze(self) -> None:
        if not self.frozen:
            self.cgroup.freeze()

    def thaw(self) -> None:
        """Let it go on, unless it was paused before we came; once."""
        if not self.frozen:
            self.cgroup.thaw()
            self.frozen = True

    def is_busy(self) -> bool:
        every = [one for mounts in self.mounts.values() for one in mounts]
        return bool(remount.holders(self.cgroup.pids(), every))

    def exchange(self, points: dict[str, str]) -> None:
        for name, mounts in self.mounts.items():
            remount.exchange(self.container.pid, mounts, points[name])


def _wants_restart(config: Mapping[str, Any]) -> bool:
    return (config.get("labels") or {}).get(LABEL) == "restart"

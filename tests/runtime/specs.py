"""Specs for tests that make no container."""

from runtime.record import replace
from runtime.spec import ContainerSpec, Process, Rootfs


def spec(**changes):
    base = ContainerSpec("a" * 64, "box", Process(("true",)), Rootfs(("/layer",)), hostname="box")
    return replace(base, **changes)

"""Lifecycle hooks as steps: containers before a service's start, commands inside after it and before its stop."""

from __future__ import annotations

from compose.plan.actions import (
    Connect,
    CreateContainer,
    Created,
    Disconnect,
    PostStart,
    PreStart,
    PreStop,
    RemoveContainer,
)
from compose.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from compose.plan.actions import Target
    from compose.plan.desired import DesiredService
    from compose.plan.observed import ObservedContainer
    from compose.plan.plan import PlanBuilder

PHASES = ("post_start", "pre_stop")  # that run inside the container


def post_start(builder: PlanBuilder, service: DesiredService, label: str, target: Target, started: int) -> int:
    """The step after which a container counts as started: its start, or the last of its ``post_start`` commands."""
    rows = service.config.get("post_start")
    return builder.add(PostStart(label, target), _commands(len(rows)), (started,)) if rows else started


def pre_stop(
    builder: PlanBuilder, container: ObservedContainer, label: str, target: Target, after: Iterable[int]
) -> Iterable[int]:
    """What the stop of a container comes after. Nothing can be executed in one that is paused or between two runs."""
    if "pre_stop" not in container.hooks or container.status != "running":
        return after
    return (builder.add(PreStop(label, target), "before its stop", after),)


def _commands(count: int) -> str:
    return "1 command" if count == 1 else f"{count} commands"


# pre_start: a throw-away container per command, like the service's but for what the hook says

_NOT_INHERITED = ("container_name", "deploy", "depends_on", "healthcheck", "mac_address", "ports", "post_start",
                  "pre_start", "pre_stop", "profiles", "restart", "scale", "stdin_open")  # fmt: skip
_ADDRESSES = ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address")  # those are the service's own
_HOOK = {"oneoff": True, "hook": "pre_start"}
SELF = "hook:service"  # in CreateContainer.shares: the service's container, whose anonymous volumes a hook sees


def hook_name(project: str, service: str, index: int) -> str:
    """The name of the container of a service's ``pre_start`` command, counted from 0, as docker compose has it."""
    return f"{project}-{service}-pre_start-{index}"


def hook_image(service: DesiredService, index: int) -> str:
    return str(service.config["pre_start"][index].get("image") or service.image)


def hook_images(service: DesiredService) -> set[str]:
    """The images that the service's ``pre_start`` commands ask for."""
    return {hook_image(service, index) for index in range(len(service.config.get("pre_start") or ()))}


def hook_service(service: DesiredService, index: int) -> DesiredService:
    """The service as the container of one ``pre_start`` command sees it: the hook's own words over the service's."""
    hook: Mapping[str, Any] = service.config["pre_start"][index]
    config = {key: value for key, value in service.config.items() if key not in _NOT_INHERITED}
    limits = {"resources": resources} if (resources := (service.config.get("deploy") or {}).get("resources")) else None
    own = {key: value for key, value in hook.items() if key not in ("environment", "image", "per_replica")}
    config |= {"healthcheck": {"disable": True}, **({"deploy": limits} if limits else {}), **own}
    config["environment"] = {**(service.config.get("environment") or {}), **(hook.get("environment") or {})}
    if service.config.get("networks"):
        config["networks"] = {name: _without_addresses(row) for name, row in service.config["networks"].items()}
    return replace(service, image=hook_image(service, index), config=config, container_name="")


def _without_addresses(row: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {key: value for key, value in row.items() if key not in _ADDRESSES} if row else row


def pre_start(
    builder: PlanBuilder,
    project: str,
    service: DesiredService,
    shares: Mapping[str, Target],
    after: Iterable[int],
    networks: Mapping[str, int],
) -> int:
    """The steps that run a service's ``pre_start`` commands, one after another; the last of them.

    ``networks``: per key of a network, the step after which it is there.
    """
    last = list(after)
    for index in range(len(service.config["pre_start"])):
        label = f"{service.name}-pre_start-{index}"
        name = hook_name(project, service.name, index)
        action = CreateContainer(label, service.name, index + 1, name, "", shares, "", _HOOK, index)
        created = builder.add(action, f"pre_start command {index + 1} of {service.name}", last)
        target, joined = Created(created), created
        for key in service.networks:
            connect = Connect(label, target, service.name, key, False, index)
            joined = builder.add(connect, f"{key}: declared network", (joined, networks.get(key, 0)))
        ran = builder.add(PreStart(label, target), f"before the start of {service.name}", (joined,))
        if service.networks:
            ran = builder.add(Disconnect(label, target), "done", (ran,))
        last = [builder.add(RemoveContainer(label, target, True), "done", (ran,))]
    return last[0]

"""Lifecycle hooks as steps of plans."""

from __future__ import annotations

from compose.plan.hooks import hook_service
from compose.plan.intent import LifeIntent
from compose.plan.lifecycle import plan_stop
from compose.record import replace
from tests.compose.plan.test_reconcile import engine, plan, same, up
from tests.support.projects import project, service

HOOKED = {
    "pre_start": [{"command": ["a"]}, {"command": ["b"], "image": "host:2"}],
    "post_start": [{"command": ["c"]}],
}


def test_pre_start_runs_once_before_the_first_replica() -> None:
    world, desired = engine(), project(service("web", replicas=2, **HOOKED))
    same(
        plan(world, desired),
        """
        1            network    default          create      not found
        2            container  web-1            create      no container for replica 1
        3   < 1,2    container  web-1            connect     default: declared network
        4   < 3      container  web-pre_start-0  create      pre_start command 1 of web
        5   < 4      container  web-pre_start-0  connect     default: declared network
        6   < 5      container  web-pre_start-0  pre_start   before the start of web
        7   < 6      container  web-pre_start-0  disconnect  done
        8   < 7      container  web-pre_start-0  remove      done
        9   < 8      container  web-pre_start-1  create      pre_start command 2 of web
        10  < 9      container  web-pre_start-1  connect     default: declared network
        11  < 10     container  web-pre_start-1  pre_start   before the start of web
        12  < 11     container  web-pre_start-1  disconnect  done
        13  < 12     container  web-pre_start-1  remove      done
        14  < 13     container  web-1            start       created by step 2
        15  < 14     container  web-1            post_start  1 command
        16           container  web-2            create      no container for replica 2
        17  < 1,16   container  web-2            connect     default: declared network
        18  < 13,17  container  web-2            start       created by step 16
        19  < 18     container  web-2            post_start  1 command
        """,
    )


def test_a_service_that_runs_is_not_prepared_again() -> None:
    world, desired = engine(), project(service("web", **HOOKED))
    up(world, desired)
    assert plan(world, desired).steps == ()
    assert [step.action.verb for step in plan(world, desired, scale={"web": 2}).steps] == [
        "create", "connect", "start", "post_start",
    ]  # fmt: skip


def test_pre_stop_comes_before_the_stop_of_what_runs() -> None:
    world, desired = engine(), project(service("web"))
    up(world, desired)
    observed = world.observe("shop", desired)
    with_hook = replace(observed, containers=tuple(replace(one, hooks=("pre_stop",)) for one in observed.containers))
    verbs = [step.action.verb for step in plan_stop(desired, with_hook, LifeIntent()).steps]
    assert verbs == ["pre_stop", "stop", "disconnect"]
    paused = tuple(replace(one, status="paused") for one in with_hook.containers)
    verbs = [step.action.verb for step in plan_stop(desired, replace(observed, containers=paused), LifeIntent()).steps]
    assert verbs == ["stop", "disconnect"]


def test_a_hook_takes_no_port_and_no_address_of_its_services() -> None:
    one = service(
        "web",
        **HOOKED,
        environment={"A": "1", "B": "1"},
        ports=[{"target": 80, "published": "8080"}],
        restart="always",
    )
    one = replace(one, config={**one.config, "networks": {"default": {"ipv4_address": "10.0.0.9", "aliases": ["w"]}}})
    hook = hook_service(one, 1)
    assert hook.image == "host:2"
    assert hook.config["command"] == ["b"]
    assert hook.config["networks"] == {"default": {"aliases": ["w"]}}
    assert not {"ports", "restart", "pre_start", "post_start"} & set(hook.config)

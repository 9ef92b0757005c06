"""A batch: which steps, in which order, compacted."""

from __future__ import annotations

from typing import Any

from compose.watch.batch import batch_of
from compose.watch.rules import Rule
from compose.watch.tracker import Modified


def rule(service: str, action: str, number: int = 0, **more: Any) -> Rule:
    return Rule(service, number, "/p", action, "/app" if "sync" in action else "", **more)


def test_steps_are_gathered_by_service_whatever_the_order_of_events() -> None:
    sync, restart, rebuild = rule("web", "sync"), rule("db", "restart"), rule("api", "rebuild")
    hits = [
        (Modified("/p/a"), restart),
        (Modified("/p/b"), sync),
        (Modified("/p/a"), sync),
        (Modified("/p/a"), rebuild),
    ]
    batch = batch_of(hits)
    assert (batch.rebuild, batch.restart, batch.files) == (("api",), ("db",), 2)
    assert [(one.service, dict(one.writes)) for one in batch.syncs] == [("web", {"/app/b": "/p/b", "/app/a": "/p/a"})]


def test_a_rebuilt_service_is_not_restarted_as_well() -> None:
    batch = batch_of([(Modified("/p/a"), rule("web", "restart")), (Modified("/p/a"), rule("web", "rebuild", 1))])
    assert batch.rebuild == ("web",) and batch.restart == ()


def test_the_first_rule_with_a_target_counts() -> None:
    first, second = rule("web", "sync"), Rule("web", 1, "/p/sub", "sync", "/app/sub")
    batch = batch_of([(Modified("/p/sub/x"), first), (Modified("/p/sub/x"), second)])
    assert dict(batch.syncs[0].writes) == {"/app/sub/x": "/p/sub/x"}


def test_restart_and_commands_follow_a_sync_once() -> None:
    command = rule("web", "sync+exec", 1, exec={"command": ["reload"]})
    restart = rule("web", "sync+restart", 2)
    hits = [(Modified(f"/p/{name}"), one) for name in "abc" for one in (command, restart)]
    (sync,) = batch_of(hits).syncs
    assert sync.restart and sync.execs == (command,) and len(sync.writes) == 3


def test_nothing_is_an_empty_batch() -> None:
    assert not batch_of([])

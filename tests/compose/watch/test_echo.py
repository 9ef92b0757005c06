"""What is a loop and what is a person who saves often: simulated, second by second."""

from __future__ import annotations

from compose.watch.echo import ECHO, SLOWEST, EchoGuard
from compose.watch.rules import RESTART, SYNC, Rule
from compose.watch.tracker import Modified

RULE = Rule("web", 0, "/src", RESTART)


class World:
    """A watcher whose action takes ``took`` seconds. ``echoes``: seconds after an action at which its container writes.

    Saves are a person's: (time, path).
    """

    def __init__(self, took: float = 0.2, echoes: tuple[float, ...] = (), rule: Rule = RULE) -> None:
        self.told: list[tuple[str, bool]] = []
        self.guard = EchoGuard(lambda _rule, path, same: self.told.append((path, same)))
        self.took, self.echoes, self.rule = took, echoes, rule
        self.acts: list[tuple[float, list[str]]] = []
        self.written = 0

    def name(self) -> str:
        return "/src/stamp"

    def run(self, saves: list[tuple[float, str]], until: float) -> World:
        events = sorted(saves)
        now = 0.0
        while True:
            due = self.guard.next_due()
            at = min([*(when for when, _path in events[:1]), *([due] if due is not None else [])], default=until)
            if at >= until:
                return self
            now = max(now, at)
            held = self.guard.due(now)
            heard = {path for when, path in events if when <= now}
            events = [one for one in events if one[0] > now]
            hits = held + self.guard.admit([(Modified(path), self.rule) for path in sorted(heard)], now)
            if hits:
                began, now = now, now + self.took
                self.acts.append((began, [one.path for one, _rule in hits]))
                self.guard.acted(hits, {"web"}, began, now)
                events += [(now + delay, self.name()) for delay in self.echoes]
                events.sort()


def person(every: float, count: int, path: str = "/src/app.py") -> list[tuple[float, str]]:
    return [(1 + every * number, path) for number in range(count)]


def test_a_loop_is_told_once_and_slows_down() -> None:
    world = World(echoes=(0.1,)).run([(1, "/src/stamp")], until=600)
    assert world.told == [("/src/stamp", True)]
    times = [when for when, _paths in world.acts]
    assert len([when for when in times if when < 20]) <= 10
    assert SLOWEST <= times[-1] - times[-2] < SLOWEST + 1


def test_a_slow_start_a_slow_stop_and_a_burst_are_loops_too() -> None:
    for took, echoes in ((0.2, (2.5,)), (10.0, (0.0,)), (0.2, (0.1, 0.3, 0.5)), (4.0, (1.0, 1.2))):
        world = World(took, echoes).run([(1, "/src/stamp")], until=300)
        assert len(world.told) == 1, (took, echoes)


def test_another_name_each_time_is_a_loop() -> None:
    class Names(World):
        def name(self) -> str:
            self.written += 1
            return f"/src/log-{self.written}"

    world = Names(echoes=(0.1,)).run([(1, "/src/a")], until=60)
    assert [same for _path, same in world.told] == [False]
    assert len(world.acts) < 15


def test_one_that_writes_all_the_time_is_told_in_the_end() -> None:
    writes = [(number / 3, "/src/log") for number in range(600)]
    assert World().run(writes, until=200).told == [("/src/log", True)]


def test_nobody_who_saves_is_a_loop_whatever_the_pace() -> None:
    for took in (0.1, 0.5, 3.0, 10.0):
        for tenth in range(1, 60):
            world = World(took).run(person(tenth / 10, 10), until=300)
            assert world.told == [], (took, tenth)


def test_a_long_row_of_saves_is_no_loop() -> None:
    for took in (0.1, 0.5):
        for tenth in (2, 5, 10, 15, 20, 25, 29, 31, 35, 60):
            assert World(took).run(person(tenth / 10, 40), until=600).told == [], (took, tenth)


def test_ten_quick_saves_are_acted_on_soon() -> None:
    world = World(took=0.1).run(person(0.3, 10), until=60)
    assert world.acts[-1][0] - (1 + 0.3 * 9) < 2


def test_others_go_on_at_once_while_a_loop_is_slow() -> None:
    saves = [(1, "/src/stamp"), *((300.0 + 20 * number, "/src/app.py") for number in range(5))]
    saves += [(305.0 + 20 * number, "/src/sub/x.py") for number in range(5)]
    world = World(echoes=(0.1,)).run(saves, until=450)
    assert len(world.told) == 1
    for when, path in saves[1:]:
        assert any(abs(began - when) < 0.3 and path in paths for began, paths in world.acts), (when, path)


def test_a_loop_that_ends_is_forgotten_and_may_be_told_again() -> None:
    world = World(echoes=(0.1,)).run([(1, "/src/stamp")], until=100)
    world.echoes = ()
    world.run([(100, "/src/stamp"), (200, "/src/stamp")], until=300)
    assert world.acts[-1][0] == 200
    world.echoes = (0.1,)
    world.run([(300, "/src/stamp")], until=400)
    assert len(world.told) == 2


def test_plain_sync_and_services_that_were_not_touched_are_never_held() -> None:
    rule = Rule("web", 0, "/src", SYNC, "/app")
    assert len(World(0.0, rule=rule).run(person(0.1, 30), until=60).acts) == 30
    guard = EchoGuard(lambda *_args: None)
    for number in range(30):
        hits = guard.admit([(Modified("/src/a"), RULE)], number * 0.1)
        assert hits
        guard.acted(hits, set(), number * 0.1, number * 0.1)


def test_what_was_held_comes_back_when_the_rules_change() -> None:
    world = World(echoes=(0.1,)).run([(1, "/src/stamp")], until=4.5)
    assert world.guard.next_due() is not None
    assert [one.path for one in world.guard.forget()] == ["/src/stamp"]
    assert world.guard.next_due() is None
    assert ECHO > 0

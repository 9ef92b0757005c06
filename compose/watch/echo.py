"""Loops: a container that writes, whenever it starts, to what is watched would be restarted by that for ever. Pure.

Told apart by an experiment. A change that comes within ``ECHO`` of the end of the action that the same directory (of
the same rule) caused is an echo. After ``FREE`` echoes in a row the next ones are held for a while and acted on then. A
person who saves again and again saves meanwhile, too; a container that is not restarted does not write. What stays
silent in every hold, and echoes again after every action, is a loop. It is told once; from then on it is acted on more
and more seldom, until an action is followed by silence.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import os

from compose.watch.rules import REBUILD, SYNC, SYNC_EXEC, is_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from compose.watch.rules import Rule
    from compose.watch.tracker import Modified

    Hit = tuple[Modified, Rule]

ECHO = 3.0  # after the end of an action: what its containers write later is not recognised
FREE = 4  # echoes that are acted on at once
HOLDS = 3  # experiments, each longer; a person who saves so seldom that it is an echo still is seen by the last
BURST = 1 / 3  # of a hold: what still belongs to the change that began it
ENDLESS = 60  # echoes in a row of which nobody could be a person's: of a container that writes all the time
SLOWEST = 30.0


class Chain:
    """The echoes of one rule in one directory."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.ended = self.took = 0.0  # the last action
        self.echoes = 0  # in a row, since the last silence
        self.tried = 0  # holds that stayed silent, in a row
        self.free = FREE
        self.told = False
        self.pause = 0.0
        self.since = self.until = 0.0  # the present hold
        self.held: dict[str, Hit] = {}

    def concerns(self, path: str) -> bool:
        """Whether the loop's: with one path only that one, for others of its directory may be a person's."""
        return path in self.paths or len(self.paths) != 1

    def clear(self) -> list[Hit]:
        """Somebody else writes there: begin to count anew. Gives what was held."""
        self.tried, self.free = 0, self.echoes + FREE
        return self.release()

    def release(self) -> list[Hit]:
        hits = list(self.held.values())
        self.held.clear()
        self.until = 0.0
        return hits


class EchoGuard:
    """Holds back what is suspected to be the echo of its own action. ``tell(rule, path, same)``: of a loop, once.

    ``same``: it is always that path, not another one of its directory each time.
    """

    def __init__(self, tell: Callable[[Rule, str, bool], None]) -> None:
        self._tell = tell
        self._chains: dict[tuple[str, str], Chain] = {}

    def admit(self, hits: Iterable[Hit], now: float) -> list[Hit]:
        """Those to act on now; the others come out of :meth:`due` when their time has come."""
        admitted: list[Hit] = []
        counted: set[tuple[str, str]] = set()
        for hit in hits:
            modified, rule = hit
            key = _key(hit)
            chain = self._chains.get(key)
            if chain is None or rule.action == SYNC:
                admitted.append(hit)
            elif chain.until:
                admitted += self._during(chain, hit, now)
            elif now - chain.ended > ECHO:
                del self._chains[key]
                admitted.append(hit)
            else:
                if key not in counted:
                    counted.add(key)
                    chain.echoes += 1
                if not chain.told:
                    chain.paths.add(modified.path)
                    self._judge(chain, rule, modified.path)
                admitted += self._echo(chain, hit, now)
        return admitted

    def _judge(self, chain: Chain, rule: Rule, path: str) -> None:
        if chain.tried >= HOLDS or chain.echoes >= ENDLESS:
            chain.told, chain.free = True, 0
            chain.pause = ECHO
            self._tell(rule, path, len(chain.paths) == 1)

    def _echo(self, chain: Chain, hit: Hit, now: float) -> list[Hit]:
        """One more echo: acted on, or the first of a hold."""
        path = hit[0].path
        if chain.echoes <= chain.free or (chain.told and not chain.concerns(path)):
            return [hit]
        if chain.told:
            pause = chain.pause = min(SLOWEST, chain.pause * 2)
        else:
            longest = (ECHO + chain.took) / (1 - BURST)
            pause = min(SLOWEST, longest * (chain.tried + 1) / HOLDS)
        chain.since, chain.until = now, now + pause
        chain.held[path] = hit
        return []

    @staticmethod
    def _during(chain: Chain, hit: Hit, now: float) -> list[Hit]:
        """A change while others of its directory are held."""
        path = hit[0].path
        if chain.told:
            if not chain.concerns(path):
                return [hit]
        elif now - chain.since > (chain.until - chain.since) * BURST:
            return [*chain.clear(), hit]
        chain.held[path] = hit
        return []

    def next_due(self) -> float | None:
        """When the first hold ends."""
        return min((chain.until for chain in self._chains.values() if chain.until), default=None)

    def due(self, now: float) -> list[Hit]:
        """What was held long enough."""
        found: list[Hit] = []
        for chain in self._chains.values():
            if chain.until and now >= chain.until:
                chain.tried += 1
                chain.ended = now  # the action follows; what is heard at this moment is no silence
                found += chain.release()
        return found

    def acted(self, hits: Iterable[Hit], services: Iterable[str], began: float, ended: float) -> None:
        """An action is over; ``services``: whose containers were restarted, made anew or ran a command."""
        touched = set(services)
        for hit in hits:
            rule = hit[1]
            if rule.service not in touched or rule.action == SYNC:
                continue
            chain = self._chains.setdefault(_key(hit), Chain())
            chain.ended, chain.took = ended, ended - began
        for key in [key for key, chain in self._chains.items() if not chain.until and ended - chain.ended > ECHO]:
            del self._chains[key]  # silence

    def forget(self) -> list[Modified]:
        """The rules are others now: begin anew. Gives what was held, for the new rules to judge."""
        held = [modified for chain in self._chains.values() for modified, _rule in chain.release()]
        self._chains.clear()
        return held


def _key(hit: Hit) -> tuple[str, str]:
    modified, rule = hit
    return rule.name, os.path.dirname(modified.path)


def told(rule: Rule, path: str, *, same: bool) -> str:
    """What is said of a loop, and how to end it; patterns of ``ignore`` are below the rule's path."""
    verb = {REBUILD: "rebuilding it", SYNC_EXEC: "its command"}.get(rule.action, "restarting it")
    shown = path if same else f"files in {os.path.dirname(path)}, such as {os.path.basename(path)},"
    advice = f"have the container write elsewhere, or remove {rule.name}"
    if path != rule.path and is_below(path, rule.path):
        advice = f"add to {rule.name}:  ignore: [{path[len(rule.path) + 1 :]}]"
    return (
        f"{rule.service}: {verb} changes {shown} and {rule.name} ({rule.action}) acts on that, without end: "
        f"it does so more and more seldom now\n  {advice}"
    )

"""Where the time of a command goes, for ``--timings``: phases in order, then every step of the plan.

The interpreter's own start is taken as the CPU time of the process when our first line runs: the kernel gives the start
of a process only in clock ticks of 10 ms. Starting is CPU-bound, so the two agree on a quiet machine.
"""

from __future__ import annotations

import time

from compose.events import StepFinished, StepStarted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.engine.local import LocalEngine
    from compose.events import Event
    from compose.plan.desired import Desired
    from compose.plan.observed import Observed


class Timings:
    """Collects marks; each gives the time since the mark before it. Costs nothing that a user notices."""

    def __init__(self) -> None:
        self.interpreter = time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
        self._last = time.perf_counter()
        self._begin = self._last
        self.phases: list[tuple[str, float]] = []
        self.steps: list[StepFinished] = []

    def mark(self, name: str) -> None:
        """The time since the last mark went into ``name``; the same name adds up."""
        now = time.perf_counter()
        took, self._last = now - self._last, now
        for place, (known, seconds) in enumerate(self.phases):
            if known == name:
                self.phases[place] = (name, seconds + took)
                return
        self.phases.append((name, took))

    def collect(self, event: Event) -> None:
        """Keep the steps that an executor reports; called from its threads (list.append is atomic)."""
        if isinstance(event, StepFinished):
            self.steps.append(event)
        elif not self.steps and isinstance(event, StepStarted) and self.phases[-1][0] != "plan":
            self.mark("plan")

    def watch(self, engine: LocalEngine) -> None:
        """Have the engine's one look booked as its own phase."""
        look = engine.observe

        def observe(project: str, desired: Desired | None = None) -> Observed:
            self.mark("command")
            observed = look(project, desired)
            self.mark("observe")
            return observed

        engine.observe = observe  # type: ignore[method-assign]

    def text(self) -> str:
        """A table: milliseconds, then what they went into."""
        total = self.interpreter + time.perf_counter() - self._begin
        rows = [("interpreter", self.interpreter), *self.phases, ("total", total)]
        lines = [f"{seconds * 1000:9.2f} ms  {name}" for name, seconds in rows]
        if self.steps:
            lines.append("steps, in the order of their end (they overlap):")
            lines += [f"{step.seconds * 1000:9.2f} ms  {step.kind} {step.name} {step.verb}" for step in self.steps]
        return "".join(f"{line}\n" for line in lines)

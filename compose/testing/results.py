"""What tests get back: the end of a command, a line of a log, an event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExecResult:
    """How a command in a container ended. ``duration`` in seconds; text is decoded as UTF-8, bad bytes replaced."""

    command: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    duration: float

    def check(self) -> ExecResult:
        """Itself. Raises AssertionError with everything it said when the exit code is not 0."""
        if self.exit_code:
            raise AssertionError(
                f"{' '.join(self.command)} exited with code {self.exit_code}\n"
                f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
            )
        return self


@dataclass(frozen=True)
class LogLine:
    """A line of a container. ``time``: RFC 3339 UTC; ``stream``: stdout or stderr; ``container``: ``web-1``."""

    service: str
    container: str
    time: str
    stream: str
    text: str

    def __str__(self) -> str:
        return f"{self.container} | {self.text}"


@dataclass(frozen=True)
class StackEvent:
    """Something that was done to the stack. ``time``: seconds since the epoch; ``seconds``: how long it took."""

    time: float
    kind: str
    name: str
    verb: str
    seconds: float = 0.0
    error: str = ""
    reason: str = ""

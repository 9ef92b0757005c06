"""The errors of compose. Each says what cannot be done, to what, and what to try; the command line prints it once."""

from __future__ import annotations


class ComposeError(Exception):
    """Base. ``message``: one lower-case sentence; ``hint``: what to try; ``where``: ``file:line:column``."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def text(self) -> str:
        """The whole error as printed: place, fact, then the hint on its own line."""
        first = f"{self.where}: {self.message}" if self.where else self.message
        return f"{first}\n  {self.hint}" if self.hint else first


class SpecError(ComposeError):
    """The files are wrong. ``problems`` holds every problem found, this one first.

    ``path``: what is wrong, ``services.web.image``, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        where: str = "",
        path: str = "",
        problems: tuple[SpecError, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, where=where)
        self.path = path
        self.problems = problems or (self,)


class UsageError(ComposeError):
    """The command line is wrong, or asks for what does not exist."""


class EngineError(ComposeError):
    """The machine refused. ``code`` becomes the exit code of ``run`` and ``exec``."""

    def __init__(self, message: str, *, hint: str = "", where: str = "", code: int = 1) -> None:
        super().__init__(message, hint=hint, where=where)
        self.code = code


class DependencyFailed(ComposeError):
    """A service that others wait for exited, is unhealthy, or could not start."""


class Interrupted(ComposeError):
    """The user ended the command."""

    exit_code = 130

"""What goes wrong in a build: what cannot be done, where in which file, and what to try."""

from __future__ import annotations

from runtime.errors import RuntimeFault


class BuildFault(RuntimeFault):
    """A Dockerfile that cannot be read, or a step that cannot be carried out.

    ``line``: its line in the Dockerfile, 0 when there is none. ``code``: the exit code of the command of a RUN, or 0.
    """

    def __init__(self, message: str, hint: str = "", line: int = 0, code: int = 0) -> None:
        super().__init__(message, hint)
        self.line = line
        self.code = code


class BuildCancelled(BuildFault):
    """Somebody asked for the end of the build."""

    def __init__(self) -> None:
        super().__init__("interrupted", line=-1)


def placed(error: RuntimeFault, file: str, line: int, original: str) -> BuildFault:
    """The error with file, line and instruction in front; one that has a line already stays as it is."""
    if isinstance(error, BuildFault) and error.line:
        return error
    words = original.split("\n")[0]
    shown = words if len(words) <= 80 else words[:77] + "..."
    text = f"cannot build {file}:{line}: {shown}: cannot {error.message.removeprefix('cannot ')}"
    return BuildFault(text, error.hint, line, error.code if isinstance(error, BuildFault) else 0)


def nearest(word: str, known: list[str]) -> str:
    """``did you mean X?``, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else ""

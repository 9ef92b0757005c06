"""Rules of ``--check`` that a Dockerfile must ask for, as in BuildKit: ``# check=experimental=NAME``, or ``all``."""

from __future__ import annotations

import posixpath

from runtime.build.adding import is_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.instructions import Dockerfile, Instruction
    from runtime.build.patterns import Ignore

    Row = tuple[int, str, str]  # line, name of the rule, sentence

DESCRIPTION, IGNORED = "InvalidDefinitionDescription", "CopyIgnoredFile"
NAMES = (DESCRIPTION, IGNORED)


def descriptions(file: Dockerfile) -> list[Row]:
    """Comments right above ARG and FROM that do not begin with the name that they describe."""
    lines = file.text.split("\n")
    steps = [*file.globals, *(step for stage in file.stages for step in stage.steps)]
    named = [(step.line, "ARG", [name for name, _value in step.pairs]) for step in steps if step.keyword == "ARG"]
    named += [(stage.line, "FROM", [stage.name]) for stage in file.stages if stage.name]
    found: list[Row] = []
    for line, keyword, names in sorted(named):
        words = _comment(lines, line - 1, len(file.directives)).split()
        if words and words[0] not in names:
            name = names[0] if len(names) == 1 else "one of its names"
            found.append((line, DESCRIPTION, f"the comment above {keyword} describes it if it begins with {name}"))
    return found


def _comment(lines: list[str], above: int, top: int) -> str:
    """The last comment before a line, blank lines between; directives, the first ``top`` lines, are none."""
    for at in range(above - 1, top - 1, -1):
        text = lines[at].strip()
        if text:
            return text[1:].strip() if text.startswith("#") else ""
    return ""


def ignored(step: Instruction, sources: list[str], ignore: Ignore) -> list[Row]:
    """Sources of COPY and ADD (already expanded) that ``.dockerignore`` leaves out."""
    if step.flag("from"):
        return []
    here = {document.name for document in step.heredocs}
    found: list[Row] = []
    for source in sources:
        if is_remote(source) or source.lstrip("<-") in here or posixpath.normpath(source) != source:
            continue
        if ignore.ignores(source):
            found.append((step.line, IGNORED, f"{step.keyword} {source}: .dockerignore leaves it out"))
    return found

"""``COMPOSE_*`` variables of an env file are settings of ours, as if they were in the environment.

Asked by every command before anything else, so the common case, no such variable, costs one read and imports nothing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.cli.options import Globals

# What the loader finds in env files by itself, and what counts only in the real environment.
_ELSEWHERE = frozenset(
    (
        *(b"COMPOSE_FILE", b"COMPOSE_PATH_SEPARATOR", b"COMPOSE_PROFILES", b"COMPOSE_PROJECT_NAME"),
        *(b"COMPOSE_ENV_FILES", b"COMPOSE_DISABLE_ENV_FILE"),
    )
)


def with_env_file(environ: Mapping[str, str], shared: Globals) -> Mapping[str, str]:
    """The environment with the settings that ``--env-file`` or ``.env`` adds; what is set already stays.

    ``.env`` lies in the project directory, beside the first file, or in the working directory. A file that cannot be
    read or parsed adds nothing here: the loader says what is wrong with it.
    """
    found: dict[str, str] = {}
    for path in _paths(environ, shared):
        try:
            with open(path, "rb", buffering=0) as file:
                content = file.readall() or b""
        except OSError:
            continue
        if b"COMPOSE_" in content and _sets_something(content):
            found.update(_settings(content, path, environ))
    return {**found, **environ} if found else environ


def _paths(environ: Mapping[str, str], shared: Globals) -> tuple[str, ...]:
    if shared.env_file:
        return shared.env_file
    listed = environ.get("COMPOSE_ENV_FILES", "")
    if listed:
        return tuple(part.strip() for part in listed.split(","))
    if environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "t", "true", "y", "yes", "on"):
        return ()
    first = shared.file[0] if shared.file and shared.file[0] != "-" else ""
    return (os.path.join(shared.project_directory or os.path.dirname(first), ".env"),)


def _sets_something(content: bytes) -> bool:
    """Whether a line may set a variable that is looked up nowhere else."""
    for line in content.splitlines():
        name = line.lstrip().removeprefix(b"export ").lstrip().partition(b"=")[0].partition(b":")[0].strip()
        if name.startswith(b"COMPOSE_") and name not in _ELSEWHERE:
            return True
    return False


def _settings(content: bytes, path: str, environ: Mapping[str, str]) -> dict[str, str]:
    from compose.errors import SpecError
    from compose.spec import dotenv

    try:
        values = dotenv.parse(content, path, environ.get)
    except SpecError:
        return {}
    return {
        name: value
        for name, value in values.items()
        if value is not None and name.startswith("COMPOSE_") and name.encode() not in _ELSEWHERE
    }

"""Load a project: what every command calls first. Nothing heavy is imported until the memo has failed to answer."""

from __future__ import annotations

import os

from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compose.model.project import Project
    from compose.plan.desired import Desired


@record
class LoadOptions:
    """What the command line says about the project. ``files``: ``-f`` in order, ``-`` is standard input.

    ``targets``: services named on the command line; their profiles become active. ``cwd``: "" means the process's.
    """

    files: tuple[str, ...] = ()
    project_name: str = ""
    project_directory: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    cwd: str = ""
    targets: tuple[str, ...] = ()
    all_resources: bool = False  # networks and volumes that no service uses, too
    compatibility: bool = False  # names of containers with "_", as docker-compose 1 had them


def load_project(options: LoadOptions, environ: Mapping[str, str]) -> Project:
    """Read the files, always. Raises SpecError; its ``problems`` has every problem found."""
    from compose.model.project import project_from_plain
    from compose.spec.desire import plain_project
    from compose.spec.pipeline import load

    return project_from_plain(plain_project(load(options, environ)))


def load_desired(
    options: LoadOptions,
    environ: Mapping[str, str],
    state_dir: str,
    cold: Callable[[], None] = lambda: None,
    *,
    refuse: bool = True,
) -> Desired:
    """What should be: from the memo if every input is the same, else from the files (and then remembered).

    ``cold`` is called when there is no memo, before anything heavy is imported.
    ``state_dir``: where memos are kept; when it cannot be written, nothing is remembered.
    Raises SpecError; with ``refuse`` also for what can be read but not run.
    """
    from compose import memo

    cwd = options.cwd or working_directory(environ)
    path = memo.path_of(options, cwd, state_dir)
    desired = memo.read(path, environ)
    if desired is None:
        cold()
        from compose.spec.desire import desired_from_loaded
        from compose.spec.pipeline import KEEPING, load

        loaded = load(options, environ, KEEPING)
        desired = desired_from_loaded(loaded)
        if loaded.inputs.repeatable:
            memo.write(path, desired, loaded.inputs.files, loaded.inputs.variables)
    if refuse:
        refuse_to_run(desired)
    return desired


def refuse_to_run(desired: Desired) -> None:
    """Raises SpecError with everything that keeps a project from being run, if there is anything."""
    if not desired.refusals:
        return
    from compose.errors import SpecError

    problems = tuple(SpecError(r.message, hint=r.hint, where=r.where, path=r.path) for r in desired.refusals)
    first = problems[0]
    raise SpecError(first.message, hint=first.hint, where=first.where, path=first.path, problems=problems)


def load_watched(options: LoadOptions, environ: Mapping[str, str], state_dir: str, inputs: set[str]) -> Desired:
    """Read the files, always, and remember the project. ``inputs``: gets every file that was read or looked for.

    Raises SpecError; then ``inputs`` has what was read up to there.
    """
    from compose import memo
    from compose.spec.desire import desired_from_loaded
    from compose.spec.inputs import Inputs
    from compose.spec.pipeline import load

    seen = Inputs(environ)
    try:
        desired = desired_from_loaded(load(options, environ, inputs=seen))
    finally:
        inputs.update(path for path in seen.files if path.startswith("/"))
    if seen.repeatable:
        path = memo.path_of(options, options.cwd or working_directory(environ), state_dir)
        memo.write(path, desired, seen.files, seen.variables)
    return desired


def working_directory(environ: Mapping[str, str]) -> str:
    """The working directory as the user calls it: ``PWD`` when it is the same place (it may be a symlink)."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        from compose.errors import SpecError

        raise SpecError("cannot find the working directory: it was removed", hint="change to another one") from None
    named = environ.get("PWD", "")
    if named == here or not named.startswith("/"):
        return here
    try:
        return named if os.path.samefile(named, here) else here
    except OSError:
        return here

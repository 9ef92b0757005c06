"""What the commands of one invocation share: options, roots, the loaded project, the engine, progress, streams."""

from __future__ import annotations

import os
import sys

from compose.cli.options import ANSI, PROGRESS, is_yes
from compose.cli.timings import Timings
from compose.errors import SpecError, UsageError
from compose.events import Note, StepProgress
from compose.settings import with_env_file
from runtime.paths import Roots, project_run_dir, roots_from_env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.cli.options import Globals
    from compose.cli.render.progress import Progress
    from compose.cli.render.screen import Screen
    from compose.engine.local import LocalEngine
    from compose.events import Event, Reporter
    from compose.plan.desired import Desired
    from compose.plan.observed import Observed
    from compose.project import LoadOptions


class Session:
    """One command's surroundings. Everything costly is made when it is asked for."""

    def __init__(self, shared: Globals, environ: Mapping[str, str], timings: Timings | None = None) -> None:
        self.shared = shared
        self.environ = environ = with_env_file(environ, shared)
        self.timings = timings or Timings()
        self.roots: Roots = roots_from_env(dict(environ))
        self._engine: LocalEngine | None = None
        self._desired: Desired | None = None
        self._warm = self._started = False
        self.hides_parts = False  # of pulls: layers are not told, only that the image comes and has come
        self.progress_mode = self._choice("progress", shared.progress or environ.get("COMPOSE_PROGRESS", ""), PROGRESS)
        if shared.insecure_registry:
            raise UsageError("cannot use --insecure-registry", hint="docker compose itself no longer acts on it")
        wanted = "never" if shared.no_ansi else shared.ansi or environ.get("COMPOSE_ANSI", "")
        self.ansi = self._choice("ansi", wanted, ANSI)

    @staticmethod
    def _choice(option: str, value: str, known: tuple[str, ...]) -> str:
        if value and value not in known:
            raise UsageError(f"cannot use --{option} {value}", hint=f"choose one of {', '.join(known)}")
        return value or "auto"

    # -- what the file says

    def load_options(self, targets: tuple[str, ...] = ()) -> LoadOptions:
        """What the loader is to be told; ``targets``: services named on the command line."""
        from compose.project import LoadOptions

        shared = self.shared
        return LoadOptions(
            files=shared.file,
            project_name=shared.project_name,
            project_directory=shared.project_directory,
            env_files=shared.env_file,
            profiles=shared.profile,
            targets=targets,
            all_resources=shared.all_resources,
            compatibility=shared.compatibility or is_yes(self.environ.get("COMPOSE_COMPATIBILITY", "")),
        )

    def desired(self, targets: tuple[str, ...] = (), *, runs: bool = True) -> Desired:
        """The project as the file has it; the profiles of ``targets`` are active. Raises SpecError.

        ``runs``: refuse what can be read but not run; commands that only look or stop go on.
        """
        from compose.project import load_desired, refuse_to_run

        if self._desired is None:
            self.timings.mark("imports")
            desired = load_desired(self.load_options(), self.environ, self.roots.state, self._start_early, refuse=runs)
            hidden = tuple(name for name in targets if name in desired.disabled)
            if hidden:  # else all commands share one memo, whatever they name
                desired = load_desired(self.load_options(hidden), self.environ, self.roots.state, refuse=runs)
            self.timings.mark("load")
            if not os.path.exists(f"{project_run_dir(self.roots, desired.project)}/helper.sock"):
                self._start_early()
            for warning in desired.warnings:
                self.warn(warning)
            self._desired = desired
        if runs:
            refuse_to_run(self._desired)
        return self._desired

    def project(self, targets: tuple[str, ...] = ()) -> tuple[str, Desired | None]:
        """Name and content of the project; with ``-p`` alone, and no file here, just the name."""
        try:
            desired = self.desired(targets, runs=False)
        except SpecError as error:
            name = self.shared.project_name or self.environ.get("COMPOSE_PROJECT_NAME", "")
            asked = self.shared.file or self.environ.get("COMPOSE_FILE")
            if not name or asked or not is_no_file(error):
                raise
            return name, None
        return desired.project, desired

    @property
    def project_name(self) -> str:
        """Of the project that was loaded, or what the command line calls it."""
        return self._desired.project if self._desired is not None else self.shared.project_name

    # -- what there is

    @property
    def engine(self) -> LocalEngine:
        if self._engine is None:
            from compose.engine.local import LocalEngine

            if os.path.isdir(f"{self.roots.state}/leases"):
                from compose.testing.lease import sweep  # test stacks whose tests were killed, with their guard

                sweep(self.roots, self.environ, self.warn)
            self._engine = LocalEngine(self.roots, self.environ)
            self.timings.mark("imports")
            if self.shared.timings:
                self.timings.watch(self._engine)
        return self._engine

    def lock(self, project: str) -> str:
        """The path of the project's lock."""
        return f"{project_run_dir(self.roots, project)}/lock"

    @property
    def workers(self) -> int:
        """--parallel or COMPOSE_PARALLEL_LIMIT; 0 for no limit but the default. Raises UsageError."""
        text = self.environ.get("COMPOSE_PARALLEL_LIMIT", "")
        if self.shared.parallel is not None:
            return max(0, self.shared.parallel)
        if text and not text.removeprefix("-").isdigit():
            raise UsageError(f"cannot use COMPOSE_PARALLEL_LIMIT={text}", hint="it must be a number")
        return max(0, int(text or 0))

    def warm_up(self, *, now: bool = False) -> None:
        """For commands that may create containers: let the launcher boot while we import, load and plan.

        ``now``: for ``up``, which mostly needs it. Else as soon as files must be read, and after a memo was found if
        nothing of the project runs: where something does, its helper forks what is needed.
        """
        self._warm = not self.shared.dry_run
        if now:
            self._start_early()

    def _start_early(self) -> None:
        if self._warm and not self._started:
            self._started = True
            self.engine.warm_up()
            self.timings.mark("launcher")

    def observe(self, project: str, desired: Desired | None = None) -> Observed:
        observed = self.engine.observe(project, desired)
        self.timings.mark("observe")
        return observed

    # -- what is said

    def colours(self, fd: int) -> bool:
        """Whether that stream gets colours: --ansi, then NO_COLOR and its like, then whether it is a terminal."""
        if self.ansi != "auto":
            return self.ansi == "always"
        if self.environ.get("NO_COLOR"):
            return False
        if self.environ.get("FORCE_COLOR") or self.environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
            return True
        return self.environ.get("CLICOLOR") != "0" and self._is_screen(fd)

    def _is_screen(self, fd: int) -> bool:
        return os.isatty(fd) and self.environ.get("TERM", "dumb") != "dumb"

    @property
    def progress_fd(self) -> int:
        """Where progress goes: stderr, or stdout with COMPOSE_STATUS_STDOUT."""
        return 1 if is_yes(self.environ.get("COMPOSE_STATUS_STDOUT", "")) else 2

    def wants_tree(self) -> bool:
        """Whether progress is a live tree: asked for, or it goes to a terminal that can show one."""
        fd = self.progress_fd
        if self.progress_mode == "auto":
            return self._is_screen(fd) and self.ansi != "never" and not self.shared.dry_run
        return self.progress_mode == "tty" and os.isatty(fd)

    def progress(self, verb: str, *, beside_logs: bool = False, screen: Screen | None = None) -> Progress:
        """The renderer that the user wants.

        ``beside_logs``: log lines come between, so a tree needs the ``screen`` that they are written over.
        """
        from compose.cli.render.words import Style

        fd = self.progress_fd
        if self.wants_tree() and (screen is not None or not beside_logs):
            from compose.cli.render.tty import Tree

            return Tree(verb, fd, style=Style(self.colours(fd)), screen=screen, folded=beside_logs)
        from compose.cli.render import progress

        if self.progress_mode == "json":
            return progress.Json(fd, dry_run=self.shared.dry_run)
        if self.progress_mode == "quiet":
            return progress.Quiet()
        return progress.Plain(fd, reasons=self.shared.verbose)

    def warn(self, text: str) -> None:
        """A warning outside of any progress."""
        if self.progress_mode == "json":
            import json

            line = json.dumps({"level": "warning", "message": text}, ensure_ascii=False)
        elif self.progress_mode == "quiet":
            return
        else:
            line = f"warning: {text}"
        self.tell(f"{line}\n")

    def tell(self, text: str) -> None:
        """To stderr."""
        from compose.cli.render.progress import STDERR, write_all

        write_all(STDERR, text.encode("utf-8", "surrogateescape"))

    def write(self, text: str) -> None:
        """Data, to stdout; names that are not UTF-8 come out as they went in."""
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))

    def close(self) -> None:
        """Let go of the engine, then say where the time went if that was asked."""
        if self._engine is not None:
            self._engine.close()
            self.timings.mark("close")
        if self.shared.timings:
            self.tell(self.timings.text())


class Reporting:
    """A ``with`` around a command that reports: the renderer is closed before any error is printed.

    ``summary``: end with a line of what was done; ``unchanged`` may be set meanwhile.
    """

    def __init__(
        self,
        session: Session,
        verb: str,
        *,
        summary: bool = False,
        beside_logs: bool = False,
        screen: Screen | None = None,
    ) -> None:
        self.progress = session.progress(verb, beside_logs=beside_logs, screen=screen)
        self.timings = session.timings
        self._hides_parts = session.hides_parts
        self.summary = summary
        self.unchanged = 0

        session.engine.note = self.note
        session.engine.tell = self.emit

    def __enter__(self) -> Reporting:
        return self

    def note(self, text: str) -> None:
        """A remark of the engine's."""
        self.emit(Note(text))

    def emit(self, event: Event) -> None:
        if not (self._hides_parts and isinstance(event, StepProgress)):
            self.progress.emit(event)
        self.timings.collect(event)

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        self.progress.close(summary=self.summary and kind is None, unchanged=self.unchanged)
        self.timings.mark("execute")


def is_no_file(error: SpecError) -> bool:
    """Whether loading failed only because there is no Compose file."""
    return error.message.startswith("cannot find a Compose file")


if TYPE_CHECKING:

    def _is_reporter(reporting: Reporting) -> Reporter:
        return reporting

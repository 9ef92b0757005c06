"""A real terminal: a window of tmux with a shell in it, its keys and its screen."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping, Sequence

from tests.support.cli import PYCOMPOSE, Project, eventually

numbers = itertools.count(1)


class Tmux:
    """One server of our own, one window. ``screen`` is what is seen, ``history`` with what scrolled away."""

    def __init__(
        self,
        directory: str,
        environ: Mapping[str, str],
        columns: int = 80,
        rows: int = 24,
        shell: Sequence[str] = ("bash", "--norc", "--noprofile"),
    ) -> None:
        self.name = f"pycompose-{os.getpid()}-{next(numbers)}"
        environ = {**environ, "PS1": "ready> ", "PATH": f"{os.path.dirname(PYCOMPOSE)}:{environ['PATH']}"}
        environ.pop("TMUX", None)
        self._call(
            *("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", directory),
            *shell,
            env=environ,
        )
        if shell[0] != "fish":  # which has a prompt of its own
            self.expect("ready>")

    @classmethod
    def of(cls, project: Project, columns: int, rows: int) -> Tmux:
        """A window in the project's directory, with its name in the environment."""
        environ = {**project.machine.environ(project.env), "COMPOSE_PROJECT_NAME": project.name}
        return cls(str(project.dir), environ, columns, rows)

    def _call(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.name, *words], capture_output=True, text=True, check=True, env=env, timeout=10
        )
        return done.stdout

    def type(self, line: str, end: str = "Enter") -> None:
        """A line, and a key."""
        self._call("send-keys", "-l", line)
        self.key(end)

    def key(self, name: str) -> None:
        """A key by tmux's name: ``C-c``, ``Enter``, ``d``."""
        self._call("send-keys", name)

    def resize(self, columns: int, rows: int) -> None:
        self._call("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> list[str]:
        return self._call("capture-pane", "-p").splitlines()

    @property
    def history(self) -> list[str]:
        lines = self._call("capture-pane", "-p", "-S", "-").splitlines()
        return [line.rstrip() for line in lines if line.strip()]

    def expect(self, text: str, within: float = 10) -> None:
        try:
            eventually(lambda: any(text in line for line in self.screen), within)
        except AssertionError:
            shown = "\n".join(self.history)
            raise AssertionError(f"{text!r} did not appear within {within} s; the terminal shows\n{shown}") from None

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.name, "kill-server"], capture_output=True, check=False)

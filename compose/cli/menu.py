"""The line of keys below an attached ``up``, and the keyboard that it needs.

The terminal gives keys at once and does not show them; Ctrl-C and Ctrl-Z remain signals. Suspended, or in the
background, it is as the shell left it.
"""

from __future__ import annotations

import os

from compose.cli.render.screen import fit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.cli.render.screen import Screen
    from compose.cli.render.words import Style

DETACH, WATCH = "d", "w"


def wanted(option: bool | None, environ: Mapping[str, str]) -> bool:
    """Whether ``--menu`` and COMPOSE_MENU leave the menu on, and the keyboard is ours to read."""
    if option is False or (option is None and environ.get("COMPOSE_MENU", "").lower() in ("0", "false", "no", "off")):
        return False
    return os.isatty(0) and in_foreground()


def in_foreground() -> bool:
    """Whether the terminal's keyboard is ours: a job in the background is stopped when it reads."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


class Menu:
    """Use as a context; ``fileno`` becomes readable when a key was pressed, ``keys`` says which."""

    def __init__(self, screen: Screen, style: Style, labels: Mapping[str, str]) -> None:
        self._screen = screen
        self._style = style
        self.labels = dict(labels)
        self._saved: list[Any] = []
        self._shown = False

    def __enter__(self) -> Menu:
        self._take()
        return self

    def __exit__(self, *_error: object) -> None:
        self.hide()
        self._give_back()

    def fileno(self) -> int:
        return 0

    def keys(self) -> str:
        """What was pressed; empty at the end of the input or when the keyboard is not ours any more."""
        try:
            return os.read(0, 64).decode(errors="replace") if in_foreground() else ""
        except OSError:
            return ""

    def show(self) -> None:
        """Draw it, or draw it again: the window may have changed."""
        paint = self._style.paint
        columns = self._screen.size().columns
        plain = "   ".join(f"{key} {label}" for key, label in self.labels.items())
        if len(plain) > columns - 1:
            text = fit(plain, columns - 1)
        else:
            text = "   ".join(f"{paint(key, '1;7')} {paint(label, '2')}" for key, label in self.labels.items())
        self._screen.show([text] if text else [])
        self._shown = True

    def hide(self) -> None:
        if self._shown:
            self._screen.show([])
            self._shown = False

    def suspend(self) -> None:
        """Before the process stops (Ctrl-Z)."""
        self._screen.show([])
        self._give_back()

    def resume(self) -> None:
        """After it goes on, perhaps in the background."""
        if in_foreground():
            self._take()
            if self._shown:
                self.show()

    def _take(self) -> None:
        import termios

        if not self._saved:
            self._saved = termios.tcgetattr(0)
        settings = termios.tcgetattr(0)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(0, termios.TCSADRAIN, settings)

    def _give_back(self) -> None:
        if self._saved and in_foreground():
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            self._saved = []

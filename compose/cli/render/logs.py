"""Lines of several containers on stdout and stderr, each under its name."""

from __future__ import annotations

from compose.cli.render.progress import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from compose.api.follow import Ended, Line

# cyan, yellow, green, magenta, blue, then their bright ones, by order of names
COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
STDOUT, STDERR = 1, 2


class LogPrinter:
    """Prints lines as docker compose does: ``web-1  | text``. ``write`` takes a descriptor and whole lines.

    ``split``: what a container wrote to stderr goes to stderr (``up``); else all goes to stdout (``logs``). Pieces of
    an over-long line are held back until its end comes.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        colours: bool = False,
        prefix: bool = True,
        timestamps: bool = False,
        split: bool = False,
        write: Callable[[int, bytes], None] = write_all,
    ) -> None:
        self._names = sorted(set(names))
        self._colours = colours
        self._prefix = prefix
        self._timestamps = timestamps
        self._split = split
        self._write = write
        self._pieces: dict[tuple[str, str], list[bytes]] = {}
        self._heads: dict[str, bytes] = {}
        self._out: list[bytes] = []
        self._target = STDOUT

    def line(self, line: Line) -> None:
        """One entry; shown when its line is complete."""
        key = (line.name, line.stream)
        pieces = self._pieces.pop(key, None)
        if not line.text.endswith(b"\n"):
            self._pieces[key] = [*(pieces or ()), line.text]
            return
        text = line.text if pieces is None else b"".join((*pieces, line.text))
        self._put(line.name, text, line.time, STDERR if self._split and line.stream == "stderr" else STDOUT)

    def ended(self, event: Ended) -> None:
        """``web-1 exited with code 0``, after what it left without a newline."""
        self.finish(event.name)
        more = " (restarting)" if event.again else ""
        text = f"{event.name} exited with code {event.exit_code}{more}"
        if self._colours and event.name in self._names:
            text = f"\x1b[{self._colour(event.name)}m{text}\x1b[0m"
        self._put("", f"{text}\n".encode(), "", STDOUT)

    def finish(self, name: str = "") -> None:
        """Show what has no newline yet, of one container or of all."""
        for key in [key for key in self._pieces if not name or key[0] == name]:
            text = b"".join(self._pieces.pop(key)) + b"\n"
            self._put(key[0], text, "", STDERR if self._split and key[1] == "stderr" else STDOUT)

    def flush(self) -> None:
        """Write what was collected. Raises BrokenPipeError when nobody reads."""
        if self._out:
            data, self._out = b"".join(self._out), []
            self._write(self._target, data)

    def _put(self, name: str, text: bytes, time: str, target: int) -> None:
        if target != self._target or len(self._out) > 512:
            self.flush()
            self._target = target
        if name and self._prefix:
            self._out.append(self._head(name))
        if name and self._timestamps and time:
            self._out.append(f"{time} ".encode())
        self._out.append(text)

    def _head(self, name: str) -> bytes:
        """The prefix, padded to the longest name; recomputed when a new name appears."""
        if name not in self._heads:
            if name not in self._names:
                self._names.append(name)  # at the end, so that the others keep their colours
            width = max(map(len, self._names))
            self._heads = {one: self._painted(one, width) for one in self._names}
        return self._heads[name]

    def _painted(self, name: str, width: int) -> bytes:
        text = f"{name.ljust(width)}  | "
        if self._colours:
            text = f"\x1b[{self._colour(name)}m{text}\x1b[0m"
        return text.encode()

    def _colour(self, name: str) -> str:
        return COLOURS[self._names.index(name) % len(COLOURS)]

"""The rows of the live tree: what is known of each resource, and how a row reads at a given width."""

from __future__ import annotations

from compose.cli.render.screen import fit, width
from compose.cli.render.words import CYAN, DIM, GREEN, INSIDE, RED, WORDS, duration, title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.render.words import Style
    from compose.events import StepFinished, StepProgress, StepStarted

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PERIOD = 0.1
BAR = 20  # columns of a bar where there is room
TIMED = 30  # columns from which on times are shown
_COMMON = title("container", "")
_TAIL = 6  # of a name that is cut: replicas differ at the end


class _Part:
    """Work inside a row: a layer, a build stage."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.status = ""
        self.current = self.total = 0
        self.begin = now
        self.end = 0.0


class _Row:
    """One resource: what is happening to it since when, or what has happened."""

    def __init__(self, label: str, now: float) -> None:
        self.label = label
        self.doing = self.done = self.why = ""
        self.begin = now
        self.end = 0.0
        self.error = False
        self.running = 0
        self.number = 0  # of the first step about it
        self.parts: dict[str, _Part] = {}


class Rows:
    """All of them, in the order of the plan, whichever thread was first."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._rows: dict[str, _Row] = {}

    @property
    def busy(self) -> bool:
        return any(row.running for row in self._rows.values())

    def count(self) -> tuple[int, int]:
        """How many are done, of how many."""
        return sum(1 for row in self._rows.values() if not row.running), len(self._rows)

    # -- events

    def started(self, event: StepStarted, now: float) -> None:
        for row in self._of(event.kind, event.name, now):
            row.number = min(row.number or event.number, event.number)
            row.running += 1
            row.doing = WORDS[event.verb][0] if event.verb in WORDS else INSIDE.get(event.verb, row.doing)
            row.why = event.reason if event.verb == "wait" else ""

    def finished(self, event: StepFinished, now: float) -> None:
        for row in self._of(event.kind, event.name, now - event.seconds):
            row.running = max(0, row.running - 1)
            row.end = now
            if event.error:
                row.error, row.done = True, "Error"
            elif event.verb in WORDS and not row.error:
                row.done = event.detail or WORDS[event.verb][1]
            if not row.running:
                row.parts.clear()

    def progress(self, event: StepProgress, now: float) -> None:
        for row in self._of(event.kind, event.name, now):
            part = row.parts.setdefault(event.part, _Part(event.part, now))
            part.status = event.status or part.status
            part.current, part.total = event.current, event.total or part.total
            part.end = now if event.done else 0.0

    def _of(self, kind: str, name: str, now: float) -> list[_Row]:
        """The row of a resource; a service that is waited for is shown at its containers."""
        if kind == "service":
            prefix = title("container", f"{name}-")
            rows = [row for label, row in self._rows.items() if _is_replica(label, prefix)]
            if rows:
                return rows
        label = title(kind, name)
        return [self._rows.setdefault(label, _Row(label, now))]

    # -- pictures

    def lines(self, now: float, since: float, columns: int, room: int, *, only_failed: bool = False) -> list[str]:
        """The picture, at most ``room`` lines (0: all of them), each within ``columns``."""
        rows = [row for row in self._rows.values() if row.error or not only_failed]
        rows.sort(key=lambda row: row.number)
        if not rows:
            return []
        left = len(rows) - room if room else 0
        shown = rows if left <= 0 else self._most_wanted(rows, room - 1)
        spinner = SPINNER[int(since / PERIOD) % len(SPINNER)]
        names = min(max((width(row.label) for row in shown), default=0), max(columns - 36, columns * 2 // 5))
        lines = []
        spare = room - len(shown) if room else 0
        for row in shown:
            lines.append(self._line(row, now, columns, names, spinner))
            parts = [part for part in row.parts.values() if part.name and not part.end][: max(0, spare)]
            spare -= len(parts)
            lines += [self._part(part, now, columns, spinner) for part in parts]
        if left > 0:
            lines.append(fit(f"   … {self._folded(rows, shown)}", columns - 1))
        return lines

    def _most_wanted(self, rows: list[_Row], room: int) -> list[_Row]:
        """What fits: failures, then rows at work, then the latest of the finished ones, in their order."""
        order = sorted(range(len(rows)), key=lambda place: (not rows[place].error, not rows[place].running, -place))
        return [rows[place] for place in sorted(order[: max(0, room)])]

    def _folded(self, rows: list[_Row], shown: list[_Row]) -> str:
        """``41 more: 30 Started, 11 Creating``."""
        visible = {row.label for row in shown}
        words: dict[str, int] = {}
        for row in rows:
            if row.label not in visible:
                word = _state(row)
                words[word] = words.get(word, 0) + 1
        told = ", ".join(f"{number} {word}" for word, number in words.items())
        return f"{len(rows) - len(shown)} more: {told}"

    def _line(self, row: _Row, now: float, columns: int, names: int, spinner: str) -> str:
        """`` ✔ Container web-1  Started                0.3s``; the time stands at the right, as far as 80 columns."""
        took = duration((now if row.running else row.end) - row.begin) if columns >= TIMED else ""
        label = row.label if width(row.label) <= names else row.label.removeprefix(_COMMON)  # the name matters more
        label = fit(label, names, _TAIL)
        head = f"{label}{' ' * (names - width(label))}  "
        room = max(1, min(columns, 80) - 3 - width(head) - len(took) - 2)
        state = fit(_state(row), room)
        more = self._more(row, room - width(state) - 2)
        pad = " " * (room - width(state) - width(more) + 1)
        mark, colour = self._mark(row, spinner)
        paint = self._style.paint
        return f" {paint(mark, colour)} {head}{paint(state, colour)}{more}{pad}{paint(took, DIM)}"

    def _mark(self, row: _Row, spinner: str) -> tuple[str, str]:
        if row.error:
            return "✘", RED
        return (spinner, CYAN) if row.running else ("✔", GREEN)

    def _more(self, row: _Row, room: int) -> str:
        """Beside the state, dimmed where there is room: the bytes of all parts, or what is waited for."""
        if not row.running or row.error or room < 8:
            return ""
        total = sum(part.total for part in row.parts.values())
        if total:
            return f"  {_bar(sum(min(part.current, part.total) for part in row.parts.values()), total, room)}"
        last = [part.status for part in row.parts.values() if not part.name and part.status]
        text = last[-1] if last else row.why
        return self._style.paint(f"  {fit(text, room)}", DIM) if text else ""

    def _part(self, part: _Part, now: float, columns: int, spinner: str) -> str:
        took = duration(now - part.begin) if columns >= TIMED else ""
        room = max(1, min(columns, 80) - 5 - len(took) - 2)
        name = fit(part.name, max(8, room - 12))
        text = fit(f"{name}  {part.status}", room)
        bar = _bar(part.current, part.total, room - width(text) - 2) if part.total else ""
        text = f"{text}  {bar}" if bar else text
        pad = " " * (room - width(text) + 1)
        return f"   {self._style.paint(spinner, CYAN)} {text}{pad}{self._style.paint(took, DIM)}"


def _is_replica(label: str, prefix: str) -> bool:
    return label.startswith(prefix) and label[len(prefix) :].isdecimal()


def _state(row: _Row) -> str:
    if row.error:
        return row.done
    return row.doing if row.running else row.done or row.doing


def _bar(current: int, total: int, room: int) -> str:
    """``[=====>     ] 12.3MB/45.6MB`` within ``room`` columns: without the bar if it does not fit, perhaps nothing."""
    from compose.api.read import size_text  # only where there are bytes to show

    bytes_ = f"{size_text(current)}/{size_text(total)}"
    inner = min(BAR, room - len(bytes_) - 3)
    if inner < 5:
        return bytes_ if len(bytes_) <= room else f"{100 * current // total}%" if room >= 4 else ""
    filled = min(inner, inner * current // total)
    arrow = ">" if filled < inner else ""
    return f"[{('=' * filled + arrow)[:inner].ljust(inner)}] {bytes_}"

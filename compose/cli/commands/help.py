"""``help``: a command, a topic, everything, or man pages."""

from __future__ import annotations

import os

from compose.cli.manual import man_pages, overview, page
from compose.cli.manual_table import PAGES
from compose.cli.topics import TOPICS
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    topic: tuple[str, ...] = ()
    man: str = ""


def run(session: Session, options: Options) -> int:
    if options.man:
        return _write_man(session, options.man)
    topic = " ".join(options.topic)
    if not topic:
        session.write(overview())
    elif topic in PAGES:
        session.write(page(topic))
    elif topic in TOPICS:
        session.write(TOPICS[topic])
    else:
        raise UsageError(f"cannot explain {topic}: no such command or topic", hint=_nearest(topic))
    return 0


def _nearest(topic: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(topic, [*PAGES, *TOPICS], 1)
    return f"did you mean {near[0]}?" if near else "all of them: pycompose help"


def _write_man(session: Session, directory: str) -> int:
    """The pages; man finds them below a directory of MANPATH, in man1."""
    pages = man_pages()
    os.makedirs(directory, exist_ok=True)
    for name, text in pages.items():
        with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    session.tell(f"wrote {len(pages)} pages to {directory}\n")
    return 0

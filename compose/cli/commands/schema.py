"""``schema``: the JSON schema of Compose files, for editors."""

from __future__ import annotations

from compose.cli.commands.config import save
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    output: str = ""


def run(session: Session, options: Options) -> int:
    import json

    from compose.spec.schema import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if options.output:
        save(options.output, text)
    else:
        session.write(text)
    return 0

"""``image inspect``."""

from __future__ import annotations

import json

from compose.cli.govalues import Map
from compose.cli.render.table import show
from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from compose.cli.session import Session

# What a template may ask for although the image does not say it: the zero values of docker's structure.
_TEXTS = ("User", "WorkingDir", "StopSignal")
_LISTS = ("Cmd", "Entrypoint", "Env", "OnBuild", "Shell")
_MAPS = ("ExposedPorts", "Labels", "Volumes")


@record
class Options:
    references: tuple[str, ...]
    format: str = ""


def run(session: Session, options: Options) -> int:
    rows = [store.inspect(session.roots, reference) for reference in options.references]
    if options.format in ("", "json"):
        session.write(json.dumps(rows, indent=None if options.format else 4, ensure_ascii=False) + "\n")
    else:
        session.write(show(options.format, [_complete(row) for row in rows], ()))
    return 0


def _complete(row: dict[str, Any]) -> dict[str, Any]:
    config = dict(row["Config"])
    for names, zero in ((_TEXTS, ""), (_LISTS, [])):
        config.update({name: config.get(name) or zero for name in names})
    config.update({name: Map(config.get(name) or {}) for name in _MAPS})
    return {**row, "Config": {**config, "Healthcheck": config.get("Healthcheck")}}

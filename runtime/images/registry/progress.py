"""What a pull or a push tells while it goes on."""

from __future__ import annotations

from runtime.record import record


@record
class Part:
    """A layer, or the whole when ``name`` is empty. ``current`` of ``total`` bytes; ``done``: it is over."""

    name: str
    status: str
    current: int = 0
    total: int = 0
    done: bool = False

"""A plan on stdout."""

from __future__ import annotations

from compose import plain_json as json
from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.plan.plan import Plan


def show_plan(plan: Plan, format: str) -> str:
    """The plan as ``text`` (nothing to do is said in words) or ``json``. Raises UsageError."""
    if format == "json":
        return json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n"
    if format != "text":
        raise UsageError(f"cannot show a plan as {format}", hint="formats: text, json")
    return plan.text() or "nothing to do\n"

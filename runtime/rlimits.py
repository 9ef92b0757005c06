"""Resource limits: names to numbers, and what this machine's privileges allow (getrlimit(2))."""

from __future__ import annotations

from runtime.errors import RuntimeFault
from runtime.linux import task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Rlimit

NUMBERS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
UNLIMITED = (1 << 64) - 1


def _words(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def rlimit_values(limits: tuple[Rlimit, ...], may_raise: bool) -> list[tuple[int, int, int]]:
    """(resource, soft, hard) for prlimit(2).

    Raises RuntimeFault for an unknown name, a soft limit above the hard one, and a hard limit above this process's own
    when it may not raise limits (no CAP_SYS_RESOURCE).
    """
    values = []
    for limit in limits:
        number = NUMBERS.get(limit.type)
        if number is None:
            raise RuntimeFault(f"cannot set ulimit {limit.type}: no such limit", f"known: {', '.join(sorted(NUMBERS))}")
        soft = UNLIMITED if limit.soft < 0 else limit.soft
        hard = UNLIMITED if limit.hard < 0 else limit.hard
        if soft > hard:
            raise RuntimeFault(f"cannot set ulimit {limit.type}: soft {_words(soft)} is above hard {_words(hard)}")
        if not may_raise and hard > (ours := task.rlimit(number)[1]):
            raise RuntimeFault(
                f"cannot set ulimit {limit.type} to {_words(hard)}: this machine allows at most {_words(ours)}",
                "raising a hard limit needs CAP_SYS_RESOURCE",
            )
        values.append((number, soft, hard))
    return values

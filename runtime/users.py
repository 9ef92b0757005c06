"""Users of a container: ``user`` strings resolved against the container's own passwd and group files, as plain text.

Pure functions over bytes. Nothing here asks the host's name services: their libraries would be loaded from the image.
"""

from __future__ import annotations

from runtime.record import record

MAX_ID = (1 << 31) - 1  # Docker's limit; 2**32 - 1 means "no change" to setresuid(2) and must never pass


class UserError(Exception):
    """The user or group cannot be resolved; the argument is the reason as bytes."""


@record
class Identity:
    """Who a process runs as; ``home`` comes from passwd, or is ``/``."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: bytes


def _rows(text: bytes, fields: int) -> list[list[bytes]]:
    rows = []
    for line in text.split(b"\n"):
        row = line.strip().split(b":")
        if len(row) >= fields and not line.startswith(b"#"):
            rows.append(row)
    return rows


def _number(word: bytes) -> int | None:
    """The id that a word of ASCII digits stands for; None for a name. Raises UserError when out of range."""
    digits = word[1:] if word[:1] in (b"-", b"+") else word
    if not digits.isdigit():
        return None
    value = int(word) if len(word) < 20 else MAX_ID + 1
    if not 0 <= value <= MAX_ID:
        raise UserError(b"id " + word[:40] + b" is not between 0 and 2147483647")
    return value


def _find_user(word: bytes, rows: list[list[bytes]]) -> tuple[int, int, bytes, bytes]:
    """(uid, gid, name, home) of a name or number; a number need not be in passwd, its group is then 0."""
    number = _number(word)
    for row in rows:
        if not (row[2].isdigit() and row[3].isdigit()):
            continue
        if row[0] == word or (number is not None and int(row[2]) == number):
            uid, gid = _number(row[2]), _number(row[3])
            return uid or 0, gid or 0, row[0], row[5]
    if number is None:
        raise UserError(b"unable to find user " + word + b": no matching entries in passwd file")
    return number, 0, b"", b""


def _find_group(word: bytes, rows: list[list[bytes]]) -> int:
    number = _number(word)
    for row in rows:
        if row[0] == word and row[2].isdigit():
            return _number(row[2]) or 0
    if number is None:
        raise UserError(b"unable to find group " + word + b": no matching entries in group file")
    return number


def resolve_user(user: bytes, extra: tuple[bytes, ...], passwd: bytes, group: bytes) -> Identity:
    """``user`` is empty, ``uid``, ``name``, ``user:group`` or ``:group``; ``extra`` are additional groups.

    A group given with the user replaces the user's memberships, as in Docker. Raises UserError.
    """
    name, _colon, wanted_group = user.partition(b":")
    uid, gid, login, home = _find_user(name or b"0", _rows(passwd, 6))
    groups_known = _rows(group, 4) if wanted_group or extra or login else []
    groups: list[int] = []
    if wanted_group:
        gid = _find_group(wanted_group, groups_known)
    elif login:
        groups = [int(row[2]) for row in groups_known if login in row[3].split(b",") and row[2].isdigit()]
    groups += [_find_group(word, groups_known) for word in extra]
    # The primary group belongs into the list too: a process must not gain access by leaving it (setgroups(2)).
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *groups])), home or b"/")

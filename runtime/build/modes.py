"""``--chmod`` and ``--chown``: what they say, and what that is for an image. Pure."""

from __future__ import annotations

import re

from runtime.build.errors import BuildFault
from runtime.users import MAX_ID

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}


class Chmod:
    """A mode to set. ``numeric``: an octal number, which also applies to new directories above."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.numeric = int(text, 8) if re.fullmatch(r"[0-7]{1,5}", text) else -1
        if self.numeric > 0o7777:
            raise BuildFault(f"cannot use --chmod={text}: it is more than 07777")
        if self.numeric < 0 and not all(_CLAUSE.fullmatch(part) for part in text.split(",")):
            raise BuildFault(
                f"cannot use --chmod={text}: it is neither octal nor symbolic", "such as 0755 or u=rwX,go=rX"
            )

    def apply(self, mode: int, is_directory: bool) -> int:
        """The new permission bits (chmod(1), without a umask)."""
        if self.numeric >= 0:
            return self.numeric
        mode &= 0o7777
        for clause in self.text.split(","):
            who, actions = _CLAUSE.fullmatch(clause).groups()  # type: ignore[union-attr] # checked above
            for sign, letters in _ACTION.findall(actions):
                mode = _act(mode, who or "a", sign, letters, is_directory)
        return mode


def _act(mode: int, who: str, sign: str, letters: str, is_directory: bool) -> int:
    classes = "ugo" if "a" in who else who
    old = mode
    for one in classes:
        bits = _bits(old, letters, is_directory)
        special = (0o4000 if one == "u" else 0o2000 if one == "g" else 0) if "s" in letters else 0
        given = bits << _SHIFTS[one] | special
        if sign == "=":
            mode &= ~(7 << _SHIFTS[one] | (0o4000 if one == "u" else 0o2000 if one == "g" else 0))
        mode = mode & ~given if sign == "-" else mode | given
    if "t" in letters:
        mode = mode & ~0o1000 if sign == "-" else mode | 0o1000
    return mode


def _bits(mode: int, letters: str, is_directory: bool) -> int:
    if letters in _SHIFTS and letters:
        return mode >> _SHIFTS[letters] & 7
    execute = "x" in letters or ("X" in letters and (is_directory or mode & 0o111))
    return 4 * ("r" in letters) | 2 * ("w" in letters) | bool(execute)


def resolve_owner(text: str, passwd: bytes | None, group: bytes | None) -> tuple[int, int]:
    """``user[:group]`` as ids. A name that is not known is 0, as BuildKit has it; without any file it is an error.

    A number without a group is the group's number too. Raises BuildFault.
    """
    user, colon, wanted = text.partition(":")
    uid = _number(user, text)
    gid = _number(wanted, text) if colon and wanted else None
    if user and uid is None:
        uid, primary = _look_up(user, passwd, text, 3)
        gid = primary if not colon else gid
    elif not colon:
        gid = uid
    if colon and wanted and gid is None:
        gid = _look_up(wanted, group, text, 2)[0]
    return uid or 0, gid or 0


def _number(word: str, text: str) -> int | None:
    if not word.isdigit():
        return None
    if int(word) > MAX_ID:
        raise BuildFault(f"cannot use owner {text!r}: {word} is too large an id")
    return int(word)


def _look_up(word: str, file: bytes | None, text: str, column: int) -> tuple[int, int]:
    """(id, primary group) of a name in passwd or group."""
    if file is None:
        reason = "there is no /etc/passwd" if column == 3 else "there is no /etc/group"
        raise BuildFault(f"cannot use owner {text!r}: {reason} in the image", "use numbers, such as 1000:1000")
    for line in file.decode("utf-8", "replace").splitlines():
        row = line.split(":")
        if row[0] == word and len(row) > column and row[2].isdigit():
            return int(row[2]), int(row[3]) if column == 3 and row[3].isdigit() else 0
    return 0, 0

"""Compiles rules on system calls to classic BPF (seccomp(2), struct seccomp_data; bpf_filter.c)."""

from __future__ import annotations

import struct

from runtime.record import record
from runtime.seccomp_tables import X32_BIT, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Condition = tuple[str, int, int, int]  # operator, argument, value, second value
    Arguments = tuple[Condition, ...]  # all must hold
    Code = list[tuple[int, int, int, int]]  # code, jump if true, jump if false, constant
else:
    Arguments = tuple

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ENOSYS = 38
_AUDIT = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7}

_LOAD, _JUMP, _JEQ, _JGT, _JGE, _AND, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x35, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


@record
class Rule:
    """The action for a call when all conditions on its arguments hold.

    Operators: ``!= < <= == >= >`` compare 64 bits, with ``lo`` before them the lower 32; ``&==`` is
    (argument & value) == second value.
    """

    name: str
    action: int
    arguments: tuple = ()  # type: ignore[type-arg]


def errno_action(number: int) -> int:
    """SECCOMP_RET_ERRNO with that errno."""
    return 0x00050000 | number


def compile_rules(
    rules: Iterable[Rule], default: int, architectures: tuple[str, ...], newest: Mapping[str, int]
) -> bytes:
    """The program. ``newest``: per architecture the last number that ``default`` is meant for; later is ENOSYS.

    A call through an architecture that is not listed ends the process.
    """
    rules = list(rules)
    writer = _Writer()
    writer.returning(KILL_PROCESS)
    blocks = {name: writer.search(_ranges(rules, default, name, newest.get(name))) for name in architectures}
    native = architectures[0]
    if native == "x86_64":
        second = blocks.pop("x32") if "x32" in blocks else writer.returning(KILL_PROCESS)
        blocks[native] = writer.branch(_JGE, X32_BIT, second, blocks[native])
    entry = writer.returning(KILL_PROCESS)
    for name in reversed(blocks):
        body = writer.load(_NUMBER_AT, blocks[name])
        entry = writer.branch(_JEQ, _AUDIT[name], body, entry)
    writer.load(_ARCHITECTURE_AT, entry)
    return b"".join(struct.pack("<HBBI", *row) for row in reversed(writer.code))


class _Writer:
    """Writes a program from its end, so that every jump leads to code that is there; positions count from the end.

    Returns are shared as far as a jump reaches (255 instructions; a plain jump reaches any distance).
    """

    def __init__(self) -> None:
        self.code: Code = []
        self._returns: dict[int, int] = {}

    def _add(self, code: int, true: int, false: int, constant: int) -> int:
        self.code.append((code, true, false, constant))
        return len(self.code) - 1

    def returning(self, action: int) -> int:
        place = self._returns.get(action, -1)
        if place < 0 or len(self.code) - place > 200:
            place = self._returns[action] = self._add(_RETURN, 0, 0, action)
        return place

    def block(self, code: Code) -> int:
        if len(code) == 1 and code[0][0] == _RETURN:
            return self.returning(code[0][3])
        self.code += reversed(code)
        return len(self.code) - 1

    def load(self, offset: int, following: int) -> int:
        self._near(following, 0)
        return self._add(_LOAD, 0, 0, offset)

    def _near(self, place: int, reach: int) -> int:
        """The place itself, or a plain jump to it when it is too far away."""
        distance = len(self.code) - place - 1
        return place if distance <= reach else self._add(_JUMP, 0, 0, distance)

    def branch(self, operator: int, value: int, then: int, otherwise: int) -> int:
        then = self._near(then, 254)  # one less: the other branch may need a jump in between
        otherwise = self._near(otherwise, 255)
        here = len(self.code)
        return self._add(operator, here - then - 1, here - otherwise - 1, value)

    def search(self, ranges: list[tuple[int, Code]]) -> int:
        """A binary search of the accumulator over (first number, code)."""
        if len(ranges) == 1:
            return self.block(ranges[0][1])
        middle = len(ranges) // 2
        above = self.search(ranges[middle:])
        return self.branch(_JGE, ranges[middle][0], above, self.search(ranges[:middle]))


def _ranges(rules: list[Rule], default: int, architecture: str, newest: int | None) -> list[tuple[int, Code]]:
    """(first number, code) in order, neighbours with the same code joined."""
    leaves = _leaves(rules, default, numbers(architecture))
    ranges: list[tuple[int, Code]] = []

    def add(first: int, code: Code) -> None:
        if not ranges or ranges[-1][1] != code:
            ranges.append((first, code))

    otherwise: Code = [(_RETURN, 0, 0, default)]
    following = X32_BIT if architecture == "x32" else 0
    for number in sorted(leaves):
        if number > following:
            add(following, otherwise)
        add(number, leaves[number])
        following = number + 1
    if newest is None:
        add(following, otherwise)
    else:
        if newest >= following:
            add(following, otherwise)
        add(max(following, newest + 1), [(_RETURN, 0, 0, errno_action(_ENOSYS))])
    return ranges


def _leaves(rules: list[Rule], default: int, table: Mapping[str, int]) -> dict[int, Code]:
    """Per number: the conditional rules in order, then the unconditional one, or the default."""
    conditional: dict[int, list[Rule]] = {}
    plain: dict[int, int] = {}
    for rule in rules:
        number = table.get(rule.name)
        if number is None:
            continue
        if rule.arguments:
            conditional.setdefault(number, []).append(rule)
        else:
            plain.setdefault(number, rule.action)
    leaves: dict[int, Code] = {number: [(_RETURN, 0, 0, action)] for number, action in plain.items()}
    for number, alternatives in conditional.items():
        code: Code = [(_RETURN, 0, 0, plain.get(number, default))]
        for rule in reversed(alternatives):
            code = _conditions(rule) + code
        leaves[number] = code
    return leaves


def _conditions(rule: Rule) -> Code:
    """All conditions, then the action; a condition that fails goes on behind it."""
    code: Code = [(_RETURN, 0, 0, rule.action)]
    for condition in reversed(rule.arguments):
        code = _condition(*condition, fail=len(code)) + code
    return code


def _condition(operator: str, argument: int, value: int, second: int, *, fail: int) -> Code:
    """Falls through when the condition holds, else jumps over ``fail`` more instructions."""
    low_at = _ARGUMENTS_AT + 8 * argument
    low, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
    if operator.startswith("lo"):
        return [(_LOAD, 0, 0, low_at), _test(operator[2:], low, fail)]
    load_low, load_high = (_LOAD, 0, 0, low_at), (_LOAD, 0, 0, low_at + 4)
    if operator == "&==":
        wanted_low, wanted_high = second & 0xFFFFFFFF, second >> 32 & 0xFFFFFFFF
        return [
            *(load_high, (_AND, 0, 0, high), (_JEQ, 0, fail + 3, wanted_high)),
            *(load_low, (_AND, 0, 0, low), (_JEQ, 0, fail, wanted_low)),
        ]
    if operator == "==":
        return [load_high, (_JEQ, 0, fail + 2, high), load_low, (_JEQ, 0, fail, low)]
    if operator == "!=":
        return [load_high, (_JEQ, 0, 2, high), load_low, (_JEQ, fail, 0, low)]
    if operator in (">", ">="):  # higher half above: holds; below: fails; equal: the lower half decides
        return [load_high, (_JGT, 3, 0, high), (_JEQ, 0, fail + 2, high), load_low, _test(operator, low, fail)]
    return [load_high, (_JGT, fail + 3, 0, high), (_JEQ, 0, 2, high), load_low, _test(operator, low, fail)]


def _test(operator: str, value: int, fail: int) -> tuple[int, int, int, int]:
    """One comparison of the accumulator that falls through when it holds."""
    return {
        "==": (_JEQ, 0, fail, value),
        "!=": (_JEQ, fail, 0, value),
        ">": (_JGT, 0, fail, value),
        ">=": (_JGE, 0, fail, value),
        "<": (_JGE, fail, 0, value),
        "<=": (_JGT, fail, 0, value),
    }[operator]

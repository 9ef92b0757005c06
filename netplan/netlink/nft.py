"""nf_tables over netlink (linux/netfilter/nf_tables.h): builders for the few objects and expressions we use.

Numbers are big-endian. ``Ruleset`` collects the messages of one transaction of one table; ``commit`` runs it whole or
not at all. Registers are the 32-bit ones, 8 to 23.
"""

from __future__ import annotations

import errno
from struct import pack

from netplan.errors import KernelRefused
from netplan.family import V4
from netplan.netlink.message import (
    APPEND,
    CREATE,
    EXCL,
    attr,
    attributes,
    be32,
    message,
    nest,
    string,
    text,
)
from netplan.netlink.socket import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.netlink.message import Message
    from netplan.netlink.socket import Netlink

HELP = "load nf_tables: modprobe -a nf_tables nft_chain_nat nft_masq nft_fib_ipv4"
INET4, INET6 = 2, 10
PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
DROP, ACCEPT, JUMP = 0, 1, -3
EQ, NEQ, LT = 0, 1, 2
# Types of keys as nft(8) lists them; a concatenation is six bits each.
ADDRESS, ADDRESS6, PROTOCOL, SERVICE, IFNAME, VERDICT = 7, 8, 12, 13, 41, 0xFFFFFF00
_WIDTH = {ADDRESS: 4, ADDRESS6: 16, PROTOCOL: 4, SERVICE: 4, IFNAME: 16}
_HOST_ORDER = b"\0\4" + pack("=I", 1)  # user data of a set by which nft(8) shows names the right way round
_LOADED = 8  # the first register of what expressions load


def op(number_: int) -> int:
    """The message type of an nf_tables operation."""
    return 10 << 8 | number_


def family_header(family: int, resource: int = 0) -> bytes:
    return pack(">BBH", family, 0, resource)


def key(*parts: int | bytes) -> bytes:
    """The parts of a concatenated key, each padded to four bytes: numbers are ports or protocols by their width."""
    return b"".join(
        part + b"\0" * (-len(part) & 3) if isinstance(part, bytes) else bytes([part, 0, 0, 0]) for part in parts
    )


def port(value: int) -> bytes:
    return value.to_bytes(2, "big")


def ifname(name: str) -> bytes:
    return name.encode().ljust(16, b"\0")


def _verdict(code: int, chain: str = "") -> bytes:
    return nest(2, be32(1, code), text(2, chain) if chain else b"")


def element(key_: bytes, data: bytes = b"", verdict: tuple[int, str] | None = None, end: bool = False) -> bytes:
    """An element of a set or map. ``end``: it closes an interval."""
    value = nest(2, attr(1, data)) if data else nest(2, _verdict(*verdict)) if verdict else b""
    return nest(1, be32(3, 1) if end else b"", nest(1, attr(1, key_)), value)


class Ruleset:
    """The messages of one transaction on one table."""

    def __init__(self, family: int, table: str) -> None:
        self.family = family
        self.table = table
        self.todo: list[Message] = []
        self._maps = 0

    def _add(self, number_: int, flags: int, *parts: bytes) -> None:
        self.todo.append(message(op(number_), flags, family_header(self.family), *parts))

    def add_table(self, exclusive: bool = False) -> None:
        self._add(0, CREATE | (EXCL if exclusive else 0), text(1, self.table))

    def delete_table(self) -> None:
        self._add(2, 0, text(1, self.table))

    def add_chain(self, name: str, kind: str = "", hook: int = 0, priority: int = 0) -> None:
        """A chain; with ``kind`` (filter, nat) a base chain of policy accept."""
        base = b""
        if kind:
            base = nest(4, be32(1, hook), be32(2, priority)) + be32(5, ACCEPT) + text(7, kind)
        self._add(3, CREATE, text(1, self.table), text(3, name), base)

    def delete_chain(self, name: str) -> None:
        """A chain with its rules; nothing may jump to it any more."""
        self._add(5, 0, text(1, self.table), text(3, name))

    def add_rule(self, chain: str, *expressions: bytes, note: str = "", first: bool = False) -> None:
        body = nest(4, *expressions)
        note_ = attr(7, _comment(note)) if note else b""
        self._add(6, CREATE | (0 if first else APPEND), text(1, self.table), text(2, chain), body, note_)

    def delete_rule(self, chain: str, handle: int) -> None:
        self._add(8, 0, text(1, self.table), text(2, chain), attr(3, pack(">Q", handle)))

    def add_set(self, name: str, keys: tuple[int, ...], values: tuple[int, ...] = (), interval: bool = False) -> None:
        """A set, or with ``values`` a map."""
        self._maps += 1
        flags = (8 if values else 0) | (4 if interval else 0)
        data = b""
        if values:
            width = sum(_WIDTH.get(kind, 0) for kind in values)
            data = be32(6, _concatenated(values)) + (be32(7, width) if width else b"")
        self._add(
            9,
            CREATE,
            text(1, self.table),
            text(2, name),
            be32(3, flags) if flags else b"",
            be32(4, _concatenated(keys)),
            be32(5, sum(_WIDTH[kind] for kind in keys)),
            data,
            be32(10, self._maps),
            attr(13, _HOST_ORDER) if keys == (IFNAME,) else b"",
        )

    def add_elements(self, name: str, items: list[bytes]) -> None:
        self._elements(12, CREATE, name, items)

    def delete_elements(self, name: str, items: list[bytes]) -> None:
        self._elements(14, 0, name, items)

    def _elements(self, number_: int, flags: int, name: str, items: list[bytes]) -> None:
        for at in range(0, len(items), 256):  # an attribute's length is 16 bits
            part = items[at : at + 256]
            self._add(number_, flags, text(1, self.table), text(2, name), nest(3, *part))

    def attempt(self, socket: Netlink) -> dict[int, tuple[int, str]]:
        """Run the transaction; empty on success, else the failures by position (and nothing was done)."""
        if not self.todo:
            return {}
        bracket = family_header(0, 10)
        return socket.batch(bracket, bracket, self.todo)

    def commit(self, socket: Netlink, what: str) -> None:
        """Run the transaction. Raises KernelRefused."""
        errors = self.attempt(socket)
        if errors:
            problem = refusal(what, *errors[min(errors)])
            problem.hint = problem.hint or HELP
            raise problem


def _concatenated(kinds: tuple[int, ...]) -> int:
    value = 0
    for kind in kinds:
        value = kind if kind == VERDICT else value << 6 | kind
    return value


def _comment(note: str) -> bytes:
    """User data that nft(8) shows as the rule's comment."""
    raw = note.encode() + b"\0"
    return bytes([0, len(raw)]) + raw


def _expression(name: str, *parts: bytes) -> bytes:
    return nest(1, text(1, name), nest(2, *parts))


def meta(what: int, register: int = _LOADED) -> bytes:
    return _expression("meta", be32(2, what), be32(1, register))


def payload(base: int, offset: int, length: int, register: int = _LOADED) -> bytes:
    return _expression("payload", be32(1, register), be32(2, base), be32(3, offset), be32(4, length))


def compare(data: bytes, how: int = EQ, register: int = _LOADED) -> bytes:
    return _expression("cmp", be32(1, register), be32(2, how), nest(3, attr(1, data)))


def masked(mask: bytes, register: int = _LOADED) -> bytes:
    zero = nest(5, attr(1, bytes(len(mask))))
    return _expression(
        "bitwise", be32(1, register), be32(2, register), be32(3, len(mask)), nest(4, attr(1, mask)), zero
    )


def input_is(name: str, how: int = EQ) -> bytes:
    return meta(6) + compare(ifname(name), how)


def output_is(name: str, how: int = EQ) -> bytes:
    return meta(7) + compare(ifname(name), how)


def load_protocol(register: int = _LOADED) -> bytes:
    return meta(16, register)


def load_destination(register: int = _LOADED, family: Family = V4) -> bytes:
    return payload(1, family.destination, family.size, register)


def load_source(register: int = _LOADED, family: Family = V4) -> bytes:
    return payload(1, family.source, family.size, register)


def load_key(family: Family) -> bytes:
    """Destination address, protocol and port, side by side as the key of a set."""
    behind = 8 + family.size // 4
    return load_destination(8, family) + load_protocol(behind) + load_port(behind + 1)


def load_port(register: int = _LOADED) -> bytes:
    """The destination port of TCP and UDP."""
    return payload(2, 2, 2, register)


def address_in(load: bytes, address: bytes, mask: bytes) -> bytes:
    return load + masked(mask) + compare(address)


def state_is(mask: int) -> bytes:
    """``ct state`` in a set of bits: established 2, related 4."""
    load = _expression("ct", be32(2, 0), be32(1, _LOADED))
    return load + masked(pack("=I", mask)) + compare(bytes(4), NEQ)


def destination_translated() -> bytes:
    """``ct status dnat``: the connection came through a published port."""
    load = _expression("ct", be32(2, 2), be32(1, _LOADED))
    return load + masked(pack("=I", 1 << 5)) + compare(bytes(4), NEQ)


def destination_local() -> bytes:
    """``fib daddr type local``: addressed to this host."""
    return _expression("fib", be32(3, 2), be32(2, 3), be32(1, _LOADED)) + compare(pack("=I", 2))


def lookup(name: str, register: int = _LOADED, into: int = -1) -> bytes:
    """Look the register up in a set or map; ``into`` takes the map's value, 0 executes its verdict."""
    return _expression("lookup", text(1, name), be32(2, register), be32(3, into) if into >= 0 else b"")


def missing(name: str, register: int = _LOADED) -> bytes:
    """The register is not in the set."""
    return _expression("lookup", text(1, name), be32(2, register), be32(5, 1))


def by_chance(least: int, modulus: int) -> bytes:
    """``numgen random mod MODULUS < LEAST``: true for that share of the packets, compared in network order."""
    draw = _expression("numgen", be32(1, _LOADED), be32(2, modulus), be32(3, 1))
    ordered = _expression("byteorder", be32(1, _LOADED), be32(2, _LOADED), be32(3, 1), be32(4, 4), be32(5, 4))
    return draw + ordered + compare(pack(">I", least), LT)


def verdict(code: int, chain: str = "") -> bytes:
    return _expression("immediate", be32(1, 0), nest(2, _verdict(code, chain)))


def translate_to(data: bytes = b"", family: Family = V4) -> bytes:
    """DNAT to the address in the first registers and the port behind it, or to those given (padded)."""
    load = b""
    behind = 8 + family.size // 4
    if data:
        load = _expression("immediate", be32(1, 8), nest(2, attr(1, data[: family.size])))
        load += _expression("immediate", be32(1, behind), nest(2, attr(1, data[family.size : family.size + 2])))
    return load + _expression("nat", be32(1, 1), be32(2, family.inet), be32(3, 8), be32(5, behind))


def masquerade() -> bytes:
    return _expression("masq")


def translate_from(address: bytes, family: Family) -> bytes:
    """SNAT to an address."""
    load = _expression("immediate", be32(1, 8), nest(2, attr(1, address)))
    return load + _expression("nat", be32(1, 0), be32(2, family.inet), be32(3, 8))


def list_chains(socket: Netlink, family: int) -> list[dict[str, int | str]]:
    """Every chain of a family: table, name, hook, priority, policy; hook -1 for what is no base chain."""
    found: list[dict[str, int | str]] = []
    try:
        answers = socket.dump(message(op(4), 0, family_header(family)))
    except OSError as problem:
        raise _unreadable(problem) from None
    for _kind, body in answers:
        parts = attributes(body, 4)
        hook = attributes(parts.get(4, b""))
        found.append(
            {
                "table": string(parts.get(1)),
                "name": string(parts.get(3)),
                "hook": _be(hook.get(1), -1),
                "priority": _be(hook.get(2), 0),
                "policy": _be(parts.get(5), ACCEPT),
            }
        )
    return found


def list_rules(socket: Netlink, family: int, table: str, chain: str) -> list[tuple[int, bytes]]:
    """``(handle, user data)`` of a chain's rules."""
    question = message(op(7), 0, family_header(family), text(1, table), text(2, chain))
    try:
        answers = socket.dump(question)
    except OSError as problem:
        if problem.errno == errno.ENOENT:
            return []
        raise _unreadable(problem) from None
    found = []
    for _kind, body in answers:
        parts = attributes(body, 4)
        found.append((int.from_bytes(parts.get(3, b""), "big"), parts.get(7, b"")))
    return found


def comment_of(userdata: bytes) -> str:
    """The comment that :meth:`Ruleset.add_rule` wrote."""
    return string(userdata[2 : 2 + userdata[1]]) if len(userdata) > 2 and userdata[0] == 0 else ""


def has_chain(socket: Netlink, family: int, table: str, name: str) -> bool:
    question = message(op(4), 0, family_header(family), text(1, table), text(3, name))
    try:
        socket.ask(question)
    except OSError as problem:
        if problem.errno == errno.ENOENT:
            return False
        raise _unreadable(problem) from None
    return True


def absent(number_: int) -> KernelRefused:
    """The error where there is no nf_tables at all: nothing keeps networks apart, so none is made."""
    if number_ in (errno.EPERM, errno.EACCES):
        return refusal("use nf_tables", number_, "")
    return KernelRefused(
        "cannot use nf_tables: this kernel does not have it, and networks and published ports need it",
        number_,
        f"{HELP}; network_mode: host and none work without",
    )


def _unreadable(problem: OSError) -> KernelRefused:
    """A kernel without nf_tables does not know the question."""
    if problem.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
        return absent(problem.errno)
    found = refusal("read firewall rules", problem.errno or 0, "")
    found.hint = found.hint or HELP
    return found


def _be(data: bytes | None, default: int) -> int:
    return int.from_bytes(data, "big", signed=True) if data else default

"""Bytes, durations, CPUs and ports: parse what people write, print what docker compose prints.

Standard library only and cheap to import: the fast commands and the translation to container specs use it without
pydantic. Every ``parse_`` raises ValueError with a phrase that says what was expected.
"""

from __future__ import annotations

from compose.record import record

_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_FACTORS = {f"{unit}{tail}": 1024**power for unit, power in _POWERS.items() for tail in ("", "b", "ib")}
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
PROTOCOLS = ("tcp", "udp", "sctp")


def parse_bytes(text: str | float) -> int:
    """A size in bytes: a number, or text with a binary unit (``1.5g``, ``64mb``, ``10KiB``; 1k is 1024)."""
    if isinstance(text, (int, float)):
        return int(text)
    stripped = text.strip()
    sign = "-" if stripped.startswith("-") else ""
    number, rest = _split_number(stripped[len(sign) :])
    factor = _FACTORS.get(rest.lstrip().lower(), 0)
    if not number or not factor or (sign and number.startswith(".")):
        raise ValueError(f'a size such as 512m or 1.5g, not "{text}"')
    number = sign + number
    return int(number) * factor if number.lstrip("-").isdigit() else int(float(number) * factor)


def _split_number(text: str) -> tuple[str, str]:
    """The decimal number that a text begins with, and the rest; an empty one when there is none."""
    end = 0
    while end < len(text) and text[end].isdecimal():
        end += 1
    if text[end : end + 1] == ".":
        digits = end
        end += 1
        while end < len(text) and text[end].isdecimal():
            end += 1
        if end == 1 and not digits:  # a lone point
            return "", text
    return text[:end], text[end:]


def parse_duration(text: str) -> int:
    """A duration in nanoseconds from Go-like text (``1m30s``, ``1.5h``, ``-2s``, ``0``), with ``d`` and ``w`` too."""
    rest = text.strip()
    sign = -1 if rest.startswith("-") else 1
    rest = rest[1:] if rest[:1] in ("+", "-") else rest
    if rest == "0":
        return 0
    total, left = 0, rest
    while left:
        number, after = _split_number(left)
        unit = next((unit for unit in _NANOSECONDS if after.startswith(unit)), "")
        if not number or not unit:
            break
        scale = _NANOSECONDS[unit]
        total += int(number) * scale if number.isdigit() else round(float(number) * scale)
        left = after[len(unit) :]
    if not rest or left:
        unit_missing = ", with a unit" if rest.isdigit() else ""
        raise ValueError(f'a duration such as 1m30s{unit_missing}, not "{text}"')
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """Go's text of a duration: ``1m30s``, ``1h0m0s``, ``500ms``, ``1.5s``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign, value = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if value < 1_000_000_000:
        for unit, scale in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if value >= scale:
                return sign + _decimal(value, scale) + unit
    minutes, rest = divmod(value, 60_000_000_000)
    seconds = _decimal(rest, 1_000_000_000) + "s"
    if minutes < 60:
        return sign + (f"{minutes}m{seconds}" if minutes else seconds)
    return f"{sign}{minutes // 60}h{minutes % 60}m{seconds}"


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(scale)) - 1, '0').rstrip('0')}"


def parse_cpus(text: str | float) -> int:
    """CPUs times 1e9 (``1.5`` is 1_500_000_000)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1_000_000:
        raise ValueError(f'a number of CPUs such as 0.5, not "{text}"')
    return round(value * 1_000_000_000)


@record
class Port:
    """One port of a service. ``published`` is empty (ephemeral), a port, or a range of which any free one is taken."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"


def parse_port_range(text: str) -> tuple[int, int]:
    """First and last port of ``80`` or ``3000-3005``."""
    low, dash, high = text.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        raise ValueError(f'a port or a range of ports, not "{text}"')
    first = int(low)
    last = int(high or first)
    if not 0 < first <= last <= 65535:
        raise ValueError(f'a port from 1 to 65535, or a rising range of them, not "{text}"')
    return first, last


def parse_ports(text: str) -> tuple[Port, ...]:
    """The short syntax ``[[IP:][HOST[-END]:]]CONTAINER[-END][/protocol]``, one Port per container port.

    Ranges on both sides pair up one to one; a host range with one container port stays a range ("any of these").
    """
    address, protocol, numbers = split_ports(text)
    return tuple(Port(target, published, address, protocol) for target, published in numbers)


def split_ports(text: str) -> tuple[str, str, list[tuple[int, str]]]:
    """The same as address, protocol and (container port, host port) for each, which is much less work for ranges."""
    rest, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f'tcp, udp or sctp after the slash, not "{protocol}"')
    front, _, container = rest.rpartition(":")
    address, _, host = front.rpartition(":")
    address = parse_host_ip(address)
    first, last = parse_port_range(container)
    if not host:
        return address, protocol, [(port, "") for port in range(first, last + 1)]
    host_first, host_last = parse_port_range(host)
    if first == last:
        return address, protocol, [(first, host)]
    if host_last - host_first != last - first:
        raise ValueError(f'ranges of the same size on both sides, not "{text}"')
    shift = host_first - first
    return address, protocol, [(port, str(port + shift)) for port in range(first, last + 1)]


def parse_host_ip(text: str) -> str:
    """A host address to publish on, without brackets; empty stays empty."""
    import _socket

    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not address:
        return ""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, address)
        except OSError:
            continue
        return address
    raise ValueError(f'an IP address of this host, not "{text}"')


def split_words(text: str) -> tuple[list[str], str]:
    """Split a command string into words the way docker compose does: no shell, quotes and backslashes only.

    ``$(...)`` and backquotes hold together. Returns the words and the first unquoted shell operator met (``>``, ``&``
    ...) or "": docker compose silently drops it and everything after; here the words are kept as typed, so that the
    caller can warn. Raises ValueError for what is left open.
    """
    words: list[str] = []
    word: list[str] | None = None
    operator = ""
    position, end = 0, len(text)
    while position < end:
        char = text[position]
        if char.isspace():
            if word is not None:
                words.append("".join(word))
                word = None
            position += 1
            continue
        word = [] if word is None else word
        if char == "\\" or char in "'\"":
            position = _quoted(text, position, word)
        elif char == "`" or text.startswith("$(", position):
            stop = _substitution_end(text, position)
            word.append(text[position:stop])
            position = stop
        else:
            operator = operator or (char if char in ";&|<>" else "")
            word.append(char)
            position += 1
    if word is not None:
        words.append("".join(word))
    return words, operator


def _quoted(text: str, position: int, word: list[str]) -> int:
    """Append the backslash-escaped character or quoted text at ``position`` to ``word``; returns where it ends."""
    quote, end = text[position], len(text)
    position += 1
    if quote == "\\":
        if position == end:
            raise ValueError("a character after the last backslash")
        word.append(text[position])
        return position + 1
    while position < end:
        char = text[position]
        position += 1
        if char == quote:
            return position
        if char == "\\" and quote == '"' and position < end:
            char = text[position]
            position += 1
        word.append(char)
    raise ValueError(f"a closing {quote}")


def _substitution_end(text: str, position: int) -> int:
    """The end of the backquoted or ``$(...)`` text that begins at ``position``."""
    if text[position] == "`":
        stop = text.find("`", position + 1)
        if stop < 0:
            raise ValueError("a closing `")
        return stop + 1
    depth = 0
    for index in range(position, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if not depth and text[index] == ")":
            return index + 1
    raise ValueError("a closing )")

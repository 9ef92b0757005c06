"""Entries as tar headers: ustar, with PAX records where ustar has no room."""

from __future__ import annotations

from runtime.images.tar import BLOCK, Entry

END = bytes(2 * BLOCK)


def encode_entry(entry: Entry) -> bytes:
    """The header blocks of an entry: ustar, with a PAX header before it where ustar has no room."""
    pax: dict[str, bytes] = {}
    name = _fit(pax, "path", entry.name, 100)
    link = _fit(pax, "linkpath", entry.link, 100)
    size, uid, gid = (
        _fit_number(pax, key, value, digits)
        for key, value, digits in (("size", entry.size, 11), ("uid", entry.uid, 7), ("gid", entry.gid, 7))
    )
    seconds, fraction = divmod(max(entry.mtime_ns, 0), 1_000_000_000)
    if fraction:
        pax["mtime"] = b"%d.%09d" % (seconds, fraction)
    for key, value in (entry.xattrs or {}).items():
        pax[f"SCHILY.xattr.{key}"] = value
    seconds = min(seconds, 8**11 - 1)
    device = (entry.major & 0o7777777, entry.minor & 0o7777777)
    header = _header(name, entry.type, (entry.mode, uid, gid, size, seconds), link, device)
    if not pax:
        return header
    body = b"".join(_pax_record(key, value) for key, value in sorted(pax.items()))
    extra = _header(b"././@PaxHeader", b"x", (0o644, 0, 0, len(body), 0), b"", (0, 0))
    return extra + body + bytes(-len(body) % BLOCK) + header


def _fit(pax: dict[str, bytes], key: str, value: bytes, room: int) -> bytes:
    if len(value) > room or not value.isascii():
        pax[key] = value
    return value[:room]


def _fit_number(pax: dict[str, bytes], key: str, value: int, digits: int) -> int:
    if value < 8**digits:
        return value
    pax[key] = b"%d" % value
    return 0


def _header(
    name: bytes, kind: bytes, numbers: tuple[int, int, int, int, int], link: bytes, device: tuple[int, int]
) -> bytes:
    """One block; ``numbers``: mode, uid, gid, size, mtime."""
    fields = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % numbers
    tail = kind + link.ljust(100, b"\0") + b"ustar\00000" + bytes(64) + b"%07o\0%07o\0" % device
    block = (fields + b"        " + tail).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_record(key: str, value: bytes) -> bytes:
    body = b" " + key.encode("utf-8", "surrogateescape") + b"=" + value + b"\n"
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body

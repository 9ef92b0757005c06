"""What a log line looks like to each receiver.

syslog: RFC 3164, RFC 5424, and the short local form; journald: systemd's native protocol; fluentd: its forward protocol
(msgpack); gelf: GELF 1.1. Field names are those of Docker's drivers.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib

from runtime.errors import RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from runtime.spec import ContainerSpec

    Format = Callable[[int, bytes, int], list[bytes]]

STDERR = 1
FACILITIES = {
    name: number
    for number, name in enumerate(
        ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
    )
} | {f"local{number}": 16 + number for number in range(8)}
CHUNK = 1420  # bytes of one GELF datagram


def make(spec: ContainerSpec, transport: str) -> Format:
    """(stream, line without newline, nanoseconds) → packets. Raises RuntimeFault for options that cannot be."""
    return {"syslog": _syslog, "journald": _journald, "fluentd": _fluentd, "gelf": _gelf}[spec.log.driver](
        spec, transport
    )


def _tag(spec: ContainerSpec) -> str:
    return spec.log.target.get("tag") or spec.id[:12]


# syslog


def _syslog(spec: ContainerSpec, _transport: str) -> Format:
    options = spec.log.target
    facility = options.get("syslog-facility") or "daemon"
    number = int(facility) if facility.isdigit() else FACILITIES.get(facility, -1)
    if not 0 <= number < 24:
        raise RuntimeFault(f"cannot log to syslog: there is no facility {facility}", ", ".join(FACILITIES))
    form = options.get("syslog-format") or ""
    if form not in ("", "rfc3164", "rfc5424", "rfc5424micro"):
        raise RuntimeFault(f"cannot log to syslog in format {form}", "known: rfc3164, rfc5424, rfc5424micro")
    head = _syslog_head(form, os.uname().nodename, _tag(spec), os.getpid())

    def lines(stream: int, line: bytes, ns: int) -> list[bytes]:
        priority = number * 8 + (3 if stream == STDERR else 6)  # error, informational
        data = head(priority, ns).encode() + line + b"\n"
        return [b"%d %s" % (len(data), data) if form.startswith("rfc5424") else data]

    return lines


def _syslog_head(form: str, host: str, tag: str, pid: int) -> Callable[[int, int], str]:
    if form.startswith("rfc5424"):
        digits = 6 if form == "rfc5424micro" else 0
        return lambda priority, ns: f"<{priority}>1 {_rfc3339(ns, digits)} {host} {tag} {pid} {tag} - "
    place = f"{host} " if form == "rfc3164" else ""
    return lambda priority, ns: f"<{priority}>{_stamp(ns)} {place}{tag}[{pid}]: "


def _stamp(ns: int) -> str:
    """``Jan  2 15:04:05``, in English whatever the locale."""
    now = time.localtime(ns // 1_000_000_000)
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * now.tm_mon - 3 : 3 * now.tm_mon]
    return f"{month} {now.tm_mday:2d} {now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d}"


def _rfc3339(ns: int, digits: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    fraction = f".{rest // 1000:06d}" if digits else ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"


# journald


def _journald(spec: ContainerSpec, _transport: str) -> Format:
    fields = {
        "CONTAINER_ID": spec.id[:12],
        "CONTAINER_ID_FULL": spec.id,
        "CONTAINER_NAME": spec.name,
        "CONTAINER_TAG": _tag(spec),
        "IMAGE_NAME": spec.log.target.get("image", ""),
        "SYSLOG_IDENTIFIER": _tag(spec),
        **{_journal_name(name): value for name, value in spec.log.attrs.items()},
    }
    fixed = b"".join(_journal_field(name, value.encode()) for name, value in fields.items())

    def lines(stream: int, line: bytes, _ns: int) -> list[bytes]:
        priority = b"3" if stream == STDERR else b"6"
        return [_journal_field("MESSAGE", line) + _journal_field("PRIORITY", priority) + fixed]

    return lines


def _journal_name(name: str) -> str:
    """A field's name: capitals, digits and underscores, no underscore first (systemd.journal-fields(7))."""
    clean = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name.upper())
    return clean.lstrip("_")


def _journal_field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


# fluentd


def _fluentd(spec: ContainerSpec, _transport: str) -> Format:
    fixed = {"container_id": spec.id, "container_name": f"/{spec.name}", **spec.log.attrs}
    tag = _tag(spec)
    fine = spec.log.target.get("fluentd-sub-second-precision") == "true"

    def lines(stream: int, line: bytes, ns: int) -> list[bytes]:
        seconds, rest = divmod(ns, 1_000_000_000)
        when = b"\xd7\x00" + struct.pack(">II", seconds, rest) if fine else b"\xce" + struct.pack(">I", seconds)
        source = "stderr" if stream == STDERR else "stdout"
        record = {**fixed, "source": source, "log": line.decode("utf-8", "replace")}
        return [b"\x93" + _text(tag) + when + _map(record)]

    return lines


def _map(record: Mapping[str, str]) -> bytes:
    """A msgpack map of texts."""
    body = b"".join(_text(name) + _text(value) for name, value in record.items())
    size = len(record)
    return (bytes([0x80 | size]) if size < 16 else b"\xde" + struct.pack(">H", size)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 32:
        return bytes([0xA0 | len(data)]) + data
    if len(data) < 1 << 16:
        return b"\xda" + struct.pack(">H", len(data)) + data
    return b"\xdb" + struct.pack(">I", len(data)) + data


# gelf


def _gelf(spec: ContainerSpec, transport: str) -> Format:
    options = spec.log.target
    fixed: dict[str, Any] = {
        "version": "1.1",
        "host": os.uname().nodename,
        "_container_id": spec.id,
        "_container_name": spec.name,
        "_image_name": options.get("image", ""),
        "_command": " ".join(spec.process.args),
        "_tag": _tag(spec),
        **{f"_{name}": value for name, value in spec.log.attrs.items()},
    }
    packed = _packing(transport, options)

    def lines(stream: int, line: bytes, ns: int) -> list[bytes]:
        if not line:
            return []  # GELF knows no empty message
        level = 3 if stream == STDERR else 6
        row = {**fixed, "short_message": line.decode("utf-8", "replace"), "timestamp": ns / 1e9, "level": level}
        return packed(json.dumps(row, separators=(",", ":")).encode())

    return lines


def _packing(transport: str, options: Mapping[str, str]) -> Callable[[bytes], list[bytes]]:
    """Over tcp a message ends with a zero byte; over udp it is compressed, and cut when it is too long."""
    if transport != "udp":
        return lambda data: [data + b"\0"]
    kind = options.get("gelf-compression-type") or "gzip"
    level = int(options.get("gelf-compression-level") or 1)
    if kind not in ("gzip", "zlib", "none") or not -1 <= level <= 9:
        raise RuntimeFault(f"cannot log with driver gelf: compression {kind} of level {level} is none that it knows")
    if kind == "none":
        return _chunks
    bits = 31 if kind == "gzip" else 15
    return lambda data: _chunks(_compressed(data, level, bits))


def _compressed(data: bytes, level: int, bits: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, bits)
    return packer.compress(data) + packer.flush()


def _chunks(data: bytes) -> list[bytes]:
    if len(data) <= CHUNK:
        return [data]
    ident = os.urandom(8)
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)][:128]
    return [b"\x1e\x0f" + ident + bytes([number, len(parts)]) + part for number, part in enumerate(parts)]

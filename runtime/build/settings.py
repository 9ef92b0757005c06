"""What instructions do to an image's configuration, and how its history words them. Pure.

The wording of the history is BuildKit's, so that tools that read it keep working.
"""

from __future__ import annotations

import json
import posixpath
import re

from runtime.build.errors import BuildFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Config = dict[str, Any]

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}


def set_env(config: Config, name: str, value: str) -> None:
    """A variable; one that is there keeps its place."""
    env = list(config.get("Env") or [])
    for index, word in enumerate(env):
        if word.partition("=")[0] == name:
            env[index] = f"{name}={value}"
            break
    else:
        env.append(f"{name}={value}")
    config["Env"] = env


def env_of(config: Config) -> dict[str, str]:
    return {name: value for name, equals, value in (word.partition("=") for word in config.get("Env") or []) if equals}


def shell_of(config: Config) -> tuple[str, ...]:
    return tuple(config.get("Shell") or DEFAULT_SHELL)


def command(config: Config, words: Sequence[str], is_json: bool) -> list[str]:
    """The arguments of CMD, ENTRYPOINT and RUN: as they are, or through the shell."""
    return list(words) if is_json else [*shell_of(config), *words] if words else []


def quoted(words: Sequence[str]) -> str:
    """Go's %q of a list: ``["a" "b"]``."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"


def workdir(config: Config, path: str) -> str:
    """The new working directory, absolute and clean."""
    return posixpath.normpath(posixpath.join("/", config.get("WorkingDir") or "/", path))


def ports(words: Sequence[str]) -> list[str]:
    """``80``, ``8000-8002/udp`` as ``80/tcp`` ...; sorted as they were written. Raises BuildFault.

    Of a mapping as of ``docker run --publish`` (``127.0.0.1:8080:80``) the container's ports, as with Docker.
    """
    found: list[str] = []
    for word in sorted(words):
        numbers, _, protocol = word.partition("/")
        first, dash, last = numbers.rpartition(":")[2].partition("-")
        kind = protocol.lower() or "tcp"
        is_range = first.isdigit() and (not dash or last.isdigit())
        if not is_range or kind not in ("tcp", "udp", "sctp") or not 0 <= int(first) <= int(last or first) <= 65535:
            raise BuildFault(f"cannot expose {word!r}: it is no port", "such as 80, 53/udp or 8000-8010")
        found += [f"{number}/{kind}" for number in range(int(first), int(last or first) + 1)]
    return found


def duration(text: str, flag: str) -> int:
    """Go's duration (``1m30s``, ``500ms``) in nanoseconds; at least one millisecond, or 0. Raises BuildFault."""
    total, rest = 0.0, text
    pattern = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
    while rest:
        match = pattern.match(rest)
        if match is None:
            raise BuildFault(f"cannot use --{flag}={text}: it is no duration", "such as 30s or 1m30s")
        total += float(match.group(1)) * _UNITS[match.group(2)]
        rest = rest[match.end() :]
    if 0 < total < 10**6:
        raise BuildFault(f"cannot use --{flag}={text}: it is shorter than a millisecond")
    return round(total)


def show_duration(nanoseconds: int) -> str:
    """Go's text of a duration: ``1m0s``, ``500ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        value, unit = (nanoseconds / 10**6, "ms") if nanoseconds >= 10**6 else (nanoseconds / 10**3, "µs")
        return f"{value:g}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + seconds


def healthcheck(words: Sequence[str], is_json: bool, flags: dict[str, str]) -> dict[str, Any]:
    """The configuration of HEALTHCHECK. Raises BuildFault."""
    if words[0] == "NONE":
        return {"Test": ["NONE"]}
    found: dict[str, Any] = {"Test": ["CMD", *words[1:]] if is_json else ["CMD-SHELL", *words[1:]]}
    keys = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start-period": "StartPeriod",
        "start-interval": "StartInterval",
    }
    for flag, key in keys.items():
        if flag in flags and (value := duration(flags[flag], flag)):
            found[key] = value
    if "retries" in flags:
        if not flags["retries"].lstrip("-").isdigit() or int(flags["retries"]) < 0:
            raise BuildFault(f"cannot use --retries={flags['retries']}: it is no number of times")
        if int(flags["retries"]):
            found["Retries"] = int(flags["retries"])
    return found


def show_healthcheck(check: dict[str, Any]) -> str:
    """As Go prints the structure."""
    keys = ("Interval", "Timeout", "StartPeriod", "StartInterval")
    times = " ".join(json.dumps(show_duration(check.get(key, 0))) for key in keys)
    return f"HEALTHCHECK &{{{quoted(check['Test'])} {times} {_rune(check.get('Retries', 0))}}}"


def _rune(number: int) -> str:
    """Go's %q of an int: it is taken for a character."""
    special = {
        0: "\\x00",
        7: "\\a",
        8: "\\b",
        9: "\\t",
        10: "\\n",
        11: "\\v",
        12: "\\f",
        13: "\\r",
        39: "\\'",
        92: "\\\\",
    }
    if number in special:
        return f"'{special[number]}'"
    return f"'\\x{number:02x}'" if number < 32 or number == 127 else f"'{chr(number)}'"


def finish(config: Config) -> Config:
    """The configuration as it is stored: without what is empty."""
    return {key: value for key, value in config.items() if value not in (None, "", [], {}, False)}

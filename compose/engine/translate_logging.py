"""The log driver of a service and its options, as the runtime is told. Pure."""

from __future__ import annotations

from compose.errors import EngineError
from runtime.spec import LogConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Config = Mapping[str, Any]

COMMON = {"labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"}
CACHE = {"cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"}  # of drivers that keep nothing here
FILE = {"max-size", "max-file", "compress"}
OPTIONS: dict[str, set[str]] = {
    "json-file": COMMON | FILE,
    "local": COMMON | FILE,
    "none": set(),
    "syslog": COMMON | CACHE | {"syslog-address", "syslog-facility", "syslog-format"},
    "journald": COMMON | CACHE,
    "fluentd": COMMON
    | CACHE
    | {f"fluentd-{name}" for name in ("address", "async", "async-reconnect-interval", "buffer-limit", "max-retries",
                                      "request-ack", "retry-wait", "sub-second-precision", "write-timeout")},
    "gelf": COMMON | CACHE | {f"gelf-{name}" for name in ("address", "compression-type", "compression-level",
                                                          "tcp-max-reconnect", "tcp-reconnect-delay")},
}  # fmt: skip
LOCAL_SIZE, LOCAL_FILES = 20 << 20, 5  # what Docker's local driver keeps, and what it keeps of remote drivers' lines
_PLACEHOLDER = r"\{\{\s*\.(\w+)\s*\}\}"


def log_config(
    service: str, config: Config, *, about: Mapping[str, str], labels: Mapping[str, str], env: Mapping[str, str]
) -> LogConfig:
    """``config``: the service's ``logging``. ``about``: what a tag may name (ID, Name, ImageName …).

    Raises EngineError for a driver or an option that there is not.
    """
    driver = config.get("driver") or "json-file"
    if driver not in OPTIONS:
        raise EngineError(
            f"cannot log with driver {driver!r}: it is none of {', '.join(OPTIONS)}",
            hint="name one of them, or leave logging out",
        )
    options = {name: str(value) for name, value in (config.get("options") or {}).items()}
    for name in options:
        if name not in OPTIONS[driver]:
            known = ", ".join(sorted(OPTIONS[driver])) or "it has none"
            raise EngineError(
                f"cannot set logging option {name!r} of {service}: driver {driver} has no such", hint=known
            )
    remote = driver not in ("json-file", "local", "none")
    prefix = "cache-" if remote else ""
    size, files = (LOCAL_SIZE, LOCAL_FILES) if driver == "local" or remote else (0, 1)
    tag = _render(options["tag"], about) if options.get("tag") else ""
    return LogConfig(
        driver,
        decimal_size(options.get(f"{prefix}max-size") or size),
        _files(options.get(f"{prefix}max-file") or files),
        attrs=_attributes(options, labels, env) | ({"tag": tag} if tag and not remote else {}),
        target={**options, "tag": tag, "image": about["ImageName"]} if remote else {},
        keep=options.get("cache-disabled") != "true",
    )


def _files(text: Any) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise EngineError(
            f"cannot keep {text} log files: max-file is 1 or more", hint='write max-file: "3", or leave it out'
        )
    return count


def _attributes(options: Mapping[str, str], labels: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """The labels and variables that the options name, by list or by pattern."""
    found: dict[str, str] = {}
    for name, values in (("labels", labels), ("env", env)):
        wanted = {word.strip() for word in options.get(name, "").split(",") if word.strip()}
        matches = _matcher(f"{name}-regex", options.get(f"{name}-regex", ""))
        found |= {key: value for key, value in values.items() if key in wanted or matches(key)}
    return found


def _matcher(option: str, pattern: str) -> Callable[[str], object]:
    if not pattern:
        return lambda _key: None
    import re

    try:
        return re.compile(pattern).search
    except re.error as error:
        raise EngineError(
            f"cannot read logging option {option} {pattern!r}: {error}",
            hint="write a regular expression as Python reads it",
        ) from None


def _render(template: str, about: Mapping[str, str]) -> str:
    """A tag with its placeholders filled: ``{{.Name}}/{{.ID}}``."""
    import re

    def value(match: re.Match[str]) -> str:
        if match[1] not in about:
            raise EngineError(f"cannot fill logging tag {template!r}: no {match[1]}", hint=f"known: {', '.join(about)}")
        return about[match[1]]

    return re.sub(_PLACEHOLDER, value, template)


def decimal_size(size: Any) -> int:
    """A size of a log option in bytes, where k is 1000 as Docker reads it; -1 and 0 mean without limit."""
    words = str(size).strip().lower().removesuffix("b").removesuffix("i")
    power = "kmgt".find(words[-1:]) + 1 if words[-1:] else 0
    try:
        return max(0, int(float(words[:-1] if power else words) * 1000**power))
    except ValueError:
        raise EngineError(
            f"cannot read log size {size!r}: write 10m, or a number of bytes", hint="write 10m, or a number of bytes"
        ) from None

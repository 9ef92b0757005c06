"""Dockerfile instructions that change an image's configuration, as ``import --change`` takes them."""

from __future__ import annotations

from runtime import plain_json as json
from runtime.errors import RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Config = dict[str, Any]


def apply_changes(config: Config, changes: Iterable[str]) -> Config:
    """The configuration with the instructions applied. Raises RuntimeFault on an unknown or malformed one."""
    out = dict(config)
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None or not rest.strip():
            reason = "it needs a value" if instruction else f"known are {', '.join(sorted(_INSTRUCTIONS))}"
            raise RuntimeFault(f"cannot apply change {change!r}: {reason}")
        try:
            instruction(out, rest.strip())
        except ValueError as error:
            raise RuntimeFault(f"cannot apply change {change!r}: {error}") from None
    return out


def _words(text: str) -> list[str]:
    """A JSON array of strings, or blank-separated words with the shell's quotes."""
    if text.startswith("["):
        words = json.loads(text)
        if not all(isinstance(word, str) for word in words):
            raise ValueError("the array must hold strings")
        return list(words)
    from shlex import split

    return split(text)


def _command(text: str) -> list[str]:
    return _words(text) if text.startswith("[") else ["/bin/sh", "-c", text]


def _pairs(text: str) -> list[tuple[str, str]]:
    words = _words(text)
    if words and "=" not in words[0]:  # the old form: KEY rest of the line
        key, _, value = text.partition(" ")
        return [(key, value.strip())]
    if any("=" not in word for word in words):
        raise ValueError("write it as KEY=VALUE")
    return [(key, value) for key, _, value in (word.partition("=") for word in words)]


def _env(config: Config, text: str) -> None:
    known = dict(entry.partition("=")[::2] for entry in config.get("Env", []))
    known.update(_pairs(text))
    config["Env"] = [f"{key}={value}" for key, value in known.items()]


def _label(config: Config, text: str) -> None:
    config["Labels"] = {**config.get("Labels", {}), **dict(_pairs(text))}


def _expose(config: Config, text: str) -> None:
    ports: dict[str, dict[str, str]] = {port if "/" in port else f"{port}/tcp": {} for port in text.lower().split()}
    for port in ports:
        if not port.partition("/")[0].replace("-", "", 1).isdigit():
            raise ValueError(f"{port!r} is not a port")
    config["ExposedPorts"] = {**config.get("ExposedPorts", {}), **ports}


def _volume(config: Config, text: str) -> None:
    config["Volumes"] = {**config.get("Volumes", {}), **{path: {} for path in _words(text)}}


def _workdir(config: Config, text: str) -> None:
    base = config.get("WorkingDir") or "/"
    config["WorkingDir"] = text if text.startswith("/") else f"{base.rstrip('/')}/{text}"


def _setter(key: str, parse: Callable[[str], Any]) -> Callable[[Config, str], None]:
    def set_value(config: Config, text: str) -> None:
        config[key] = parse(text)

    return set_value


def _healthcheck(config: Config, text: str) -> None:
    options: dict[str, Any] = {}
    while text.startswith("--"):
        option, _, text = text.partition(" ")
        name, _, value = option[2:].partition("=")
        key = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "retries": "Retries"}.get(
            name, "StartInterval" if name == "start-interval" else ""
        )
        if not key:
            raise ValueError(f"unknown option --{name}")
        options[key] = int(value) if key == "Retries" else _duration(value)
        text = text.strip()
    word, _, rest = text.partition(" ")
    if word.upper() == "NONE":
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if word.upper() != "CMD" or not rest.strip():
        raise ValueError("write it as HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE")
    rest = rest.strip()
    test = ["CMD", *_words(rest)] if rest.startswith("[") else ["CMD-SHELL", rest]
    config["Healthcheck"] = {"Test": test, **options}


def _duration(text: str) -> int:
    """Go's duration (``1m30s``, ``500ms``) in nanoseconds."""
    import re

    units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration")
    return sum(int(float(number) * units[unit]) for number, unit in parts)


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _setter("Cmd", _command),
    "ENTRYPOINT": _setter("Entrypoint", _command),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "SHELL": _setter("Shell", _words),
    "STOPSIGNAL": _setter("StopSignal", str),
    "USER": _setter("User", str),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}

"""The process of a service: arguments, environment, capabilities, limits and security options. Pure."""

from __future__ import annotations

from compose.engine.translate_network import text
from compose.errors import EngineError
from compose.record import EMPTY, record
from runtime import capabilities
from runtime.spec import Process, Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from compose.plan.observed import ObservedImage

    Config = Mapping[str, Any]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@record
class Security:
    """What ``security_opt`` says."""

    seccomp: str = "default"
    apparmor: str = ""
    no_new_privileges: bool = False
    masked_paths: bool = True


def process_spec(
    service: str,
    config: Config,
    image: ObservedImage,
    overrides: Config,
    environ: Mapping[str, str],
    hostname: str,
    security: Security,
) -> Process:
    """What is executed, and as whom."""
    terminal = bool(config.get("tty"))
    return Process(
        args=_arguments(service, config, image),
        env=_environment(config, image, overrides, environ, hostname, terminal),
        cwd=config.get("working_dir") or image.config.get("WorkingDir") or "/",
        user=str(config.get("user") or image.config.get("User") or ""),
        groups=tuple(str(group) for group in config.get("group_add") or ()),
        terminal=terminal,
        capabilities=_capabilities(config),
        no_new_privileges=security.no_new_privileges,
        rlimits=tuple(_rlimit(name, value) for name, value in (config.get("ulimits") or {}).items()),
        oom_score_adj=int(config.get("oom_score_adj") or 0),
        apparmor=security.apparmor,
    )


def _arguments(service: str, config: Config, image: ObservedImage) -> tuple[str, ...]:
    """Entry point and command: null leaves the image's, a list (also an empty one) replaces; an entry point of the
    service's own drops the image's command."""
    entrypoint, command = config.get("entrypoint"), config.get("command")
    if command is None:
        command = [] if entrypoint is not None else image.config.get("Cmd") or []
    if entrypoint is None:
        entrypoint = image.config.get("Entrypoint") or []
    if list(entrypoint) == [""]:
        entrypoint = []
    arguments = (*entrypoint, *command)
    if not arguments:
        raise EngineError(
            f"cannot create a container of {service}: neither it nor image {image.reference} says what to run",
            hint=f"set services.{service}.command",
        )
    return tuple(str(word) for word in arguments)


def _environment(
    config: Config,
    image: ObservedImage,
    overrides: Config,
    environ: Mapping[str, str],
    hostname: str,
    terminal: bool,
) -> tuple[str, ...]:
    """Docker's defaults, the image's, the service's, those of ``run -e``; null removes."""
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if terminal:
        values["TERM"] = "xterm"
    for entry in image.config.get("Env") or ():
        name, _, value = entry.partition("=")
        values[name] = value
    given = {name: environ.get(name) if value is None else value for name, value in _extra_env(overrides).items()}
    for name, value in {**(config.get("environment") or {}), **given}.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = text(value)
    return tuple(f"{name}={value}" for name, value in values.items())


def _extra_env(overrides: Config) -> Config:
    return overrides.get("environment") or EMPTY


def _capabilities(config: Config) -> tuple[str, ...]:
    """Docker's default set, plus and minus; ``ALL`` means all on either side. In the kernel's order."""
    if config.get("privileged"):
        return capabilities.NAMES
    add = {_capability(name) for name in config.get("cap_add") or ()}
    drop = {_capability(name) for name in config.get("cap_drop") or ()}
    if "ALL" in add:
        kept = {*capabilities.NAMES} - drop
    else:
        kept = (set() if "ALL" in drop else {*capabilities.DEFAULT} - drop) | add
    for name in sorted({*add, *drop} - {"ALL"}):
        if name not in capabilities.NUMBERS:
            raise EngineError(f"cannot grant or drop capability {name}: no such capability", hint="see capabilities(7)")
    return tuple(name for name in capabilities.NAMES if name in kept)


def _capability(name: str) -> str:
    name = name.upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def _rlimit(name: str, value: Any) -> Rlimit:
    if hasattr(value, "get"):
        single = value.get("single")
        soft, hard = (single, single) if single is not None else (value["soft"], value["hard"])
    else:
        soft = hard = value
    return Rlimit(name.lower(), int(soft), int(hard))


def security_options(config: Config, working_dir: str, read: Callable[[str], bytes]) -> Security:
    """``security_opt``: name=value or name:value; ``seccomp`` may name a file, which is read."""
    found: dict[str, Any] = {}
    for option in config.get("security_opt") or ():
        name, value = split_option(option, "=" if "=" in option else ":")
        if name == "no-new-privileges":
            found["no_new_privileges"] = value.lower() != "false"
        elif name == "seccomp":
            found["seccomp"] = _seccomp(value, working_dir, read)
        elif name == "apparmor":
            found["apparmor"] = value
        elif name == "systempaths":
            found["masked_paths"] = value != "unconfined"
        elif name != "label":
            raise EngineError(
                f"cannot apply security_opt {option!r}: no such option",
                hint="there are no-new-privileges, seccomp, apparmor, label and systempaths",
            )
    return Security(**found)


def _seccomp(value: str, working_dir: str, read: Callable[[str], bytes]) -> str:
    if value in ("unconfined", "default", "builtin") or value.lstrip().startswith("{"):
        return "default" if value == "builtin" else value
    path = value if value.startswith("/") else f"{working_dir}/{value}"
    try:
        return read(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(
            f"cannot read seccomp profile {path}: {error}",
            hint="name a profile that can be read, as JSON, or unconfined",
        ) from error


def split_option(option: str, separator: str) -> tuple[str, str]:
    """Name and value around the first separator; the value is empty without one."""
    name, _, value = option.partition(separator)
    return name, value

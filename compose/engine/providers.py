"""Provider services: plug-ins that make something outside of containers and say which variables lead to it.

The protocol is docker compose's (its docs/extension.md): ``PLUGIN compose --project-name=P up --option=value SERVICE``,
``down`` and, if its ``metadata`` has one, ``stop``; the plug-in writes one JSON object a line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from compose.errors import EngineError
from runtime.paths import providers_file
from runtime.state import read_json, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Lock
    from typing import Any

    from compose.plan.desired import DesiredService
    from runtime.paths import Roots

    Values = Mapping[str, Mapping[str, str]]

WORDS = {"up": "create", "stop": "stop", "down": "remove"}
PLUGIN_DIRS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)


def provided(roots: Roots, project: str) -> Values:
    """Provider service → variables as its dependents see them, of the last time."""
    return {name: row["values"] for name, row in (read_json(providers_file(roots, project)) or {}).items()}


def find_plugin(kind: str, environ: Mapping[str, str]) -> str:
    """The docker CLI plug-in ``docker-KIND``, else the program KIND in PATH. Raises EngineError."""
    home = environ.get("DOCKER_CONFIG") or f"{environ.get('HOME', '')}/.docker"
    for directory in (f"{home}/cli-plugins", *PLUGIN_DIRS):
        path = f"{directory}/docker-{kind}"
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    program = shutil.which(kind, path=environ.get("PATH")) if kind not in ("", "compose") else None
    if program is None:
        raise EngineError(
            f"cannot find the provider {kind!r}: neither a docker plug-in docker-{kind} nor a program {kind} in PATH",
            hint="install it, or correct provider.type",
        )
    return program


class Providers:
    """The provider services of one project. ``note`` gets what plug-ins say to the user; ``lock`` guards
    the file that they share."""

    def __init__(
        self, roots: Roots, project: str, environ: Mapping[str, str], note: Callable[[str], None], lock: Lock
    ) -> None:
        self.roots = roots
        self.project = project
        self.environ = environ
        self.note = note
        self.lock = lock
        self.path = providers_file(roots, project)

    def run(self, service: DesiredService | None, name: str, command: str) -> Values:
        """Call a service's plug-in, and remember what it said. Raises EngineError."""
        config = service.config if service is not None else self._known().get(name, {}).get("config")
        if config is None:
            return provided(self.roots, self.project)
        call = _Call(self.project, name, config, command, self.environ, self.note)
        values = call.run()
        with self.lock:
            known = self._known()
            if command == "up":
                known[name] = {"config": dict(config), "values": values}
            elif command == "down":
                known.pop(name, None)
            self._remember(known)
        return {key: row["values"] for key, row in known.items()}

    def _known(self) -> dict[str, Any]:
        return read_json(self.path) or {}

    def _remember(self, known: Mapping[str, Any]) -> None:
        """Only root may read it: the values are mostly passwords."""
        if known:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            write_json(self.path, known)
        elif os.path.exists(self.path):
            os.unlink(self.path)


class _Call:
    """One call of a plug-in."""

    def __init__(
        self,
        project: str,
        service: str,
        config: Mapping[str, Any],
        command: str,
        environ: Mapping[str, str],
        note: Callable[[str], None],
    ) -> None:
        self.project, self.service, self.config, self.command = project, service, config, command
        self.environ, self.note = dict(environ), note
        self.options: Mapping[str, Any] = config["provider"].get("options") or {}
        self.plugin = find_plugin(str(config["provider"]["type"]), environ)
        self.values: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """The variables it gave. Nothing is called for a ``stop`` that it does not know."""
        metadata = self._metadata()
        if self.command == "stop" and not metadata.get("stop"):
            return {}
        argv = [self.plugin, "compose", f"--project-name={self.project}", self.command]
        argv += [*self._options(metadata), self.service]
        with self._started(argv) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    self._message(line, process)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise self._failure(f"it ended with status {process.returncode}")
        return self.values

    def _started(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Its standard error is ours, as docker compose leaves it."""
        try:
            return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environ)
        except OSError as error:
            raise self._failure(f"{argv[0]}: {error.strerror}") from error

    def _metadata(self) -> Mapping[str, Any]:
        """What the plug-in says of itself; nothing when it does not know the question."""
        argv = [self.plugin, "compose", "metadata"]
        try:
            asked = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, env=self.environ, check=False)
            found = json.loads(asked.stdout) if asked.returncode == 0 else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _options(self, metadata: Mapping[str, Any]) -> list[str]:
        """``--name=value``, once per value; with metadata only those that the command takes."""
        listed = (metadata.get(self.command) or {}).get("parameters") or ()
        taken = {row.get("name"): row for row in listed}
        for name, row in taken.items():
            if row.get("required") and name not in self.options:
                raise self._failure(f"its option {name} is required", f"set services.{self.service}.provider.options")
        speaks = bool(metadata.get("description") or metadata.get("up") or metadata.get("down"))
        return [
            f"--{name}={value}"
            for name, values in self.options.items()
            for value in (values if isinstance(values, (list, tuple)) else [values])
            if name in taken or not speaks
        ]

    def _message(self, line: bytes, process: subprocess.Popen[bytes]) -> None:
        if not line.strip():
            return
        try:
            row = json.loads(line)
            kind, text = row["type"], str(row.get("message", ""))
        except (ValueError, KeyError, TypeError):
            raise self._failure(f"it said what is no message: {line[:200].decode(errors='replace').strip()}") from None
        name, equals, value = text.partition("=")
        if kind in ("setenv", "rawsetenv") and equals:
            self.values[name if kind == "rawsetenv" else f"{self.service.upper()}_{name}"] = value
        elif kind == "info":
            self.note(f"{self.service}: {text.rstrip()}")
        elif kind == "error":
            raise self._failure(text.rstrip())
        elif kind == "get-service-config":
            self._answer(process)
        elif kind != "debug":
            raise self._failure(f"it said {kind} {text}, which no one understands")

    def _answer(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"name": self.service, **self.config}).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it does not want to know any more

    def _failure(self, why: str, hint: str = "") -> EngineError:
        return EngineError(f"cannot {WORDS[self.command]} {self.service} by its provider: {why}", hint=hint)

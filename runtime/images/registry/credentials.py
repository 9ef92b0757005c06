"""User names and passwords of registries: where Docker and Podman keep them, and credential helpers.

Order (docker/cli): DOCKER_AUTH_CONFIG; ``credHelpers``, ``credsStore`` and ``auths`` of ``$DOCKER_CONFIG/config.json``
or ``~/.docker/config.json``; then Podman's auth.json. Secrets never come into argument lists.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess

from runtime.errors import RuntimeFault
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Config = dict[str, Any]

HUB_KEY = "https://index.docker.io/v1/"
_TIMEOUT = 30.0
_NOT_FOUND = "credentials not found in native keychain"


@record
class Login:
    """``token``: an identity (refresh) token in place of a password; ``bearer``: a token to send as it is."""

    user: str = ""
    password: str = ""
    token: str = ""
    bearer: str = ""


def find_login(registry: str, repository: str, environ: Mapping[str, str]) -> Login | None:
    """The login for a registry's repository, or None. Raises RuntimeFault for files and helpers that are broken."""
    embedded = environ.get("DOCKER_AUTH_CONFIG")
    if embedded:
        found = _from_auths(_parse(embedded, "DOCKER_AUTH_CONFIG"), registry, "")
        if found is not None:
            return found
    config = read_config(config_path(environ))
    helper = helper_of(config, registry)
    if helper:
        found = _ask_helper(helper, registry)
        if found is not None:
            return found
    found = _from_auths(config, registry, "")
    if found is not None:
        return found
    for path in _podman_files(environ):
        found = _from_auths(read_config(path), registry, repository)
        if found is not None:
            return found
    return None


def config_path(environ: Mapping[str, str]) -> str:
    """Docker's config.json, whether it is there or not."""
    home = environ.get("HOME") or os.path.expanduser("~")
    return f"{environ.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"


def _podman_files(environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get("REGISTRY_AUTH_FILE"):
        yield environ["REGISTRY_AUTH_FILE"]
    if environ.get("XDG_RUNTIME_DIR"):
        yield f"{environ['XDG_RUNTIME_DIR']}/containers/auth.json"
    yield f"{environ.get('HOME') or os.path.expanduser('~')}/.config/containers/auth.json"


def read_config(path: str) -> Config:
    """A file of logins; an empty one when it is not there. Raises RuntimeFault when it is damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return _parse(file.read(), path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise RuntimeFault(f"cannot read {path}: {error}") from error


def _parse(text: str, what: str) -> Config:
    try:
        plain = json.loads(text or "{}")
    except ValueError as error:
        raise RuntimeFault(f"cannot read {what}: {error}", "it must be a JSON object") from error
    if not isinstance(plain, dict):
        raise RuntimeFault(f"cannot read {what}: it is not a JSON object")
    return plain


def server_key(registry: str) -> str:
    """The key of a registry in Docker's files."""
    return HUB_KEY if registry == "docker.io" else registry


def _plain_host(key: str) -> str:
    """``https://host/v1/``, ``host:port`` and their like as the host."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0] if "://" in key or host.endswith(("/v1/", "/v2/", "/v1", "/v2")) else host
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io", "docker.io") else host


def _from_auths(config: Config, registry: str, repository: str) -> Login | None:
    """The row of ``auths`` for the registry; with ``repository`` the most specific of ``host/path`` rows."""
    auths = config.get("auths")
    if not isinstance(auths, dict):
        return None
    wanted = [registry]
    parts = repository.split("/") if repository else []
    for count in range(1, len(parts) + 1):
        wanted.insert(0, f"{registry}/{'/'.join(parts[:count])}")
    rows = {_plain_host(key): row for key, row in auths.items() if isinstance(row, dict)}
    for key in wanted:
        login = _login_of(rows.get(key) or {})
        if login is not None:
            return login
    return None


def _login_of(row: Config) -> Login | None:
    if row.get("registrytoken"):
        return Login(bearer=str(row["registrytoken"]))
    user, password = str(row.get("username") or ""), str(row.get("password") or "")
    if row.get("auth"):
        try:
            text = base64.b64decode(str(row["auth"]), validate=False).decode("utf-8", "surrogateescape").rstrip("\0")
        except ValueError:
            raise RuntimeFault("cannot read the registry's login: its auth is not base64", "log in again") from None
        user, _, password = text.partition(":")
    if row.get("identitytoken"):
        return Login(user, token=str(row["identitytoken"]))
    return Login(user, password) if user else None


# -- helpers


def helper_of(config: Config, registry: str) -> str:
    """The name of the credential helper for a registry, or empty."""
    helpers = config.get("credHelpers")
    if isinstance(helpers, dict):
        for key, name in helpers.items():
            if _plain_host(key) == registry:
                return str(name)
    return str(config.get("credsStore") or "")


def _run_helper(helper: str, verb: str, data: str) -> tuple[int, str]:
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise RuntimeFault(f"cannot use credential helper {helper!r}: it is not a name")
    try:
        done = subprocess.run(
            [program, verb], input=data, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise RuntimeFault(
            f"cannot run {program}: it is not in PATH", "install it, or remove it from config.json"
        ) from None
    except subprocess.TimeoutExpired:
        raise RuntimeFault(f"cannot get a login: {program} did not answer within {_TIMEOUT:.0f} s") from None
    return done.returncode, done.stdout.strip() or done.stderr.strip()


def _ask_helper(helper: str, registry: str) -> Login | None:
    code, text = _run_helper(helper, "get", server_key(registry))
    if code:
        if _NOT_FOUND in text:
            return None
        raise RuntimeFault(f"cannot get a login for {registry}: docker-credential-{helper}: {text[:200]}")
    row = _parse(text, f"the answer of docker-credential-{helper}")
    user, secret = str(row.get("Username") or ""), str(row.get("Secret") or "")
    if user == "<token>":
        return Login(token=secret)
    return Login(user, secret) if user else None


# -- keeping


def store_login(registry: str, login: Login, environ: Mapping[str, str]) -> str:
    """Keep a login; where it was put. A helper has it when one is configured, else config.json, mode 0600."""
    path = config_path(environ)
    config = read_config(path)
    helper = helper_of(config, registry)
    if helper:
        row = {"ServerURL": server_key(registry), "Username": login.user, "Secret": login.password}
        if login.token:
            row |= {"Username": "<token>", "Secret": login.token}
        code, text = _run_helper(helper, "store", json.dumps(row))
        if code:
            raise RuntimeFault(f"cannot keep the login for {registry}: docker-credential-{helper}: {text[:200]}")
        return f"docker-credential-{helper}"
    entry: Config = {"auth": base64.b64encode(f"{login.user}:{login.password}".encode()).decode()}
    if login.token:
        entry["identitytoken"] = login.token
    config.setdefault("auths", {})[server_key(registry)] = entry
    write_config(path, config)
    return path


def erase_login(registry: str, environ: Mapping[str, str]) -> bool:
    """Forget a login; whether there was one."""
    path = config_path(environ)
    config = read_config(path)
    helper = helper_of(config, registry)
    if helper:
        code, _text = _run_helper(helper, "erase", server_key(registry))
        return code == 0
    auths = config.get("auths")
    mine = [key for key in auths if _plain_host(key) == registry] if isinstance(auths, dict) else []
    for key in mine:
        del config["auths"][key]
    if mine:
        write_config(path, config)
    return bool(mine)


def write_config(path: str, config: Config) -> None:
    """Replace the file by rename; nobody else may read it."""
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        real = os.path.realpath(path)
        temporary = f"{real}.{os.getpid()}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(config, file, indent="\t")
        os.rename(temporary, real)
    except OSError as error:
        raise RuntimeFault(f"cannot write {path}: {error.strerror}") from error

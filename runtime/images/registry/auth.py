"""Answers to ``WWW-Authenticate``: Basic, and Bearer tokens by the distribution project's token specification."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
from urllib.parse import quote, urlencode, urlsplit

from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.settings import split_host
from runtime.images.registry.transport import Target, follow
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.images.registry.credentials import Login
    from runtime.images.registry.transport import Pool

_LIFETIME = 60  # seconds of a token that does not say (token specification)
_MAX_ANSWER = 1 << 20


@record
class Challenge:
    """One way to authenticate that a server offers."""

    scheme: str
    values: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all headers: ``Bearer realm="a,b",service="c", Basic realm="d"`` (RFC 9110, 11.6.1)."""
    found: list[Challenge] = []
    for header in headers:
        scheme = ""
        values: dict[str, str] = {}
        for word, value in _words(header):
            if value is None:
                if scheme:
                    found.append(Challenge(scheme, values))
                scheme, values = word.lower(), {}
            else:
                values[word.lower()] = value
        if scheme:
            found.append(Challenge(scheme, values))
    return found


def _words(header: str) -> Iterable[tuple[str, str | None]]:
    """(scheme, None) and (parameter, value) in order; quotes and backslashes understood."""
    at, length = 0, len(header)
    while at < length:
        while at < length and header[at] in " \t,":
            at += 1
        start = at
        while at < length and header[at] not in " \t,=":
            at += 1
        word = header[start:at]
        if at < length and header[at] == "=":
            value, at = _value(header, at + 1)
            yield word, value
        elif word:
            yield word, None


def _value(header: str, at: int) -> tuple[str, int]:
    if header[at : at + 1] != '"':
        end = at
        while end < len(header) and header[end] not in " \t,":
            end += 1
        return header[at:end], end
    out, at = [], at + 1
    while at < len(header) and header[at] != '"':
        if header[at] == "\\":
            at += 1
        out.append(header[at : at + 1])
        at += 1
    return "".join(out), at + 1


class Authority:
    """What one registry's requests carry in ``Authorization``. ``login`` is asked for when it is needed."""

    def __init__(self, pool: Pool, target: Target, login: Login | None) -> None:
        self._pool = pool
        self._target = target
        self._login = login
        self._basic = False
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}

    def header(self, scopes: tuple[str, ...]) -> dict[str, str]:
        """What is known to work for these scopes, or nothing yet."""
        if self._basic and self._login is not None:
            return {"Authorization": f"Basic {_basic(self._login)}"}
        token, until = self._tokens.get(scopes, ("", 0.0))
        return {"Authorization": f"Bearer {token}"} if token and time.monotonic() < until else {}

    def answer(self, headers: Iterable[str], scopes: tuple[str, ...]) -> bool:
        """Take up the challenges of a 401; whether there is anything new to try. Raises RegistryFault."""
        challenges = parse_challenges(headers)
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.values.get("realm"):
                self._tokens[scopes] = self._ask(challenge, scopes)
                self._basic = False
                return True
        for challenge in challenges:
            if challenge.scheme == "basic" and self._login is not None and self._login.user and not self._basic:
                self._basic = True
                return True
        return False

    def _ask(self, challenge: Challenge, scopes: tuple[str, ...]) -> tuple[str, float]:
        if self._login is not None and self._login.bearer:
            return self._login.bearer, time.monotonic() + _LIFETIME
        parts = urlsplit(challenge.values["realm"])
        self._check_realm(parts.scheme, parts.netloc)
        wanted = list(dict.fromkeys([*scopes, *challenge.values.get("scope", "").split()]))
        service = challenge.values.get("service", "")
        same = parts.netloc == self._target.host
        target = Target(parts.scheme, parts.netloc, self._target.verify, self._target.certs if same else "")
        text = b""
        if self._login is not None and self._login.token:
            text = self._refresh(target, parts.path, service, wanted)
        if not text:
            text = self._get(target, parts.path, service, wanted)
        return _token_of(text, target.host)

    def _check_realm(self, scheme: str, host: str) -> None:
        """A token server is reached by https, and never on an inner address that the registry is not on itself."""
        if host == self._target.host:
            return
        if scheme != "https" and self._target.verify:
            raise RegistryFault(f"cannot log in to {self._target.host}: its token server {host} is not https")
        try:
            address = ipaddress.ip_address(split_host(host)[0])
        except ValueError:
            return
        inner = address.is_private or address.is_loopback or address.is_link_local
        if inner and split_host(host)[0] != split_host(self._target.host)[0]:
            raise RegistryFault(f"cannot log in to {self._target.host}: its token server {host} is on an inner address")

    def _get(self, target: Target, path: str, service: str, scopes: list[str]) -> bytes:
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        if self._login is not None and self._login.user:
            query.append(("account", self._login.user))
        headers = {"Accept": "application/json"}
        if self._login is not None and self._login.user and self._login.password:
            headers["Authorization"] = f"Basic {_basic(self._login)}"
        answer = follow(self._pool, target, f"{path or '/'}?{urlencode(query, quote_via=quote)}", headers)
        text = answer.text(_MAX_ANSWER)
        if answer.status in (401, 403):
            raise RegistryFault(
                f"cannot log in to {self._target.host}: user name or password is wrong",
                f"try again: pycompose login {self._target.host}",
                answer.status,
            )
        if answer.status != 200:
            raise RegistryFault(
                f"cannot log in to {self._target.host}: {target.host} answered {answer.status}", status=answer.status
            )
        return text

    def _refresh(self, target: Target, path: str, service: str, scopes: list[str]) -> bytes:
        """By an identity token; nothing when the server does not know that way (404, 405)."""
        assert self._login is not None
        form = [("grant_type", "refresh_token"), ("service", service), ("client_id", "pycompose")]
        form += [("refresh_token", self._login.token), ("scope", " ".join(scopes))]
        body = urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        answer = self._pool.send(target, "POST", path or "/", headers, lambda: (body,))
        text = answer.text(_MAX_ANSWER)
        if answer.status in (404, 405):
            return b""
        if answer.status != 200:
            raise RegistryFault(
                f"cannot log in to {self._target.host}: its identity token is no longer good",
                f"try again: pycompose login {self._target.host}",
                answer.status,
            )
        return text


def _basic(login: Login) -> str:
    return base64.b64encode(f"{login.user}:{login.password}".encode("utf-8", "surrogateescape")).decode()


def _token_of(text: bytes, host: str) -> tuple[str, float]:
    try:
        plain = json.loads(text)
        token = plain.get("token") or plain.get("access_token")
        lifetime = int(plain.get("expires_in") or _LIFETIME)
    except (ValueError, AttributeError, TypeError) as error:
        raise RegistryFault(f"cannot log in: {host} did not answer with a token") from error
    if not isinstance(token, str) or not token or any(ord(sign) < 33 for sign in token):
        raise RegistryFault(f"cannot log in: {host} did not answer with a token")
    return token, time.monotonic() + max(lifetime - 10, 5)

"""HTTP to registries: kept connections, TLS with own authorities, proxies, redirects. One request, one answer.

``http.client`` honours no proxies and follows no redirects; both are done here. A redirect to another host never
carries the Authorization of the first (registries send blobs to object stores with signed addresses).
"""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
import threading
from urllib.parse import urlsplit

from runtime.images.registry.errors import RegistryFault, Unreachable
from runtime.images.registry.settings import split_host
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from runtime.images.registry.settings import Settings

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 8
_IDLE = 4  # connections kept per host
AGENT = "pycompose"


@record
class Target:
    """A server: ``certs`` is a directory with certificates for it, ``verify`` whether its own is checked."""

    scheme: str
    host: str
    verify: bool = True
    certs: str = ""


class Answer:
    """A response. Read it to its end or close it: then the connection serves the next request."""

    def __init__(self, pool: Pool, target: Target, connection: http.client.HTTPConnection, raw: Any) -> None:
        self._pool = pool
        self._target = target
        self._connection: http.client.HTTPConnection | None = connection
        self._raw = raw
        self._left: int | None = raw.length  # None: chunked, or to the end of the connection
        self.status: int = raw.status
        self.host = target.host

    def header(self, name: str) -> str:
        return str(self._raw.headers.get(name) or "")

    def headers(self, name: str) -> list[str]:
        return [str(value) for value in self._raw.headers.get_all(name) or []]

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, as they come; empty at the end. Raises Unreachable when it breaks off or stalls.

        One recv(2) each: when the connection breaks, nothing that came before is lost. (``HTTPResponse.read1`` itself
        does not count a body's length before Python 3.12.)
        """
        if self._connection is None:
            return b""
        try:
            if self._left is None:
                data: bytes = self._raw.read1(size)
            else:
                data = self._raw.fp.read1(min(size, self._left)) if self._left else b""
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self.host} broke off: {reason_of(error)}") from error
        if data:
            self._left = None if self._left is None else self._left - len(data)
            return data
        if self._left:
            self.close()
            raise Unreachable(f"{self.host} broke off: the connection ended in the middle")
        self._give_back()
        return data

    def text(self, limit: int) -> bytes:
        """The whole body. Raises RegistryFault when it is longer than ``limit``."""
        parts, left = [], limit
        while left >= 0 and (data := self.read(min(1 << 16, left + 1))):
            parts.append(data)
            left -= len(data)
        if left < 0:
            self.close()
            raise RegistryFault(f"{self.host} sent more than {limit} bytes")
        return b"".join(parts)

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._raw.close()
            self._pool.put(self._target, connection, bool(self._raw.will_close))

    def close(self) -> None:
        """Nothing more is wanted; a body that is not read costs the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._raw.close()
            connection.close()


class Pool:
    """Connections to servers, kept for the next request. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: dict[Target, list[http.client.HTTPConnection]] = {}
        self._contexts: dict[tuple[bool, str], ssl.SSLContext] = {}

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def put(self, target: Target, connection: http.client.HTTPConnection, closing: bool) -> None:
        with self._lock:
            kept = self._idle.setdefault(target, [])
            if not closing and len(kept) < _IDLE:
                kept.append(connection)
                return
        connection.close()

    def send(
        self,
        target: Target,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Callable[[], Iterable[bytes]] | None = None,
    ) -> Answer:
        """One request to one server. Raises Unreachable. A kept connection that has died meanwhile is replaced."""
        while True:
            with self._lock:
                kept = self._idle.get(target)
                connection = kept.pop() if kept else None
            fresh = connection is None
            if connection is None:
                connection = self._connect(target)
            try:
                return self._exchange(target, connection, method, path, headers, body)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh:
                    raise Unreachable(f"cannot talk to {target.host}: {reason_of(error)}") from error

    def _exchange(
        self,
        target: Target,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Callable[[], Iterable[bytes]] | None,
    ) -> Answer:
        proxied = target.scheme == "http" and connection.host != split_host(target.host)[0]
        url = f"http://{target.host}{path}" if proxied else path
        connection.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": target.host, "User-Agent": AGENT, "Accept-Encoding": "identity", **headers}.items():
            connection.putheader(name, value)
        chunked = body is not None and "Content-Length" not in headers
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        if body is not None:
            _send_body(connection, body(), chunked)
        return Answer(self, target, connection, connection.getresponse())

    def _connect(self, target: Target) -> http.client.HTTPConnection:
        name, port = split_host(target.host)
        port = port or (443 if target.scheme == "https" else 80)
        proxy = proxy_for(target.scheme, name, self._settings.environ)
        server, server_port = (proxy.hostname or "", proxy.port or 3128) if proxy else (name, port)
        connection: http.client.HTTPConnection
        if target.scheme == "https":
            connection = http.client.HTTPSConnection(
                server, server_port, timeout=self._settings.connect, context=self._context(target)
            )
        else:
            connection = http.client.HTTPConnection(server, server_port, timeout=self._settings.connect)
        if proxy and target.scheme == "https":
            connection.set_tunnel(name, port, _proxy_headers(proxy))
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            hint = f"put its authority's certificate into {self._settings.certs_dir}/{target.host}/ca.crt"
            raise RegistryFault(f"cannot trust {target.host}: {error.verify_message}", hint) from error
        except (OSError, http.client.HTTPException) as error:
            fault = Unreachable(f"cannot connect to {target.host}: {reason_of(error)}")
            fault.offline = isinstance(error, (socket.gaierror, ConnectionRefusedError)) or _no_route(error)
            raise fault from error
        connection.sock.settimeout(self._settings.stall)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _context(self, target: Target) -> ssl.SSLContext:
        key = (target.verify, target.certs)
        with self._lock:
            context = self._contexts.get(key)
            if context is None:
                context = self._contexts[key] = make_context(target.verify, target.certs)
        return context


def _no_route(error: Exception) -> bool:
    return getattr(error, "errno", 0) in (errno.ENETUNREACH, errno.EHOSTUNREACH)


def _send_body(connection: http.client.HTTPConnection, pieces: Iterable[bytes], chunked: bool) -> None:
    for piece in pieces:
        if not piece:
            continue
        if chunked:
            connection.send(b"%x\r\n" % len(piece))
        connection.send(piece)
        if chunked:
            connection.send(b"\r\n")
    if chunked:
        connection.send(b"0\r\n\r\n")


def make_context(verify: bool, certs: str) -> ssl.SSLContext:
    """TLS as a registry's directory of certificates says (Docker's layout). Raises RegistryFault for broken files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_default_certs()
    for name in sorted(os.listdir(certs)) if certs else ():
        path = f"{certs}/{name}"
        try:
            if name.endswith(".crt"):
                context.load_verify_locations(path)
            elif name.endswith(".cert"):
                context.load_cert_chain(path, f"{path.removesuffix('.cert')}.key")
        except (OSError, ssl.SSLError) as error:
            raise RegistryFault(f"cannot use certificate {path}: {reason_of(error)}") from error
    return context


def proxy_for(scheme: str, name: str, environ: Mapping[str, str]) -> Any:
    """The proxy to use for a host as a split URL, or None. Loopback is never proxied (as Go's clients)."""
    if name in ("localhost", "::1") or name.startswith("127."):
        return None
    wanted = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    url = next((environ[key] for key in wanted if environ.get(key)), "")
    if not url:
        return None
    for row in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        suffix = row.strip().partition(":")[0].lower()
        if suffix == "*" or (
            suffix and (name.lower() == suffix.lstrip(".") or name.lower().endswith(f".{suffix.lstrip('.')}"))
        ):
            return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _proxy_headers(proxy: Any) -> dict[str, str]:
    if not proxy.username:
        return {}
    from base64 import b64encode

    return {"Proxy-Authorization": "Basic " + b64encode(f"{proxy.username}:{proxy.password or ''}".encode()).decode()}


def reason_of(error: Exception) -> str:
    """The reason of an exception of sockets and HTTP, in words."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended in the middle"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, socket.gaierror):
        return f"its address cannot be found ({error.strerror})"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]


def follow(pool: Pool, target: Target, path: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
    """A request without a body, redirects followed. Raises Unreachable; RegistryFault for redirects that go wrong."""
    sent = dict(headers)
    for _hop in range(_MAX_REDIRECTS):
        answer = pool.send(target, method, path, sent)
        where = answer.header("Location")
        if answer.status not in _REDIRECTS or not where:
            return answer
        answer.close()
        target, path, moved = redirected(target, path, where)
        if moved:
            sent.pop("Authorization", None)
    raise RegistryFault(f"cannot follow {target.host}: it redirects without end")


def redirected(target: Target, path: str, where: str) -> tuple[Target, str, bool]:
    """(server, path, whether it is another host) that a Location means."""
    parts = urlsplit(where)
    if not parts.netloc and not parts.scheme:
        if not where.startswith("/"):
            where = f"{path.rpartition('/')[0]}/{where}"
        return target, where, False
    if parts.scheme not in ("http", "https") or (target.scheme == "https" and parts.scheme == "http" and target.verify):
        raise RegistryFault(
            f"cannot follow {target.host} to {where[:80]}: it leads from https to {parts.scheme or where}"
        )
    host = parts.netloc.rpartition("@")[2]
    moved = host != target.host
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not moved:
        return Target(parts.scheme, host, target.verify, target.certs), path, False
    return Target(parts.scheme, host, target.verify), path, True

"""One registry endpoint: requests with authentication and retries, manifests, blobs, uploads."""

from __future__ import annotations

import json
import random
import threading
import time

from runtime.images.reference import is_digest
from runtime.images.registry.auth import Authority
from runtime.images.registry.errors import DigestMismatch, RegistryFault, Unreachable
from runtime.images.registry.transport import Pool, Target, follow, redirected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from runtime.images.registry.credentials import Login
    from runtime.images.registry.settings import Endpoint, Settings
    from runtime.images.registry.transport import Answer

    Body = Callable[[], Iterable[bytes]]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES, MANIFESTS = (OCI_INDEX, DOCKER_LIST), (OCI_MANIFEST, DOCKER_MANIFEST)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
MAX_MANIFEST = 8 << 20
_AGAIN = (408, 429, 499, 500, 502, 503, 504, 522)
_LONGEST_WAIT = 60.0  # of a Retry-After


class Client:
    """Requests for one repository at one endpoint. Safe for threads. ``actions``: pull, or pull,push."""

    def __init__(
        self,
        pool: Pool,
        settings: Settings,
        endpoint: Endpoint,
        repository: str,
        login: Login | None,
        actions: str = "pull",
    ) -> None:
        self.pool = pool
        self.settings = settings
        self.endpoint = endpoint
        self.repository = repository
        self.scopes: tuple[str, ...] = (f"repository:{repository}:{actions}",)
        self.warnings: list[str] = []
        self._login = None if endpoint.mirror else login
        self._lock = threading.Lock()
        self._target: Target | None = None
        self._authority: Authority | None = None

    @property
    def host(self) -> str:
        return self.endpoint.host

    # -- the server

    def target(self) -> Target:
        """The server with its scheme; loopback and insecure registries are tried by plain HTTP, then by TLS."""
        with self._lock:
            if self._target is None:
                one = self.endpoint
                scheme = one.scheme or self._find_scheme()
                self._target = Target(scheme, one.host, one.verify, one.certs)
            return self._target

    def _find_scheme(self) -> str:
        one = self.endpoint
        plain = Target("http", one.host, one.verify, one.certs)
        try:
            answer = self.pool.send(plain, "GET", f"{one.prefix}/v2/", {})
        except Unreachable as refused:
            if isinstance(refused.__cause__, ConnectionRefusedError):
                raise
            return "https"
        text = answer.text(1 << 20) if answer.status == 400 else b""
        answer.close()
        return "https" if answer.status == 400 and b"HTTPS" in text.upper() else "http"

    def authority(self) -> Authority:
        target = self.target()
        with self._lock:
            if self._authority is None:
                self._authority = Authority(self.pool, target, self._login)
            return self._authority

    # -- requests

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        scopes: tuple[str, ...] = (),
        target: Target | None = None,
        attempts: int = 0,
    ) -> Answer:
        """The answer, whatever its status, after authentication and retries. Raises RegistryFault, Unreachable."""
        attempts = attempts or self.settings.attempts
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                answer = self._once(method, path, headers or {}, body, scopes or self.scopes, target)
            except Unreachable as fault:
                if last or (fault.offline and attempt > 1):  # once more, but no longer: nobody is there
                    raise
                self.pause(attempt)
                continue
            if answer.status not in _AGAIN or last:
                break
            wait = answer.header("Retry-After")
            answer.close()
            self.pause(attempt, wait)
        for text in answer.headers("Warning"):
            if text not in self.warnings:
                self.warnings.append(text)
        return answer

    def _once(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None,
        scopes: tuple[str, ...],
        target: Target | None,
    ) -> Answer:
        """One attempt; a 401 is answered, twice at most: an old token, then what the server asks for."""
        at = target or self.target()
        own = at == self.target()
        for _round in range(3):
            sent = {**headers, **(self.authority().header(scopes) if own else {})}
            if body is None and method in ("GET", "HEAD"):
                answer = follow(self.pool, at, path, sent, method)
            else:
                answer = self.pool.send(at, method, path, sent, body)
            if answer.status != 401 or not own:
                return answer
            challenges = answer.headers("WWW-Authenticate")
            if not self.authority().answer(challenges, scopes):
                return answer
            answer.close()
        return answer

    def pause(self, attempt: int, retry_after: str = "") -> None:
        """Wait before the next attempt: as long as the server says, else twice as long each time, with a spread."""
        if retry_after:
            time.sleep(min(seconds_until(retry_after), _LONGEST_WAIT))
            return
        time.sleep(self.settings.backoff * 2 ** (attempt - 1) * (0.5 + random.random()))

    def whole(self, path: str, headers: Mapping[str, str], limit: int) -> tuple[Answer, bytes]:
        """An answer and its body; one that breaks off is asked for again. The body of an error is left unread."""
        for attempt in range(1, self.settings.attempts + 1):
            answer = self.request("GET", path, headers)
            try:
                return answer, answer.text(limit) if answer.status == 200 else b""
            except Unreachable:
                if attempt == self.settings.attempts:
                    raise
                self.pause(attempt)
        raise AssertionError("there is at least one attempt")

    def path(self, rest: str) -> str:
        """The path of something in the repository; a mirror of another registry is told which."""
        one = self.endpoint
        query = f"?ns={one.namespace}" if one.mirror and one.namespace != one.host else ""
        return f"{one.prefix}/v2/{self.repository}/{rest}{query}"

    # -- reading

    def manifest(self, name: str, method: str = "GET") -> tuple[str, str, bytes]:
        """(media type, digest, bytes) of a manifest by tag or digest, the digest checked.

        HEAD has no bytes, and is tried once.

        Raises RegistryFault.
        """
        path, headers = self.path(f"manifests/{name}"), {"Accept": ACCEPT}
        answer, data = (
            self.whole(path, headers, MAX_MANIFEST)
            if method == "GET"
            else (self.request(method, path, headers, attempts=1), b"")
        )
        if answer.status != 200:
            raise fault_of(answer, self.host)
        kind = answer.header("Content-Type").partition(";")[0].strip()
        digest = answer.header("Docker-Content-Digest")
        if method == "HEAD":
            answer.read(1)
            return kind, digest, b""
        from hashlib import sha256, sha512

        algorithm = name.partition(":")[0] if ":" in name else "sha256"
        found = f"{algorithm}:{(sha512 if algorithm == 'sha512' else sha256)(data).hexdigest()}"
        if is_digest(name) and found != name:
            raise DigestMismatch(f"cannot accept manifest {name} of {self.host}: its content is {found}")
        return kind, found, data

    def open_blob(self, digest: str, offset: int = 0) -> Answer:
        """The blob from ``offset`` on; status 200 is the whole one, 206 the rest. Not retried: the caller resumes."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self.request("GET", self.path(f"blobs/{digest}"), headers, attempts=1)

    def has_blob(self, digest: str) -> int | None:
        """The size of a blob in the repository, or None."""
        answer = self.request("HEAD", self.path(f"blobs/{digest}"))
        answer.read(1)
        if answer.status == 200:
            return int(answer.header("Content-Length") or 0)
        if answer.status in (401, 403):
            raise fault_of(answer, self.host)
        return None

    # -- following what a server says

    def location(self, answer: Answer, path: str) -> tuple[Target, str]:
        """The server and path that an upload goes on at."""
        where = answer.header("Location")
        if not where:
            raise RegistryFault(f"cannot push to {self.host}: it did not say where to")
        target, place, _moved = redirected(self.target(), path, where)
        return target, place


def seconds_until(text: str) -> float:
    """A Retry-After, in seconds or as a date."""
    text = text.strip()
    if text.isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 1.0


def fault_of(answer: Answer, what: str) -> RegistryFault:
    """The error that an answer means, in the registry's own words where it has some. Closes the answer."""
    code = text = ""
    try:
        plain = json.loads(answer.text(1 << 16))
        rows = plain.get("errors") or [plain]
        code, text = str(rows[0].get("code") or ""), str(rows[0].get("message") or "")
    except (ValueError, AttributeError, IndexError, TypeError, RegistryFault):
        answer.close()
    hint, status = "", answer.status
    if status in (401, 403):
        text = text or "access denied"
        hint = f"log in: pycompose login {answer.host}; or the image does not exist"
    elif status == 429:
        limit = answer.header("ratelimit-limit")
        text = f"too many requests{f' (limit {limit})' if limit else ''}"
        hint = f"log in for a higher limit: pycompose login {answer.host}, or wait"
    elif status == 404:
        text = text or "not found"
    reason = text or f"it answered {status}"
    return RegistryFault(f"{what}: {reason[:1].lower()}{reason[1:300]}", hint, status, code)

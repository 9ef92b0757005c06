"""A registry on loopback that can be told to misbehave, and images for it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runtime.images.registry.client import OCI_INDEX, OCI_MANIFEST
from runtime.images.registry.settings import Settings

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """``blobs`` and ``manifests`` by digest or tag. ``before``: called with each request; True when it answered.

    ``seen``: (method, path, headers) of all requests. ``users``: name → password, for Basic. ``token``: of Bearer.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.sessions = itertools.count(1)
        self.before: Callable[[Handler], bool] = lambda _handler: False
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.users: dict[str, str] = {}
        self.token = ""
        self.ranges = True
        self.streams = True
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.registry = self  # type: ignore[attr-defined]
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    # images

    def add_blob(self, data: bytes) -> dict[str, Any]:
        self.blobs[digest_of(data)] = data
        return {"digest": digest_of(data), "size": len(data)}

    def add_manifest(self, plain: dict[str, Any], kind: str, tag: str = "") -> dict[str, Any]:
        data = json.dumps(plain).encode()
        for name in filter(None, (digest_of(data), tag)):
            self.manifests[name] = (kind, data)
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    def add_image(
        self,
        *tars: bytes,
        tag: str = "1",
        pack: Callable[[bytes], bytes] = lambda tar: gzip.compress(tar, 1, mtime=0),
        diff_ids: list[str] | None = None,
        **config: Any,
    ) -> dict[str, Any]:
        """An image of these layers; its manifest's descriptor."""
        plain = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest_of(tar) for tar in tars]},
            **config,
        }
        layers = [{"mediaType": LAYER, **self.add_blob(pack(tar))} for tar in tars]
        row = {"mediaType": CONFIG, **self.add_blob(json.dumps(plain).encode())}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": row, "layers": layers}
        return self.add_manifest(manifest, OCI_MANIFEST, tag)

    def add_index(self, *rows: dict[str, Any], tag: str) -> dict[str, Any]:
        return self.add_manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(rows)}, OCI_INDEX, tag)

    def settings(self, **more: Any) -> Settings:
        """Impatient ones."""
        values = {"environ": {"HOME": "/nonexistent"}, "stall": 0.6, "connect": 2.0, "attempts": 3, "backoff": 0.01}
        return Settings(**{"certs_dir": "/nonexistent", **values, **more})

    def paths(self, method: str, part: str) -> list[str]:
        return [path for kind, path, _headers in self.seen if kind == method and part in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def registry(self) -> Registry:
        return self.server.registry  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_args: Any) -> None:
        """Quiet."""

    def send(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def fail(self, status: int, code: str = "UNKNOWN", message: str = "no", **headers: str) -> None:
        self.send(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def handle_any(self) -> None:
        registry = self.registry
        registry.seen.append((self.command, self.path, dict(self.headers)))
        if registry.before(self) or not self.allowed():
            return
        path, _, query = self.path.partition("?")
        parts = path.split("/")
        if path == "/v2/":
            self.send(200, b"{}")
        elif "uploads" in parts:
            self.upload(parts[-1], query)
        elif parts[-2] == "manifests":
            self.manifest(parts[-1])
        elif parts[-2] == "blobs":
            self.blob(parts[-1])
        else:
            self.fail(404)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def allowed(self) -> bool:
        registry, given = self.registry, self.headers.get("Authorization", "")
        if self.path.startswith("/token"):
            return self.give_token(given)
        if registry.token:
            if given == f"Bearer {registry.token}":
                return True
            realm = f'Bearer realm="http://{registry.host}/token",service="test",scope="repository:x/y:pull"'
            self.fail(401, "UNAUTHORIZED", "log in", WWW_Authenticate=realm)
            return False
        if registry.users and given not in [basic(name, word) for name, word in registry.users.items()]:
            self.fail(401, "UNAUTHORIZED", "log in", WWW_Authenticate='Basic realm="test"')
            return False
        return True

    def give_token(self, given: str) -> bool:
        registry = self.registry
        if registry.users and given not in [basic(name, word) for name, word in registry.users.items()]:
            self.fail(401)
        else:
            self.send(200, json.dumps({"token": registry.token, "expires_in": 300}).encode())
        return False

    def manifest(self, name: str) -> None:
        registry = self.registry
        if self.command == "PUT":
            data = self.body()
            registry.manifests[name] = registry.manifests[digest_of(data)] = (self.headers["Content-Type"], data)
            self.send(201, Location=self.path)
        elif name not in registry.manifests:
            self.fail(404, "MANIFEST_UNKNOWN", "manifest unknown")
        else:
            kind, data = registry.manifests[name]
            self.send(200, data, Content_Type=kind, Docker_Content_Digest=digest_of(data))

    def blob(self, digest: str) -> None:
        data = self.registry.blobs.get(digest)
        if data is None:
            self.fail(404, "BLOB_UNKNOWN", "blob unknown")
            return
        asked = self.headers.get("Range", "")
        if asked and self.registry.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send(200, data)

    def upload(self, session: str, query: str) -> None:
        registry = self.registry
        options = dict(row.split("=", 1) for row in query.split("&") if "=" in row)
        if self.command == "POST":
            if options.get("mount") in registry.blobs and registry.blobs[options["mount"]] and "from" in options:
                self.send(201, Location=f"/v2/x/blobs/{options['mount']}")
                return
            name = str(next(registry.sessions))
            registry.uploads[name] = bytearray()
            self.send(202, Location=f"/v2/x/y/blobs/uploads/{name}?state=1")
        elif self.command == "PATCH":
            if not registry.streams and "Content-Length" not in self.headers:
                self.body()
                self.fail(411, "SIZE_INVALID", "length required")
                return
            registry.uploads[session] += self.body()
            self.send(202, Location=f"/v2/x/y/blobs/uploads/{session}?state=2")
        elif self.command == "PUT":
            data = bytes(registry.uploads.pop(session)) + self.body()
            if digest_of(data) != options["digest"]:
                self.fail(400, "DIGEST_INVALID", "digest invalid")
                return
            registry.blobs[options["digest"]] = data
            self.send(201, Location="/")
        else:
            registry.uploads.pop(session, None)
            self.send(204)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@contextmanager
def registry() -> Iterator[Registry]:
    one = Registry()
    try:
        yield one
    finally:
        one.close()

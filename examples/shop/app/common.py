"""What the shop's programs share: a small JSON-over-HTTP server and client. Standard library only."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8000
Answer = tuple[int, Any]
Route = Callable[[str, str, Any], Answer]


def call(base: str, method: str, path: str, body: Any = None) -> Any:
    """Ask another service; raises ``OSError`` when it does not answer with success."""
    connection = HTTPConnection(base.removeprefix("http://"), timeout=2)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise OSError(f"{method} {base}{path}: {response.status}")
        return json.loads(text)
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """Passes a request to the program's ``route`` and writes what it returns: text as HTML, the rest as JSON."""

    route: Route

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            status, value = (
                (200, {"ok": True}) if self.path == "/healthz" else self.route(self.command, self.path, body)
            )
        except OSError as error:
            status, value = 502, {"error": str(error)}
        kind = "text/html; charset=utf-8" if isinstance(value, str) else "application/json"
        data = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, format: str, *args: Any) -> None:
        if self.path != "/healthz":
            print(f"{self.command} {self.path} {args[1]}", flush=True)


def stop_on_sigterm() -> None:
    """Pid 1 has no default action for SIGTERM: without this a ``down`` would wait for the grace period."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def serve(route: Route) -> None:
    """Answer until SIGTERM."""
    stop_on_sigterm()
    Handler.route = staticmethod(route)  # type: ignore[assignment]
    print(f"{os.path.basename(sys.argv[0])} listens on {PORT}", flush=True)
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()

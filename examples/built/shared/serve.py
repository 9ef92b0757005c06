"""Serves a page, and below it that of another server if one is named."""

import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, site, *others = sys.argv[1:]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with open(f"{site}/index.html", "rb") as file:
            page = file.read()
        for other in others:
            with urllib.request.urlopen(other, timeout=5) as answer:
                page += answer.read()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


def leave(*_details: object) -> None:
    raise SystemExit(0)


signal.signal(signal.SIGTERM, leave)
ThreadingHTTPServer(("", int(port)), Handler).serve_forever()

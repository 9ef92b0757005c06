"""Answers with its own name and with what the service behind it said: serve.py PORT [URL]."""

import os
import signal
import socket
import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def ask(url: str) -> str:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=2)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        behind = ""
        if len(sys.argv) > 2:
            try:
                behind = ask(sys.argv[2])
            except OSError as error:
                behind = f"{sys.argv[2]} does not answer: {error}\n"
        data = f"{socket.gethostname()} on port {sys.argv[1]}\n{behind}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()

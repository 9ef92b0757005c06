"""Serves a directory, and tells browsers of changes in it: serve.py PORT DIRECTORY.

``/`` is the page; ``/changes`` is a stream of server-sent events, one for each change. The page's script loads it anew.
"""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCRIPT = b"<script>new EventSource('/changes').onmessage = () => location.reload()</script>"
STEP = 0.005  # seconds between two looks at the directory


def stamp(directory: str) -> list[tuple[str, int, int]]:
    if not os.path.isdir(directory):
        return []  # nothing was synced yet
    rows = [(entry.name, entry.stat().st_mtime_ns, entry.stat().st_ino) for entry in os.scandir(directory)]
    return sorted([*rows, ("greeting", os.stat("/greeting").st_mtime_ns, 0)])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.changes() if self.path == "/changes" else self.page()

    def page(self) -> None:
        path = f"{sys.argv[2]}/index.html"
        if not os.path.exists(path):
            self.send_error(503, "nothing was synced yet: run pycompose watch")
            return
        with open(path) as page, open("/greeting") as greeting:
            text = page.read().replace("TITLE", os.environ["TITLE"]).replace("GREETING", greeting.read().strip())
        data = text.replace("STARTED", f"{STARTED:.3f}").encode() + SCRIPT
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def changes(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        before = stamp(sys.argv[2])
        self.wfile.write(b": here\n\n")
        while True:
            time.sleep(STEP)
            now = stamp(sys.argv[2])
            if now != before:
                before = now
                self.wfile.write(b"data: changed\n\n")

    def log_message(self, *_args: object) -> None:
        """Nothing for each request."""


STARTED = time.time()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()

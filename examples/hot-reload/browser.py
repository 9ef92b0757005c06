"""What a browser does, on a terminal: browser.py [PORT]. Loads the page, and again at each change it is told of."""

import http.client
import re
import sys
import time

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8083


def load() -> str:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    connection.request("GET", "/")
    return re.sub(r"<script>.*|<[^>]*>", "", connection.getresponse().read().decode()).strip()


def follow() -> None:
    """Show the page, then again whenever the server says that it changed; ends when the server goes."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=3600)
    connection.request("GET", "/changes")
    stream = connection.getresponse()
    stream.readline()
    print(load(), flush=True)
    while line := stream.readline():
        if line.startswith(b"data:"):
            print(f"--- changed\n{load()}", flush=True)


while True:
    try:
        follow()
    except (OSError, http.client.HTTPException):
        time.sleep(0.05)  # it restarts

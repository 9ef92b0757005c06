"""GET / gives the count, POST / raises it."""

import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def query(text):
    base = sqlite3.connect("/data/count.db")
    with base:
        base.execute("create table if not exists count (n integer)")
        rows = base.execute(text).fetchall()
    base.close()  # nothing stays open: a reset needs no restart
    return rows


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        query("insert into count values (1)")
        print("counted", flush=True)
        self.do_GET()

    def do_GET(self):
        body = str(query("select count(*) from count")[0][0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("", 8080), Handler).serve_forever()

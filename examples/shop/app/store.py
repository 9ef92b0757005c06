"""The stateful part: documents by key in SQLite, on a named volume."""

import json
import sqlite3
import sys
import threading

from common import Answer, serve

ADD_ONE = "INSERT INTO documents VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value"

lock = threading.Lock()
database = sqlite3.connect(sys.argv[1], check_same_thread=False, isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, value TEXT NOT NULL)")


def route(method: str, path: str, body: object) -> Answer:
    key = path.strip("/")
    with lock:
        if method == "PUT":
            database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (key, json.dumps(body)))
            return 200, body
        if method == "POST":  # add one, in one transaction
            return 200, int(database.execute(ADD_ONE, (key,)).fetchone()[0])
        row = database.execute("SELECT value FROM documents WHERE key = ?", (key,)).fetchone()
    return (200, json.loads(row[0])) if row else (404, {"error": f"no {key}"})


serve(route)

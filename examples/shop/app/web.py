"""The page that a visitor sees, made from what the api says."""

import html
import os
import socket

from common import Answer, call, serve

API = os.environ["API"]
TITLE = html.escape(os.environ.get("TITLE", "shop"))
PAGE = """<!doctype html>
<title>{title}</title>
<h1>{title}</h1>
<ul>{rows}</ul>
<p>Visit number {visits}, served by {host}.</p>
"""


def route(method: str, path: str, body: object) -> Answer:
    if path != "/":
        return 404, {"error": f"no {path}"}
    visits = call(API, "POST", "/visits")
    products = call(API, "GET", "/products")
    rows = "".join(f"<li>{html.escape(name)}: {cents / 100:.2f}</li>" for name, cents in products.items())
    return 200, PAGE.format(title=TITLE, rows=rows, visits=visits, host=socket.gethostname())


serve(route)

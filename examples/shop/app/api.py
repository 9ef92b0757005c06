"""What can be asked about the shop: products, and how often it was visited."""

import os

from common import Answer, call, serve

STORE = os.environ["STORE"]


def route(method: str, path: str, body: object) -> Answer:
    match method, path:
        case "GET", "/products":
            return 200, call(STORE, "GET", "/products")
        case "POST", "/visits":
            return 200, call(STORE, "POST", "/visits")
    return 404, {"error": f"no {path}"}


serve(route)

"""The health check of every service here: is there a 200 from /healthz?"""

import socket
import sys

try:
    with socket.create_connection(("127.0.0.1", 8000), timeout=1) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = b""
        while data := connection.recv(4096):
            answer += data
except OSError as error:
    sys.exit(f"no answer: {error}")
if b" 200 " not in answer[:16]:
    sys.exit(f"unhealthy: {answer[:64]!r}")

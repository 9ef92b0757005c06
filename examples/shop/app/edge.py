"""A tiny balancer: each connection goes to the next replica of ``web``, by the addresses that the DNS gives."""

import itertools
import socket
import threading

from common import PORT, stop_on_sigterm

turn = itertools.count()


def replicas() -> list[str]:
    found = socket.getaddrinfo("web", PORT, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({entry[4][0] for entry in found})


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def forward(client: socket.socket) -> None:
    with client:
        addresses = replicas()
        first = next(turn)
        for attempt in range(len(addresses)):
            try:
                server = socket.create_connection((addresses[(first + attempt) % len(addresses)], PORT), timeout=2)
            except OSError:
                continue
            with server:
                server.settimeout(None)
                up = threading.Thread(target=copy, args=(client, server), daemon=True)
                up.start()
                copy(server, client)
            return
        client.sendall(b"HTTP/1.0 503 Service Unavailable\r\n\r\nno web is up\n")


def main() -> None:
    stop_on_sigterm()
    with socket.create_server(("", PORT), backlog=128) as listener:
        print(f"edge.py listens on {PORT}", flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=forward, args=(client,), daemon=True).start()


main()

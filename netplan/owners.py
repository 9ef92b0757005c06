"""Who has a host port: looked up only to explain a refusal, from /proc/net and /proc/PID/fd."""

from __future__ import annotations

import os

_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}
_LISTEN = "0A"


def process_on_port(protocol: str, port: int) -> str:
    """``nginx (pid 812)``, or empty if no process of this machine is found to have the port."""
    inodes = _inodes(protocol, port)
    if not inodes:
        return ""
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        if _has_socket(pid, links):
            return f"{_name(pid)} (pid {pid})"
    return ""


def _inodes(protocol: str, port: int) -> list[str]:
    suffix = f":{port:04X}"
    found = []
    for table in _TABLES.get(protocol, ()):
        try:
            with open(f"/proc/thread-self/net/{table}") as file:
                rows = [line.split() for line in file.read().split("\n")[1:] if line]
        except OSError:
            continue
        for row in rows:
            if row[1].endswith(suffix) and (protocol == "udp" or row[3] == _LISTEN):
                found.append(row[9])
    return found


def _has_socket(pid: int, links: set[str]) -> bool:
    try:
        return any(_target(f"/proc/{pid}/fd/{fd}") in links for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"

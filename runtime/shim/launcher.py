"""The launcher: a small fresh interpreter from which shims and helpers are forked.

It runs with ``-I -S`` (no site-packages, no working directory on the path), one thread, everything imported before the
first fork, its heap frozen so that forks share it. It ends when the command that started it closes the connection.
"""

from __future__ import annotations

import _signal
import ctypes
import gc
import os
import sys

from runtime import launch
from runtime.cgroups.hierarchy import leave_unit
from runtime.messages import Channel, Closed
from runtime.paths import Roots
from runtime.shim.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from types import ModuleType

    from runtime.messages import Message

PR_SET_NAME = 15
LAUNCHER_FD = 3
_libc = ctypes.CDLL(None)


def main() -> None:
    """Serve forks: ``argv`` is ROOT STATE_DIR RUN_DIR HELPER_MAIN (see :mod:`runtime.container`)."""
    roots = Roots(sys.argv[2], sys.argv[3])
    name_process("pycompose-start")
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    channel = Channel.from_fd(LAUNCHER_FD)
    leave_unit()
    launch.warm()
    roots.instance()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        try:
            message, fds = channel.receive()
        except Closed:
            os._exit(0)  # taking the interpreter down in order costs 3 ms, for which the command waits
        serve(roots, sys.argv[4], message, fds, channel)
        for fd in fds:
            os.close(fd)


def serve(roots: Roots, helper_main: str, message: Message, fds: list[int], channel: Channel) -> None:
    """One request: fork the process that will answer on the descriptor that came along."""
    if message["op"] == "helper":
        _ensure_helper(roots, message["dir"], helper_main)
        return
    fork_asked(roots, helper_main, message, fds)


def fork_asked(roots: Roots, helper_main: str, message: Message, fds: list[int]) -> None:
    """Fork the shim that a message asks for: the first descriptor leads to who asked, the others are to be held."""
    adopt = message["op"] == "adopt"
    held = dict(zip(message.get("names", ()), fds[1:]))
    fork_shim(roots, message["id"], helper_main, keep=(fds[0],), adopt=adopt, held=held, reply_fd=fds[0])


def _ensure_helper(roots: Roots, directory: str, helper_main: str) -> None:
    from runtime.shim.keeping import ensure_helper

    ensure_helper(directory, lambda listener: fork_helper(roots, directory, helper_main, listener)).close()


def fork_shim(
    roots: Roots,
    ident: str,
    helper_main: str,
    *,
    keep: tuple[int, ...] = (),
    adopt: bool = False,
    held: dict[str, int] | None = None,
    reply_fd: int = -1,
) -> int:
    """Fork a shim; returns its pid. ``keep``: descriptors it inherits beside ``held``."""

    def body() -> None:
        name_process(f"pc-{ident[:12]}")
        shim = Supervisor(roots, ident, helper_main)
        reply = Channel.from_fd(reply_fd) if reply_fd >= 0 else None
        if adopt:
            shim.adopt(held or {}, reply)
        else:
            shim.create(reply)

    return _fork(body, (*keep, *(held or {}).values()), f"{roots.run}/shim-errors.log")


def fork_helper(roots: Roots, directory: str, helper_main: str, listener: _socket.socket) -> None:
    """Fork the helper on an already listening socket. ``helper_main``: a module with ``main(roots, dir, fd, name)``."""
    fd = listener.fileno()

    def body() -> None:
        name_process("pycompose-help")
        module = _import_politely(helper_main)
        module.main(roots, directory, fd, helper_main)

    _fork(body, (fd,), f"{roots.run}/shim-errors.log")


def _import_politely(name: str) -> ModuleType:
    """Import behind the containers that are being made: questions to the helper wait in its sockets meanwhile."""
    privileged = os.geteuid() == 0  # others could not take the priority back
    if privileged:
        os.setpriority(os.PRIO_PROCESS, 0, 10)
    module = __import__(name, fromlist=["main"])
    if privileged:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    return module


def _fork(body: Callable[[], None], keep: tuple[int, ...], errors: str) -> int:
    """Run ``body`` in a child that belongs to nobody's session and holds no other descriptors."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)  # a shim that forks a helper has its own way with it
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        close_others(keep)
        body()
    except BaseException:  # noqa: BLE001  # nobody above could report it
        import traceback  # 9 ms, only for this

        with open(errors, "a") as file:
            file.write(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def close_others(keep: tuple[int, ...]) -> None:
    """Close every descriptor from 3 on except ``keep``."""
    lowest = 3
    for fd in sorted(set(keep)):
        if fd > lowest:
            os.closerange(lowest, fd)
        lowest = max(lowest, fd + 1)
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def name_process(name: str) -> None:
    """The name in ps -o comm, at most 15 bytes (prctl(2) PR_SET_NAME)."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)

"""Makes a container's init in a process of its own, which ends before the container runs.

A forked Python process gets a copy of every page on which it only looks at an object, and making an init looks at many:
0.4 MiB of a shim's 2.8, kept for as long as the container lives. The init is born as the shim's child all the same
(CLONE_PARENT, clone(2)): who reaps it, and with whom it dies before exec, stays as it is.
"""

from __future__ import annotations

import _socket
import os

from runtime import errors, launch
from runtime.errors import RuntimeFault
from runtime.messages import Closed, pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from runtime.messages import Channel, Message

    Make = Callable[[], launch.Spawned]


def boot(name: str, make: Make) -> launch.Spawned:
    """What ``make`` makes in a child of ours; it must call ``spawn_init`` with ``sibling``.

    Raises what it raises, RuntimeFault or OSError; then its init is reaped, too. The caller has one thread.
    """
    ours, theirs = pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _make(make, theirs)
    theirs.close()
    try:
        message, fds = ours.receive()
    except Closed:
        message, fds = {"fault": f"cannot create container {name}: the process that made it died"}, []
    finally:
        ours.close()
        os.waitpid(pid, 0)
    if "pid" not in message:
        _reap()
        raise _failure(message)
    return _spawned(message, fds, name)


def _make(make: Make, channel: Channel) -> NoReturn:
    fds: list[int] = []
    try:
        spawned = make()
        optional = {"netns": spawned.netns_fd, "master": spawned.master_fd}
        names = [name for name, fd in optional.items() if fd >= 0]
        fds = [spawned.pidfd, spawned.channel.fileno(), *(optional[name] for name in names)]
        message: Message = {"pid": spawned.pid, "names": names, "left_out": spawned.left_out}
    except RuntimeFault as fault:
        message = {"fault": fault.message, "hint": fault.hint, "kind": type(fault).__name__}
    except OSError as error:
        message = {"errno": error.errno, "reason": error.strerror, "path": str(error.filename or "")}
    except BaseException as error:  # noqa: BLE001  # nobody above could report it
        message = {"fault": f"cannot create container: {type(error).__name__}: {error}"}
    try:
        channel.send(message, tuple(fds))
    finally:
        os._exit(0)


def _spawned(message: Message, fds: list[int], name: str) -> launch.Spawned:
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fds[1])
    spawned = launch.Spawned(message["pid"], fds[0], channel, name)
    more = dict(zip(message["names"], fds[2:]))
    spawned.netns_fd, spawned.master_fd = more.get("netns", -1), more.get("master", -1)
    spawned.left_out = message["left_out"]
    return spawned


def _failure(message: Message) -> Exception:
    if "errno" in message:
        return OSError(message["errno"], message["reason"], message["path"] or None)
    kind = getattr(errors, message.get("kind", ""), RuntimeFault)
    fault: Exception = kind(message["fault"], message.get("hint", ""))
    return fault


def _reap() -> None:
    """Every child of ours that has ended: an init that came to nothing."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass

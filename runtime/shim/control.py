"""What a shim answers on its control socket. Requests: docs/formats/shim-protocol.md."""

from __future__ import annotations

import _socket
import os
import struct

from runtime import events
from runtime.errors import Conflict, RuntimeFault, StartFailed
from runtime.exec import spawn_exec
from runtime.linux import process as proc
from runtime.messages import Channel, Closed, accept, listen
from runtime.shim.attach import Attached
from runtime.signals import SIGKILL, SIGTERM, signal_number
from runtime.spec import Process, Rlimit
from runtime.state import ALIVE, CREATED, RUNNING, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.messages import Message
    from runtime.shim.supervisor import Supervisor
    from runtime.state import State


def stop_signal(name: str) -> int:
    """Its number. Whatever the name, a container can be stopped."""
    try:
        return signal_number(name)
    except RuntimeFault:
        return SIGTERM


class Control:
    """The listening socket and its connections."""

    def __init__(self, shim: Supervisor) -> None:
        self.shim = shim
        self.listener: _socket.socket | None = None
        self.connections: dict[int, Channel] = {}
        self.waiters: list[Channel] = []  # want one answer when the container has ended
        self.subscribers: list[Channel] = []  # want every state
        self.execs: dict[int, tuple[Channel, int]] = {}  # connection fd → (channel, pidfd)

    def listen(self) -> None:
        self.listener = listen(self.shim.bundle.control)
        self.shim.loop.watch(self.listener.fileno(), self._accept)

    def _accept(self, _events: int) -> None:
        assert self.listener is not None
        channel = accept(self.listener)
        _pid, uid, _gid = struct.unpack("3i", channel.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12))
        if uid not in (0, os.geteuid()):  # the directory's mode keeps others out already
            channel.close()
            return
        self.adopt_connection(channel)

    def adopt_connection(self, channel: Channel) -> None:
        channel.sock.setblocking(False)
        self.connections[channel.fileno()] = channel
        self.shim.loop.watch(channel.fileno(), lambda _events: self._readable(channel))

    def drop(self, channel: Channel) -> None:
        fd = channel.fileno()
        if fd < 0:
            return  # dropped already
        self.shim.loop.forget(fd)
        self.connections.pop(fd, None)
        self.execs.pop(fd, None)
        for group in (self.waiters, self.subscribers):
            if channel in group:
                group.remove(channel)
        channel.close()

    def _readable(self, channel: Channel) -> None:
        try:
            message, fds = channel.receive()
        except BlockingIOError:
            return
        except (Closed, OSError):
            self.drop(channel)
            return
        try:
            answer = self._answer(channel, message, fds)
        except StartFailed as failure:
            answer = {"error": failure.message, "hint": failure.hint, "code": failure.code}
        except RuntimeFault as fault:
            answer = {"error": fault.message, "hint": fault.hint, "code": 1}
        except Exception as error:  # noqa: BLE001  # a shim must outlive its own bugs; the sender sees them
            import traceback

            self.shim.note(traceback.format_exc())
            answer = {"error": f"cannot {message.get('op')}: {error!r}", "hint": "this is a bug", "code": 1}
        if answer is not None:
            self.reply(channel, answer)

    def reply(self, channel: Channel, message: Message, fds: tuple[int, ...] = ()) -> None:
        try:
            channel.send(message, fds)
        except (BlockingIOError, Closed, OSError):
            self.drop(channel)

    def _answer(self, channel: Channel, message: Message, fds: list[int]) -> Message | None:
        operation = getattr(self, "op_" + str(message.get("op")).replace("-", "_"), None)
        if operation is None:
            return {"error": f"cannot do {message.get('op')!r}: unknown request", "code": 1}
        answer: Message | None = operation(channel, message, fds)
        return answer

    # -- requests; each returns the answer, or None when it comes later

    def op_start(self, _channel: Channel, _message: Message, _fds: list[int]) -> Message:
        self.shim.start()
        return {"ok": True}

    def op_stop(self, channel: Channel, message: Message, _fds: list[int]) -> Message | None:
        if self.shim.state.status == STOPPED:
            return {"exit": self.shim.state.exit_code}
        self.waiters.append(channel)
        number = stop_signal(message.get("signal") or self.shim.spec.stop_signal)
        timeout = message.get("timeout")
        if timeout is None:
            timeout = self.shim.spec.stop_timeout / 1e9
        self.shim.stop(number, None if timeout < 0 else timeout)
        return None

    def op_kill(self, _channel: Channel, message: Message, _fds: list[int]) -> Message:
        if self.shim.state.status not in ALIVE:
            raise Conflict(f"cannot kill container {self.shim.spec.name}: it is {self.shim.state.status}")
        number = signal_number(message["signal"])
        if number in (SIGKILL, signal_number(self.shim.spec.stop_signal)):
            self.shim.publish(manual=True)
        if number == SIGKILL:
            self.shim.kill()
        else:
            self.shim.signal(number)
        return {"ok": True}

    def op_wait(self, channel: Channel, _message: Message, _fds: list[int]) -> Message | None:
        if self.shim.state.status == STOPPED:
            return {"exit": self.shim.state.exit_code}
        self.waiters.append(channel)
        return None

    def op_subscribe(self, channel: Channel, _message: Message, _fds: list[int]) -> Message:
        self.subscribers.append(channel)
        return {"state": self.shim.state.__dict__}

    def op_pause(self, _channel: Channel, _message: Message, _fds: list[int]) -> Message:
        self.shim.pause()
        return {"ok": True}

    def op_unpause(self, _channel: Channel, _message: Message, _fds: list[int]) -> Message:
        self.shim.unpause()
        return {"ok": True}

    def op_update(self, _channel: Channel, message: Message, _fds: list[int]) -> Message:
        self.shim.update(message["spec"])
        return {"ok": True}

    def op_hold(self, _channel: Channel, message: Message, fds: list[int]) -> Message:
        """Keep descriptors (DNS sockets, port reservations) as long as the container's network lives."""
        for name, fd in zip(message["names"], fds):
            self.shim.keeping.hold(name, fd)
        if self.shim.state.status != CREATED:  # else with the start
            self.shim.keeping.offer()
        return {"ok": True}

    def op_held(self, _channel: Channel, _message: Message, _fds: list[int]) -> Message:
        return {"names": list(self.shim.keeping.held)}

    def op_release(self, _channel: Channel, message: Message, _fds: list[int]) -> Message:
        self.shim.keeping.release(message.get("prefix", ""))
        return {"ok": True}

    def op_delete(self, _channel: Channel, _message: Message, _fds: list[int]) -> Message | None:
        """The bundle is being removed: nothing is to be saved. Ends a container that never started."""
        if self.shim.state.status == STOPPED:
            self.shim.loop.later(0, self.shim.leave)
            return {"ok": True}
        raise Conflict(f"cannot delete container {self.shim.spec.name}: it is {self.shim.state.status}")

    def op_attach(self, channel: Channel, message: Message, _fds: list[int]) -> None:
        fd = channel.fileno()
        self.connections.pop(fd, None)
        self.reply(channel, {"ok": True})
        Attached(self.shim, channel)
        if message.get("rows"):
            self.shim.io.resize(message["rows"], message["columns"])

    def op_exec(self, channel: Channel, message: Message, fds: list[int]) -> None:
        try:
            if self.shim.state.status != RUNNING:
                raise Conflict(f"cannot exec in container {self.shim.spec.name}: it is {self.shim.state.status}")
            stdio = (fds[0], fds[1], fds[2]) if len(fds) == 3 else None
            done = spawn_exec(
                self.shim.state.pid,
                self.shim.pidfd,
                self.shim.spec,
                self.shim.bundle,
                self.shim.roots,
                process_from_plain(message["process"]),
                stdio,
                privileged=bool(message.get("privileged")),
            )
        finally:
            for fd in fds:
                os.close(fd)
        master = (done.master_fd,) if done.master_fd >= 0 else ()
        self.execs[channel.fileno()] = (channel, done.pidfd)
        about = {"execID": os.urandom(32).hex()}
        command = " ".join(message["process"]["args"])
        for action in ("exec_create", "exec_start"):
            events.tell(self.shim.roots, self.shim.bundle.id, f"{action}: {command}", about)
        self.reply(channel, {"ok": True, "pid": done.pid}, master)
        for fd in master:
            os.close(fd)
        self.shim.loop.watch(done.pidfd, lambda _events: self._exec_ended(channel, done.pidfd, about))

    def op_signal_exec(self, channel: Channel, message: Message, _fds: list[int]) -> Message | None:
        held = self.execs.get(channel.fileno())
        if held is not None:
            try:
                proc.pidfd_send_signal(held[1], signal_number(message["signal"]))
            except ProcessLookupError:
                pass
        return None

    def _exec_ended(self, channel: Channel, pidfd: int, about: dict[str, str]) -> None:
        self.shim.loop.forget(pidfd)
        code = proc.exit_status(pidfd, parent=True)
        os.close(pidfd)
        code = 255 if code is None else code
        events.tell(self.shim.roots, self.shim.bundle.id, "exec_die", {**about, "exitCode": str(code)})
        if channel.fileno() >= 0:
            self.execs.pop(channel.fileno(), None)
            self.reply(channel, {"exit": code})

    # -- what everyone is told

    def announce(self, state: State) -> None:
        for channel in list(self.subscribers):
            self.reply(channel, {"state": state.__dict__})

    def ended(self, state: State) -> None:
        for channel in list(self.waiters):
            self.reply(channel, {"exit": state.exit_code})
        self.waiters.clear()


def process_from_plain(plain: dict[str, Any]) -> Process:
    """A Process from its JSON form."""
    values: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    values["rlimits"] = tuple(Rlimit(**row) for row in plain.get("rlimits", ()))
    return Process(**values)

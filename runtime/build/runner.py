"""The process that carries out RUN steps: a small fresh interpreter with one thread, which forks a worker per step.

A build has threads, and a process that makes namespaces may have none; so the build sends each step here. A worker has
a mount namespace of its own for the trees that a step mounts, is the parent of the step's first process, and ends it
when the build goes away.
"""

from __future__ import annotations

import _signal
import gc
import json
import os
import select
import sys

from runtime import launch
from runtime.cgroups.manager import open_cgroup
from runtime.errors import RuntimeFault, StartFailed
from runtime.linux import mount as m
from runtime.linux import process as proc
from runtime.messages import Channel, Closed
from runtime.overlay import overlay
from runtime.paths import Bundle, Roots
from runtime.shim.launcher import close_others, name_process
from runtime.spec import decode
from runtime.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.messages import Message

RUNNER_FD = 3


class StepBundle(Bundle):
    """A step's files: everything but the cgroup's record lies in the build's staging directory."""

    def __init__(self, roots: Roots, ident: str, place: str) -> None:
        super().__init__(roots, ident)
        self.dir = place
        self.upper = f"{place}/diff"
        self.work = f"{place}/work"


def main() -> None:
    """Serve steps: ``argv`` is ROOT STATE_DIR RUN_DIR. Ends when the build closes the connection."""
    roots = Roots(sys.argv[2], sys.argv[3])
    name_process("pycompose-build")
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    channel = Channel.from_fd(RUNNER_FD)
    launch.warm()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        try:
            _message, fds = channel.receive()
        except Closed:
            os._exit(0)
        _fork(roots, fds)
        for fd in fds:
            os.close(fd)


def _fork(roots: Roots, fds: list[int]) -> None:
    """``fds``: the channel back, the step as JSON, its output, and a network namespace if it has one."""
    if os.fork():
        return
    try:
        os.setsid()
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        close_others(tuple(fds))
        _Worker(roots, fds).run()
    except BaseException:  # noqa: BLE001  # nobody above could report it
        import traceback

        with open(f"{roots.run}/shim-errors.log", "a") as file:
            file.write(traceback.format_exc())
        os._exit(1)
    os._exit(0)


class _Worker:
    def __init__(self, roots: Roots, fds: list[int]) -> None:
        self.roots = roots
        self.channel = Channel.from_fd(fds[0])
        with open(fds[1], "rb", closefd=False) as file:
            file.seek(0)
            self.step: dict[str, Any] = json.loads(file.read())
        self.output = fds[2]
        self.netns = fds[3] if len(fds) > 3 else None
        self.spec = decode(self.step["spec"])

    def run(self) -> None:
        name_process(f"pb-{self.spec.id[:12]}")
        try:
            answer = self._run()
        except StartFailed as error:
            answer = {"error": error.message, "hint": error.hint, "code": error.code}
        except RuntimeFault as error:
            answer = {"error": error.message, "hint": error.hint}
        except OSError as error:
            answer = {"error": f"cannot run the step: {error.strerror} ({error.filename or ''})", "hint": ""}
        finally:
            self._clear()
        try:
            self.channel.send(answer)
        except Closed:
            pass

    def _run(self) -> Message:
        self._mount_trees()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        bundle = StepBundle(self.roots, self.spec.id, self.step["place"])
        spawned = launch.spawn_init(
            self.spec,
            bundle,
            self.roots,
            stdio=(null, self.output, self.output),
            netns_fd=self.netns,
            floor=self.step["floor"],
        )
        os.close(self.output)
        spawned.start()
        self._wait(spawned.pidfd)
        code = proc.exit_status(spawned.pidfd, parent=True)
        return {"code": code, "oom": open_cgroup(self.roots, self.spec.id).oom_kills()}

    def _mount_trees(self) -> None:
        """Overlays that the step binds parts of; they end with this process and its container."""
        if not self.step["trees"]:
            return
        proc.unshare(proc.CLONE_NEWNS)
        m.set_propagation(b"/", m.MS_REC | m.MS_SLAVE)
        for tree in self.step["trees"]:
            mount = overlay(tuple(tree["layers"]), tree["upper"], tree["work"], volatile=bool(tree["upper"]))
            target = os.open(tree["target"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            m.move_mount(mount, target)
            os.close(target)
            os.close(mount)

    def _wait(self, pidfd: int) -> None:
        """Until it ends; when the build has gone, or says stop, it is killed."""
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self.channel.fileno(), select.POLLIN)
        while True:
            ready = {fd for fd, _event in poll.poll()}
            if pidfd in ready:
                return
            poll.unregister(self.channel.fileno())
            proc.pidfd_send_signal(pidfd, proc.SIGKILL)

    def _clear(self) -> None:
        cgroup = open_cgroup(self.roots, self.spec.id)
        cgroup.kill()
        cgroup.remove()
        remove_tree(f"{self.roots.run}/containers/{self.spec.id}")


if __name__ == "__main__":
    main()

"""RUN steps on the builder's side: the runner process, and one step's specification, mounts, output and end."""

from __future__ import annotations

import _socket
import json
import os
import sys
import threading

from runtime import capabilities, sealing
from runtime.build.errors import BuildFault
from runtime.cgroups.manager import open_cgroup
from runtime.linux.identity import start_time
from runtime.messages import Channel, Closed, pair
from runtime.record import record
from runtime.spec import HOST_GATEWAY, ContainerSpec, Mount, Namespaces, Process, Resources, Rootfs, encode
from runtime.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from runtime.paths import Roots
    from runtime.spec import File, Rlimit

MARK = "b017d0"  # how the ids of steps begin
HOSTNAME = "buildkitsandbox"  # what images that look at it expect
_BOOT = "import sys; sys.path.append(sys.argv[1]); from runtime.build.runner import main; main()"  # as the launcher's
_HOSTS = "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_FLOOR_DIRECTORIES = ("dev", "etc", "proc", "sys")
_FLOOR_FILES = ("etc/hosts", "etc/resolv.conf")


@record
class Tree:
    """Layers (top first) to mount at ``target`` for a step; ``upper`` and ``work`` where it may be written."""

    target: str
    layers: tuple[str, ...]
    upper: str = ""
    work: str = ""


@record
class Step:
    """A command to run on layers. ``place``: its directory in staging, with diff/ and work/. ``network``: default,
    none or host. ``binds``: the base's, if it is the built-in image."""

    place: str
    layers: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    network: str
    mounts: tuple[Mount, ...] = ()
    files: tuple[File, ...] = ()
    trees: tuple[Tree, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    insecure: bool = False


@record
class Machine:
    """What all steps of a build share: from the request."""

    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    memory: int = 0
    ulimits: tuple[Rlimit, ...] = ()
    cgroup_parent: str = ""
    hostname: str = HOSTNAME


class Runner:
    """The runner process; started when first asked, ended by :meth:`close`. Steps may run at the same time."""

    def __init__(
        self,
        roots: Roots,
        machine: Machine,
        resolv_conf: Callable[[], str],
        host_addresses: Callable[[], Sequence[str]],
    ) -> None:
        self.roots = roots
        self.machine = machine
        self.resolv_conf = resolv_conf
        self.host_addresses = host_addresses
        self.channel: Channel | None = None
        self.pid = 0
        self._lock = threading.Lock()
        self._running: set[Channel] = set()
        self._stopped = False

    def start(self) -> None:
        """Spawn it now, so that it is ready when it is needed."""
        with self._lock:
            if self.channel is None:
                self._spawn()

    def stop(self) -> None:
        """Kill what runs, and start nothing more; each :meth:`run` then ends."""
        with self._lock:
            self._stopped = True
            for channel in self._running:
                _hang_up(channel)

    def _spawn(self) -> None:
        os.makedirs(f"{self.roots.run}/containers", 0o700, exist_ok=True)
        sweep(self.roots)
        ours, theirs = pair()
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        argv = [sys.executable, "-I", "-S", "-c", _BOOT, root, self.roots.state, self.roots.run]
        errors = f"{self.roots.run}/shim-errors.log"
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        program, sealed = sealing.executable(self.roots)
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        self.pid = os.posix_spawn(program, argv, environment, file_actions=actions, setsid=True)
        theirs.close()
        if sealed >= 0:
            os.close(sealed)
        self.channel = ours

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None
            os.waitpid(self.pid, 0)

    def run(self, step: Step, netns_fd: int, output: Callable[[bytes], None]) -> tuple[int, int]:
        """Carry out a step: (exit code, processes killed for memory). ``output`` gets what it writes, as it comes.

        Raises BuildFault when it cannot be started.
        """
        self.start()
        assert self.channel is not None
        ident = MARK + os.urandom(29).hex()
        self._prepare(step, ident)
        ours, theirs = pair()
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        text = self._memory_file(step, ident)
        fds = (theirs.fileno(), text, write_end, *((netns_fd,) if netns_fd >= 0 else ()))
        try:
            self.channel.send({"op": "run"}, fds)
        except Closed:
            raise self._dead() from None
        finally:
            theirs.close()
            os.close(text)
            os.close(write_end)
        with self._lock:
            self._running.add(ours)
            if self._stopped:
                _hang_up(ours)
        try:
            while data := os.read(read_end, 65536):
                output(data)
            answer, _fds = ours.receive()
        except Closed:
            raise self._dead() from None
        except BaseException:  # the user's Ctrl-C: the step ends before its directory goes
            _hang_up(ours)
            _wait_for_end(ours)
            raise
        finally:
            with self._lock:
                self._running.discard(ours)
            os.close(read_end)
            ours.close()
        if "error" in answer:
            raise BuildFault(answer["error"], answer["hint"], code=1 if "code" in answer else 0)
        return answer["code"], answer["oom"]

    def _dead(self) -> BuildFault:
        return BuildFault("cannot run a build step: its process has died", f"see {self.roots.run}/shim-errors.log")

    def _prepare(self, step: Step, ident: str) -> None:
        """Files beside the layer, and who runs it, for :func:`sweep`."""
        os.mkdir(f"{self.roots.run}/containers/{ident}", 0o700)
        owner = os.getpid()
        _write(f"{self.roots.run}/containers/{ident}/builder", f"{owner} {start_time(owner)}")
        extra = "".join(
            f"{address}\t{name}\n" for name, where in self.machine.hosts for address in self._addresses(where, step)
        )
        hosts = _HOSTS.replace(HOSTNAME, self.machine.hostname)
        _write(f"{step.place}/hosts", hosts + extra)
        _write(f"{step.place}/resolv.conf", self.resolv_conf())

    def _addresses(self, where: str, step: Step) -> Sequence[str]:
        """What an extra host means: an address, or the word for this machine."""
        if where != HOST_GATEWAY:
            return (where,)
        return self.host_addresses() if step.network == "default" else ("127.0.0.1",)

    def _memory_file(self, step: Step, ident: str) -> int:
        """The step as JSON in memory: secrets never touch the disk."""
        plain: dict[str, Any] = {
            "place": step.place,
            "spec": encode(self._spec(step, ident)),
            "trees": [tree.__dict__ for tree in step.trees],
            "floor": ensure_floor(self.roots),
        }
        fd = os.memfd_create("step", os.MFD_CLOEXEC)
        with open(fd, "wb", closefd=False) as file:
            file.write(json.dumps(plain).encode())
        return fd

    def _spec(self, step: Step, ident: str) -> ContainerSpec:
        given = capabilities.NAMES if step.insecure else capabilities.DEFAULT
        files = [Mount(f"/etc/{name}", "bind", f"{step.place}/{name}") for name in ("hosts", "resolv.conf")]
        return ContainerSpec(
            ident,
            "build step",
            Process(
                step.args,
                step.env,
                step.cwd,
                step.user,
                capabilities=tuple(given),
                rlimits=self.machine.ulimits,
            ),
            Rootfs(step.layers, volatile=True, binds=step.binds),
            hostname=self.machine.hostname,
            namespaces=Namespaces(network="host" if step.network == "host" else "private"),
            mounts=(*files, *step.mounts),
            files=step.files,
            resources=Resources(memory=self.machine.memory),
            privileged=step.insecure,
            shm_size=self.machine.shm_size or 64 << 20,
            network_files=False,
            cgroup_parent=self.machine.cgroup_parent,
        )


def _hang_up(channel: Channel) -> None:
    """Tell a worker to end its step; it still answers."""
    try:
        channel.sock.shutdown(_socket.SHUT_WR)
    except OSError:
        pass


def _wait_for_end(channel: Channel) -> None:
    channel.settimeout(10)
    try:
        channel.receive()
    except (Closed, OSError):
        pass


def ensure_floor(roots: Roots) -> str:
    """Mount points for the bottom of every step's root, so that no layer gets them."""
    path = f"{roots.state}/build/floor"
    if not os.path.exists(f"{path}/{_FLOOR_FILES[-1]}"):
        for name in _FLOOR_DIRECTORIES:
            os.makedirs(f"{path}/{name}", 0o755, exist_ok=True)
            os.chmod(f"{path}/{name}", 0o755)
        for name in _FLOOR_FILES:
            _write(f"{path}/{name}", "")
    return path


def sweep(roots: Roots) -> None:
    """End the steps of builds that were killed."""
    directory = f"{roots.run}/containers"
    try:
        names = [name for name in os.listdir(directory) if name.startswith(MARK)]
    except FileNotFoundError:
        return
    for name in names:
        try:
            with open(f"{directory}/{name}/builder") as file:
                pid, began = file.read().split()
        except (OSError, ValueError):
            continue  # it is being made
        if start_time(int(pid)) != int(began):
            cgroup = open_cgroup(roots, name)
            cgroup.kill()
            cgroup.remove()
            remove_tree(f"{directory}/{name}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def stubs(targets: Sequence[str], exists: Callable[[str], bool]) -> list[str]:
    """Paths that will be made as mount points, parents first: those of the targets that are not there."""
    found: dict[str, None] = {}
    for target in targets:
        parts = target.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:depth])
            if not exists(path):
                found[path] = None
    return list(found)


def environment(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in values.items())

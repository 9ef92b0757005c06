"""One container's cgroup in every hierarchy of the machine: create, limit, join, freeze, kill, count, remove.

The unified (v2) directory is always made, on hybrid machines too: kill, freeze and the ``populated`` notification work
there without any controller. The paths are written to the container's run directory, because where they belong depends
on the position of the process that made them.
"""

from __future__ import annotations

import errno
import os
import select

from runtime.cgroups import files, stats
from runtime.cgroups.hierarchy import UNIFIED, Hierarchy, hierarchies
from runtime.cgroups.v1 import blkio, cpu, cpuset, devices, freezer, memory, pids
from runtime.cgroups.v2 import cpu as cpu2
from runtime.cgroups.v2 import cpuset as cpuset2
from runtime.cgroups.v2 import devices as devices2
from runtime.cgroups.v2 import io as io2
from runtime.cgroups.v2 import memory as memory2
from runtime.errors import RuntimeFault, Unsupported
from runtime.spec import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.paths import Roots

V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
ANY_DEVICE = ("a *:* rwm",)


def open_cgroup(roots: Roots, ident: str, parent: str = "") -> Cgroup:
    """The cgroup of a container, existing or not. ``parent``: the user's cgroup parent in place of the instance's.

    Raises RuntimeFault for a parent with ``..`` in it.
    """
    record = f"{roots.run}/containers/{ident}/cgroup"
    recorded = files.read(record)
    if recorded:
        rows = [line.split("\t") for line in recorded.splitlines()]
        return Cgroup({name: path for name, path in rows}, record, ident)
    middle = parent.strip("/") or roots.instance()
    if ".." in middle.split("/"):
        raise RuntimeFault(f"cannot use the cgroup parent {parent!r}: it contains ..")
    return Cgroup({h.name: f"{h.base}/{middle}/{ident}" for h in hierarchies()}, record, ident)


def paths_of(cgroup: Cgroup) -> tuple[tuple[str, str], ...]:
    """(mount point, directory) of each hierarchy, for the container's view of /sys/fs/cgroup."""
    return tuple((h.mount, cgroup.paths[h.name]) for h in hierarchies() if h.name in cgroup.paths)


class Cgroup:
    """``paths``: directory per hierarchy (names as in :class:`Hierarchy`)."""

    def __init__(self, paths: dict[str, str], record: str, ident: str) -> None:
        self.paths = paths
        self._record = record
        self.left_out: list[str] = []  # sentences about limits that this machine does not know
        self._instance = {os.path.dirname(path) for path in paths.values() if _is_instance(os.path.dirname(path))}
        self.id = ident

    # -- paths

    @property
    def unified(self) -> str:
        """The v2 directory, or empty."""
        return self.paths.get(UNIFIED, "")

    def v1(self, controller: str) -> str:
        """The v1 directory that carries the controller, or empty."""
        for name, path in self.paths.items():
            if name != UNIFIED and controller in name.split(","):
                return path
        return ""

    # -- making

    def create(self, resources: Resources, privileged: bool = False, rules: Sequence[str] = ()) -> None:
        """Make the directories and set all limits, before any process is in. Replaces an empty leftover.

        ``rules``: the devices controller's, in v1 syntax; none means no restriction. Raises RuntimeFault; then nothing
        is left.
        """
        self.begin()
        self.complete(resources, privileged, rules)

    def begin(self) -> None:
        """The first half of :meth:`create`: the record and the v2 directory, which a process can be born in."""
        if not self.paths:
            raise Unsupported(
                "cannot limit containers: no cgroup hierarchy is mounted", "mount cgroup2 on /sys/fs/cgroup"
            )
        self._write_record()
        self._guarded(lambda: self._make_all(unified=True))
        if self.unified and os.path.dirname(self.unified) not in self._instance:
            _pass_down(self.unified)

    def complete(self, resources: Resources, privileged: bool = False, rules: Sequence[str] = ()) -> None:
        """The second half: the v1 directories and all limits; a process of ours may already wait in the v2 one.

        Raises RuntimeFault; then nothing is left but what that process holds.
        """
        self._guarded(lambda: self._make_all(unified=False))
        self._guarded(lambda: self._limit(resources, privileged, rules))

    def _make_all(self, unified: bool) -> None:
        for name, path in self.paths.items():
            if (name == UNIFIED) == unified:
                try:
                    _make(path, on_v2=unified)
                except FileExistsError:  # of an earlier run: its limits and counters must not stay
                    self._remove_tree(path)
                    _make(path, on_v2=unified)

    def _limit(self, resources: Resources, privileged: bool, rules: Sequence[str]) -> None:
        if path := self.v1("cpuset"):
            cpuset.inherit(path)
        self._apply(resources)
        self._restrict_devices(ANY_DEVICE if privileged or not rules else rules)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Errors of the kernel as sentences; what was made is removed as far as nobody is in it."""
        try:
            work()
        except OSError as error:
            self._discard()
            raise RuntimeFault(
                f"cannot create the cgroup of container {self.id[:12]}: {error.strerror}: {error.filename}",
                "pycompose needs write access to /sys/fs/cgroup",
            ) from error
        except RuntimeFault:
            self._discard()
            raise

    def _discard(self) -> None:
        for path in self.paths.values():
            try:
                _rmdir(path)
            except OSError:
                continue

    def _write_record(self) -> None:
        os.makedirs(os.path.dirname(self._record), 0o700, exist_ok=True)
        temporary = f"{self._record}.{os.getpid()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, "".join(f"{name}\t{path}\n" for name, path in self.paths.items()).encode())
        finally:
            os.close(fd)
        os.rename(temporary, self._record)

    def update(self, resources: Resources) -> None:
        """Change limits of a living container. Raises RuntimeFault at the first that the kernel refuses."""
        self._apply(resources)

    def _apply(self, resources: Resources) -> None:
        if resources == Resources():
            return
        if not self.v1("memory"):
            self.left_out += memory2.left_out(resources)
        if resources.cpu_rt_runtime and (directory := self.v1("cpu")):
            cpu.give_to_parent(directory, resources)
        for controller, directory, settings in self._settings(resources):
            if settings and not directory:
                raise Unsupported(f"cannot set {settings[0][2]}: this machine has no {controller} cgroup controller")
            self.left_out += files.write_settings(directory, settings)

    def _settings(self, resources: Resources) -> list[tuple[str, str, list[files.Setting]]]:
        """(controller, directory, files) for each controller, in v1 where it is mounted there, else in v2."""
        rows: list[tuple[str, str, list[files.Setting]]] = []
        two = self.unified
        one = self.v1("cpu")
        rows.append(("cpu", one or two, cpu.settings(resources) if one else cpu2.settings(resources)))
        one = self.v1("cpuset")
        rows.append(("cpuset", one or two, cpuset.settings(resources) if one else cpuset2.settings(resources)))
        one = self.v1("memory")
        memories = memory.settings(resources, one) if one else memory2.settings(resources, two)
        rows.append(("memory", one or two, memories))
        rows.append(("pids", self.v1("pids") or two, pids.settings(resources)))
        one = self.v1("blkio")
        rows.append(("io", one or two, blkio.settings(resources, one) if one else io2.settings(resources, two)))
        return rows

    def _restrict_devices(self, rules: Sequence[str]) -> None:
        if directory := self.v1("devices"):
            devices.apply(directory, rules)
        elif self.unified and tuple(rules) != ANY_DEVICE:
            devices2.attach(self.unified, rules)

    def task_files(self) -> list[bytes]:
        """The v1 files that a child joins by writing "0" (see :meth:`join_fds`)."""
        return [os.fsencode(f"{path}/tasks") for name, path in self.paths.items() if name != UNIFIED]

    def join_fds(self) -> tuple[list[int], int]:
        """(open ``tasks`` files, v2 directory or -1): a single-threaded child writes "0" to each of the former.

        Writing one's own number to ``tasks`` moves one thread without the grace period (12 ms) that a write of another
        process's number to ``cgroup.procs`` waits for; in v2 the child is born inside (CLONE_INTO_CGROUP).
        """
        tasks = [
            os.open(f"{path}/tasks", os.O_WRONLY | os.O_CLOEXEC) for name, path in self.paths.items() if name != UNIFIED
        ]
        unified = os.open(self.unified, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if self.unified else -1
        return tasks, unified

    # -- living

    def pids(self) -> list[int]:
        """The processes inside, including those of cgroups below."""
        directory = self.unified or next(iter(self.paths.values()), "")
        found: list[int] = []
        for path, _directories, _files in os.walk(directory):
            found += map(int, files.read(f"{path}/cgroup.procs").split())
        return found

    def freeze(self) -> None:
        """Stop every process and wait until all stand. Raises RuntimeFault."""
        if directory := self.v1("freezer"):
            freezer.freeze(directory)
            return
        try:
            files.write(f"{self.unified}/cgroup.freeze", "1")
        except OSError as error:
            raise RuntimeFault(f"cannot pause: {error.strerror}") from error
        if not self._wait_event("frozen 1", 10_000):
            files.write(f"{self.unified}/cgroup.freeze", "0")
            raise RuntimeFault("cannot pause: some process did not freeze in 10 s")

    def thaw(self) -> None:
        """Let the processes go on; nothing when the cgroup is gone: in v2 a frozen process dies at once when killed.

        Raises RuntimeFault.
        """
        try:
            if directory := self.v1("freezer"):
                freezer.thaw(directory)
            else:
                files.write(f"{self.unified}/cgroup.freeze", "0")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise RuntimeFault(f"cannot unpause: {error.strerror}") from error

    def kill(self) -> None:
        """SIGKILL to every process inside, frozen ones too; nothing when the cgroup is gone."""
        self._send_kill()
        if (directory := self.v1("freezer")) and files.read(f"{directory}/freezer.state").strip() not in ("", "THAWED"):
            freezer.thaw(directory)  # a task frozen by v1 dies only then

    def _send_kill(self) -> None:
        if self.unified:
            try:
                files.write(f"{self.unified}/cgroup.kill", "1")
                return
            except FileNotFoundError:  # gone, or older than Linux 5.14
                if not os.path.isdir(self.unified):
                    return
        for pid in self.pids():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass

    def _wait_event(self, wanted: str, milliseconds: int) -> bool:
        """Wait until cgroup.events says ``wanted``; the kernel notifies with POLLPRI."""
        try:
            fd = os.open(f"{self.unified}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            while True:
                if wanted in os.pread(fd, 4096, 0).decode():
                    return True
                if not poll.poll(milliseconds):
                    return False
        except OSError:
            return True
        finally:
            os.close(fd)

    def oom_kills(self) -> int:
        """How many processes the kernel killed here for want of memory."""
        if directory := self.v1("memory"):
            return files.read_table(f"{directory}/memory.oom_control").get("oom_kill", 0)
        return files.read_table(f"{self.unified}/memory.events").get("oom_kill", 0) if self.unified else 0

    def stats(self) -> stats.Stats:
        """Counters of this moment; zeros when the cgroup is gone."""
        return stats.read_stats(self)

    # -- the end

    def remove(self) -> None:
        """Remove the directories everywhere, those below first; the instance's too when they are empty.

        Waits up to 2 s for dying processes. Raises RuntimeFault when something lives on inside.
        """
        for path in self.paths.values():
            self._remove_tree(path)
        for parent in self._instance:
            _rmdir(parent)
        for leftover in (self._record, f"{self._record}.{os.getpid()}"):
            try:
                os.unlink(leftover)
            except FileNotFoundError:
                pass

    def _remove_tree(self, path: str) -> None:
        if _rmdir(path):
            return
        if self.unified:
            self._wait_event("populated 0", 2000)
        for _attempt in range(10):
            for below, _directories, _files in os.walk(path, topdown=False):
                _rmdir(below)
            if not os.path.isdir(path):
                return
            select.select([], [], [], 0.01)  # v1 has no notification that a task has left
        raise RuntimeFault(f"cannot remove cgroup {path}: processes {self.pids()} are still in it")


def _is_instance(path: str) -> bool:
    return os.path.basename(path).startswith("pycompose")


def _rmdir(path: str) -> bool:
    """Whether the directory is gone."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True


def _make(path: str, on_v2: bool) -> None:
    """mkdir with missing parents; v1's cpuset parents get CPUs, v2's parents pass their controllers on."""
    try:
        os.mkdir(path, 0o755)
        return
    except FileNotFoundError:
        pass
    parent = os.path.dirname(path)
    if parent == path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    try:
        _make_parent(parent, on_v2)
    except FileExistsError:
        pass
    _make(path, on_v2)


def _make_parent(path: str, on_v2: bool) -> None:
    grandparent = os.path.dirname(path)
    if not os.path.isdir(grandparent):
        _make_parent(grandparent, on_v2)
    os.mkdir(path, 0o755)
    if os.path.exists(f"{path}/cpuset.cpus") and not on_v2:
        cpuset.inherit(path)
    if on_v2:
        for directory in (grandparent, path):
            _pass_controllers(directory)


def _pass_down(path: str) -> None:
    """The controllers to a cgroup whose parent was there before: a slice of systemd has those its units asked for."""
    for hierarchy in hierarchies():
        if hierarchy.is_v2 and path.startswith(f"{hierarchy.mount}/"):
            above = hierarchy.mount
            for part in path[len(above) + 1 :].split("/"):
                _pass_controllers(above)
                above = f"{above}/{part}"


def _pass_controllers(directory: str) -> None:
    """Give the controllers of ``directory`` to the cgroups below it, each by itself: one may be refused (EBUSY)."""
    available = files.read(f"{directory}/cgroup.controllers").split()
    enabled = files.read(f"{directory}/cgroup.subtree_control").split()
    for controller in V2_CONTROLLERS:
        if controller in available and controller not in enabled:
            try:
                files.write(f"{directory}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                continue  # a limit that needs it fails later, with its name


__all__ = ["Cgroup", "Hierarchy", "open_cgroup", "paths_of"]

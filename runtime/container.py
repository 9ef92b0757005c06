"""The verbs on containers, for callers outside: bundles on disk, the launcher, requests to shims.

OCI's words: create boots everything up to the moment before exec, start lets it go, kill sends a signal, delete
removes what is left. All functions take the roots first; ``ident`` is the container's 64 hex digits.
"""

from __future__ import annotations

import fcntl
import os
import sys

from runtime import plain_json as json
from runtime import sealing
from runtime.errors import Conflict, NotFound, RuntimeFault, StartFailed
from runtime.linux.identity import boot_id, start_time
from runtime.messages import Channel, Closed, pair
from runtime.paths import Bundle, Roots, containers_dir, remove_run_dir, trash_dir
from runtime.record import EMPTY, record, replace
from runtime.signals import SIGKILL
from runtime.spec import ContainerSpec, decode, encode
from runtime.state import (
    ACTIVE,
    CREATING,
    STOPPED,
    State,
    is_alive,
    read_json,
    read_state,
    write_json,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from runtime.messages import Message

_LAUNCH = "import sys; sys.path.append(sys.argv[1]); from runtime.shim.launcher import main; main()"
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, EXT4_TOPDIR_FL = 0x80086601, 0x40086602, 0x20000  # ioctl_iflags(2)
RECONNECT = 3.0  # seconds in which a killed shim is expected back


@record
class Container:
    """A container on disk: name and labels (of labels.json) and its state now."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: State
    created_at: str = ""
    info: Mapping[str, Any] = EMPTY  # small facts for listings: command, mounts, tty


class Launcher:
    """Our connection to a launcher process, started on first use; one per command."""

    def __init__(self, roots: Roots, helper_main: str) -> None:
        self.roots = roots
        self.helper_main = helper_main
        self.channel: Channel | None = None
        self.pid = 0
        self.asked = False

    def start(self) -> None:
        """Spawn it now, so that it is ready when it is needed."""
        if self.channel is not None:
            return
        os.makedirs(self.roots.run, mode=0o700, exist_ok=True)
        ours, theirs = pair()
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        argv = [sys.executable, "-I", "-S", "-c", _LAUNCH, root, self.roots.state, self.roots.run, self.helper_main]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (
                os.POSIX_SPAWN_OPEN,
                2,
                f"{self.roots.run}/shim-errors.log",
                os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                0o600,
            ),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        program, sealed = sealing.executable(self.roots)
        self.pid = os.posix_spawn(program, argv, _clean_environment(), file_actions=actions, setsid=True)
        theirs.close()
        if sealed >= 0:
            os.close(sealed)
        self.channel = ours

    def ask(self, message: Message, fds: tuple[int, ...] = ()) -> Channel:
        """Have something forked; the returned channel leads to it. It answers when it is ready.

        ``fds``: what an adopting shim holds from its first moment, by the message's ``names``.
        """
        self.start()
        self.asked = True
        assert self.channel is not None
        try:
            return ask_fork(self.channel, message, fds)
        except Closed:
            raise RuntimeFault("cannot reach the launcher: it has died", _errors_hint(self.roots)) from None

    def close(self) -> None:
        """Let it go and reap it."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
            if not self.asked:  # it may still be importing, for nothing
                os.kill(self.pid, SIGKILL)
            os.waitpid(self.pid, 0)


def ask_fork(channel: Channel, message: Message, fds: tuple[int, ...] = ()) -> Channel:
    """Ask a launcher or a helper to fork something; the channel to it. Raises Closed when nobody is there."""
    ours, theirs = pair()
    try:
        channel.send(message, (theirs.fileno(), *fds))
    except Closed:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def _clean_environment() -> dict[str, str]:
    """Nothing of the user's shell reaches the shims but what finds the machine's tools and our tests' settings."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PYCOMPOSE_BOOT_ID", "TZ")}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **kept}


def _errors_hint(roots: Roots) -> str:
    return f"see {roots.run}/shim-errors.log"


def answer(channel: Channel, what: str, roots: Roots) -> Message:
    """The next message, with the shim's errors raised. ``what`` completes "cannot"."""
    try:
        message, fds = channel.receive()
    except Closed:
        raise RuntimeFault(f"cannot {what}: its shim has died", _errors_hint(roots)) from None
    for fd in fds:
        os.close(fd)
    return raise_for(message)


def raise_for(message: Message) -> Message:
    if "error" in message:
        code = message.get("code", 1)
        if code in (126, 127, 128):
            raise StartFailed(message["error"], code, message.get("hint", ""))
        raise RuntimeFault(message["error"], message.get("hint", ""))
    return message


# -- bundles


def write_bundle(
    roots: Roots,
    spec: ContainerSpec,
    *,
    annotations: Mapping[str, Any],
    created_at: str,
    resolv_conf: str = "",
    info: Mapping[str, Any] = EMPTY,
) -> Bundle:
    """Write a new container's durable files; it exists from the final rename on."""
    bundle = Bundle(roots, spec.id)
    if os.path.exists(bundle.dir):
        return bundle
    owner = os.getpid()
    staging = f"{containers_dir(roots)}/.new-{owner}-{start_time(owner)}-{spec.id}"
    make_roots(roots)
    os.mkdir(staging, 0o700)
    for name, mode in (("upper", 0o755), ("work", 0o700)):
        os.mkdir(f"{staging}/{name}", mode)
    write_new(f"{staging}/spec.json", json.dumps(encode(spec), separators=(",", ":")))
    labels = {"name": spec.name, "created_at": created_at, "labels": dict(spec.labels), "info": dict(info)}
    write_new(f"{staging}/labels.json", json.dumps(labels, separators=(",", ":")))
    write_new(f"{staging}/annotations.json", json.dumps(dict(annotations), separators=(",", ":")))
    write_new(f"{staging}/hostname", f"{spec.hostname}\n", 0o644)
    write_new(f"{staging}/hosts", hosts_text(spec, ()), 0o644)
    write_new(f"{staging}/resolv.conf", resolv_conf, 0o644)
    os.rename(staging, bundle.dir)
    return bundle


def make_roots(roots: Roots) -> None:
    """The directories everything lives in, mode 0700. Raises RuntimeFault when they cannot be made."""
    try:
        for path in (roots.state, roots.run):
            os.makedirs(path, mode=0o700, exist_ok=True)
        os.makedirs(trash_dir(roots), mode=0o700, exist_ok=True)
        for path in (containers_dir(roots), f"{roots.run}/containers"):
            _make_spread(path)
    except OSError as error:
        raise RuntimeFault(
            f"cannot write {error.filename}: {error.strerror}",
            "run as root, or set PYCOMPOSE_STATE_DIR and PYCOMPOSE_RUN_DIR to directories of yours",
        ) from error


def _make_spread(path: str) -> None:
    """Make a directory whose subdirectories ext4 places far apart (chattr +T); see docs/decisions/0003-spread.md."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = bytearray(8)
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
        value = int.from_bytes(flags[:4], sys.byteorder) | EXT4_TOPDIR_FL
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, value.to_bytes(8, sys.byteorder))
    except OSError:
        pass  # another file system: it does not need it
    finally:
        os.close(fd)


def write_new(path: str, text: str, mode: int = 0o600) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
    if mode != 0o600:
        os.chmod(path, mode)  # whatever the umask


_HOSTS_HEAD = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


def hosts_text(spec: ContainerSpec, addresses: tuple[str, ...]) -> str:
    """/etc/hosts: localhost, extra hosts, then the container's own addresses; tab separated as Docker writes it."""
    if spec.namespaces.network == "host":
        own = ""
        head = read_text("/etc/hosts")
    else:
        head = _HOSTS_HEAD
        full = f"{spec.hostname}.{spec.domainname} {spec.hostname}" if spec.domainname else spec.hostname
        own = "".join(f"{address}\t{full}\n" for address in addresses)
    extra = "".join(f"{address}\t{name}\n" for name, address in spec.extra_hosts)
    return head + extra + own


def read_text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def overwrite(path: str, text: str) -> None:
    """Replace content in place: the file is bind mounted, so its inode must stay."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, 0)
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read_spec(roots: Roots, ident: str) -> ContainerSpec:
    plain = read_json(Bundle(roots, ident).spec)
    if plain is None:
        raise NotFound(f"cannot find container {ident[:12]}", "it was removed")
    return decode(plain)


def read_annotations(roots: Roots, ident: str) -> Mapping[str, Any]:
    return read_json(Bundle(roots, ident).annotations) or {}


def list_containers(roots: Roots) -> Iterator[Container]:
    """Every container on this machine, in no order; cheap: two small files each."""
    boot = boot_id()
    try:
        names = os.listdir(containers_dir(roots))
    except FileNotFoundError:
        return
    for name in names:
        if not name.startswith("."):
            found = read_container(roots, name, boot)
            if found is not None:
                yield found


def read_container(roots: Roots, ident: str, boot: str = "") -> Container | None:
    """One container, or None when it is not (or no longer) there."""
    bundle = Bundle(roots, ident)
    labels = read_json(bundle.labels)
    if labels is None:
        return None
    state = read_state(bundle, boot or boot_id())
    return Container(ident, labels["name"], labels["labels"], state, labels["created_at"], labels.get("info", {}))


def rewrite_labels(roots: Roots, ident: str, *, name: str = "", labels: Mapping[str, str] = EMPTY) -> None:
    """Rename a container and change labels (an empty value removes one)."""
    bundle = Bundle(roots, ident)
    plain = read_json(bundle.labels)
    if plain is None:
        raise NotFound(f"cannot find container {ident[:12]}", "it was removed")
    plain["name"] = name or plain["name"]
    plain["labels"] = {key: value for key, value in {**plain["labels"], **labels}.items() if value}
    write_json(bundle.labels, plain)


def rewrite_spec(roots: Roots, spec: ContainerSpec, annotations: Mapping[str, Any]) -> None:
    """Replace a container's spec and annotations after an update in place."""
    bundle = Bundle(roots, spec.id)
    write_json(bundle.spec, encode(spec))
    write_json(bundle.annotations, dict(annotations))


# -- requests


def connect(roots: Roots, ident: str, wait: float = RECONNECT) -> Channel:
    """A connection to the container's shim; waits a moment for one that is being replaced. Raises Conflict: none."""
    import time

    bundle = Bundle(roots, ident)
    give_up = time.monotonic() + wait
    while True:
        try:
            return Channel.connect(bundle.control)
        except OSError:
            state = read_state(bundle, boot_id())
            if state.status not in ACTIVE or time.monotonic() > give_up:
                raise Conflict(f"cannot reach the shim of container {ident[:12]}: it is {state.status}") from None
            time.sleep(0.01)  # the helper is forking a new shim; there is nothing to wait on


def request(roots: Roots, ident: str, message: Message, fds: tuple[int, ...] = ()) -> Message:
    """One request that may be repeated; a shim that dies meanwhile is asked again when it is back."""
    for last in (False, False, True):
        channel = connect(roots, ident)
        try:
            channel.send(message, fds)
            return answer(channel, f"{message['op']} container {ident[:12]}", roots)
        except (RuntimeFault, Closed) as fault:
            if last or (isinstance(fault, RuntimeFault) and "has died" not in fault.message):
                raise
        finally:
            channel.close()
    raise AssertionError("unreachable")


def stop(roots: Roots, ident: str, *, signal: str = "", timeout: float | None = None) -> int:
    """Stop and wait for the end; the exit code. A container that does not run is left alone."""
    bundle = Bundle(roots, ident)
    state = read_state(bundle, boot_id())
    if state.status == STOPPED:
        return state.exit_code
    try:
        return int(request(roots, ident, {"op": "stop", "signal": signal, "timeout": timeout})["exit"])
    except Conflict:
        return read_state(bundle, boot_id()).exit_code


def delete(roots: Roots, ident: str) -> None:
    """Remove a stopped container's files: one rename into the trash, emptied by :func:`empty_trash`."""
    bundle = Bundle(roots, ident)
    if read_state(bundle, boot_id()).status in ACTIVE:
        raise Conflict(f"cannot remove container {ident[:12]}: it is running", "stop it first, or use --force")
    os.makedirs(trash_dir(roots), mode=0o700, exist_ok=True)
    try:
        os.rename(bundle.dir, f"{trash_dir(roots)}/{ident}")
    except FileNotFoundError:
        pass
    dismiss(roots, ident)
    remove_run_dir(bundle)


def settled_state(roots: Roots, ident: str, wait: float = 10.0) -> State:
    """The state, once a shim that is still creating (for a command that was killed) has finished or died."""
    import time

    bundle, give_up = Bundle(roots, ident), time.monotonic() + wait
    while True:
        state = read_state(bundle, boot_id())
        if state.status != CREATING or not state.shim_pid:
            return state
        if not is_alive(state.shim_pid, state.shim_start_time) or time.monotonic() > give_up:
            return replace(state, status=STOPPED)
        time.sleep(0.005)  # it has no control socket yet that one could wait on


def dismiss(roots: Roots, ident: str) -> None:
    """Have the shim of an ended container leave now, if it still lingers, and wait until it has."""
    try:
        channel = Channel.connect(Bundle(roots, ident).control, 5.0)
    except OSError:
        return
    try:
        if "error" not in channel.ask({"op": "delete"})[0]:
            channel.receive()  # its end
    except (Closed, OSError):
        pass
    channel.close()


def sweep_staging(roots: Roots) -> bool:
    """Put bundles whose writer was killed half-way into the trash; whether there were any."""
    try:
        names = os.listdir(containers_dir(roots))
    except FileNotFoundError:
        return False
    found = False
    for name in names:
        if name.startswith(".new-"):
            _new, pid, started, ident = name[1:].split("-", 3)
            if start_time(int(pid)) != int(started):
                os.rename(f"{containers_dir(roots)}/{name}", f"{trash_dir(roots)}/{ident}")
                found = True
    return found


def has_trash(roots: Roots) -> bool:
    """Whether a command that was killed left what it had removed."""
    try:
        return bool(os.listdir(trash_dir(roots)))
    except FileNotFoundError:
        return False


def empty_trash(roots: Roots) -> None:
    """Delete what was removed, in a process of its own at the lowest priority; returns at once."""
    if not has_trash(roots):
        return
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    script = 'cd "$1" && exec nice -n 19 rm -rf -- ./*'
    argv = ["sh", "-c", script, "sh", trash_dir(roots)]
    os.posix_spawn("/bin/sh", argv, {"PATH": "/usr/bin:/bin"}, file_actions=null, setsid=True)

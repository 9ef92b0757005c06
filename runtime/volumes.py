"""Named and anonymous volumes: directories under the state root. Format: docs/formats/volumes.md.

A volume is ``volumes/NAME/`` with ``volume.json`` (what it is), ``_data`` (its content) and marks of its first filling.
Creating is one rename of a finished directory, removing one rename out of the way: no half volume is ever seen.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from runtime import plain_json as json
from runtime.errors import Conflict, NotFound, RuntimeFault
from runtime.record import EMPTY, record, to_plain
from runtime.spec import Mount
from runtime.tree import open_directory, remove_tree, write_durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.paths import Roots
    from runtime.spec import Rootfs

VERSION = 1
ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_OPTIONS = ("type", "o", "device")


@record
class Volume:
    """A volume. ``options``: driver_opts of the ``local`` driver (type, o, device). ``created``: RFC 3339 UTC."""

    name: str
    labels: Mapping[str, str] = EMPTY
    options: Mapping[str, str] = EMPTY
    created: str = ""

    @property
    def is_bind(self) -> bool:
        """Whether it is another name for a directory of the host (``type: none``, ``o: bind``)."""
        return "bind" in self.options.get("o", "").split(",")

    @property
    def is_mounted(self) -> bool:
        """Whether a file system of its own is mounted on its data directory while it is used."""
        return bool(self.options.get("type")) and not self.is_bind


def volumes_dir(roots: Roots) -> str:
    return f"{roots.state}/volumes"


def _home(roots: Roots, name: str) -> str:
    if not name or not name[0].isalnum() or len(name) > 255 or not _NAME.issuperset(name):
        raise RuntimeFault(f"cannot use volume name {name!r}", "use letters, digits, '_', '.' and '-'")
    return f"{volumes_dir(roots)}/{name}"


def create_volume(
    roots: Roots, name: str, labels: Mapping[str, str] = EMPTY, options: Mapping[str, str] = EMPTY
) -> Volume:
    """The volume of that name, made if there is none; an existing one keeps its labels and options.

    Raises RuntimeFault on a bad name or options, Conflict when an existing volume has other options.
    """
    try:
        volume = get_volume(roots, name)
    except NotFound:
        _check_options(name, options)
        volume = _create(roots, Volume(name, dict(labels), dict(options), _now()))
    if dict(volume.options) != dict(options):
        hint = f"remove it (`pycompose down -v`, or its directory {volumes_dir(roots)}/{name}) or give it another name"
        raise Conflict(f"cannot create volume {name!r}: it exists with other driver options", hint)
    return volume


def create_anonymous(roots: Roots, labels: Mapping[str, str] = EMPTY) -> Volume:
    """A new volume with a random name of 64 hexadecimal digits."""
    return create_volume(roots, os.urandom(32).hex(), {ANONYMOUS_LABEL: "", **labels})


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _check_options(name: str, options: Mapping[str, str]) -> None:
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise RuntimeFault(
            f"cannot create volume {name!r}: unknown driver option {unknown[0]!r}", "known: type, o, device"
        )
    if options and not options.get("device"):
        raise RuntimeFault(
            f"cannot create volume {name!r}: driver option 'device' is missing",
            hint="write driver_opts with type, o and device, as mount(8) takes them",
        )
    if options and not options.get("type"):
        raise RuntimeFault(
            f"cannot create volume {name!r}: driver option 'type' is missing",
            hint="write driver_opts with type, o and device, as mount(8) takes them",
        )


def _create(roots: Roots, volume: Volume) -> Volume:
    """Build the directory aside and rename it into place; the first of two at once wins."""
    home = _home(roots, volume.name)
    aside = _aside(roots)
    try:
        os.makedirs(volumes_dir(roots), 0o700, exist_ok=True)
        os.mkdir(aside, 0o700)
        os.mkdir(f"{aside}/_data")
        os.chmod(f"{aside}/_data", 0o755)
        plain = {"version": VERSION, **to_plain(volume)}
        write_durable(f"{aside}/volume.json", json.dumps(plain, separators=(",", ":")).encode())
        os.rename(aside, home)
    except OSError as error:
        remove_tree(aside)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return get_volume(roots, volume.name)
        raise RuntimeFault(f"cannot create volume {volume.name!r}: {error.strerror}") from error
    return volume


def get_volume(roots: Roots, name: str) -> Volume:
    """The volume. Raises NotFound."""
    path = f"{_home(roots, name)}/volume.json"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"cannot find volume {name!r}") from None
    with open(fd, "rb", buffering=0) as file:
        data = file.read()
    try:
        plain = json.loads(data)
        version = plain.pop("version", None)
        volume = Volume(**plain)
    except (ValueError, TypeError, AttributeError) as error:
        raise RuntimeFault(f"cannot read {path}: it is damaged") from error
    if version != VERSION:
        raise RuntimeFault(f"cannot read {path}: it was written by another version of pycompose")
    return volume


def list_volumes(roots: Roots) -> list[Volume]:
    """All volumes, by name."""
    try:
        names = sorted(os.listdir(volumes_dir(roots)))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if name[0].isalnum():
            try:
                found.append(get_volume(roots, name))
            except NotFound:
                continue
    return found


def remove_volume(roots: Roots, name: str) -> None:
    """Remove a volume with its content (not the directory of the host that a bind volume names). Raises NotFound.

    Not by way of the common trash: what is mounted inside a volume must not be emptied with it.
    """
    home = _home(roots, name)
    if not os.path.isdir(home):
        raise NotFound(f"cannot find volume {name!r}", hint="pycompose volumes shows what there is")
    release(roots, name)
    aside = _aside(roots)
    try:
        os.rename(home, aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RuntimeFault(f"cannot remove volume {name!r}: {error.strerror}") from error
    try:
        remove_tree(aside)
    except OSError as error:
        reason = "something is mounted in it" if error.errno == errno.EBUSY else error.strerror
        raise RuntimeFault(f"cannot remove all of volume {name!r}: {reason}", f"the rest is in {aside}") from error
    sweep(roots)


def _aside(roots: Roots) -> str:
    """A path beside the volumes that no volume can have, for one that is being made or removed."""
    return f"{volumes_dir(roots)}/+{os.getpid()}-{os.urandom(6).hex()}"


def sweep(roots: Roots) -> None:
    """Remove what killed commands left: half-made and half-removed volumes."""
    try:
        names = os.listdir(volumes_dir(roots))
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith("+") and not os.path.exists(f"/proc/{name[1:].partition('-')[0]}"):
            try:
                remove_tree(f"{volumes_dir(roots)}/{name}")
            except OSError:  # something is mounted inside: the user was told
                continue


def mountpoint(roots: Roots, volume: Volume) -> str:
    """The host directory with the volume's content: for a bind volume the directory that it names."""
    return volume.options["device"] if volume.is_bind else f"{_home(roots, volume.name)}/_data"


def mount_of(roots: Roots, volume: Volume, destination: str, readonly: bool = False) -> Mount:
    """The bind mount that shows the volume in a container; call :func:`acquire` before the container starts.

    Raises NotFound when a bind volume's directory is missing.
    """
    source = mountpoint(roots, volume)
    if volume.is_bind and not os.path.exists(source):
        raise NotFound(
            f"cannot mount volume {volume.name!r}: its device {source} does not exist",
            hint="make it, or change driver_opts.device",
        )
    words = volume.options.get("o", "").split(",") if volume.is_bind else []
    options = [word for word in words if word in ("nosuid", "nodev", "noexec", "rprivate", "rslave", "rshared")]
    return Mount(destination, "bind", source, (*options, "ro" if readonly or "ro" in words else "rw"))


def acquire(roots: Roots, volume: Volume) -> str:
    """Make the content reachable: mount a tmpfs or other file system of a volume that has one, once. Its directory."""
    path = mountpoint(roots, volume)
    if volume.is_mounted:
        from runtime.volume_mount import mount_once

        mount_once(path, volume)
    return path


def release(roots: Roots, name: str) -> None:
    """Unmount a volume's own file system when no container uses it any more; containers that do keep theirs."""
    try:
        volume = get_volume(roots, name)
    except NotFound:
        return
    if volume.is_mounted:
        from runtime.volume_mount import unmount

        unmount(mountpoint(roots, volume))


def populate(roots: Roots, volume: Volume, rootfs: Rootfs, target: str) -> bool:
    """Fill a new volume with what the image has at ``target``, with owners and modes; whether something was copied.

    Only an empty volume that never was filled (one with a file system of its own: whenever that is empty), as Docker
    does; call :func:`acquire` before. A bind volume is left alone. Safe to be killed and to
    be called by two at once; what is there of the user's is never overwritten.
    """
    if volume.is_bind:
        return False
    home = _home(roots, volume.name)
    if os.path.exists(f"{home}/filled") and not volume.is_mounted:
        return False
    from runtime.volume_fill import fill

    lock = open_directory(home)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(f"{home}/filled") and not volume.is_mounted:
            return False
        copied = fill(home, rootfs, target)
        if copied is not False:
            os.close(os.open(f"{home}/filled", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return copied is True
    except OSError as error:
        raise RuntimeFault(f"cannot fill volume {volume.name!r} from the image: {error.strerror}") from error
    finally:
        os.close(lock)

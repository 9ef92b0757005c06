"""Making the built-in image's skeleton: everything in it is listed here or generated here."""

from __future__ import annotations

import errno
import os
import stat
import sys

from runtime.errors import Unsupported
from runtime.images import builtin
from runtime.images.ingest import Failing, Staging, discard
from runtime.images.store import Image, encode_image
from runtime.tree import fsync_directory, syncfs, write_durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots

_USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DIRECTORIES = (
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("opt/pycompose", 0o755),
    ("opt/pycompose/bin", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
)
# Copied from the host's /etc where they exist: public by nature, and needed by programs in /usr.
_ETC = (
    "alternatives",
    "ca-certificates.conf",
    "crypto-policies/back-ends",
    "debian_version",
    "ethertypes",
    "fonts",
    "gai.conf",
    "ld-musl-x86_64.path",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "os-release",
    "perl",
    "pki/ca-trust/extracted",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)
SYSTEM_PYTHON = "/usr/bin/python3"
_ETC_PREFIXES = ("java", "python3")
_MAX_FILE = 4 << 20
_USERS = (
    ("root", 0, "/root", "/bin/sh"),
    ("daemon", 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("bin", 2, "/bin", "/usr/sbin/nologin"),
    ("mail", 8, "/var/mail", "/usr/sbin/nologin"),
    ("www-data", 33, "/var/www", "/usr/sbin/nologin"),
    ("app", 1000, "/home/app", "/bin/sh"),
    ("nobody", 65534, "/nonexistent", "/usr/sbin/nologin"),
)
_MORE_GROUPS = (("tty", 5), ("users", 100))
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nprotocols: files\nservices: files\n"


def build(roots: Roots, key: str) -> None:
    """Make the skeleton of this state of the host. Raises RuntimeFault; another process may be first."""
    with Failing(roots, "make the built-in image 'host'"), Staging(roots) as staging:
        place = f"{staging.path}/{key}"
        os.mkdir(place, 0o700)
        os.mkdir(f"{place}/diff", 0o755)
        binds = _fill(f"{place}/diff")
        write_durable(f"{place}/image.json", encode_image(_image(key, binds)))
        syncfs(staging.fd)
        try:
            os.rename(place, f"{staging.base}/builtin/{key}")
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return
            raise
        fsync_directory(f"{staging.base}/builtin")
        _sweep(roots, staging.base, key)


def _image(key: str, binds: tuple[tuple[str, str], ...]) -> Image:
    from hashlib import sha256

    digest = f"sha256:{sha256(key.encode()).hexdigest()}"
    config = {
        "Env": [f"PATH={builtin.PATH}", "LANG=C.UTF-8"],
        "Cmd": ["/bin/sh"],
        "WorkingDir": "/",
        "Labels": {"org.pycompose.base": "host"},
    }
    return Image(
        "host:latest", digest, (digest,), config, "", 0, builtin.architecture(), "linux", (f"builtin/{key}",), binds
    )


def _fill(root: str) -> tuple[tuple[str, str], ...]:
    """Write the tree; returns what has to be bound over it."""
    for name, mode in _DIRECTORIES:
        _mkdir(f"{root}/{name}", mode)
    _mkdir(f"{root}/home/app", 0o755, 1000)
    binds = [("/usr", "/usr"), *_link_usr(root)]
    os.symlink("/run", f"{root}/var/run")
    os.symlink("/run/lock", f"{root}/var/lock")
    _fill_etc(root)
    prefix = _python(root)
    if prefix:
        binds.append((prefix, prefix))
    return tuple(binds)


def _mkdir(path: str, mode: int, owner: int = 0) -> None:
    os.mkdir(path)
    os.chmod(path, mode)
    os.chown(path, owner, owner)


def _link_usr(root: str) -> list[tuple[str, str]]:
    """/bin, /lib and their like: the host's links into /usr, or on hosts without them directories to bind."""
    binds = []
    for name in _USR_LINKS:
        try:
            info = os.lstat(f"/{name}")
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif stat.S_ISDIR(info.st_mode):
            _mkdir(f"{root}/{name}", 0o755)
            binds.append((f"/{name}", f"/{name}"))
    if not os.path.lexists(f"{root}/bin"):
        raise Unsupported("cannot make the built-in image 'host': this machine has no /bin")
    return binds


def _fill_etc(root: str) -> None:
    etc = f"{root}/etc"
    prefixed = [name for name in sorted(os.listdir("/etc")) if name.startswith(_ETC_PREFIXES)]
    for name in (*_ETC, *prefixed):
        _copy_public(f"/etc/{name}", f"{etc}/{name}", etc)
    groups = sorted(
        {*((name, ident) for name, ident, _home, _shell in _USERS if ident < 65534), *_MORE_GROUPS}, key=_second
    )
    _write(
        f"{etc}/passwd",
        "".join(f"{name}:x:{ident}:{ident}:{name}:{home}:{shell}\n" for name, ident, home, shell in _USERS),
    )
    _write(f"{etc}/group", "".join(f"{name}:x:{ident}:\n" for name, ident in groups) + "nogroup:x:65534:\n")
    _write(f"{etc}/nsswitch.conf", _NSSWITCH)
    _write(f"{etc}/shells", "/bin/sh\n/bin/bash\n")
    _write(f"{etc}/profile", f"export PATH={builtin.PATH}\n")
    for name in ("hosts", "hostname", "resolv.conf", "machine-id"):
        _write(f"{etc}/{name}", "")
    os.symlink("../proc/self/mounts", f"{etc}/mtab")


def _second(pair: tuple[str, int]) -> int:
    return pair[1]


def _write(path: str, text: str, mode: int = 0o644) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def _copy_public(source: str, target: str, etc: str) -> None:
    """Copy what everybody on the host may read anyway; private keys and protected files are left out."""
    try:
        info = os.lstat(source)
    except OSError:
        return
    _make_parents(target, etc)
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISDIR(info.st_mode) and info.st_mode & 0o005 == 0o005:
        _mkdir(target, 0o755)
        for name in sorted(os.listdir(source)):
            _copy_public(f"{source}/{name}", f"{target}/{name}", etc)
    elif stat.S_ISREG(info.st_mode) and info.st_mode & 0o004 and _is_public(source, info.st_size):
        _copy_file(source, target)


def _is_public(path: str, size: int) -> bool:
    return (
        size <= _MAX_FILE and not path.endswith((".key", "-key.pem", ".p12", ".jks", "~")) and "/private/" not in path
    )


def _make_parents(target: str, etc: str) -> None:
    parent = os.path.dirname(target)
    if not os.path.isdir(parent):
        _make_parents(parent, etc)
        _mkdir(parent, 0o755)


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        data = reader.read(_MAX_FILE)
        if b"PRIVATE KEY-----" not in data:
            writer.write(data)
    os.chmod(target, 0o644)


def _python(root: str) -> str:
    """Put ``python3`` into the image's PATH; returns its prefix if that has to be bound, else "".

    The host's own in /usr serves where there is one: a prefix elsewhere (below /root) is shown only for want of it.
    """
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    prefix = os.path.realpath(sys.base_prefix)
    program = f"{prefix}/bin/{name}"
    if not os.access(program, os.X_OK):
        return ""
    inside = prefix == "/usr" or prefix.startswith("/usr/")
    if not inside and (os.access(SYSTEM_PYTHON, os.X_OK) or not _is_own_directory(prefix, name)):
        return ""
    alone = _runs_alone(program)
    for alias in ("python", "python3", name):
        path = f"{root}{builtin.TOOLS}/{alias}"
        if alone:
            os.symlink(program, path)
        else:  # a tool cache's Python that finds its own library only by the environment of the CI job
            _write(path, f'#!/bin/sh\nLD_LIBRARY_PATH={prefix}/lib exec {program} "$@"\n', 0o755)
    if inside:
        return ""
    at = root
    for part in prefix.strip("/").split("/"):
        at = f"{at}/{part}"
        if not os.path.isdir(at):
            _mkdir(at, 0o755)
        elif os.stat(at).st_mode & 0o001 == 0:
            os.chmod(at, 0o755)  # /root: empty here, and everybody must be able to pass through
    return prefix


def _runs_alone(program: str) -> bool:
    """Whether the interpreter starts with an empty environment."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    pid = os.posix_spawn(program, [program, "-I", "-S", "-c", ""], {}, file_actions=null)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _is_own_directory(prefix: str, name: str) -> bool:
    """Whether the prefix holds Python and nothing private: never a home directory or a top-level one."""
    if prefix.count("/") < 2 or not os.path.isdir(f"{prefix}/lib/{name}"):
        return False
    with open("/etc/passwd", "rb") as file:
        homes = {line.split(b":")[5] for line in file if line.count(b":") >= 6}
    return os.fsencode(prefix) not in homes


def _sweep(roots: Roots, base: str, key: str) -> None:
    """Remove skeletons that nothing uses: not this one, not the one before it, none that a container names."""
    others = [name for name in os.listdir(f"{base}/builtin") if name != key]
    others.sort(key=lambda name: os.stat(f"{base}/builtin/{name}").st_mtime_ns)
    if len(others) < 2:
        return
    specs = _container_specs(roots)
    for name in others[:-1]:
        if not any(name.encode() in spec for spec in specs):
            discard(base, f"{base}/builtin/{name}")


def _container_specs(roots: Roots) -> list[bytes]:
    from runtime.paths import Bundle, containers_dir
    from runtime.tree import read_file

    specs = []
    try:
        names = os.listdir(containers_dir(roots))
    except FileNotFoundError:
        return []
    for name in names:
        try:
            specs.append(read_file(Bundle(roots, name).spec))
        except OSError:
            continue
    return specs

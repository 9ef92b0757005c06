"""Storage of a service: its mounts as requests to the volume store, as runtime mounts, and its secrets and configs."""

from __future__ import annotations

import os

from compose.errors import EngineError
from compose.model.units import parse_bytes
from compose.plan.select import volumes_from_reference
from compose.record import EMPTY, record, replace
from runtime.spec import File, Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from compose.plan.desired import Desired, DesiredFile, DesiredService
    from compose.plan.observed import ObservedImage

TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")  # Docker's, before what the user says


@record
class VolumeUse:
    """One mount of a service.

    ``kind``: named, anonymous, bind, tmpfs or image. ``name``: of a named volume, on the machine. ``source``: host path
    of a bind, reference of an image. ``shared_from``: for an anonymous volume of ``volumes_from``, the reference
    (``service:db``) whose container has it at the same target. ``options``: further mount words (propagation, tmpfs).
    """

    kind: str
    target: str
    name: str = ""
    source: str = ""
    read_only: bool = False
    nocopy: bool = False
    create_host_path: bool = True
    subpath: str = ""
    shared_from: str = ""
    options: tuple[str, ...] = ()

    def key(self) -> str:
        """The key of its host directory in ``volume_paths``: the name, or the target of an anonymous volume."""
        return self.name or self.target


def volume_requests(
    desired: Desired,
    service: DesiredService,
    image: ObservedImage,
    overrides: Mapping[str, Any] | None = None,
    foreign: Mapping[str, tuple[VolumeUse, ...]] = EMPTY,
) -> tuple[VolumeUse, ...]:
    """All mounts of a container of the service, parents before what is mounted below them. One per target: the
    service's own win over those of ``volumes_from``, and those over the image's VOLUMEs; ``run -v`` wins over all.

    ``foreign``: what each ``container:NAME`` of ``volumes_from`` has."""
    found: dict[str, VolumeUse] = {}
    for target in image.config.get("Volumes") or ():
        found[_clean(target)] = VolumeUse("anonymous", _clean(target))
    for use in _from_others(desired, service, foreign):
        found[use.target] = use
    for use in _own(desired, service.config):
        found[use.target] = use
    for row in (overrides or {}).get("volumes") or ():
        use = _from_mapping(desired, row)
        found[use.target] = use
    return tuple(sorted(found.values(), key=lambda use: (use.target.count("/"), use.target)))


def mounts(uses: Iterable[VolumeUse], volume_paths: Mapping[str, str]) -> tuple[Mount, ...]:
    """The runtime's mounts. Raises KeyError for a volume that is not in ``volume_paths``."""
    return tuple(_mount(use, volume_paths) for use in uses)


def _mount(use: VolumeUse, volume_paths: Mapping[str, str]) -> Mount:
    mode = ("ro",) if use.read_only else ("rw",)
    if use.kind == "image":
        layers = tuple(volume_paths[use.key()].split("\0"))
        return Mount(use.target, "bind", layers[0], ("ro",), layers=layers)
    if use.kind == "tmpfs":
        return Mount(use.target, "tmpfs", "tmpfs", (*use.options, *(mode if use.read_only else ())))
    source = use.source if use.kind == "bind" else volume_paths[use.key()]
    if use.subpath:  # containers write in the volume: no link in it may lead the mount elsewhere
        return Mount(use.target, "bind", f"{source}/{use.subpath}", (*mode, *use.options), within=source)
    return Mount(use.target, "bind", source, (*mode, *use.options))


def _own(desired: Desired, config: Mapping[str, Any]) -> Iterator[VolumeUse]:
    for text in _strings(config.get("tmpfs")):
        target, _, options = text.partition(":")
        yield VolumeUse("tmpfs", _clean(target), options=_tmpfs_options(options.split(",") if options else []))
    for row in config.get("volumes") or ():
        yield _from_mapping(desired, row)


def _from_mapping(desired: Desired, row: Mapping[str, Any]) -> VolumeUse:
    kind, target, read_only = row["type"], _clean(row["target"]), bool(row.get("read_only"))
    if kind == "bind":
        bind = row.get("bind") or {}
        options = ((bind["propagation"],) if bind.get("propagation") else ()) + _recursion(target, bind, read_only)
        create = bind.get("create_host_path", True) is not False
        return VolumeUse(
            "bind", target, source=row["source"], read_only=read_only, create_host_path=create, options=options
        )
    if kind == "tmpfs":
        return VolumeUse("tmpfs", target, read_only=read_only, options=_tmpfs_mapping(row.get("tmpfs") or {}))
    if kind == "image":
        subpath = str((row.get("image") or {}).get("subpath") or "")
        return VolumeUse("image", target, source=row["source"], read_only=True, subpath=subpath)
    if kind != "volume":
        raise EngineError(
            f"cannot mount {target}: volumes of type {kind} are not supported", hint="use bind, volume, tmpfs or image"
        )
    volume = row.get("volume") or {}
    source = row.get("source") or ""
    return VolumeUse(
        "named" if source else "anonymous",
        target,
        name=volume_name(desired, source) if source else "",
        read_only=read_only,
        nocopy=bool(volume.get("nocopy")) or bool(volume.get("subpath")),
        subpath=str(volume.get("subpath") or ""),
    )


def _recursion(target: str, bind: Mapping[str, Any], read_only: bool) -> tuple[str, ...]:
    """``bind.recursive`` as mount words. Raises EngineError for what Docker refuses: a mount that is not read-only."""
    word = bind.get("recursive") or "enabled"
    if word in ("writable", "readonly") and not read_only:
        raise EngineError(
            f"cannot mount {target}: bind.recursive: {word} is about read-only mounts", hint="set read_only: true"
        )
    if word == "readonly" and bind.get("propagation") not in (None, "", "rprivate"):
        raise EngineError(
            f"cannot mount {target}: bind.recursive: readonly needs bind.propagation: rprivate",
            hint="set bind.propagation: rprivate, or recursive: writable",
        )
    return {"disabled": ("nonrecursive",), "writable": ("topmost",)}.get(word, ())


def volume_name(desired: Desired, key: str) -> str:
    """The name on the machine of the project's volume; a key that is none (``run -v cache:/x``) is a name already."""
    for volume in desired.volumes:
        if volume.key == key:
            return volume.name
    return key


def _from_others(
    desired: Desired, service: DesiredService, foreign: Mapping[str, tuple[VolumeUse, ...]]
) -> Iterator[VolumeUse]:
    """Mounts of the services in ``volumes_from``; anonymous ones are those of the other's container."""
    for entry in service.config.get("volumes_from") or ():
        reference, read_only = volumes_from_reference(entry)
        kind, _, name = reference.partition(":")
        if kind == "container":
            yield from (replace(use, read_only=use.read_only or read_only) for use in foreign.get(reference, ()))
            continue
        for use in _own(desired, desired.service(name).config):
            if use.kind == "tmpfs":
                continue
            shared = reference if use.kind == "anonymous" else ""
            yield replace(use, read_only=use.read_only or read_only, shared_from=shared)


def _tmpfs_options(words: list[str]) -> tuple[str, ...]:
    """Docker's defaults, then the user's words; a word that says the opposite (``exec``) takes a default away."""
    kept = [word for word in TMPFS_DEFAULTS if word[2:] not in words and word not in words]
    return (*kept, *words)


def _tmpfs_mapping(config: Mapping[str, Any]) -> tuple[str, ...]:
    words = []
    if config.get("size"):
        words.append(f"size={parse_bytes(config['size'])}")
    if config.get("mode"):
        words.append(f"mode={file_mode(config['mode'], 0):o}")
    return _tmpfs_options(words)


def file_mode(value: Any, default: int) -> int:
    """Permission bits: a number as it is, text as octal (compose-go's FileMode)."""
    if value is None or value == "":
        return default
    return int(value, 8) if isinstance(value, str) else int(value)


def files(desired: Desired, service: DesiredService, read: Callable[[str], bytes]) -> tuple[File, ...]:
    """The service's secrets and configs with their content. Raises EngineError for one that cannot be read."""
    sources = {(one.kind, one.key): one for one in desired.files}
    found = []
    for kind, attribute, base in (("secret", "secrets", "/run/secrets/"), ("config", "configs", "/")):
        for row in service.config.get(attribute) or ():
            if isinstance(row, str):
                row = {"source": row}
            source = sources.get((kind, row["source"]))
            if source is None:
                raise EngineError(
                    f"cannot give {service.name} the {kind} {row['source']!r}: it is not declared",
                    hint=f"declare it below {kind}s: at the top level",
                )
            target = row.get("target") or row["source"]
            found.append(_file(target if target.startswith("/") else base + target, row, source, read))
    return tuple(found)


def _file(target: str, row: Mapping[str, Any], source: DesiredFile, read: Callable[[str], bytes]) -> File:
    content = source.content.encode("latin-1")
    if source.file:
        try:
            content = read(source.file)
        except OSError as error:
            message = f"cannot read {source.kind} {source.key}: {source.file}: {error.strerror}"
            raise EngineError(message, hint="it must be a file that you may read") from error
    uid, gid = _number(row, "uid", source), _number(row, "gid", source)
    return File(_clean(target), content, uid, gid, file_mode(row.get("mode"), _own_mode(source)))


def _own_mode(source: DesiredFile) -> int:
    """For all to read, and to run if it is a program on the host: docker compose binds the file itself."""
    try:
        return 0o555 if source.file and os.stat(source.file).st_mode & 0o111 else 0o444
    except OSError:
        return 0o444


def _number(row: Mapping[str, Any], key: str, source: DesiredFile) -> int:
    value = row.get(key)
    try:
        return int(value or 0)
    except ValueError:
        message = f"cannot give {source.kind} {source.key} the {key} {value!r}: it must be a number"
        raise EngineError(message, hint="write the id of a user or group, such as 1000") from None


def read_file(path: str) -> bytes:
    """A file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def _clean(path: str) -> str:
    """The path without doubled or trailing slashes and dots, always absolute; ``..`` does not leave the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())

"""Container Device Interface: vendors' specifications of what a device needs (the CNCF CDI specification, 0.3 to 1.0).

A device is called ``VENDOR/CLASS=NAME``. Specifications are JSON or YAML files in ``/etc/cdi`` and ``/var/run/cdi``; in
the later directory, and in the file whose name comes later, they win.
"""

from __future__ import annotations

import os

from runtime import plain_json as json
from runtime.errors import RuntimeFault
from runtime.record import record, replace
from runtime.spec import Device, Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from runtime.spec import ContainerSpec

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
_MOUNT_WORDS = frozenset(("rbind", "bind", "nosuid", "nodev", "noexec", "ro", "rw", "rprivate", "private", "rslave",
                          "slave", "rshared", "shared", "exec", "dev", "suid"))  # fmt: skip


@record
class Edits:
    """What devices ask for: variables, nodes, mounts, groups. Later ones win over earlier ones."""

    env: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    mounts: tuple[Mount, ...] = ()
    groups: tuple[str, ...] = ()


class Registry:
    """All specifications of the machine: ``edits(names)`` and which devices there are."""

    def __init__(self, directories: Iterable[str]) -> None:
        self.directories = tuple(directories)
        self._kinds: dict[str, dict[str, Mapping[str, Any]]] = {}  # kind -> device -> its edits
        self._common: dict[tuple[str, str], Mapping[str, Any]] = {}  # device -> edits of its whole file
        for directory in self.directories:
            for path in _files(directory):
                self._add(_read(path))

    def _add(self, plain: Mapping[str, Any]) -> None:
        kind = str(plain.get("kind", ""))
        for row in plain.get("devices") or ():
            name = str(row.get("name", ""))
            self._kinds.setdefault(kind, {})[name] = row.get("containerEdits") or {}
            self._common[kind, name] = plain.get("containerEdits") or {}

    def names(self, kind: str) -> list[str]:
        """The devices of a kind (``nvidia.com/gpu``), in the order of their files."""
        return list(self._kinds.get(kind, ()))

    def edits(self, devices: Iterable[str]) -> Edits:
        """What the devices (full names) ask for together. Raises RuntimeFault for one that is not there."""
        found = Edits()
        common: list[Mapping[str, Any]] = []
        for device in devices:
            kind, _equals, name = device.partition("=")
            plain = self._kinds.get(kind, {}).get(name)
            if plain is None:
                raise RuntimeFault(f"cannot find device {device}: {self._what_is_there(kind)}", self._advice(kind))
            found = _joined(found, _edits(device, plain))
            if (whole := self._common[kind, name]) not in common:
                common.append(whole)
        for plain in common:
            found = _joined(found, _edits("the specification of a device", plain))
        return found

    def _what_is_there(self, kind: str) -> str:
        names = self.names(kind)
        if names:
            return f"of {kind} there is {', '.join(names)}"
        return f"no CDI specification of {kind} in {' or '.join(self.directories)}"

    def _advice(self, kind: str) -> str:
        if kind.startswith("nvidia.com/"):
            return "write one: nvidia-ctk cdi generate --disable-hook=all --output=/etc/cdi/nvidia.yaml"
        return "its vendor's tools write one"


def is_device_name(text: str) -> bool:
    """Whether a word of ``devices:`` is ``VENDOR/CLASS=NAME`` and no path."""
    kind, equals, name = text.partition("=")
    vendor, slash, class_ = kind.partition("/")
    return bool(vendor[:1].isalnum() and slash and class_ and equals and name) and ":" not in text and "/" not in class_


def open_registry(environ: Mapping[str, str]) -> Registry:
    """The machine's specifications; PYCOMPOSE_CDI_DIRS (a list with colons) replaces the two directories."""
    words = environ.get("PYCOMPOSE_CDI_DIRS", "")
    return Registry(words.split(":") if words else DIRECTORIES)


def apply(spec: ContainerSpec, edits: Edits) -> ContainerSpec:
    """The container with what its devices ask for; where both name the same thing, the user's own wins."""
    taken = {mount.destination for mount in spec.mounts}
    known = {word.partition("=")[0] for word in spec.process.env}
    env = [word for word in edits.env if word.partition("=")[0] not in known]
    paths = {device.path for device in spec.devices}
    process = replace(spec.process, env=(*spec.process.env, *env), groups=(*spec.process.groups, *edits.groups))
    return replace(
        spec,
        process=process,
        devices=(*(one for one in edits.devices if one.path not in paths), *spec.devices),
        mounts=(*(one for one in edits.mounts if one.destination not in taken), *spec.mounts),
    )


def _files(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    yield from (f"{directory}/{name}" for name in names if name.endswith((".json", ".yaml", ".yml")))


def _read(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        plain = json.loads(text) if path.endswith(".json") else _yaml(text)
    except (OSError, ValueError) as error:
        raise RuntimeFault(f"cannot read the CDI specification {path}: {error}") from error
    if not isinstance(plain, dict) or "/" not in str(plain.get("kind", "")):
        raise RuntimeFault(f"cannot read the CDI specification {path}: it names no kind of device")
    return plain


def _yaml(text: str) -> Any:
    import yaml  # only where a vendor wrote YAML

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from error


def _joined(one: Edits, other: Edits) -> Edits:
    return Edits(
        one.env + other.env,
        (*(row for row in one.devices if row.path not in {new.path for new in other.devices}), *other.devices),
        (
            *(row for row in one.mounts if row.destination not in {new.destination for new in other.mounts}),
            *other.mounts,
        ),
        one.groups + other.groups,
    )


def _edits(device: str, plain: Mapping[str, Any]) -> Edits:
    """One ``containerEdits`` object. Raises RuntimeFault for what cannot be done: hooks and Intel RDT."""
    hooks = [str(row.get("path", "?")) for row in plain.get("hooks") or ()]
    if hooks:
        raise RuntimeFault(
            f"cannot give {device}: its CDI specification runs programs of the host as hooks ({', '.join(hooks)})",
            "generate it without hooks (nvidia-ctk cdi generate --disable-hook=all)",
        )
    if plain.get("intelRdt"):
        raise RuntimeFault(f"cannot give {device}: its CDI specification asks for Intel RDT")
    return Edits(
        tuple(map(str, plain.get("env") or ())),
        tuple(_device(row) for row in plain.get("deviceNodes") or ()),
        tuple(_mount(row) for row in plain.get("mounts") or ()),
        tuple(str(gid) for gid in plain.get("additionalGids") or ()),
    )


def _device(row: Mapping[str, Any]) -> Device:
    path = str(row["path"])
    mode = row.get("fileMode")
    return Device(
        path,
        str(row.get("hostPath") or path),
        str(row.get("permissions") or "rwm"),
        int(row.get("uid", -1)),
        int(row.get("gid", -1)),
        -1 if mode is None else int(mode) & 0o7777,
    )


def _mount(row: Mapping[str, Any]) -> Mount:
    options = tuple(word for word in row.get("options") or ("ro", "nosuid", "nodev") if word in _MOUNT_WORDS)
    return Mount(str(row["containerPath"]), "bind", str(row["hostPath"]), options)

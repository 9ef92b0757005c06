"""From a service to a bundle on disk: image, volumes, spec."""

from __future__ import annotations

import os

from compose import labels as key
from compose.engine import translate
from compose.engine.images import image_directories
from compose.engine.reservations import reserved_devices, wants_devices
from compose.errors import EngineError
from compose.plan.hooks import PHASES, SELF
from compose.plan.observed import ObservedImage
from compose.plan.select import shared_references, volumes_from_reference
from compose.record import record, replace
from runtime import container as containers
from runtime import volumes
from runtime.cdi import apply, open_registry
from runtime.errors import NotFound, RuntimeFault
from runtime.images import store as images
from runtime.paths import Roots, project_run_dir
from runtime.shim.output import timestamp
from runtime.spec import changed_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.engine.translate_storage import VolumeUse
    from compose.plan.desired import Desired, DesiredService
    from runtime.container import Container
    from runtime.spec import ContainerSpec, Rootfs
    from runtime.volumes import Volume


@record
class Wanted:
    """A container to be made: who asked for it, and what it takes from others.

    ``replaces``: id of the container whose anonymous volumes it takes over. ``overrides``: what ``run`` changes.
    ``shares``: ids of the containers behind each ``service:x``.
    """

    desired: Desired
    service: DesiredService
    number: int
    ident: str
    name: str
    replaces: str
    overrides: dict[str, Any]
    shares: dict[str, str]


def write_bundle(roots: Roots, wanted: Wanted, environ: Mapping[str, str]) -> list[str]:
    """Make the volumes the container needs, then its bundle; the host directories made for bind mounts.

    Raises RuntimeFault and EngineError.
    """
    wanted = replace(wanted, shares={**wanted.shares, **_foreign_shares(roots, wanted.service)})
    made = _ensure_sources(wanted)
    image = images.resolve(roots, wanted.service.image)
    spec, mounts = make_spec(roots, wanted, environ, image)
    host = containers.read_text("/etc/resolv.conf")
    containers.write_bundle(
        roots,
        spec,
        annotations={"config": wanted.service.config, "overrides": wanted.overrides, "shares": wanted.shares},
        created_at=timestamp(),
        resolv_conf=translate.resolv_conf(wanted.desired, wanted.service, host),
        info={
            "command": _shown(spec.process.args),
            "mounts": mounts,
            "exposed": exposed(wanted, image.config),
            "tty": spec.process.terminal,
            "hooks": hook_phases(wanted),
            "network_of": spec.namespaces.network.removeprefix("container:"),
        },
    )
    return made


def _foreign_volumes(roots: Roots, wanted: Wanted) -> dict[str, tuple[VolumeUse, ...]]:
    """What the containers in ``volumes_from: container:NAME`` have mounted (tmpfs is not shared)."""
    found = {}
    for entry in wanted.service.config.get("volumes_from") or ():
        reference, _read_only = volumes_from_reference(entry)
        one = containers.read_container(roots, wanted.shares.get(reference, "")) if reference in wanted.shares else None
        if reference.startswith("container:") and one is not None:
            locked = {row.destination for row in containers.read_spec(roots, one.id).mounts if "ro" in row.options}
            rows = one.info.get("mounts", ())
            found[reference] = tuple(
                _foreign_use(*row, read_only=row[2] in locked) for row in rows if row[0] != "tmpfs"
            )
    return found


def _foreign_use(kind: str, name: str, target: str, *, read_only: bool) -> VolumeUse:
    if kind == "bind":
        return translate.VolumeUse("bind", target, source=name, read_only=read_only, create_host_path=False)
    return translate.VolumeUse("named", target, name=name, read_only=read_only, nocopy=True)


def hook_phases(wanted: Wanted) -> list[str]:
    """The phases that the container has commands for; a one-off has none, as in docker compose."""
    return [] if wanted.overrides.get("oneoff") else [name for name in PHASES if wanted.service.config.get(name)]


def exposed(wanted: Wanted, image: Mapping[str, Any]) -> list[str]:
    """The ports that image and service declare (``80/tcp``), published or not: listings show them as docker's do."""
    config = wanted.service.config
    found = dict.fromkeys(image.get("ExposedPorts") or ())
    for text in config.get("expose") or ():
        port, _slash, protocol = str(text).partition("/")
        first, _, last = port.partition("-")
        found.update(dict.fromkeys(f"{n}/{protocol or 'tcp'}" for n in range(int(first), int(last or first) + 1)))
    return list(found)


def _shown(args: tuple[str, ...]) -> str:
    """A command as listings show it: Docker quotes what holds a blank."""
    return " ".join(f"'{arg}'" if " " in arg else arg for arg in args)


def make_spec(
    roots: Roots, wanted: Wanted, environ: Mapping[str, str], image: images.Image | None = None
) -> tuple[ContainerSpec, list[list[str]]]:
    """The container's spec, and what listings show of its mounts as (kind, name or source, target)."""
    image = image or images.resolve(roots, wanted.service.image)
    rootfs = images.rootfs_of(roots, image)
    observed = ObservedImage(wanted.service.image, image.digest, image.config)
    paths, mounts = _volumes(roots, wanted, observed, rootfs)
    spec = translate.container_spec(
        wanted.desired,
        wanted.service,
        wanted.number,
        ident=wanted.ident,
        name=wanted.name,
        image=observed,
        rootfs=rootfs,
        volume_paths=paths,
        overrides=wanted.overrides,
        environ=environ,
        shares=wanted.shares,
        replaces=wanted.replaces,
        foreign=_foreign_volumes(roots, wanted),
    )
    owner = _network_owner(roots, spec.namespaces.network)
    spec = _with_devices(wanted, spec, environ)
    return replace(spec, helper_dir=project_run_dir(roots, wanted.desired.project), network_files_of=owner), mounts


def _network_owner(roots: Roots, network: str) -> str:
    """Whose network namespace it is, if it is another container's: that one may have joined a third one's."""
    ident = ""
    while network.startswith("container:"):
        ident = network.removeprefix("container:")
        other = containers.read_container(roots, ident)
        network = f"container:{other.info['network_of']}" if other is not None and _joined(other) else ""
    return ident


def _joined(one: Container) -> bool:
    return len(str(one.info.get("network_of", ""))) == len(one.id)


def _foreign_shares(roots: Roots, service: DesiredService) -> dict[str, str]:
    """The ids behind ``container:NAME``, by name, id, or the beginning of one. Raises EngineError if there is none."""
    references = [text for text in shared_references(service) if text.startswith("container:")]
    if not references:
        return {}
    names = {one.id: one.name for one in containers.list_containers(roots)}
    found = {}
    for text in references:
        wanted = text.removeprefix("container:")
        idents = [ident for ident, name in names.items() if name == wanted]
        idents = idents or [ident for ident in names if wanted and ident.startswith(wanted)]
        if len(idents) != 1:
            raise EngineError(
                f"cannot join {service.name} to container {wanted}: "
                + ("there is no such container" if not idents else "several ids begin like that"),
                hint="containers of Docker are not seen here" if not idents else "",
            )
        found[text] = idents[0]
    return found


def _with_devices(wanted: Wanted, spec: ContainerSpec, environ: Mapping[str, str]) -> ContainerSpec:
    """The spec with what the reserved devices need. Raises EngineError and RuntimeFault."""
    config = wanted.service.config
    if not wants_devices(config):
        return spec
    registry = open_registry(environ)
    return apply(spec, registry.edits(reserved_devices(wanted.service.name, config, registry)))


def _volumes(
    roots: Roots, wanted: Wanted, image: ObservedImage, rootfs: Rootfs
) -> tuple[dict[str, str], list[list[str]]]:
    """Host directories by volume name (anonymous ones by their target), and what listings show."""
    paths: dict[str, str] = {}
    shown = []
    foreign = _foreign_volumes(roots, wanted)
    for use in translate.volume_requests(wanted.desired, wanted.service, image, wanted.overrides, foreign):
        if use.kind == "image":
            paths[use.key()] = "\0".join(image_directories(roots, use.source, use.subpath))
        if use.kind not in ("named", "anonymous"):
            shown.append([use.kind, use.source, use.target])
            continue
        volume = _volume(roots, wanted, use)
        paths[use.key()] = volumes.acquire(roots, volume)
        if not use.nocopy and not use.subpath:
            volumes.populate(roots, volume, rootfs, use.target)
        shown.append(["volume" if use.kind == "named" else "anonymous", volume.name, use.target])
    return paths, shown


def _volume(roots: Roots, wanted: Wanted, use: VolumeUse) -> Volume:
    """The volume behind a use; an anonymous one is made, or taken over from the container it is shared with."""
    if use.name:
        try:
            return volumes.get_volume(roots, use.name)
        except NotFound:
            return volumes.create_volume(roots, use.name, {key.PROJECT: wanted.desired.project}, {})
    source = wanted.shares.get(use.shared_from, "") if use.shared_from else wanted.shares.get(SELF) or wanted.replaces
    name = anonymous_volumes(roots, source).get(use.target) or _anonymous_name(wanted.ident, use.target)
    labels = {volumes.ANONYMOUS_LABEL: "", key.PROJECT: wanted.desired.project}
    return volumes.create_volume(roots, name, labels, {})


def anonymous_volumes(roots: Roots, ident: str) -> dict[str, str]:
    """Target → name of a container's anonymous volumes; empty for no container."""
    one = containers.read_container(roots, ident) if ident else None
    rows = one.info.get("mounts", ()) if one is not None else ()
    return {target: name for kind, name, target in rows if kind == "anonymous"}


def _anonymous_name(ident: str, target: str) -> str:
    """64 hex digits that a second attempt finds again: drawn from the container's id and the target."""
    from hashlib import sha256  # loads OpenSSL: 2 ms, for few services

    return sha256(f"{ident}:{target}".encode()).hexdigest()


def _ensure_sources(wanted: Wanted) -> list[str]:
    """Create missing sources of bind mounts as directories. Raises RuntimeFault where that is not wanted."""
    nothing = ObservedImage(wanted.service.image, "", {})
    made = []
    for use in translate.volume_requests(wanted.desired, wanted.service, nothing, wanted.overrides):
        if use.kind != "bind" or os.path.exists(use.source):
            continue
        if not use.create_host_path:
            hint = "create it, or set bind.create_host_path: true"
            raise RuntimeFault(f"cannot bind {use.source}: no such file or directory", hint)
        os.makedirs(use.source, exist_ok=True)
        made.append(use.source)
    return made


def create_volume(
    roots: Roots, project: str, name: str, volume_key: str, config: Mapping[str, Any], digest: str
) -> None:
    """A project's named volume with Compose's labels."""
    labels = {
        **(config.get("labels") or {}),
        key.PROJECT: project,
        key.VOLUME: volume_key,
        key.CONFIG_HASH: digest,
    }
    volumes.create_volume(roots, name, labels, config.get("driver_opts") or {})


def remove_volume(roots: Roots, name: str) -> None:
    """Remove a volume; one that is gone is removed."""
    try:
        volumes.remove_volume(roots, name)
    except NotFound:
        pass


def update(roots: Roots, wanted: Wanted, environ: Mapping[str, str]) -> ContainerSpec:
    """Replace a container's stored spec by what the service is now; the new spec.

    What says of which configuration it is stays until :func:`updated`, so that a command that is killed between the
    two is made up for by the next one.
    """
    if containers.read_container(roots, wanted.ident) is None:
        raise NotFound(f"cannot update container {wanted.ident[:12]}: it was removed")
    spec, _mounts = make_spec(roots, replace(wanted, replaces=wanted.ident), environ)
    labels = {name: text for name, text in spec.labels.items() if name != key.REPLACE}
    spec = replace(spec, labels=labels)
    containers.rewrite_spec(roots, spec, containers.read_annotations(roots, wanted.ident))
    return spec


def updated(roots: Roots, wanted: Wanted, spec: ContainerSpec) -> None:
    """The container has become what ``spec`` says: its configuration and labels say so from now on."""
    one = containers.read_container(roots, wanted.ident)
    if one is None:
        return
    before = containers.read_annotations(roots, wanted.ident)
    containers.rewrite_spec(roots, spec, {**before, "config": wanted.service.config})
    gone = {name: "" for name in one.labels if name not in spec.labels}
    containers.rewrite_labels(roots, wanted.ident, labels={**gone, **spec.labels})


def reload_signals(service: DesiredService, old: ContainerSpec, new: ContainerSpec) -> list[str]:
    """The signals (``x-signal`` of a config or secret) that tell the process of files whose content changed."""
    changed = {file.destination for file in changed_files(old, new)}
    found = {}
    for attribute, base in (("secrets", "/run/secrets/"), ("configs", "/")):
        for row in service.config.get(attribute) or ():
            if isinstance(row, dict) and row.get("x-signal"):
                target = row.get("target") or row["source"]
                found[target if target.startswith("/") else base + target] = str(row["x-signal"])
    return list(dict.fromkeys(signal for target, signal in found.items() if target in changed))

"""The one look at the machine: containers from their bundles and pids, networks and volumes from their stores."""

from __future__ import annotations

import os

from compose import labels as key
from compose.plan.hooks import hook_images
from compose.plan.observed import (
    Observed,
    ObservedContainer,
    ObservedEndpoint,
    ObservedImage,
    ObservedNetwork,
    ObservedVolume,
)
from runtime import container as containers
from runtime.errors import NotFound
from runtime.paths import Bundle, providers_file
from runtime.state import ACTIVE, RUNNING, STOPPED
from runtime.volatile import upper_is_dirty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.plan.desired import Desired, DesiredService
    from netplan.spec import Endpoint
    from netplan.store import Store
    from runtime.container import Container
    from runtime.paths import Roots


def observe(roots: Roots, store: Store | None, project: str, desired: Desired | None = None) -> Observed:
    """Everything of one project, and what its files name of others'."""
    attached = _endpoints(store)
    hashes = {service.name: service.config_hash for service in desired.services} if desired else {}
    found, names = [], {}
    rows = list(containers.list_containers(roots))
    there = {one.id for one in rows}
    for one in rows:
        owner = one.labels.get(key.PROJECT, "")
        names[one.name] = owner
        if owner == project:
            found.append(_container(roots, one, attached.get(one.id, ()), hashes))
    found.sort(key=lambda one: (one.service, one.number, one.id))
    shown = _networks(store, project, desired, attached)
    on = {network.name for network in shown}
    return Observed(
        project=project,
        containers=tuple(found),
        lost=tuple(
            sorted(ident for ident in attached if ident not in there and any(e.network in on for e in attached[ident]))
        ),
        networks=shown,
        volumes=_volumes(roots, project, desired),
        images=_images(roots, desired),
        names=names,
        provided=_provided(roots, project),
    )


def _provided(roots: Roots, project: str) -> Mapping[str, Mapping[str, str]]:
    if not os.path.exists(providers_file(roots, project)):
        return {}
    from compose.engine.providers import provided

    return provided(roots, project)


def _container(
    roots: Roots, one: Container, attached: tuple[Endpoint, ...], hashes: Mapping[str, str]
) -> ObservedContainer:
    service = one.labels.get(key.SERVICE, "")
    config_hash = one.labels.get(key.CONFIG_HASH, "")
    state = one.state
    changed = service in hashes and hashes[service] != config_hash
    return ObservedContainer(
        id=one.id,
        name=one.name,
        service=service,
        number=int(one.labels.get(key.NUMBER, "0") or 0),
        status=state.status,
        oneoff=one.labels.get(key.ONEOFF) == "True",
        supervised=state.shim_pid > 0 or state.status not in ACTIVE,
        exit_code=state.exit_code,
        oom_killed=state.oom_killed,
        error=state.error,
        health=state.health,
        restart_count=state.restart_count,
        pid=state.pid,
        image=one.labels.get(key.IMAGE, ""),
        config_hash=config_hash,
        created_at=one.created_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        labels=one.labels,
        config=containers.read_annotations(roots, one.id).get("config") if changed else None,
        endpoints=tuple(_endpoint(row) for row in attached),
        mounts=tuple(tuple(row) for row in one.info.get("mounts", ())),
        command=one.info.get("command", ""),
        exposed=tuple(one.info.get("exposed", ())),
        hooks=tuple(one.info.get("hooks", ())),
        hook_pending=_hook_pending(roots, one),
        spoiled=state.status == STOPPED and upper_is_dirty(Bundle(roots, one.id)),
    )


def _hook_pending(roots: Roots, one: Container) -> bool:
    if "post_start" not in one.info.get("hooks", ()) or one.state.status != RUNNING:
        return False
    from compose.engine.hooks import pending_mark

    return os.path.exists(pending_mark(Bundle(roots, one.id)))


def _endpoint(row: Endpoint) -> ObservedEndpoint:
    return ObservedEndpoint(
        network=row.network,
        address=row.address,
        prefix=row.prefix,
        mac_address=row.mac_address,
        names=row.names,
        ports=tuple((port.host_ip, port.host_port, port.container_port, port.protocol) for port in row.ports),
        address6=row.address6,
    )


def _endpoints(store: Store | None) -> dict[str, tuple[Endpoint, ...]]:
    found: dict[str, tuple[Endpoint, ...]] = {}
    if store is not None:
        rows = store.endpoints()
        known = {row.name: row for row in store.networks()}
        for endpoint in rows:
            if endpoint.network not in known:
                continue  # another project's, removed between the two looks
            row = endpoint.public(known[endpoint.network])
            found[row.container] = (*found.get(row.container, ()), row)
    return found


def _networks(
    store: Store | None, project: str, desired: Desired | None, attached: Mapping[str, tuple[Endpoint, ...]]
) -> tuple[ObservedNetwork, ...]:
    if store is None:
        return ()
    named = {network.name for network in desired.networks} if desired else set()
    return tuple(
        ObservedNetwork(
            name=network.name,
            config_hash=network.labels.get(key.CONFIG_HASH, ""),
            project=network.labels.get(key.PROJECT, ""),
            labels=network.labels,
            subnet=network.subnet,
            containers=tuple(
                ident for ident, rows in attached.items() if any(row.network == network.name for row in rows)
            ),
        )
        for network in (row.public() for row in store.networks())
        if network.project == project or network.name in named
    )


def _volumes(roots: Roots, project: str, desired: Desired | None) -> tuple[ObservedVolume, ...]:
    from runtime import volumes

    named = {volume.name for volume in desired.volumes} if desired else set()
    return tuple(
        ObservedVolume(
            name=volume.name,
            config_hash=volume.labels.get(key.CONFIG_HASH, ""),
            project=volume.labels.get(key.PROJECT, ""),
            labels=volume.labels,
        )
        for volume in volumes.list_volumes(roots)
        if volume.labels.get(key.PROJECT) == project or volume.name in named
    )


def _images(roots: Roots, desired: Desired | None) -> tuple[ObservedImage, ...]:
    if desired is None:
        return ()
    from runtime.images import store as images

    found: dict[str, ObservedImage] = {}
    for service in desired.services:
        mounts = service.config.get("volumes") or ()
        mounted = [mount["source"] for mount in mounts if mount.get("type") == "image" and mount.get("source")]
        for reference in (service.image, *hook_images(service), *mounted):
            if not reference or reference in found:
                continue
            try:
                image = images.resolve(roots, reference)
            except NotFound:
                continue
            found[reference] = ObservedImage(reference, image.digest, image.config, _age(roots, service, reference))
    return tuple(found.values())


def _age(roots: Roots, service: DesiredService, reference: str) -> float:
    """When the image was last pulled, where a policy of the service asks for that."""
    if not str(service.config.get("pull_policy") or "").startswith(("daily", "weekly", "every_")):
        return 0.0
    from compose.engine.images import tagged_at

    return tagged_at(roots, reference)

"""What the commands that look show, as rows with docker compose's field names. Pure: ``now`` is passed in."""

from __future__ import annotations

import time

from compose import labels
from compose.api.ports import ports_text, publishers
from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from compose.plan.desired import Desired
    from compose.plan.observed import Observed, ObservedContainer
    from runtime.images.store import Image

    Row = dict[str, object]

# OCI's words (and ours) -> Docker's
STATES = {
    "creating": "created",
    "created": "created",
    "running": "running",
    "paused": "paused",
    "restarting": "restarting",
    "stopped": "exited",
}
STATUSES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")
RUNNING = ("running", "paused", "restarting")  # what ps and ls show without -a
COMMAND_WIDTH = 20
MOUNT_WIDTH = 15
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# (below so many hours, hours in the unit, its name)
_UNITS = ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 730, 24 * 30, "months"))


def state_of(container: ObservedContainer) -> str:
    """Docker's word for the container's state; one that never ran is ``created``."""
    if container.status == "stopped" and not container.finished_at and not container.started_at:
        return "created" if not container.error else "exited"
    return STATES[container.status]


def seconds_of(text: str) -> float:
    """RFC 3339 UTC as seconds since the epoch; 0 for empty text. Without ``datetime``, which costs 3 ms to import."""
    if len(text) < 19:
        return 0.0
    numbers = (int(text[0:4]), int(text[5:7]), int(text[8:10]), int(text[11:13]), int(text[14:16]), int(text[17:19]))
    year, month, day, hour, minute, second = numbers
    return _days(year, month, day) * _DAY + hour * _HOUR + minute * _MINUTE + second + _fraction(text)


def _fraction(text: str) -> float:
    digits = text[20:].rstrip("Z") if text[19:20] == "." else ""
    return int(digits) / 10 ** len(digits) if digits.isdigit() else 0.0


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar, with years beginning in March so that leap days come last."""
    year -= month < 3
    month = (month - 3) % 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469


def ago(seconds: float) -> str:
    """A duration in Docker's words (docker/go-units HumanDuration): ``Less than a second``, ``About an hour``."""
    whole = int(seconds)
    hours = int(seconds / _HOUR + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < _MINUTE:
        return f"{whole} seconds"
    if whole < 2 * _MINUTE:
        return "About a minute"
    if whole < _HOUR:
        return f"{whole // _MINUTE} minutes"
    if hours <= 1:
        return "About an hour"
    for limit, unit, name in _UNITS:
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{int(seconds / _HOUR) // 24 // 365} years"


def status_of(container: ObservedContainer, now: float) -> str:
    """The STATUS column: ``Up 3 seconds (healthy)``, ``Exited (0) 2 minutes ago``."""
    state = state_of(container)
    if state == "created":
        return "Created"
    if state == "exited":
        return f"Exited ({container.exit_code}) {_since(container.finished_at or container.created_at, now)} ago"
    if state == "restarting":
        return f"Restarting ({container.exit_code}) {_since(container.finished_at, now)} ago"
    notes = []
    if state == "paused":
        notes.append("Paused")
    elif container.health:
        notes.append("health: starting" if container.health == "starting" else container.health)
    if not container.supervised:
        notes.append("unsupervised")
    return f"Up {_since(container.started_at, now)}" + "".join(f" ({note})" for note in notes)


def _since(text: str, now: float) -> str:
    return ago(max(0.0, now - seconds_of(text)))


def image_of(container: ObservedContainer) -> str:
    """The image's name as the file has it; without one, the short digest."""
    name = container.labels.get(labels.IMAGE_REFERENCE) or (container.config or {}).get("image")
    return str(name) if name else container.image.removeprefix("sha256:")[:12]


def in_file_order(containers: Iterable[ObservedContainer], desired: Desired | None) -> list[ObservedContainer]:
    """By the order of services in the file, then number; services that are not in the file last, by name."""
    places = {service.name: place for place, service in enumerate(desired.services)} if desired else {}
    return sorted(
        containers,
        key=lambda one: (places.get(one.service, len(places)), one.service, one.oneoff, one.number, one.name),
    )


def select(
    observed: Observed, desired: Desired | None, services: Sequence[str], *, oneoffs: bool = False
) -> list[ObservedContainer]:
    """The containers of the named services (all when none is named) in file order.

    Raises UsageError for a name that is neither in the file nor in the project.
    """
    check_services(observed, desired, services)
    chosen = [
        container
        for container in observed.containers
        if (not services or container.service in services) and (oneoffs or not container.oneoff)
    ]
    return in_file_order(chosen, desired)


def known_services(observed: Observed | None, desired: Desired | None) -> list[str]:
    """Services of the file, of profiles that are not active, too, and of containers."""
    known = [service.name for service in desired.services] + list(desired.disabled) if desired else []
    return known + ([container.service for container in observed.containers] if observed else [])


def check_services(observed: Observed | None, desired: Desired | None, services: Sequence[str]) -> None:
    """Refuse names of services that do not exist, with the nearest name as hint."""
    known = known_services(observed, desired)
    for name in services:
        if name not in known:
            raise UsageError(f"no such service: {name}", hint=_nearest(name, sorted(set(known))))


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"services: {', '.join(known)}" if known else ""


def ps_rows(containers: Iterable[ObservedContainer], now: float, *, full: bool = False) -> list[Row]:
    """One row a container with the fields of ``docker compose ps --format json``; ``full``: nothing shortened."""
    return [_ps_row(container, now, full) for container in containers]


def _ps_row(container: ObservedContainer, now: float, full: bool) -> Row:
    published = publishers(container)
    command = container.command if full or len(container.command) <= COMMAND_WIDTH else _cut(container.command)
    return {
        "Command": f'"{command}"',
        "CreatedAt": created_text(container.created_at),
        "ExitCode": container.exit_code,
        "Health": container.health,
        "ID": container.id if full else container.id[:12],
        "Image": image_of(container),
        "Label": lambda key: container.labels.get(key, ""),  # for templates: {{.Label "a.b"}}
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(container.labels.items())),
        "LocalVolumes": str(sum(kind in ("volume", "anonymous") for kind, _, _ in container.mounts)),
        "Mounts": ",".join(source if full else _short(source) for _, source, _ in container.mounts if source),
        "Name": container.name,
        "Names": container.name,
        "Networks": ",".join(sorted(endpoint.network for endpoint in container.endpoints)),
        "Ports": ports_text(published),
        "Project": container.labels.get(labels.PROJECT, ""),
        "Publishers": published,
        "RunningFor": f"{_since(container.created_at, now)} ago",
        "Service": container.service,
        "Size": "0B",
        "State": state_of(container),
        "Status": status_of(container, now),
    }


def _short(name: str) -> str:
    """A mount's name or path as docker shortens it."""
    return name if len(name) <= MOUNT_WIDTH else f"{name[: MOUNT_WIDTH - 1]}…"


def _cut(text: str) -> str:
    return f"{text[: COMMAND_WIDTH - 1]}…"


def created_text(text: str) -> str:
    """``2026-11-26 11:36:23 +0000 UTC``, Docker's way to write a time."""
    return time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(seconds_of(text))) if text else ""


PS_COLUMNS = (
    ("NAME", "Name"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("SERVICE", "Service"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
)
LS_COLUMNS = (("NAME", "Name"), ("STATUS", "Status"), ("CONFIG FILES", "ConfigFiles"))


def ls_rows(containers: Iterable[ObservedContainer], *, stopped: bool = False, name: str = "") -> list[Row]:
    """One row a project: ``running(2)``, with ``stopped`` also ``exited(1), running(2)``."""
    projects: dict[str, list[ObservedContainer]] = {}
    for container in containers:
        project = container.labels.get(labels.PROJECT)
        if project and not container.oneoff and (stopped or state_of(container) in RUNNING):
            projects.setdefault(project, []).append(container)
    return [_ls_row(project, members) for project, members in sorted(projects.items()) if name in project]


def _ls_row(project: str, members: Sequence[ObservedContainer]) -> Row:
    counts: dict[str, int] = {}
    for member in members:
        counts[state_of(member)] = counts.get(state_of(member), 0) + 1
    files = sorted({member.labels.get(labels.CONFIG_FILES, "") for member in members} - {""})
    return {
        "Name": project,
        "Status": ", ".join(f"{state}({number})" for state, number in sorted(counts.items())),
        "ConfigFiles": ",".join(files) or "N/A",
    }


def replica(
    containers: Sequence[ObservedContainer], service: str, index: int, *, running: bool = True
) -> ObservedContainer:
    """The replica ``index`` of a service, 0 for the lowest; a one-off container only when there is no other.

    Raises UsageError with docker compose's words when there is none.
    """
    mine = [one for one in containers if one.service == service]
    usable = [one for one in mine if state_of(one) in ("running", "paused")] if running else mine
    regular = sorted((one for one in usable if not one.oneoff), key=lambda one: one.number)
    if index:
        for one in regular:
            if one.number == index:
                return one
        raise UsageError(
            f'service "{service}" has no running container #{index}', hint=f"pycompose ps {service} shows what there is"
        )
    candidates = regular or usable
    if not candidates:
        words = "is not running" if running else "has no container"
        raise UsageError(f'service "{service}" {words}', hint=f"start it with: pycompose up -d {service}")
    return candidates[0]


def size_text(size: int) -> str:
    """Bytes in decimal units as Docker writes them: ``1.98MB``."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.4g}{unit}" if value >= 100 or unit == "B" else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"


IMAGE_COLUMNS = (
    ("CONTAINER", "ContainerName"),
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("PLATFORM", "Platform"),
    ("IMAGE ID", "ShortID"),
    ("SIZE", "SizeText"),
    ("CREATED", "Created"),
)


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag of ``host:5000/a/b:1``; no tag is ``latest``, beside a digest ``<none>``."""
    reference, _, digest = reference.partition("@")
    slash = reference.rfind("/")
    colon = reference.find(":", slash + 1)
    if colon < 0:
        return reference, "<none>" if digest else "latest"
    return reference[:colon], "<none>" if digest else reference[colon + 1 :]


def image_row(reference: str, image: Image, now: float) -> Row:
    """An image for ``images``, with docker compose's field names."""
    repository, tag = split_reference(reference) if reference else ("<none>", "<none>")
    return {
        "ID": image.digest,
        "ShortID": image.digest.removeprefix("sha256:")[:12],
        "Repository": repository,
        "Tag": tag,
        "Platform": f"{image.os}/{image.architecture}" if image.architecture else "",
        "Size": image.size,
        "SizeText": size_text(image.size),
        "LastTagTime": image.created,
        "Created": f"{_since(image.created, now)} ago" if image.created else "N/A",
    }

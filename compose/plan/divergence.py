"""What differs between two canonical service configurations, and whether that is applied in place or by recreating.

``HOW`` is the one table of that knowledge; ``up`` and ``watch`` both read it. An in-place attribute is one that the
engine can change under a running container (its cgroup, its shim's policy, its labels), or that has no effect on it.
"""

from __future__ import annotations

from compose import plain_json as json
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

IN_PLACE = "in place"
RECREATE = "recreate"
IGNORED = "ignored"  # not part of a container: changing it touches nothing

HOW: Mapping[str, str] = {
    "annotations": IN_PLACE,
    "attach": IN_PLACE,
    "blkio_config": RECREATE,
    "blkio_config.weight": IN_PLACE,
    "build": IGNORED,
    "cap_add": RECREATE,
    "cap_drop": RECREATE,
    "cgroup": RECREATE,
    "cgroup_parent": RECREATE,
    "command": RECREATE,
    "configs": RECREATE,
    "container_name": RECREATE,
    "cpu_count": IN_PLACE,  # no effect
    "cpu_percent": IN_PLACE,  # no effect
    "cpu_period": IN_PLACE,
    "cpu_quota": IN_PLACE,
    "cpu_rt_period": RECREATE,
    "cpu_rt_runtime": RECREATE,
    "cpu_shares": IN_PLACE,
    "cpus": IN_PLACE,
    "cpuset": IN_PLACE,
    "depends_on": IGNORED,
    "deploy": IN_PLACE,
    "deploy.replicas": IGNORED,
    "deploy.resources.limits": IN_PLACE,
    "deploy.resources.reservations": IN_PLACE,
    "deploy.resources.reservations.devices": RECREATE,
    "deploy.restart_policy": IN_PLACE,
    "develop": IN_PLACE,
    "device_cgroup_rules": RECREATE,
    "devices": RECREATE,
    "dns": RECREATE,
    "dns_opt": RECREATE,
    "dns_search": RECREATE,
    "domainname": RECREATE,
    "entrypoint": RECREATE,
    "env_file": IGNORED,  # folded into environment
    "environment": RECREATE,
    "expose": IN_PLACE,  # says, does nothing
    "external_links": RECREATE,
    "extra_hosts": IN_PLACE,
    "gpus": RECREATE,
    "group_add": RECREATE,
    "healthcheck": IN_PLACE,
    "hostname": RECREATE,
    "image": RECREATE,
    "init": RECREATE,
    "ipc": RECREATE,
    "isolation": IN_PLACE,  # no effect
    "label_file": IGNORED,  # folded into labels
    "labels": IN_PLACE,
    "links": RECREATE,
    "logging": RECREATE,
    "mac_address": RECREATE,
    "mem_limit": IN_PLACE,
    "mem_reservation": IN_PLACE,
    "mem_swappiness": RECREATE,
    "memswap_limit": IN_PLACE,
    "network_mode": RECREATE,
    "networks": IN_PLACE,
    "oom_kill_disable": RECREATE,
    "oom_score_adj": RECREATE,
    "pid": RECREATE,
    "pids_limit": IN_PLACE,
    "platform": RECREATE,
    "ports": IN_PLACE,
    "post_start": RECREATE,
    "pre_start": RECREATE,
    "pre_stop": RECREATE,
    "privileged": RECREATE,
    "profiles": IGNORED,
    "provider": IGNORED,  # it is asked by every up
    "pull_policy": IGNORED,
    "pull_refresh_after": IN_PLACE,  # no effect
    "read_only": RECREATE,
    "restart": IN_PLACE,
    "runtime": IN_PLACE,  # no effect
    "scale": IGNORED,
    "secrets": RECREATE,
    "security_opt": RECREATE,
    "shm_size": RECREATE,
    "stdin_open": RECREATE,
    "stop_grace_period": IN_PLACE,
    "stop_signal": IN_PLACE,
    "storage_opt": RECREATE,
    "sysctls": RECREATE,
    "tmpfs": RECREATE,
    "tty": RECREATE,
    "ulimits": RECREATE,
    "user": RECREATE,
    "userns_mode": RECREATE,
    "uts": RECREATE,
    "volumes": RECREATE,
    "volumes_from": RECREATE,
    "working_dir": RECREATE,
}

# What an update is told when nothing but the contents of a service's files differs.
FILE_CONTENTS = ("configs", "secrets")

_SECRET = ("environment",)  # attributes whose values are not shown
_LONGEST = 60


@record
class Change:
    """One attribute that differs; ``old`` or ``new`` is None where it is absent. ``how``: IN_PLACE or RECREATE."""

    path: str
    old: Any
    new: Any
    how: str

    def text(self, show_values: bool = False) -> str:
        """``mem_limit: 64 → 128``; the values of environment variables only when asked for."""
        first = self.path.split(".")[0]
        if (first in _SECRET and not show_values) or self._is_attachment():
            return f"{self.path}: {self._kind()}"
        return f"{self.path}: {_short(self.old)} → {_short(self.new)}"

    def _is_attachment(self) -> bool:
        """A network that was added or removed, whatever is said of it."""
        return self.path.startswith("networks.") and self.path.count(".") == 1 and None in (self.old, self.new)

    def _kind(self) -> str:
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"


def how(path: str) -> str:
    """The row of ``HOW`` for an attribute path: the longest prefix that has one; unknown attributes recreate."""
    while path:
        row = HOW.get(path)
        if row is not None:
            return row
        path = path.rpartition(".")[0]
    return RECREATE


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """All attributes that differ, in the order of their paths. Absent, null and ``{}`` are the same."""
    rows = (Change(path, was, now, how(path)) for path, was, now in _walk("", old, new))
    return tuple(change for change in rows if change.how != IGNORED)


def _walk(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if prefix == "networks.":  # to name one is to be on it, whatever is said of it
            was, now = ({} if row is None and key in side else row for row, side in ((was, old), (now, new)))
            if was is None or now is None:
                yield f"{prefix}{key}", was, now
                continue
        if was == now or (_absent(was) and _absent(now)):
            continue
        path = f"{prefix}{key}"
        if _nested(path, was, now):
            yield from _walk(f"{path}.", was or {}, now or {})
        else:
            yield path, was, now


def _nested(path: str, was: Any, now: Any) -> bool:
    """Whether to look inside: both are mappings, or one is and the other absent where the table has finer rows."""
    if isinstance(was, dict) and isinstance(now, dict):
        return True
    one = was if isinstance(was, dict) else now
    other = now if one is was else was
    return isinstance(one, dict) and other is None and path in _INNER


_INNER = {
    "annotations",
    "blkio_config",
    "deploy",
    "deploy.resources",
    "deploy.resources.reservations",
    "environment",
    "labels",
    "networks",
}


def _absent(value: Any) -> bool:
    return value is None or value == {}


def _short(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

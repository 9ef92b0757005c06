"""pids (v2): as in v1."""

from runtime.cgroups.v1.pids import settings

__all__ = ["settings"]

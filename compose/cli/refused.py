"""Commands that docker compose has and pycompose does not have yet, each with the reason or what to do meanwhile."""

from __future__ import annotations

REFUSED = {
    "alpha": "its experiments have become commands of their own: scale, watch, up --dry-run",
    "bridge": "it needs docker's transformer images",
    "publish": "share the Compose file itself, in a git repository for example: -f https://HOST/REPOSITORY.git",
}

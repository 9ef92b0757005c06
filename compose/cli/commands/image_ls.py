"""``image ls``: what the store holds, the latest first."""

from __future__ import annotations

import time

from compose.api.read import created_text, image_row, seconds_of
from compose.cli.image_filters import for_list
from compose.cli.render.table import show
from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from runtime.images.store import Image
    from runtime.paths import Roots

_COLUMNS = (
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("DIGEST", "Digest"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
)
_HEADERS = (*_COLUMNS, ("CREATED AT", "CreatedAt"), ("CONTAINERS", "Containers"), ("VIRTUAL SIZE", "VirtualSize"))


@record
class Options:
    name: str = ""
    quiet: bool = False
    format: str = "table"
    all: bool = False
    no_trunc: bool = False
    digests: bool = False
    filter: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    shows = for_list(session.roots, options.filter, options.name)
    images = [image for image in store.list_images(session.roots) if shows(image)]
    images.sort(key=lambda image: seconds_of(image.created), reverse=True)
    if options.quiet:
        names = [image.digest if options.no_trunc else image.digest[7:19] for image in images]
        session.write("".join(f"{name}\n" for name in dict.fromkeys(names)))
        return 0
    plain = options.format in ("", "table")
    rows = _rows(session.roots, images, options.no_trunc, counted=not plain)
    if plain:
        columns = [column for column in _COLUMNS if options.digests or column[1] != "Digest"]
        session.write(show("table", rows, columns, lines=True))
    else:
        session.write(show(options.format, rows, _HEADERS, lines=True))
    return 0


def _rows(roots: Roots, images: list[Image], full: bool, counted: bool) -> list[dict[str, object]]:
    """With docker's field names, all of them texts. ``counted``: say how many containers each has."""
    digests = _digests(roots)
    used = _containers(roots) if counted else {}
    now = time.time()
    rows = []
    for image in images:
        row = image_row(image.reference, image, now)
        known = digests.get(image.digest, {})
        if not image.reference and known:
            row = {**row, "Repository": next(iter(known))}
        rows.append(
            {
                "Containers": str(used.get(image.digest, 0)),
                "CreatedAt": created_text(image.created) or "N/A",
                "CreatedSince": row["Created"],
                "Digest": known.get(str(row["Repository"]), "<none>"),
                "ID": image.digest if full else row["ShortID"],
                "Repository": row["Repository"],
                "SharedSize": "N/A",
                "Size": row["SizeText"],
                "Tag": row["Tag"],
                "UniqueSize": "N/A",
                "VirtualSize": row["SizeText"],
            }
        )
    return rows


def _digests(roots: Roots) -> dict[str, dict[str, str]]:
    """Image id -> repository -> the digest under which a registry has the image there."""
    from runtime.images.upkeep import all_repo_digests

    found: dict[str, dict[str, str]] = {}
    for ident, name in all_repo_digests(roots):
        repository, _, digest = name.partition("@")
        found.setdefault(ident, {})[repository] = digest
    return found


def _containers(roots: Roots) -> dict[str, int]:
    from compose import labels
    from runtime.listing import names_and_labels

    found: dict[str, int] = {}
    for _name, row in names_and_labels(roots):
        ident = row.get(labels.IMAGE, "")
        found[ident] = found.get(ident, 0) + 1
    return found

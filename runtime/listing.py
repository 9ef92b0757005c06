"""Who is there, by name and labels only: for who wants nothing of what containers do now, such as completion."""

from __future__ import annotations

import os

from runtime import plain_json as json
from runtime.paths import Bundle, Roots, containers_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def names_and_labels(roots: Roots) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name and labels of every container on this machine, in no order: one small file each."""
    try:
        idents = os.listdir(containers_dir(roots))
    except FileNotFoundError:
        return
    for ident in idents:
        if ident.startswith("."):
            continue
        try:
            with open(Bundle(roots, ident).labels, "rb") as file:
                plain = json.loads(file.read())
        except (OSError, ValueError):
            continue  # it goes, or comes, this moment
        yield plain["name"], plain["labels"]

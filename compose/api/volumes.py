"""The volumes of a project as rows with docker's field names."""

from __future__ import annotations

from compose import labels
from runtime.volumes import ANONYMOUS_LABEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from runtime.paths import Roots
    from runtime.volumes import Volume

    Row = dict[str, object]

VOLUME_COLUMNS = (("DRIVER", "Driver"), ("VOLUME NAME", "Name"))


def volume_rows(roots: Roots, volumes: Iterable[Volume], project: str, used: Collection[str] | None) -> list[Row]:
    """The project's named volumes by name, with docker's fields; ``used``: only these."""
    return [
        {
            "Availability": "N/A",
            "Driver": "local",
            "Group": "N/A",
            "Label": volume.labels.get,
            "Labels": ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items())),
            "Links": "N/A",
            "Mountpoint": f"{roots.state}/volumes/{volume.name}/_data",
            "Name": volume.name,
            "Scope": "local",
            "Size": "N/A",
            "Status": "N/A",
        }
        for volume in sorted(volumes, key=lambda one: one.name)
        if volume.labels.get(labels.PROJECT) == project
        and ANONYMOUS_LABEL not in volume.labels
        and (used is None or volume.name in used)
    ]

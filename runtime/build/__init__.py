"""Builds images from Dockerfiles, in this project's own runtime. What is understood and how: docs/build.md."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.request import BuildRequest, Reporter
    from runtime.images.store import Image
    from runtime.paths import Roots


def build(roots: Roots, request: BuildRequest, reporter: Reporter) -> Image:
    """Build one image and give it its names. Raises BuildFault and RuntimeFault; then no name has changed."""
    from runtime.build.builder import Builder

    return Builder(roots, request, reporter).run()

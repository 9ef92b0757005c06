"""Builds images from Dockerfiles, in this project's own runtime. What is understood and how: docs/build.md."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.request import BuildRequest, Reporter, Surroundings
    from runtime.images.store import Image
    from runtime.paths import Roots


def build(roots: Roots, request: BuildRequest, reporter: Reporter, surroundings: Surroundings | None = None) -> Image:
    """Build one image and give it its names. Raises BuildFault and RuntimeFault; then no name has changed.

    ``surroundings``: the network and the registries; without, RUN has no network and bases must be in the store.
    """
    from runtime.build.builder import Builder

    return Builder(roots, request, reporter, surroundings).run()

"""Commands that docker compose has and pycompose does not have yet, each with what to do meanwhile."""

from __future__ import annotations

REFUSED = {
    "alpha": "",
    "bridge": "",
    "build": "make the image elsewhere, then: docker save IMAGE | pycompose load -i -",
    "commit": "",
    "events": "",
    "export": "copy files out with: pycompose cp SERVICE:PATH -",
    "publish": "",
    "pull": "load images from an archive: pycompose load -i FILE",
    "push": "",
    "stats": "",
    "volumes": "names of the file's volumes: pycompose config --volumes",
    "watch": "",
}

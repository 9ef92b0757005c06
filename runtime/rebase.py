"""Put a stopped container's own files back to a moment: the upper directory of then becomes a lower layer for good."""

from __future__ import annotations

import os

from runtime.container import read_annotations, read_spec, rewrite_spec
from runtime.paths import Bundle, trash_dir
from runtime.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots


def keep_root(roots: Roots, ident: str) -> None:
    """What a stopped container has written until now is what :func:`reset_root` goes back to. Raises RuntimeFault."""
    bundle = Bundle(roots, ident)
    spec = read_spec(roots, ident)
    baseline = f"{bundle.dir}/baseline"
    if baseline in spec.rootfs.layers:
        return
    if not os.path.exists(baseline):
        os.rename(bundle.upper, baseline)
    _fresh(bundle)
    rootfs = replace(spec.rootfs, layers=(baseline, *spec.rootfs.layers))
    rewrite_spec(roots, replace(spec, rootfs=rootfs), read_annotations(roots, ident))


def reset_root(roots: Roots, ident: str) -> None:
    """Throw away what a stopped container has written since :func:`keep_root`, or since it was created."""
    bundle = Bundle(roots, ident)
    os.makedirs(trash_dir(roots), mode=0o700, exist_ok=True)
    for path in (bundle.upper, bundle.work):
        try:
            os.rename(path, f"{trash_dir(roots)}/{ident[:12]}-{os.urandom(6).hex()}")
        except FileNotFoundError:
            continue
    _fresh(bundle)


def _fresh(bundle: Bundle) -> None:
    for path, mode in ((bundle.upper, 0o755), (bundle.work, 0o700)):
        os.makedirs(path, mode, exist_ok=True)

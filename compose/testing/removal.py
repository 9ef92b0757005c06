"""Remove a whole stack by its name alone: what the guard, the sweep and the finalizers do."""

from __future__ import annotations

import os

from compose.api.down import DownOptions, down
from compose.engine.local import LocalEngine
from compose.testing.recorder import Recorder
from runtime.paths import project_dir, project_run_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.events import Reporter
    from compose.plan.desired import Desired
    from runtime.paths import Roots


def remove_project(
    roots: Roots,
    project: str,
    environ: Mapping[str, str],
    *,
    desired: Desired | None = None,
    reporter: Reporter | None = None,
    timeout: float | None = 0,
) -> None:
    """``down -v`` with ``timeout`` seconds of grace, then the stack's directories. Raises ComposeError."""
    engine = LocalEngine(roots, environ)
    options = DownOptions(
        project=project,
        volumes=True,
        remove_orphans=True,
        timeout=timeout,
        lock=f"{project_run_dir(roots, project)}/lock",
    )
    try:
        down(engine, desired, options, reporter or Recorder())
    finally:
        engine.close()
    forget_directories(roots, project)


def forget_directories(roots: Roots, project: str) -> None:
    """Remove what tests keep of a stack beside its containers: generations of volumes, the memo."""
    from runtime.tree import remove_tree

    for path in (stack_dir(roots, project), project_dir(roots, project)):
        try:
            remove_tree(path)
        except FileNotFoundError:
            continue
    for parent in (f"{roots.state}/stacks", f"{roots.state}/projects"):
        try:
            os.rmdir(parent)
        except OSError:
            continue  # other stacks are there


def stack_dir(roots: Roots, project: str) -> str:
    """Durable files of a test stack: the generations of its volumes."""
    return f"{roots.state}/stacks/{project}"

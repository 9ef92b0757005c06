"""``export``: a container's file system as a tar archive, without what is mounted in it."""

from __future__ import annotations

import os
import sys

from compose.api.read import check_services, replica
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.observed import ObservedContainer


@record
class Options:
    service: str
    output: str = ""
    index: int = 0


def run(session: Session, options: Options) -> int:
    if not options.output and os.isatty(1):
        raise UsageError("cannot write an archive to a terminal", hint="name a file with --output, or redirect")
    project, desired = session.project((options.service,))
    observed = session.observe(project)
    check_services(observed, desired, (options.service,))
    container = replica(observed.containers, options.service, options.index, running=False)
    if session.shared.dry_run:
        session.tell(f"DRY-RUN MODE -  {container.name} would be exported to {options.output or 'stdout'}\n")
        return 0
    root = files_of(session, container)
    try:
        _write(root, options.output)
    finally:
        os.close(root)
    return 0


def files_of(session: Session, container: ObservedContainer) -> int:
    """A descriptor of the container's files as image and writes make them: read-only, nothing mounted inside."""
    from runtime.container import read_spec
    from runtime.overlay import files_view
    from runtime.paths import Bundle

    return files_view(read_spec(session.roots, container.id), Bundle(session.roots, container.id))


def _write(root: int, output: str) -> None:
    """To stdout, or to a file that appears when it is complete."""
    from runtime.copy_tar import write_root

    if output in ("", "-"):
        write_root(root, sys.stdout.buffer)
        return
    temporary = f"{output}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            write_root(root, file)
        os.rename(temporary, output)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise

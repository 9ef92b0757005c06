"""``commit``: an image of a container as it is now."""

from __future__ import annotations

from compose.api.read import check_services, replica
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from compose.cli.session import Session
    from compose.plan.observed import ObservedContainer
    from runtime.images.store import Image


@record
class Options:
    service: str
    reference: str = ""
    author: str = ""
    change: tuple[str, ...] = ()
    index: int = 0
    message: str = ""
    pause: bool = True


def run(session: Session, options: Options) -> int:
    project, desired = session.project((options.service,))
    observed = session.observe(project)
    check_services(observed, desired, (options.service,))
    container = replica(observed.containers, options.service, options.index, running=False)
    if session.shared.dry_run:
        session.tell(f"DRY-RUN MODE -  {container.name} would be committed to {options.reference or 'an image'}\n")
        return 0
    pauses = options.pause and container.status == "running"
    if pauses:
        session.engine.pause_container(container.id)
    try:
        image = _commit(session, container, options)
    finally:
        if pauses:
            session.engine.unpause_container(container.id)
    session.tell(f" {container.name} Commit {container.name} Committed as {image.digest}\n")
    return 0


def _commit(session: Session, container: ObservedContainer, options: Options) -> Image:
    from compose import labels
    from runtime.build.committing import commit
    from runtime.container import read_annotations, read_container, read_spec
    from runtime.images.changes import apply_changes
    from runtime.images.store import resolve
    from runtime.paths import Bundle

    one = read_container(session.roots, container.id)
    if one is None:
        raise UsageError(f"cannot commit {container.name}: it is gone", hint="pycompose ps -a shows what there is")
    base = resolve(session.roots, one.labels[labels.IMAGE])
    spec = read_spec(session.roots, container.id)
    service = read_annotations(session.roots, container.id).get("config") or {}
    config = apply_changes(_config(dict(base.config), spec, service), options.change)
    return commit(
        session.roots,
        base,
        Bundle(session.roots, container.id).upper,
        config,
        (options.reference,) if options.reference else (),
        author=options.author,
        message=options.message,
        created_by=" ".join(spec.process.args),
    )


def _config(config: dict[str, Any], spec: Any, service: dict[str, Any]) -> dict[str, Any]:
    """The image's configuration with what the container was run with, as docker commit has it; Compose's own labels
    stay out: they tell of the container."""
    process = spec.process
    config["Env"] = list(process.env) or config.get("Env") or []
    if process.user:
        config["User"] = process.user
    if process.cwd and process.cwd != "/":
        config["WorkingDir"] = process.cwd
    if service.get("entrypoint") is not None:
        config["Entrypoint"] = list(service["entrypoint"])
        config.pop("Cmd", None)
    if service.get("command") is not None:
        config["Cmd"] = list(service["command"])
    own = {
        name: text
        for name, text in spec.labels.items()
        if not name.startswith(("com.docker.compose.", "org.pycompose."))
    }
    if own:
        config["Labels"] = own
    return config

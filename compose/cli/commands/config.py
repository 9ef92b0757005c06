"""``config``: the file in canonical form, or lists of what is in it."""

from __future__ import annotations

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.model.project import Project


@record
class Options:
    services: tuple[str, ...] = ()
    format: str = "yaml"
    list_services: bool = False
    list_volumes: bool = False
    list_networks: bool = False
    list_images: bool = False
    list_profiles: bool = False
    hash: str = ""
    quiet: bool = False
    output: str = ""


def run(session: Session, options: Options) -> int:
    if options.format not in ("yaml", "json"):
        raise UsageError(f"cannot write {options.format}", hint="formats: yaml, json")
    from compose.project import load_project

    project = load_project(session.load_options(options.services), session.environ)
    for warning in project.warnings:
        session.warn(warning)
    project = _selected(project, options.services)
    text = "" if options.quiet else _text(project, options)
    if options.output:
        _save(options.output, text)
    else:
        session.write(text)
    return 0


def _selected(project: Project, names: tuple[str, ...]) -> Project:
    """The named services with what they depend on. Raises UsageError for one that is not there."""
    if not names:
        return project
    wanted = list(names)
    for name in wanted:
        if name not in project.services:
            raise UsageError(f"no such service: {name}", hint=f"services: {', '.join(project.services)}")
        edges = project.services[name].depends_on or ()  # a profile may have left out an optional one
        wanted += [other for other in edges if other not in wanted and other in project.services]
    services = {name: service for name, service in project.services.items() if name in wanted}
    return project.model_copy(update={"services": services})


def _text(project: Project, options: Options) -> str:
    from compose.spec import render

    if options.hash:
        names = () if options.hash == "*" else tuple(options.hash.split(","))
        for name in names:
            if name not in project.services:
                raise UsageError(f"no such service: {name}", hint=f"services: {', '.join(project.services)}")
        return "".join(f"{name} {digest}\n" for name, digest in render.list_hashes(project, names))
    lists = (
        (options.list_services, render.list_services),
        (options.list_volumes, render.list_volumes),
        (options.list_networks, render.list_networks),
        (options.list_images, render.list_images),
        (options.list_profiles, _profiles),
    )
    for wanted, names_of in lists:
        if wanted:
            return "".join(f"{name}\n" for name in names_of(project))
    return render.render_config(project, options.format)


def _profiles(project: Project) -> tuple[str, ...]:
    found = {name for service in project.services.values() for name in service.profiles or ()}
    return tuple(sorted(found))


def _save(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None

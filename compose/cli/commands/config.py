"""``config``: the file in canonical form, or lists of what is in it; remembered, so that asking again costs little."""

from __future__ import annotations

from compose.errors import SpecError, UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.api.config import Question
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    format: str = ""
    list_services: bool = False
    list_volumes: bool = False
    list_networks: bool = False
    list_images: bool = False
    list_models: bool = False
    list_profiles: bool = False
    hash: str = ""
    environment: bool = False
    variables: bool = False
    explain: str = ""
    no_interpolate: bool = False
    no_normalize: bool = False
    no_path_resolution: bool = False
    no_consistency: bool = False
    no_env_resolution: bool = False
    lock_image_digests: bool = False
    resolve_image_digests: bool = False
    quiet: bool = False
    output: str = ""


_ABOUT = (
    ("list_services", "services"),
    ("list_volumes", "volumes"),
    ("list_networks", "networks"),
    ("list_images", "images"),
    ("list_models", "models"),
    ("list_profiles", "profiles"),
    ("environment", "environment"),
    ("variables", "variables"),
)


def run(session: Session, options: Options) -> int:
    if options.format not in ("", "yaml", "json"):
        raise UsageError(f"cannot write {options.format}", hint="formats: yaml, json")
    try:
        text, warnings = _answer(session, options)
    except SpecError as error:
        if not (options.quiet and options.format == "json"):
            raise
        return _problems(session, error)
    for warning in warnings:
        session.warn(warning)
    text = "" if options.quiet else text
    if options.output:
        save(options.output, text)
    else:
        session.write(text)
    return 0


def _answer(session: Session, options: Options) -> tuple[str, list[str]]:
    """The text and the warnings: remembered, or worked out. The process's whole environment is never remembered."""
    from compose import memo
    from compose.project import working_directory

    load_options = session.load_options(options.services)
    digests = options.lock_image_digests or options.resolve_image_digests
    forgetful = options.environment or bool(options.explain) or digests
    path = memo.path_of(load_options, working_directory(session.environ), session.roots.state, options)
    found = None if forgetful else memo.read_plain(path, session.environ)
    if found:
        return found[0], found[1]
    from compose.api.config import answer

    fresh = answer(load_options, _question(options), session.environ)
    if not forgetful and fresh.inputs.repeatable:
        memo.write_plain(path, [fresh.text, fresh.warnings], fresh.inputs.files, fresh.inputs.variables)
    return fresh.text, list(fresh.warnings)


def _question(options: Options) -> Question:
    from compose.api.config import Question

    about = next((word for field, word in _ABOUT if getattr(options, field)), "")
    if options.hash or options.explain:
        about = "hash" if options.hash else "explain"
    return Question(
        services=options.services,
        format=options.format or "yaml",
        about=about,
        detail=options.hash or options.explain,
        interpolate=not options.no_interpolate,
        normalize=not options.no_normalize,
        resolve_paths=not options.no_path_resolution,
        consistency=not options.no_consistency,
        resolve_environment=not options.no_env_resolution,
        quiet=options.quiet,
        digests="lock" if options.lock_image_digests else "resolve" if options.resolve_image_digests else "",
    )


def _problems(session: Session, error: SpecError) -> int:
    """For editors: every problem as an object, on standard output; the exit code."""
    import json

    from compose.spec.problems import problem_to_plain

    plain = {"problems": [problem_to_plain(problem) for problem in error.problems]}
    session.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    return error.exit_code


def save(path: str, text: str) -> None:
    """Write a file. Raises UsageError."""
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a directory that is there and yours"
        ) from None

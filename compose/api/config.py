"""What ``config`` answers: the project in canonical form, lists of what is in it, where a value comes from.

Imported only when the memo has no answer: this loads the whole of compose.spec.
"""

from __future__ import annotations

from compose.errors import UsageError
from compose.project import LoadOptions
from compose.record import record
from compose.spec import defaults, render
from compose.spec.desire import plain_project
from compose.spec.inputs import Inputs
from compose.spec.pipeline import LENIENT, Loaded, Switches, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Plain = dict[str, Any]


@record
class Question:
    """What is asked. ``about``: "" is the whole project, else services, volumes, networks, images, models, profiles,
    hash, variables, environment or explain; ``detail``: services to hash (``*``: all), the path to explain."""

    services: tuple[str, ...] = ()
    format: str = "yaml"
    about: str = ""
    detail: str = ""
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    consistency: bool = True
    resolve_environment: bool = True
    quiet: bool = False  # only whether it can be read: no text is made
    digests: str = ""  # "resolve": tags become digests; "lock": only that, as an override file


@record
class Answer:
    """``inputs``: all that was read for it."""

    text: str
    warnings: tuple[str, ...]
    inputs: Inputs


def answer(options: LoadOptions, question: Question, environ: Mapping[str, str]) -> Answer:
    """The text that answers a question. Raises SpecError with every problem of the files, UsageError for unknown names.

    Nothing is refused here that only a command which runs something refuses.
    """
    if question.about == "explain":
        return _explain(options, question, environ)
    loaded = load(options, environ, _switches(question))
    warnings = () if question.about == "variables" else loaded.warnings
    return Answer(_text(loaded, question, environ), warnings, loaded.inputs)


def _switches(question: Question) -> Switches:
    return Switches(
        interpolate=question.interpolate and question.about != "variables",
        normalize=question.normalize,
        resolve_paths=question.resolve_paths,
        consistency=question.consistency,
        resolve_environment=question.resolve_environment,
        refuse=LENIENT.refuse,
        extensions=question.format == "yaml" and not question.about,
    )


def _explain(options: LoadOptions, question: Question, environ: Mapping[str, str]) -> Answer:
    from compose.spec import explain

    found = explain.explain(options, environ, question.detail)
    text = explain.render_json(found) if question.format == "json" else explain.render_text(found)
    return Answer(text, (), Inputs(environ))


def _text(loaded: Loaded, question: Question, environ: Mapping[str, str]) -> str:
    if question.about == "variables":
        return _variables(loaded, question)
    if question.about == "environment":
        return _lines(f"{name}={value}" for name, value in sorted(loaded.place.variables.all().items()))
    if question.about == "profiles":
        return _lines(sorted(loaded.profiles))
    plain = select(plain_project(loaded), question.services)
    if question.about == "hash":
        names = () if question.detail == "*" else tuple(question.detail.split(","))
        return _lines(f"{name} {digest}" for name, digest in render.list_hashes(select(plain, names), names))
    if question.digests:
        plain = _with_digests(plain, environ)
        if question.digests == "lock":
            plain = {
                "services": {
                    name: {"image": one["image"]} for name, one in plain["services"].items() if one.get("image")
                }
            }
            return _as_text(plain, question.format)
    if question.quiet:
        return ""
    if question.about:
        return _lines(_LISTS[question.about](plain))
    return render.render_plain(plain, question.format, escape=question.interpolate)


def _as_text(plain: Plain, format: str) -> str:
    if format == "json":
        import json

        return json.dumps(plain, indent=2) + "\n"
    import yaml

    return str(yaml.safe_dump(plain, sort_keys=True))


def _with_digests(plain: Plain, environ: Mapping[str, str]) -> Plain:
    """The services with the digests that their registries say now. Raises RuntimeFault; asks for each image once."""
    from runtime.images.registry.digests import with_digest

    found: dict[str, str] = {}
    services = {}
    for name, service in plain["services"].items():
        image = service.get("image")
        if image and image not in found:
            found[image] = with_digest(image, environ)
        services[name] = {**service, "image": found[image]} if image else service
    return {**plain, "services": services}


def _variables(loaded: Loaded, question: Question) -> str:
    from compose.spec import variables

    found = variables.wanted_variables(loaded.root)
    return variables.render_json(found) if question.format == "json" else variables.render_table(found)


def _lines(items: Any) -> str:
    return "".join(f"{item}\n" for item in items)


def select(plain: Plain, names: tuple[str, ...]) -> Plain:
    """The named services with what they depend on and what they all use. Raises UsageError for one that is not there.

    A profile may have left out a dependency that is not required.
    """
    if not names:
        return plain
    services = plain["services"]
    wanted = list(names)
    for name in wanted:
        if name not in services:
            raise UsageError(f"no such service: {name}", hint=f"services: {', '.join(services)}")
        edges = services[name].get("depends_on") or ()
        wanted += [other for other in edges if other not in wanted and other in services]
    result = dict(plain)
    result["services"] = {name: service for name, service in services.items() if name in wanted}
    for section, used in defaults.used_resources(result["services"]).items():
        result[section] = {key: item for key, item in plain[section].items() if key in used}
    return result


_LISTS: dict[str, Callable[[Plain], tuple[str, ...]]] = {
    "services": render.list_services,
    "volumes": render.list_volumes,
    "networks": render.list_networks,
    "images": render.list_images,
    "models": render.list_models,
}

"""A service's ``build:`` as a request to the builder, in the order that ``additional_contexts`` asks for.

Compose's rules (docs/build.md): the image is ``image:`` or PROJECT-SERVICE; ``--build-arg`` adds to ``args``; values
without one come from the environment; secrets and ssh agents are looked up here.
"""

from __future__ import annotations

import itertools
import os

from compose.engine.build_network import BuildSurroundings
from compose.errors import EngineError, Interrupted
from compose.events import BuildOutput, Note
from compose.record import EMPTY, record
from netplan.errors import NetworkFault
from runtime.build.errors import BuildCancelled, BuildFault
from runtime.build.platform import check_platform
from runtime.build.request import BuildRequest, Secret, StepBegan, StepEnded, StepOutput, Warned
from runtime.errors import RuntimeFault
from runtime.spec import Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from compose.engine.protocol import OnCancel
    from compose.events import Reporter
    from compose.plan.desired import Desired, DesiredService
    from netplan.store import Store
    from runtime.build.request import BuildEvent
    from runtime.paths import Roots

SERVICE = "service:"


@record
class BuildOptions:
    """What the command line adds. ``args``: name -> value; ``memory``: bytes; ``ssh``: id -> socket."""

    args: Mapping[str, str] = EMPTY
    no_cache: bool = False
    pull: bool = False
    quiet: bool = False
    memory: int = 0
    ssh: Mapping[str, str] = EMPTY


def is_buildable(service: DesiredService) -> bool:
    return bool(service.config.get("build"))


def build_order(desired: Desired, names: tuple[str, ...]) -> list[str]:
    """The services to build, each after those whose images it takes as contexts. Raises EngineError for a cycle."""
    found: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            chain = " -> ".join((*above[above.index(name) :], name))
            raise EngineError(
                f"cannot build {name}: additional_contexts go in a circle: {chain}", hint="break it at one of them"
            )
        if name in found:
            return
        for needed in services_needed(desired, name):
            visit(needed, (*above, name))
        found[name] = None

    for name in names:
        visit(name, ())
    return list(found)


def services_needed(desired: Desired, name: str) -> list[str]:
    """Services whose images the build of one takes. Raises EngineError for one that is not there or not built."""
    contexts = (desired.service(name).config.get("build") or {}).get("additional_contexts") or {}
    needed = [value[len(SERVICE) :] for value in contexts.values() if str(value).startswith(SERVICE)]
    known = {service.name: service for service in desired.services}
    for other in needed:
        if other not in known:
            raise EngineError(
                f"cannot build {name}: additional_contexts names service {other}, which does not exist",
                hint="name a service of the file that has a build",
            )
        if not is_buildable(known[other]):
            raise EngineError(
                f"cannot build {name}: service {other} of its additional_contexts has no build",
                hint="give it one, or name its image: docker-image://IMAGE",
            )
    return needed


def build_service(
    roots: Roots,
    desired: Desired,
    service: DesiredService,
    options: BuildOptions,
    reporter: Reporter,
    *,
    environ: Mapping[str, str] | None = None,
    store: Callable[[], Store] | None = None,
    on_cancel: OnCancel | None = None,
) -> str:
    """Build a service's image (those it takes as contexts must be there) and name it; the image id.

    ``store``: netplan's, if the caller has it open. ``on_cancel`` is given what ends the build; it then leaves nothing
    and raises Interrupted. Raises EngineError.
    """
    environ = os.environ if environ is None else environ
    request = request_of(desired, service, options, environ)
    network = _network(desired, service)
    try:
        return build_image(
            roots,
            request,
            service.name,
            reporter,
            network=network,
            quiet=options.quiet,
            store=store,
            environ=environ,
            on_cancel=on_cancel,
        )
    except EngineError as error:  # several services may have a Dockerfile of the same name
        text = error.message
        for beginning in ("cannot build ", "cannot build: ", "cannot read "):
            text = text.removeprefix(beginning)
        raise EngineError(f"cannot build {service.name}: {text}", hint=error.hint) from error


def build_image(
    roots: Roots,
    request: BuildRequest,
    name: str,
    reporter: Reporter,
    *,
    network: str = "",
    quiet: bool = False,
    store: Callable[[], Store] | None = None,
    environ: Mapping[str, str] | None = None,
    on_cancel: OnCancel | None = None,
) -> str:
    """Build what a request says; the image id. ``name`` stands before lines of output. Raises EngineError."""
    from runtime.build.builder import Builder
    from runtime.build.cancelling import run_cancellable

    surroundings = BuildSurroundings(roots, store or _opener(roots), network, environ)
    telling = _Telling(reporter, name, quiet, request.tags[0] if request.tags else name)
    try:
        return run_cancellable(Builder(roots, request, telling, surroundings), on_cancel).digest
    except BuildCancelled:
        raise Interrupted(f"cannot build {name}: interrupted") from None
    except BuildFault as fault:
        raise EngineError(fault.message, hint=fault.hint) from fault
    except (RuntimeFault, NetworkFault) as fault:
        raise EngineError(fault.message, hint=fault.hint) from fault


def _opener(roots: Roots) -> Callable[[], Store]:
    opened: list[Store] = []

    def store() -> Store:
        if not opened:
            from netplan.store import open_store
            from runtime.container import make_roots

            make_roots(roots)
            opened.append(open_store(roots.run, roots.instance()))
        return opened[0]

    return store


_NUMBERS = itertools.count(1)  # of the steps of all builds in this process: several run side by side


class _Telling:
    """The builder's events as lines like BuildKit's plain progress: ``#3 [2/5] RUN make``, ``#3 0.12 text``."""

    def __init__(self, reporter: Reporter, name: str, quiet: bool, image: str = "") -> None:
        self._reporter = reporter
        self._name = name
        self._quiet = quiet
        self._image = image
        self._titles: dict[int, str] = {}
        self._shown: dict[int, int] = {}  # the build's own number of a step -> the one among all

    def emit(self, event: BuildEvent) -> None:
        if isinstance(event, Warned):
            self._reporter.emit(Note(f"{self._name}: {event.text}", "warning"))
        elif not self._quiet:
            if isinstance(event, StepBegan):
                self._titles[event.number] = event.title
                self._shown[event.number] = next(_NUMBERS)
            part = self._titles.get(event.number, "")
            done = isinstance(event, StepEnded)
            self._reporter.emit(BuildOutput(self._name, self._lines(event), self._image, part, done))

    def _lines(self, event: StepBegan | StepOutput | StepEnded) -> str:
        return lines_of(event, self._name, self._shown.get(event.number, event.number))


def lines_of(event: StepBegan | StepOutput | StepEnded, name: str, number: int) -> str:
    """An event as the lines that show it; ``name`` stands before the step's place: ``[web 2/5]``."""
    match event:
        case StepBegan(title=title):
            return f"#{number} [{name} {title.removeprefix('[')}"
        case StepOutput(text=text):
            return "\n".join(f"#{number} {line}" for line in text.split("\n"))
        case StepEnded(cached=True):
            return f"#{number} CACHED"
        case StepEnded(error=error) if error:
            return f"#{number} ERROR: {error}"
        case StepEnded(seconds=seconds):
            return f"#{number} DONE {seconds:.1f}s"


# -- the request


def request_of(
    desired: Desired, service: DesiredService, options: BuildOptions, environ: Mapping[str, str]
) -> BuildRequest:
    """A service's build as the builder takes it. Raises EngineError."""
    build: dict[str, Any] = dict(service.config["build"])
    network = build.get("network") or "default"
    return BuildRequest(
        context=build.get("context", "."),
        dockerfile="" if build.get("dockerfile_inline") else build.get("dockerfile", ""),
        inline=build.get("dockerfile_inline") or "",
        tags=(service.image, *(build.get("tags") or ())),
        args={**_args(build, environ), **options.args},
        labels={key: str(value) for key, value in (build.get("labels") or {}).items()},
        contexts=_contexts(desired, build),
        secrets=_secrets(desired, build, service.name),
        ssh={**ssh_agents(build.get("ssh") or (), environ), **options.ssh},
        target=build.get("target") or "",
        platform=_platform(build, service),
        network=network if network in ("default", "none", "host") else "default",
        extra_hosts=_extra_hosts(build.get("extra_hosts") or ()),
        shm_size=int(build.get("shm_size") or 0),
        memory=options.memory,
        ulimits=tuple(_ulimit(name, value) for name, value in (build.get("ulimits") or {}).items()),
        entitlements=tuple(build.get("entitlements") or ()),
        privileged=bool(build.get("privileged")),
        no_cache=options.no_cache or bool(build.get("no_cache")),
        no_cache_stages=tuple(build.get("no_cache_filter") or ()),
        pull=options.pull or bool(build.get("pull")),
        cache_from=tuple(build.get("cache_from") or ()),
        cache_to=tuple(build.get("cache_to") or ()),
        own_images=tuple(desired.service(name).image for name in services_needed(desired, service.name)),
        epoch=_epoch(environ),
    )


def _args(build: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """``args``; a name without value has that of the environment, or is left out."""
    found = {}
    for name, value in (build.get("args") or {}).items():
        text = environ.get(name) if value is None else str(value)
        if text is not None:
            found[name] = text
    return found


def _contexts(desired: Desired, build: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, value in (build.get("additional_contexts") or {}).items():
        text = str(value)
        if text.startswith(SERVICE):
            text = f"docker-image://{desired.service(text[len(SERVICE) :]).image}"
        found[name] = text
    return found


def _secrets(desired: Desired, build: Mapping[str, Any], name: str) -> dict[str, Secret]:
    found = {}
    files = {file.key: file for file in desired.files if file.kind == "secret"}
    for row in build.get("secrets") or ():
        file = files.get(row["source"])
        if file is None:
            raise EngineError(
                f"cannot build {name}: secret {row['source']} is not defined",
                hint="define it below secrets: at the top level",
            )
        target = row.get("target") or row["source"]
        mode = row.get("mode")
        secret = Secret(
            _content(file.file, file.content, name),
            int(row.get("uid") or 0),
            int(row.get("gid") or 0),
            0o400 if mode is None else int(str(mode), 8),
            target if target.startswith("/") else "",
        )
        found[os.path.basename(target) if target.startswith("/") else target] = secret
        found.setdefault(row["source"], secret)
    return found


def _content(path: str, text: str, name: str) -> bytes:
    if not path:
        return text.encode("latin-1")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise EngineError(
            f"cannot build {name}: cannot read secret {path}: {error.strerror}",
            hint="give the secret a file that can be read, or an environment",
        ) from error


def ssh_agents(words: tuple[str, ...] | list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """``default`` or ``id=path`` as id -> socket. Raises EngineError for what is no agent."""
    found = {}
    for word in words:
        name, equals, path = str(word).partition("=")
        path = path if equals else environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise EngineError(f"cannot use ssh {name}: SSH_AUTH_SOCK is not set", hint="start an agent, or give a path")
        if not os.path.exists(path):
            raise EngineError(
                f"cannot use ssh {name}: there is no {path}", hint="start an agent, or name a key: --ssh ID=PATH"
            )
        if os.path.isfile(path):
            hint = f"add the key to an agent: ssh-add {path}, and use its socket"
            raise EngineError(f"cannot use ssh {name}: {path} is a key, not the socket of an agent", hint=hint)
        found[name or "default"] = path
    return found


def _platform(build: Mapping[str, Any], service: DesiredService) -> str:
    """The one platform to build for. Raises EngineError for several, and for other machines'."""
    wanted = list(build.get("platforms") or ())
    if len(wanted) > 1:
        raise EngineError(
            f"cannot build {service.name} for {', '.join(wanted)}: one platform at a time",
            hint="leave one in build.platforms, or set platform",
        )
    platform = wanted[0] if wanted else str(service.config.get("platform") or "")
    if not platform:
        return ""
    try:
        return check_platform(platform)
    except BuildFault as fault:
        raise EngineError(fault.message, hint=fault.hint) from fault


def _extra_hosts(rows: Any) -> tuple[tuple[str, str], ...]:
    found = []
    for row in rows:
        name, _, address = str(row).partition("=")
        if not address:
            name, _, address = str(row).partition(":")
        found.append((name, address.strip("[]")))
    return tuple(found)


def _ulimit(name: str, value: Any) -> Rlimit:
    if isinstance(value, dict):
        return Rlimit(name, int(value["soft"]), int(value["hard"]))
    return Rlimit(name, int(value), int(value))


def _epoch(environ: Mapping[str, str]) -> int:
    text = environ.get("SOURCE_DATE_EPOCH", "")
    return int(text) if text.isdigit() else -1


def _network(desired: Desired, service: DesiredService) -> str:
    """The machine's name of the project's network that RUN is to use; empty for one of the build's own."""
    wanted = service.config["build"].get("network") or ""
    if wanted in ("", "default", "none", "host"):
        return ""
    for network in desired.networks:
        if wanted in (network.key, network.name):
            return network.name
    return str(wanted)

"""From an action to its one engine call."""

from __future__ import annotations

from compose.plan.actions import (
    AdoptContainer,
    BuildImage,
    Connect,
    CreateContainer,
    Created,
    CreateNetwork,
    CreateVolume,
    Disconnect,
    KillContainer,
    PauseContainer,
    PostStart,
    PrepareContainer,
    PreStart,
    PreStop,
    PullImage,
    PushImage,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveProvider,
    RemoveVolume,
    RenameContainer,
    StartContainer,
    StartProvider,
    StopContainer,
    StopProvider,
    UnpauseContainer,
    UpdateContainer,
    WaitFor,
    never,
)
from compose.plan.hooks import hook_service
from compose.plan.providers import is_provided, with_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compose.engine.protocol import Engine, OnCancel
    from compose.plan.actions import Action, Target
    from compose.plan.desired import Desired, DesiredService


class Context:
    """What the handlers of one run share: the engine, the look-up of names, and the ids made so far."""

    def __init__(self, engine: Engine, project: str, desired: Desired | None, new_ident: Callable[[], str]) -> None:
        self.engine = engine
        self.project = project
        self.new_ident = new_ident
        self.created: dict[int, str] = {}  # step number -> id
        self.on_cancel: OnCancel = lambda _end: None  # takes what ends a long step when the run is cancelled
        self._desired = desired
        self.provided: Mapping[str, Mapping[str, str]] = {}
        self.with_providers = desired is not None and any(is_provided(service) for service in desired.services)
        if self.with_providers:
            self.provided = engine.provided(project)
        self.services = {service.name: service for service in desired.services} if desired else {}
        self.networks = {network.key: network for network in desired.networks} if desired else {}
        self.volumes = {volume.key: volume for volume in desired.volumes} if desired else {}

    @property
    def desired(self) -> Desired:
        """The project. A plan without one has no step that asks for it."""
        if self._desired is None:
            raise LookupError("this plan was made without a project")
        return self._desired

    def ident(self, target: Target) -> str:
        """The id of a container that exists, or that an earlier step created."""
        return self.created[target.step] if isinstance(target, Created) else target.id

    def service(self, name: str, hook: int = -1) -> DesiredService:
        """A service of the project, or what the container of one of its ``pre_start`` commands is made from."""
        found = with_values(self.services[name], self.provided) if self.with_providers else self.services[name]
        return found if hook < 0 else hook_service(found, hook)


def perform(number: int, action: Action, context: Context) -> None:
    """Do it. Raises what the engine raises."""
    engine = context.engine
    match action:
        case CreateNetwork(title):
            engine.create_network(context.project, context.networks[title])
        case RemoveNetwork(_title, name):
            engine.remove_network(name)
        case CreateVolume(title):
            engine.create_volume(context.project, context.volumes[title])
        case RemoveVolume(_title, name):
            engine.remove_volume(name)
        case RemoveImage(reference):
            engine.remove_image(reference)
        case PullImage(image, platform):
            engine.pull_image(image, platform)
        case BuildImage(_image, service, options):
            engine.build_image(context.desired, context.service(service), options, context.on_cancel)
        case PushImage(image, _required, compression):
            engine.push_image(image, compression)
        case CreateContainer():
            _create(number, action, context)
        case Connect(_title, target, service, network, aliases, hook):
            engine.connect(context.desired, context.service(service, hook), context.ident(target), network, aliases)
        case UpdateContainer(_title, target, service, changes):
            engine.update_container(context.desired, context.service(service), context.ident(target), changes)
        case WaitFor(_title, targets, condition, _required, timeout):
            engine.wait_until(tuple(context.ident(target) for target in targets), condition, timeout)
        case StartProvider(service):
            context.provided = engine.run_provider(context.project, context.services.get(service), service, "up")
        case StopProvider(service):
            engine.run_provider(context.project, context.services.get(service), service, "stop")
        case RemoveProvider(service):
            engine.run_provider(context.project, context.services.get(service), service, "down")
        case _:
            _on_container(action, context.ident(action.target), engine)


def _on_container(
    action: (
        PrepareContainer
        | AdoptContainer
        | Disconnect
        | StartContainer
        | PreStart
        | PostStart
        | PreStop
        | StopContainer
        | KillContainer
        | PauseContainer
        | UnpauseContainer
        | RemoveContainer
        | RenameContainer
    ),
    ident: str,
    engine: Engine,
) -> None:
    match action:
        case StartContainer():
            engine.start_container(ident)
        case StopContainer(_title, _target, timeout):
            engine.stop_container(ident, timeout)
        case PreStart():
            engine.run_hooks(ident, "pre_start")
        case PostStart():
            engine.run_hooks(ident, "post_start")
        case PreStop():
            engine.run_hooks(ident, "pre_stop")
        case Disconnect(_title, _target, network):
            engine.disconnect(ident, network)
        case RemoveContainer(_title, _target, volumes, force):
            engine.remove_container(ident, volumes=volumes, force=force)
        case PrepareContainer():
            engine.prepare_container(ident)
        case AdoptContainer():
            engine.adopt_container(ident)
        case RenameContainer(_title, _target, name):
            engine.rename_container(ident, name)
        case KillContainer(_title, _target, signal):
            engine.kill_container(ident, signal)
        case PauseContainer():
            engine.pause_container(ident)
        case UnpauseContainer():
            engine.unpause_container(ident)
        case _:
            never(action)


def _create(number: int, action: CreateContainer, context: Context) -> None:
    ident = action.ident or context.new_ident()
    context.created[number] = ident
    shares = {reference: context.ident(target) for reference, target in action.shares.items()}
    context.engine.create_container(
        context.desired,
        context.service(action.service, action.hook),
        action.number,
        ident=ident,
        name=action.name,
        replaces=action.replaces,
        overrides=action.overrides,
        **({"shares": shares} if shares else {}),
    )

"""One small frozen class per thing that can be done; each is one call of the Engine.

``kind`` and ``verb`` are what a plan prints and what events carry; ``title`` is the short name of the thing (``web-1``,
``default``). A container that does not exist yet has no id: steps name it by the number of the step that creates it.
"""

from __future__ import annotations

from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from compose.plan.intent import BuildOptions


@record
class Existing:
    """A container that is there: its 64 hex digits."""

    id: str


@record
class Created:
    """The container that step ``step`` of the same plan creates."""

    step: int


if TYPE_CHECKING:
    Target = Existing | Created


@record
class CreateNetwork:
    """Create the project's network ``key``, called ``name`` on the machine."""

    title: str  # the key in the file
    name: str
    kind = "network"
    verb = "create"


@record
class RemoveNetwork:
    """Remove a network, with the endpoints that stopped or removed containers left on it."""

    title: str
    name: str
    kind = "network"
    verb = "remove"


@record
class CreateVolume:
    """Create the project's named volume ``title``."""

    title: str
    name: str
    kind = "volume"
    verb = "create"


@record
class RemoveVolume:
    """Remove a named volume and what is in it."""

    title: str
    name: str
    kind = "volume"
    verb = "remove"


@record
class RemoveImage:
    """Remove the name ``title`` from the store, and with an image's last name the image. Kept while it is used."""

    title: str
    kind = "image"
    verb = "remove"


@record
class PullImage:
    """Bring the image ``title`` (as the file writes it) from its registry; up to date is well.

    ``platform``: another than this machine's, or empty. Without ``required`` a failure is only told: there is an older
    image, or it can be built.
    """

    title: str
    platform: str = ""
    required: bool = True
    kind = "image"
    verb = "pull"


@record
class BuildImage:
    """Build the image ``title`` from the build section of ``service``."""

    title: str
    service: str
    options: BuildOptions
    kind = "image"
    verb = "build"


@record
class PushImage:
    """Send the image ``title`` to its registry; ``compression`` of layers that it does not have: gzip or zstd."""

    title: str
    required: bool = True
    compression: str = "gzip"
    kind = "image"
    verb = "push"


@record
class CreateContainer:
    """Create replica ``number`` of ``service`` under the full ``name``.

    ``replaces``: id of the container whose anonymous volumes it takes over. ``shares``: for each ``service:x`` whose
    namespace or volumes it uses, that service's container. ``ident``: the id to use, empty for a new one.
    ``overrides``: what ``run`` changes. ``hook``: makes the throw-away container of that ``pre_start`` command instead.
    """

    title: str
    service: str
    number: int
    name: str
    replaces: str = ""
    shares: Mapping[str, Target] = EMPTY
    ident: str = ""
    overrides: Mapping[str, Any] | None = None
    hook: int = -1
    kind = "container"
    verb = "create"


@record
class OnContainer:
    """Base of the actions on one container."""

    title: str
    target: Target
    kind = "container"
    verb = ""


@record
class PrepareContainer(OnContainer):
    """Boot a stopped container again, up to the moment before exec."""

    verb = "prepare"


@record
class AdoptContainer(OnContainer):
    """Give a running container a new shim."""

    verb = "adopt"


@record
class Connect(OnContainer):
    """Attach to the project's network ``network`` (its key)."""

    service: str
    network: str
    aliases: bool = True
    hook: int = -1
    verb = "connect"


@record
class Disconnect(OnContainer):
    """Give back link, lease, names and ports on the network called ``network``, or on all."""

    network: str = ""
    verb = "disconnect"


@record
class StartContainer(OnContainer):
    """Let a created or prepared container execute."""

    verb = "start"


@record
class PreStart(OnContainer):
    """Let the throw-away container of a ``pre_start`` command run to its end."""

    verb = "pre_start"


@record
class PostStart(OnContainer):
    """Run the ``post_start`` commands inside a container that was just started, one after another."""

    verb = "post_start"


@record
class PreStop(OnContainer):
    """Run the ``pre_stop`` commands inside a container that is about to be stopped."""

    verb = "pre_stop"


@record
class StopContainer(OnContainer):
    """Stop signal, grace period (``timeout`` seconds, None: its own), SIGKILL."""

    timeout: float | None = None
    verb = "stop"


@record
class KillContainer(OnContainer):
    """Send a signal."""

    signal: str = "SIGKILL"
    verb = "kill"


@record
class PauseContainer(OnContainer):
    """Freeze."""

    verb = "pause"


@record
class UnpauseContainer(OnContainer):
    """Thaw."""

    verb = "unpause"


@record
class RemoveContainer(OnContainer):
    """Remove; ``volumes``: its anonymous volumes too; ``force``: whatever its state."""

    volumes: bool = False
    force: bool = False
    verb = "remove"


@record
class RenameContainer(OnContainer):
    """Take the full name ``name``."""

    name: str
    verb = "rename"


@record
class UpdateContainer(OnContainer):
    """Apply the changed attributes (paths) of the service in place."""

    service: str
    changes: tuple[str, ...]
    verb = "update"


@record
class WaitFor:
    """Wait until all containers of a service meet ``condition``; without ``required`` a failure is only told."""

    title: str
    targets: tuple[Target, ...]
    condition: str
    required: bool = True
    timeout: float | None = None
    kind = "service"
    verb = "wait"


@record
class OnProvider:
    """Base of the actions of a service with ``provider``: its plug-in is called instead of making a container."""

    title: str  # the service
    kind = "provider"
    verb = ""


@record
class StartProvider(OnProvider):
    """Have what the service stands for made; what the plug-in says goes into the variables of its dependents."""

    verb = "create"


@record
class StopProvider(OnProvider):
    """Have it stopped, if the plug-in can."""

    verb = "stop"


@record
class RemoveProvider(OnProvider):
    """Have it removed."""

    verb = "remove"


ACTIONS = (
    CreateNetwork,
    RemoveNetwork,
    CreateVolume,
    RemoveVolume,
    RemoveImage,
    PullImage,
    BuildImage,
    PushImage,
    CreateContainer,
    PrepareContainer,
    AdoptContainer,
    Connect,
    Disconnect,
    StartContainer,
    PreStart,
    PostStart,
    PreStop,
    StopContainer,
    KillContainer,
    PauseContainer,
    UnpauseContainer,
    RemoveContainer,
    RenameContainer,
    UpdateContainer,
    WaitFor,
    StartProvider,
    StopProvider,
    RemoveProvider,
)

if TYPE_CHECKING:
    Action = (
        CreateNetwork
        | RemoveNetwork
        | CreateVolume
        | RemoveVolume
        | RemoveImage
        | PullImage
        | BuildImage
        | PushImage
        | CreateContainer
        | PrepareContainer
        | AdoptContainer
        | Connect
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
        | UpdateContainer
        | WaitFor
        | StartProvider
        | StopProvider
        | RemoveProvider
    )


def never(value: NoReturn) -> NoReturn:
    """For the last case of a ``match`` over actions: mypy proves that it is not reached (typing.assert_never)."""
    raise AssertionError(f"no case for {value!r}")

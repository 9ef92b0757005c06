"""The Engine: the only door from compose to processes and packets. One method per plan action, plus one look.

Every method is idempotent and safe against being killed half-way: called again it completes. Errors are
``compose.errors.EngineError``. Methods may be called from several threads.
"""

from __future__ import annotations

from compose.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from compose.journal import Entry
    from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
    from compose.plan.intent import BuildOptions
    from compose.plan.observed import Observed
    from runtime.images.upkeep import Usage

    OnCancel = Callable[[Callable[[], None]], None]

    class Engine(Protocol):
        def observe(self, project: str, desired: Desired | None = None) -> Observed:
            """The one look. With ``desired``: also the images, networks and volumes it names. Reads only."""
            ...

        def warm_up(self, project: str = "") -> None:
            """Processes will be created soon, of that project."""
            ...

        def settle(self, project: str) -> None:
            """Before a converging verb looks: clear what killed commands left half-made, put back what others took."""
            ...

        def forget(self, project: str) -> None:
            """After the last of a project: clear what killed processes left of it, and what was remembered."""
            ...

        def remember(self, project: str, entries: list[Entry]) -> None:
            """Keep for ``why`` what was done and for which reason. Never fails."""
            ...

        # networks and volumes
        def create_network(self, project: str, network: DesiredNetwork) -> None: ...
        def remove_network(self, name: str) -> None:
            """Remove it, with the endpoints that stopped or removed containers left on it (``down`` of a whole project
            does not disconnect one by one). Refuses while a running container is attached."""
            ...

        def create_volume(self, project: str, volume: DesiredVolume) -> None: ...
        def remove_volume(self, name: str) -> None: ...
        def remove_image(self, reference: str) -> None:
            """One that is gone is removed; one that is in use, or built in, is kept, and a note says why."""
            ...

        def run_provider(
            self, project: str, service: DesiredService | None, name: str, command: str
        ) -> Mapping[str, Mapping[str, str]]:
            """Call the plug-in of a provider service: ``command`` up, stop or down. ``service`` None: as it was
            the last time. Gives what :meth:`provided` gives, afterwards."""
            ...

        def provided(self, project: str) -> Mapping[str, Mapping[str, str]]:
            """The variables that each of the project's provider services gave the last time, as containers see them."""
            ...

        # images; what is done is told by events of StepProgress
        def pull_image(self, reference: str, platform: str = "") -> None:
            """Bring an image from its registry, whatever the store has; nothing is loaded when that is up to date."""
            ...

        def build_image(
            self, desired: Desired, service: DesiredService, options: BuildOptions, on_cancel: OnCancel
        ) -> None:
            """Build the service's image and give it its names. ``on_cancel`` is given a function that ends the build
            from any thread, which then leaves nothing and raises Interrupted."""
            ...

        def push_image(self, reference: str, compression: str = "gzip") -> None:
            """Send an image to the registry that its name says."""
            ...

        def disk_usage(self) -> dict[str, Usage]:
            """What images, containers, volumes and the build cache take of the disk, by docker's words for them."""
            ...

        # containers; ``ident`` is 64 hex digits
        def create_container(
            self,
            desired: Desired,
            service: DesiredService,
            number: int,
            *,
            ident: str,
            name: str,
            replaces: str = "",
            overrides: Mapping[str, Any] | None = None,
            shares: Mapping[str, str] = EMPTY,
        ) -> None:
            """Write the bundle and boot it up to the moment before exec (OCI create). ``replaces``: id of the container
            whose anonymous volumes it takes over. ``overrides``: what ``run`` changes (keys of RUN_OVERRIDES).
            ``shares``: for each ``service:x`` whose namespaces or volumes it uses, the id of its container."""
            ...

        def prepare_container(self, ident: str) -> None:
            """Boot a stopped container's bundle again up to the moment before exec."""
            ...

        def adopt_container(self, ident: str) -> None:
            """Give a running container whose shim is gone a new shim."""
            ...

        def connect(
            self, desired: Desired, service: DesiredService, ident: str, network: str, aliases: bool = True
        ) -> None:
            """Attach a created container to the project's network (key ``network``): lease, link, DNS names, ports."""
            ...

        def disconnect(self, ident: str, network: str = "") -> None:
            """Give back link, lease, names and ports of the container, on one network (name) or on all."""
            ...

        def start_container(self, ident: str) -> None: ...
        def run_hooks(self, ident: str, phase: str) -> None:
            """Execute the commands of ``phase`` (post_start, pre_stop) that the container was made with, one after
            another; the first that fails ends them with an error. ``pre_start``: the container was made for one such
            command; start it and wait for its end."""
            ...

        def stop_container(self, ident: str, timeout: float | None = None) -> None:
            """Stop signal, grace period (``timeout`` seconds; None: its own), SIGKILL. Waits for the end."""
            ...

        def kill_container(self, ident: str, signal: str = "SIGKILL") -> None: ...
        def pause_container(self, ident: str) -> None: ...
        def unpause_container(self, ident: str) -> None: ...
        def remove_container(self, ident: str, *, volumes: bool = False, force: bool = False) -> None:
            """Remove a stopped container and its files; ``volumes``: its anonymous volumes too."""
            ...

        def rename_container(self, ident: str, name: str) -> None: ...
        def update_container(
            self, desired: Desired, service: DesiredService, ident: str, changes: tuple[str, ...]
        ) -> None:
            """Apply the changed attributes in place; then replace the stored config and hash."""
            ...

        def wait_until(self, idents: tuple[str, ...], condition: str, timeout: float | None = None) -> None:
            """Block until all containers meet ``condition``: started, healthy, completed, running_or_healthy, stopped.

            ``completed`` and ``running_or_healthy`` are also met by an exit with code 0. Raises DependencyFailed, with
            exit code, last probe and log tail, as soon as it cannot be met.
            """
            ...


RUN_OVERRIDES = (
    "command",  # list
    "entrypoint",  # list
    "environment",  # mapping, value None removes
    "user",
    "working_dir",
    "tty",
    "stdin_open",
    "volumes",  # list of canonical volume mappings, appended
    "ports",  # list of canonical port mappings, replaces
    "labels",
    "cap_add",
    "cap_drop",
    "auto_remove",
    "oneoff",
    "hook",  # the phase, for the container of a pre_start command
)

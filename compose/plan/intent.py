"""What a command asks of the planner, beside the file: plain values, one record per family of commands."""

from __future__ import annotations

from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record
class OneOff:
    """The container of ``run``: the service it is made from, and what differs (keys of RUN_OVERRIDES)."""

    service: str
    ident: str
    name: str
    overrides: Mapping[str, Any] = EMPTY
    aliases: bool = False


@record
class Intent:
    """What ``up``, ``create``, ``scale`` and ``run`` want.

    ``services``: the named ones, empty for all. ``recreate`` and, for services that were not named, ``recreate_deps``:
    ``diverged`` (when they differ), ``force``, ``never``. ``scale``: service to replicas, over the file's. ``timeout``:
    seconds for stops, None for each service's own. ``wait``: end only when all is running or healthy.
    ``converge=False`` starts what exists and creates nothing (``start``). ``remake``: names of volumes that may be made
    anew, losing what is in them, if their configuration changed; ``*``: any.
    """

    services: tuple[str, ...] = ()
    recreate: str = "diverged"
    recreate_deps: str = "diverged"
    scale: Mapping[str, int] = EMPTY
    no_deps: bool = False
    no_start: bool = False
    timeout: float | None = None
    remove_orphans: bool = False
    ignore_orphans: bool = False
    renew_anon_volumes: bool = False
    wait: bool = False
    wait_timeout: float | None = None
    show_values: bool = False
    converge: bool = True
    providers: bool = True  # call the plug-ins of provider services
    oneoff: OneOff | None = None
    remake: tuple[str, ...] = ()


@record
class BuildOptions:
    """What a build step is to do beyond what the file says.

    ``pull``: ask the registries for the base images anew. ``args`` go over the file's; ``ssh`` as ``--ssh``;
    ``memory``: limit of RUN in bytes, 0 for none. ``quiet``: no output of steps.
    """

    pull: bool = False
    no_cache: bool = False
    args: Mapping[str, str] = EMPTY
    ssh: tuple[str, ...] = ()
    memory: int = 0
    quiet: bool = False


@record
class ImageIntent:
    """Which images are wanted, and how fresh.

    ``services`` and ``no_deps`` as in Intent. ``pull``: a policy over the file's
    (``--pull``), empty for the file's. ``build``: build whatever has a build section; ``no_build``: nothing. ``now``:
    seconds since the epoch, for policies with an age. ``first_look``: a pull that fails may still be made up for by a
    build, after another look.
    """

    services: tuple[str, ...] = ()
    no_deps: bool = False
    pull: str = ""
    build: bool = False
    no_build: bool = False
    now: float = 0.0
    first_look: bool = True
    options: BuildOptions = BuildOptions()  # noqa: RUF009 -- a record does not change


@record
class DownIntent:
    """What ``down`` wants. ``services`` empty: the whole project with its networks."""

    services: tuple[str, ...] = ()
    volumes: bool = False
    remove_orphans: bool = False
    timeout: float | None = None
    images: str = ""  # "local": those without a name in the file; "all": all that services use


@record
class LifeIntent:
    """What ``stop``, ``restart``, ``kill``, ``pause``, ``unpause`` and ``rm`` want."""

    services: tuple[str, ...] = ()
    timeout: float | None = None
    signal: str = "SIGKILL"
    no_deps: bool = False
    stop: bool = False  # rm --stop
    volumes: bool = False  # rm --volumes
    remove_orphans: bool = False  # kill --remove-orphans

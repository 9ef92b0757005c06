"""What is asked of a build, what it asks of its surroundings, and what it tells. Plain values and protocols."""

from __future__ import annotations

from runtime.record import EMPTY, record
from runtime.spec import Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from runtime.images.registry.progress import Part
    from runtime.images.store import Image


@record
class Secret:
    """A secret: its bytes, and what a mount of it has unless it says otherwise."""

    content: bytes
    uid: int = 0
    gid: int = 0
    mode: int = 0o400
    target: str = ""


@record
class BuildRequest:
    """One image to build.

    ``context``: a directory, a git or http(s) URL, or empty. ``dockerfile``: path below the context, or absolute;
    ``inline``: the text itself. ``contexts``: name -> directory, URL, ``docker-image://NAME`` or ``oci-layout://DIR``.
    ``ssh``: id -> path of an agent's socket. ``network``: of RUN: default, none or host. ``no_cache_stages``: stages
    that are built anew. ``epoch``: SOURCE_DATE_EPOCH, or -1. ``cache_from`` and ``cache_to``: words as
    ``type=registry,ref=NAME``. ``own_images``: names that are never pulled, as they are built here.
    """

    context: str = ""
    dockerfile: str = ""
    inline: str = ""
    tags: tuple[str, ...] = ()
    args: Mapping[str, str] = EMPTY
    labels: Mapping[str, str] = EMPTY
    contexts: Mapping[str, str] = EMPTY
    secrets: Mapping[str, Secret] = EMPTY
    ssh: Mapping[str, str] = EMPTY
    target: str = ""
    platform: str = ""
    network: str = "default"
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    memory: int = 0
    ulimits: tuple[Rlimit, ...] = ()
    entitlements: tuple[str, ...] = ()
    privileged: bool = False
    cgroup_parent: str = ""
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    own_images: tuple[str, ...] = ()
    epoch: int = -1


@record
class StepBegan:
    """A step begins: ``number`` from 1 over the whole build, ``title`` as ``[stage 2/5] RUN make``."""

    number: int
    title: str


@record
class StepOutput:
    """Output of a RUN: whole lines."""

    number: int
    text: str


@record
class StepEnded:
    """A step ended after ``seconds``; ``cached``: it was not carried out; ``error`` is empty when it succeeded."""

    number: int
    title: str
    seconds: float
    cached: bool = False
    error: str = ""


@record
class Warned:
    """A sentence for the user."""

    text: str


if TYPE_CHECKING:
    BuildEvent = StepBegan | StepOutput | StepEnded | Warned

    class Reporter(Protocol):
        """Receives events, from several threads."""

        def emit(self, event: BuildEvent) -> None: ...

    class Surroundings(Protocol):
        """What the builder cannot do itself: the network, and images that are not in the store."""

        environ: Mapping[str, str]  # credentials, proxies and settings of registries

        def pull_image(self, reference: str, tell: Callable[[Part], None]) -> Image:
            """Bring an image from its registry. Raises RuntimeFault."""
            ...

        def open_network(self) -> int:
            """A network namespace that is connected as RUN's default network is; the caller closes the descriptor."""
            ...

        def resolv_conf(self) -> str:
            """The content of /etc/resolv.conf for RUN."""
            ...

        def host_addresses(self) -> Sequence[str]:
            """Where this machine answers in the network that was opened: what ``host-gateway`` means."""
            ...

        def close(self) -> None:
            """Give back what was opened."""
            ...

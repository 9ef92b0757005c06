"""The network of RUN: a bridge of the build's own that leads out, made when the first step needs it."""

from __future__ import annotations

import os
import threading

from netplan.spec import EndpointSpec, NetworkSpec
from runtime.build.errors import BuildFault
from runtime.linux.identity import start_time
from runtime.linux.process import CLONE_NEWNET, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netplan.spec import Endpoint
    from netplan.store import Store
    from runtime.images.registry.progress import Part
    from runtime.images.store import Image
    from runtime.paths import Roots

PREFIX = "pycompose_build_"
_PID, _BEGAN = "org.pycompose.build.pid", "org.pycompose.build.start"


class BuildSurroundings:
    """What the builder takes from outside (runtime.build.request.Surroundings).

    ``store``: netplan's, opened when it is asked for. ``network``: an existing network to use in place of one of its
    own. ``environ``: of the command: credentials, proxies and settings of registries.
    """

    def __init__(
        self,
        roots: Roots,
        store: Callable[[], Store],
        network: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.roots = roots
        self.network = network
        self._store = store
        self.environ = os.environ if environ is None else environ
        self._lock = threading.Lock()
        self._netns = -1
        self._container = f"build-{os.urandom(8).hex()}"
        self._own = ""
        self._endpoint: Endpoint | None = None

    def pull_image(self, reference: str, tell: Callable[[Part], None]) -> Image:
        """Bring an image from its registry; what it warns of is told, too. Raises RuntimeFault."""
        from runtime.images.registry.progress import Part
        from runtime.images.registry.pull import pull

        result = pull(self.roots, reference, progress=tell, environ=self.environ)
        for text in result.warnings:
            tell(Part("", f"warning: {text}", done=True))
        return result.image

    def open_network(self) -> int:
        """A descriptor of the build's network namespace, which all its steps share; processes end with each step."""
        with self._lock:
            if self._netns < 0:
                self._netns = self._connect()
            return os.dup(self._netns)

    def _connect(self) -> int:
        from netplan import endpoint, network

        store = self._store()
        name = self.network
        if not name:
            _sweep(store)
            name = self._own = PREFIX + os.urandom(4).hex()
            owner = os.getpid()
            labels = {_PID: str(owner), _BEGAN: str(start_time(owner))}
            network.create_network(store, NetworkSpec(name, labels=labels))
        namespace = new_namespace()
        try:
            spec = EndpointSpec(name, self._container, "eth0", (self._container,))
            self._endpoint, _fds = endpoint.attach(store, spec, namespace)
        except BaseException:
            os.close(namespace)
            raise
        return namespace

    def host_addresses(self) -> list[str]:
        from compose.engine.joining import host_addresses

        return host_addresses(self._store(), [self._endpoint] if self._endpoint is not None else [])

    def resolv_conf(self) -> str:
        """The host's, without name servers that only it reaches; behind systemd-resolved, those that it asks."""
        kept: list[str] = []
        for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
            try:
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    lines = file.read().splitlines()
            except OSError:
                continue
            kept = [line for line in lines if not line.startswith(("nameserver 127.", "nameserver ::1"))]
            if any(line.startswith("nameserver") for line in kept):
                break
        return "\n".join(kept) + "\n"

    def close(self) -> None:
        """Give the network back."""
        with self._lock:
            if self._netns >= 0:
                from netplan import endpoint, network

                os.close(self._netns)
                self._netns = -1
                endpoint.detach(self._store(), self._container)
            if self._own:
                network.remove_network(self._store(), self._own, force=True)
                self._own = ""


def new_namespace() -> int:
    """A descriptor of a new network namespace, with its loopback up. Raises BuildFault."""
    found: list[int] = []
    problem: list[OSError] = []

    def make() -> None:
        try:
            unshare(CLONE_NEWNET)  # of this thread only
            found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            problem.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if problem:
        raise BuildFault(f"cannot make a network namespace: {problem[0].strerror}", "pycompose doctor says more")
    return found[0]


def _sweep(store: Store) -> None:
    """Remove the networks of builds that were killed."""
    from netplan import endpoint, network

    for one in network.list_networks(store):
        if one.name.startswith(PREFIX) and start_time(int(one.labels.get(_PID, "0"))) != int(one.labels[_BEGAN]):
            for row in endpoint.endpoints(store, network=one.name):
                endpoint.detach(store, row.container, dying=True)
            network.remove_network(store, one.name, force=True)

"""Break a stack for a while. Every fault is a context and can be left standing; healing is in reverse order."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.state import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from compose.testing.netfaults import NetworkFaults
    from compose.testing.stack import Stack


SIGKILL = 9


class Faults:
    """The faults of one stack: ``with faults.pause("db"):``."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._standing: list[tuple[str, Callable[[], None]]] = []
        self._networks: NetworkFaults | None = None

    @property
    def active(self) -> list[str]:
        """The faults that are on now, in words."""
        return [text for text, _heal in self._standing]

    def heal(self) -> None:
        """End all that stand, the latest first; one that cannot be healed does not keep the others."""
        errors: list[Exception] = []
        while self._standing:
            text, undo = self._standing.pop()
            try:
                undo()
                self.stack.recorder.say("fault", text, "heal")
            except Exception as error:  # noqa: BLE001  the stack may be half gone
                errors.append(error)
        if errors:
            raise errors[0]

    def pause(self, service: str) -> AbstractContextManager[None]:
        """All processes of the service stand still."""
        return self._fault(f"pause {service}", lambda: self.stack.pause(service), lambda: self._unpause(service))

    def kill(self, service: str, signal: str = "SIGKILL") -> None:
        """The service's first processes get a signal as if from nowhere; what follows is its restart policy's.

        After SIGKILL it returns when they are dead. Healing starts what does not run.
        """
        from runtime.signals import signal_number

        number = signal_number(signal)
        for one in self.stack.containers((service,)):
            if one.pid:
                os.kill(one.pid, number)
                if number == SIGKILL:
                    self._wait_for_end(one.id, one.pid)
        self._stand(f"kill {service}", lambda: self.stack.start(service))

    def _wait_for_end(self, ident: str, pid: int) -> None:
        """Until the shim has noticed: it says another pid, or none."""
        give_up = time.monotonic() + self.stack.timeout
        while time.monotonic() < give_up:
            state = read_state(Bundle(self.stack.roots, ident), boot_id())
            if state.pid != pid or state.status == "stopped":
                return
            time.sleep(0.002)

    def disconnect(self, service: str) -> AbstractContextManager[None]:
        """Nobody reaches the service over the network, and it reaches nobody."""
        from netplan import faults

        return self._network(f"disconnect {service}", service, faults.block, faults.mend)

    def partition(self, one: str, other: str) -> AbstractContextManager[None]:
        """The two services do not reach each other; both reach everybody else."""
        from netplan import faults

        def begin(fd: int, key: str) -> None:
            theirs = self._addresses(other)  # as they are now: of containers that were made anew, too
            if theirs:
                faults.block(fd, key, theirs)
            else:
                faults.mend(fd, key)

        return self._network(f"partition {one} from {other}", one, begin, faults.mend)

    def loss(self, service: str, percent: float) -> AbstractContextManager[None]:
        """That share of the service's packets is lost, each way."""
        from netplan import faults

        name = f"loss {service}"
        return self._network(name, service, lambda fd, key: faults.lose(fd, key, percent), faults.mend)

    def latency(self, service: str, ms: float, jitter: float = 0.0) -> AbstractContextManager[None]:
        """Every packet that leaves the service is held for ``ms`` milliseconds. Raises EngineError where the kernel
        has no netem."""
        from netplan import faults

        name = f"latency {service}"
        return self._network(
            name, service, lambda fd, _key: faults.delay(fd, ms, jitter), lambda fd, _key: faults.undelay(fd)
        )

    # -- the common part

    def _network(
        self, text: str, service: str, begin: Callable[[int, str], None], end: Callable[[int, str], None]
    ) -> AbstractContextManager[None]:
        """A fault inside the network namespace of each of the service's containers, as long as it stands."""
        from compose.testing.netfaults import NetworkFault, NetworkFaults

        if self._networks is None:
            self._networks = NetworkFaults(self.stack)
        networks, fault = self._networks, NetworkFault(text, service, begin, end)
        return self._fault(text, lambda: networks.begin(fault), lambda: networks.end(fault))

    def _fault(self, text: str, begin: Callable[[], None], end: Callable[[], None]) -> AbstractContextManager[None]:
        """Begin at once; end with the context, with :meth:`heal`, or with the stack."""
        begin()
        entry = self._stand(text, end)
        return self._until_end(entry)

    def _stand(self, text: str, undo: Callable[[], None]) -> tuple[str, Callable[[], None]]:
        entry = (text, undo)
        self._standing.append(entry)
        self.stack.recorder.say("fault", text, "begin")
        return entry

    @contextmanager
    def _until_end(self, entry: tuple[str, Callable[[], None]]) -> Iterator[None]:
        try:
            yield
        finally:
            if entry in self._standing:
                self._standing.remove(entry)
                entry[1]()
                self.stack.recorder.say("fault", entry[0], "heal")

    def _addresses(self, service: str) -> list[str]:
        rows = self.stack.containers((service,))
        found = [address for one in rows for row in one.endpoints for address in (row.address, row.address6)]
        return [address for address in found if address]

    def _unpause(self, service: str) -> None:
        if any(one.status == "paused" for one in self.stack.containers((service,))):
            self.stack.unpause(service)

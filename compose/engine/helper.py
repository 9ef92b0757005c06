"""The project's one resident process: netplan's DNS and the runtime's keeper, composed. Standard library only.

It is forked from the launcher, or from a shim when it was killed, and ends soon after the project's last container.
"""

from __future__ import annotations

import fcntl
import os
import time

from netplan import endpoint
from netplan.dns.server import Resolver
from netplan.proxy import Proxy
from netplan.store import Store, open_store
from runtime import container
from runtime.linux.identity import boot_id
from runtime.paths import Bundle, Roots
from runtime.shim.keeper import Keeper
from runtime.state import STOPPED, read_json, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.loop import Loop

SOCKETS = ("dns_udp", "dns_tcp")


class Helper:
    """DNS and [::1] for the project's containers, and the network of those that end by themselves."""

    def __init__(self, roots: Roots, directory: str) -> None:
        self.roots = roots
        self.directory = directory
        self.store: Store = open_store(roots.run, roots.instance())
        self.resolver = Resolver(self.store)
        self.proxy = Proxy(self.store)
        self.serving: set[str] = set()
        self.published: dict[str, dict[str, int]] = {}  # container → name → our duplicate of what the proxy serves
        self.tick_due = False
        self.loop: Loop | None = None
        self.watched: set[int] = set()
        self.ending: set[str] = set()  # containers to be cleaned up

    def start(self, loop: Loop) -> None:
        self.loop = loop
        self._watch()

    def held(self, ident: str, fds: dict[str, int]) -> None:
        complete = all(name in fds for name in SOCKETS)
        if complete and ident not in self.serving:
            self.serving.add(ident)
            plain = read_json(Bundle(self.roots, ident).spec) or {}
            udp, tcp = os.dup(fds["dns_udp"]), os.dup(fds["dns_tcp"])
            self.resolver.add(ident, udp, tcp, plain.get("dns_servers", ()))
        elif not complete and ident in self.serving:
            self._stop_serving(ident)
        self._publish(ident, fds)
        self._watch()

    def _publish(self, ident: str, fds: dict[str, int]) -> None:
        """Show the proxy new reservations, and take from it those that went."""
        served = self.published.setdefault(ident, {})
        for name in [name for name in served if name not in fds]:
            self._unpublish(served.pop(name))
        for name, fd in fds.items():
            if name.startswith("port:") and name not in served and self.proxy.add(fd):
                served[name] = os.dup(fd)

    def _unpublish(self, fd: int) -> None:
        self.proxy.remove(fd)
        os.close(fd)

    def ended(self, ident: str, *, manual: bool) -> None:
        plain = read_json(Bundle(self.roots, ident).spec) or {}
        if not manual or plain.get("auto_remove"):
            assert self.loop is not None
            self.ending.add(ident)
            self.loop.later(0.05, lambda: self._clean_up(ident, remove=bool(plain.get("auto_remove"))))

    def is_busy(self) -> bool:
        return bool(self.ending)

    def gone(self, ident: str) -> None:
        self._stop_serving(ident)
        for fd in self.published.pop(ident, {}).values():
            self._unpublish(fd)
        self._watch()

    def _stop_serving(self, ident: str) -> None:
        if ident in self.serving:
            self.serving.discard(ident)
            self.resolver.remove(ident)

    def _watch(self) -> None:
        """Let the loop watch exactly the resolver's descriptors."""
        if self.loop is None:
            return
        for fd in self.proxy.fds():
            if fd not in self.loop.handlers:
                self.loop.watch(fd, self._relay)
        wanted = set(self.resolver.fds())
        for fd in self.watched - wanted:
            self.loop.forget(fd)
        for fd in wanted - self.watched:
            self.loop.watch(fd, lambda _events, fd=fd: self._handle(fd))  # type: ignore[misc]
        self.watched = wanted

    def _handle(self, fd: int) -> None:
        self.resolver.handle(fd)
        self._watch()
        self._arm()

    def _arm(self) -> None:
        """One timer for the next upstream timeout."""
        deadline = self.resolver.deadline()
        if deadline is not None and self.loop is not None and not self.tick_due:
            self.tick_due = True
            self.loop.later(max(0.0, deadline - time.monotonic()), self._tick)

    def _tick(self) -> None:
        self.tick_due = False
        self.resolver.tick()
        self._arm()
        self._watch()

    def _relay(self, _events: int) -> None:
        self.proxy.handle()

    def _clean_up(self, ident: str, *, remove: bool) -> None:
        """Give back lease, names and ports of a container that ended by itself, and ``run --rm``'s container whole.

        A command that is at work holds the project's lock: it sees the ended container and does the same.
        """
        self.ending.discard(ident)
        if not os.path.exists(Bundle(self.roots, ident).dir):
            return
        lock = os.open(f"{self.directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if read_state(Bundle(self.roots, ident), boot_id()).status == STOPPED:
                endpoint.detach(self.store, ident)
                if remove:
                    self._remove(ident)
        except BlockingIOError:
            if remove and self.loop is not None:
                self.ending.add(ident)
                self.loop.later(0.2, lambda: self._clean_up(ident, remove=True))
        finally:
            os.close(lock)

    def _remove(self, ident: str) -> None:
        from compose.engine.making import anonymous_volumes, remove_volume

        anonymous = anonymous_volumes(self.roots, ident)
        container.delete(self.roots, ident)
        for name in anonymous.values():
            remove_volume(self.roots, name)
        container.empty_trash(self.roots)


def main(roots: Roots, directory: str, listener: int, helper_main: str) -> None:
    """Run the helper on a listening socket until the project's last shim has left."""
    Keeper(roots, directory, listener, helper_main, Helper(roots, directory)).run()

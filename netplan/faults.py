"""Break a container's network for a while: rules and queues inside its own namespace, which die with it.

Nothing on the host changes, so a fault cannot outlive its container or touch another. Each fault is a table of its own,
by name, so that several stand side by side and are healed one by one; one that stands already is replaced.
"""

from __future__ import annotations

import errno
from struct import pack

from netplan.errors import KernelRefused, NetworkFault
from netplan.netlink import nft
from netplan.netlink.link import links
from netplan.netlink.message import CREATE, REPLACE, attr, message, text
from netplan.netlink.socket import NETFILTER, ROUTE, Netlink
from netplan.netns import inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

_PREFIX = "pycompose-fault-"
_FIRST = -350  # before connection tracking and translation, so that the resolver's answers are caught, too
_ADDRESS = {nft.INET4: (12, 16, 4), nft.INET6: (8, 24, 16)}  # source offset, destination offset, length
_NEWQDISC, _DELQDISC = 36, 37  # linux/rtnetlink.h
_ROOT = 0xFFFFFFFF
_THOUSAND = 1000


def block(netns_fd: int, name: str, addresses: Iterable[str] = ()) -> None:
    """Drop what goes to and comes from these addresses; without any, all but loopback. Raises KernelRefused."""
    wanted = [_packed(one) for one in addresses]
    for family, (source, destination, length) in _ADDRESS.items():
        mine = [one for one in wanted if len(one) == length]
        matches = [[nft.payload(1, source, length) + nft.compare(one) for one in mine]]
        matches += [[nft.payload(1, destination, length) + nft.compare(one) for one in mine]]
        if not wanted:
            matches = [[nft.input_is("lo", nft.NEQ)], [nft.output_is("lo", nft.NEQ)]]
        _install(netns_fd, name, family, *matches)


def lose(netns_fd: int, name: str, percent: float) -> None:
    """Drop that share of all packets, each way, by chance. Raises KernelRefused where nf_tables cannot (numgen)."""
    least = round(percent * _THOUSAND / 100)
    for family in _ADDRESS:
        _install(
            netns_fd,
            name,
            family,
            [nft.input_is("lo", nft.NEQ) + nft.by_chance(least, _THOUSAND)],
            [nft.output_is("lo", nft.NEQ) + nft.by_chance(least, _THOUSAND)],
        )


def mend(netns_fd: int, name: str) -> None:
    """End what :func:`block` and :func:`lose` of that name did; nothing when it is gone."""
    for family in _ADDRESS:
        batch = nft.Ruleset(family, _PREFIX + name)
        batch.delete_table()
        _in(netns_fd, NETFILTER, lambda there, batch=batch: batch.attempt(there))  # type: ignore[misc]


def _install(netns_fd: int, name: str, family: int, incoming: list[bytes], outgoing: list[bytes]) -> None:
    batch = nft.Ruleset(family, _PREFIX + name)
    batch.add_table()
    batch.delete_table()  # one that stands is replaced, and no packet slips through
    batch.add_table()
    for chain, hook, matches in (("in", nft.INPUT, incoming), ("out", nft.OUTPUT, outgoing)):
        batch.add_chain(chain, "filter", hook, _FIRST)
        for match in matches:
            batch.add_rule(chain, match, nft.verdict(nft.DROP))
    _in(netns_fd, NETFILTER, lambda there: batch.commit(there, f"install the fault {name}"))


def _packed(address: str) -> bytes:
    """As the wire has it."""
    import _socket

    return _socket.inet_pton(_socket.AF_INET6 if ":" in address else _socket.AF_INET, address)


def delay(netns_fd: int, milliseconds: float, jitter: float = 0.0) -> None:
    """Hold every packet that leaves for that long (tc-netem(8)). Raises NetworkFault where the kernel has no netem."""
    nanoseconds, variation = (round(value * 1_000_000) for value in (milliseconds, jitter))
    options = pack("=6I", 0, 10_000, 0, 0, 0, 0) + attr(10, pack("=q", nanoseconds)) + attr(11, pack("=q", variation))
    todo = [
        message(_NEWQDISC, CREATE | REPLACE, _tcmsg(index), text(1, "netem"), attr(2, options))
        for index in _in(netns_fd, ROUTE, _loopback_apart)
    ]
    try:
        _in(netns_fd, ROUTE, lambda there: there.run("delay packets", *todo))
    except KernelRefused as refused:
        if refused.errno != errno.ENOENT:
            raise
        hint = "load sch_netem (modprobe sch_netem), or leave latency out on this machine"
        raise NetworkFault("cannot delay packets: this kernel has no netem", hint) from refused


def undelay(netns_fd: int) -> None:
    """Let packets go at once again."""
    todo = [message(_DELQDISC, 0, _tcmsg(index)) for index in _in(netns_fd, ROUTE, _loopback_apart)]
    _in(netns_fd, ROUTE, lambda there: there.attempt(*todo))


def _tcmsg(index: int) -> bytes:
    return pack("=BxxxiIII", 0, index, 0, _ROOT, 0)


def _in(netns_fd: int, protocol: int, work: Callable[[Netlink], T]) -> T:
    """Do it with a netlink socket of that namespace."""
    with inside(netns_fd):
        there = Netlink(protocol)
    try:
        return work(there)
    finally:
        there.close()


def _loopback_apart(there: Netlink) -> list[int]:
    """The indexes of all links but loopback, which is 1 in every namespace (net/core/dev.h)."""
    return [one.index for one in links(there) if one.index != 1]

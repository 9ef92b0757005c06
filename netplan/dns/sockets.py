"""A container's resolver sockets: 127.0.0.11 in its namespace, on random ports, with a translation from port 53.

Images have 127.0.0.11 written into them, so the address is Docker's. A socket on port 53 itself would take
``0.0.0.0:53`` away from a DNS server in the container; it is the fallback where the kernel has no nf_tables.
"""

from __future__ import annotations

import _socket
import errno

from netplan.errors import NetworkFault
from netplan.netlink import nft
from netplan.netlink.link import set_up
from netplan.netlink.socket import NETFILTER, ROUTE, Netlink
from netplan.netns import inside

ADDRESS = "127.0.0.11"
_PACKED = b"\x7f\0\0\x0b"
_PORT = 53
_TABLE = "pycompose-dns"
_TCP, _UDP = 6, 17


def install(netns_fd: int) -> tuple[int, int]:
    """The UDP socket and the listening TCP socket, made inside the namespace. They keep it alive while open.

    Installing again replaces the translation: the new sockets answer. Raises NetworkFault, KernelRefused, OSError.
    """
    with inside(netns_fd):
        _loopback_up()
        try:
            udp, tcp = _bind(0)
            if not _translate(udp.getsockname()[1], tcp.getsockname()[1]):
                udp.close()
                tcp.close()
                udp, tcp = _bind(_PORT)
        except OSError as problem:
            raise NetworkFault(f"cannot listen on {ADDRESS} in the container: {problem.strerror}") from None
        return udp.detach(), tcp.detach()


def _loopback_up() -> None:
    there = Netlink(ROUTE)
    try:
        there.run("bring up lo", set_up(1))
    finally:
        there.close()


def _bind(port: int) -> tuple[_socket.socket, _socket.socket]:
    udp = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    tcp = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    try:
        udp.bind((ADDRESS, port))
        if port:
            tcp.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        tcp.bind((ADDRESS, port))
        tcp.listen(128)
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def _translate(udp_port: int, tcp_port: int) -> bool:
    """Port 53 to our ports, in this namespace. False if the kernel cannot."""
    try:
        there = Netlink(NETFILTER)
    except NetworkFault:
        return False
    try:
        errors = _rules(udp_port, tcp_port, replacing=False).attempt(there)
        if errors and errors[min(errors)][0] == errno.EEXIST:
            errors = _rules(udp_port, tcp_port, replacing=True).attempt(there)
        return not errors
    except OSError:
        return False
    finally:
        there.close()


def _rules(udp_port: int, tcp_port: int, replacing: bool) -> nft.Ruleset:
    batch = nft.Ruleset(nft.INET4, _TABLE)
    if replacing:
        batch.delete_table()
    batch.add_table(exclusive=True)
    batch.add_chain("output", "nat", nft.OUTPUT, -100)
    for protocol, port in ((_UDP, udp_port), (_TCP, tcp_port)):
        batch.add_rule(
            "output",
            nft.load_destination(),
            nft.compare(_PACKED),
            nft.load_protocol(),
            nft.compare(bytes([protocol])),
            nft.load_port(),
            nft.compare(nft.port(_PORT)),
            nft.translate_to(_PACKED + nft.port(port)),
        )
    return batch

from __future__ import annotations

import socket

import pytest

from netplan.ipv4 import parse_address
from netplan.netlink import conntrack
from tests.netplan.support import Host, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]


def entries(port: int) -> int:
    with open("/proc/net/nf_conntrack") as file:
        return file.read().count(f"dport={port} ")


def flows(*targets: tuple[str, int]) -> None:
    for target in targets:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"?", target)


@pytest.mark.parametrize("few", [12, 0])
def test_only_what_is_named_is_forgotten(few: int) -> None:
    @private_host
    def test(host: Host) -> None:
        conntrack._FEW = few  # 0: by dump, as on older kernels
        run(
            "nft",
            "add table ip x; add chain ip x y { type filter hook output priority 0 ; }; add rule ip x y ct state new accept",
        )
        run("ip", "addr", "add", "10.1.1.1/32", "dev", "lo")
        flows(("127.0.0.1", 4000), ("10.1.1.1", 4001), ("127.0.0.1", 4002), ("127.0.0.1", 4003))
        if not entries(4000):
            pytest.skip("no /proc/net/nf_conntrack here")
        conntrack.forget(host.store.filter, [parse_address("10.1.1.1")], [4002])
        assert [entries(port) > 0 for port in (4000, 4001, 4002, 4003)] == [True, False, False, True]

    test()

from __future__ import annotations

import pytest

from netplan import doctor
from tests.netplan.support import Host, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]


@private_host
def test_a_plain_host_is_well(host: Host) -> None:
    before = run("ip", "link") + run("nft", "list", "ruleset")
    found = {name: (ok, advice) for name, ok, _detail, advice in doctor.checks()}
    for name in ("links", "nf_tables", "ip_forward", "forward policy", "pools", "ipv6", "mtu"):
        assert found[name] == (True, ""), name
    assert run("ip", "link") + run("nft", "list", "ruleset") == before


@private_host
def test_what_is_wrong_is_said_with_advice(host: Host) -> None:
    run("nft", "add table inet other; add chain inet other fward { type filter hook forward priority 0; policy drop; }")
    run("ip", "link", "add", "wan0", "mtu", "1400", "type", "bridge")
    run("ip", "addr", "add", "172.18.0.9/14", "dev", "wan0")
    run("ip", "link", "set", "wan0", "up")
    run("ip", "route", "add", "default", "via", "172.18.0.1")
    run("ip", "route", "add", "172.24.0.0/14", "via", "172.18.0.1")
    found = {name: (ok, detail, advice) for name, ok, detail, advice in doctor.checks()}
    assert found["forward policy"][0] is False
    assert "other fward" in found["forward policy"][1]
    assert found["mtu"] == (False, "wan0, the way out, has MTU 1400; containers have 1500", found["mtu"][2])
    assert "27 of 31" in found["pools"][1] or "28 of 31" in found["pools"][1]
    assert "4 of them are also routed elsewhere" in found["pools"][1]

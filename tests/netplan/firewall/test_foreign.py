"""Beside Docker's and ufw's rules, imitated in a private host."""

from __future__ import annotations

import pytest

from netplan.network import remove_all, remove_network
from netplan.spec import PortMapping
from tests.netplan.support import Host, Server, ask, private_host, run

pytestmark = [pytest.mark.root, pytest.mark.network]

DOCKER = """
table ip filter {
    chain DOCKER-USER { }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        jump DOCKER-USER
    }
}
"""
UFW = """
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
    }
}
"""


def load(host: Host, ruleset: str) -> None:
    with open(f"{host.run_dir}/rules", "w") as file:
        file.write(ruleset)
    run("nft", "-f", f"{host.run_dir}/rules")


@pytest.mark.parametrize(("ruleset", "chain"), [(DOCKER, "DOCKER-USER"), (UFW, "FORWARD")])
def test_a_foreign_policy_is_lived_with(ruleset: str, chain: str) -> None:
    @private_host
    def test(host: Host) -> None:
        load(host, ruleset)
        before = run("nft", "list", "table", "ip", "filter")
        host.uplink()
        network = host.network()
        web = host.attach("web", ports=(PortMapping(80, 8080),))
        host.attach("client")
        for name in ("web", "outside"):
            with host.inside(name):
                Server(80, name)
        with host.inside("client"):
            assert ask(web.address, 80).startswith("web")  # bridged packets pass the chain too (br_netfilter)
            assert ask("10.9.0.2", 80) == "outside 10.9.0.1"
        with host.inside("outside"):
            assert ask("10.9.0.1", 8080).startswith("web")
            assert ask(web.address, 80) == "timeout"
        assert run("nft", "list", "chain", "ip", "filter", chain).count(network.bridge) == 4  # two rules, with comments
        host.network()
        assert run("nft", "list", "chain", "ip", "filter", chain).count(network.bridge) == 4
        remove_all(host.store, ["shop_default"])
        assert run("nft", "list", "table", "ip", "filter") == before

    test()


@private_host
def test_rules_come_back_after_the_other_firewall_was_restarted(host: Host) -> None:
    network = host.network()
    assert "filter FORWARD" not in run("nft", "list", "ruleset")
    load(host, DOCKER)
    host.network()
    assert network.bridge in run("nft", "list", "chain", "ip", "filter", "DOCKER-USER")
    remove_network(host.store, "shop_default")
    assert network.bridge not in run("nft", "list", "ruleset")

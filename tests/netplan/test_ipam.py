from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netplan import ipam, ipv4
from netplan.errors import AddressInUse, NetworkFault, PoolExhausted
from netplan.spec import SubnetSpec


def test_the_pools_are_dockers() -> None:
    shown = [ipv4.render_prefix(chunk) for chunk in ipam.chunks()]
    assert shown[0] == "172.17.0.0/16"
    assert shown[14] == "172.31.0.0/16"
    assert shown[15:17] == ["192.168.0.0/20", "192.168.16.0/20"]
    assert len(shown) == 31


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_numbers_agree_with_ipaddress(value: int, length: int) -> None:
    text = str(ipaddress.IPv4Address(value))
    assert ipv4.render_address(value) == text
    assert ipv4.parse_address(text) == value
    network = ipaddress.ip_network(f"{text}/{length}", strict=False)
    prefix = ipv4.parse_prefix(str(network))
    assert ipv4.render_prefix(prefix) == str(network)
    assert ipv4.last(prefix) == int(network.broadcast_address)
    assert ipv4.holds(prefix, value)


@given(st.data())
def test_overlap_agrees_with_ipaddress(data: st.DataObject) -> None:
    networks = [
        ipaddress.ip_network((data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(0, 32))), strict=False)
        for _ in range(2)
    ]
    one, other = (ipv4.parse_prefix(str(network)) for network in networks)
    assert ipv4.overlap(one, other) == networks[0].overlaps(networks[1])


def test_leases_are_the_lowest_free_and_run_out() -> None:
    area = ipam.plan_range(
        "n", ipv4.parse_prefix("10.0.0.0/29"), SubnetSpec("10.0.0.0/29", aux_addresses={"x": "10.0.0.3"})
    )
    leased: list[int] = []
    while len(leased) < 4:
        leased.append(ipam.select_address("n", area, leased))
    assert [ipv4.render_address(address)[-1] for address in leased] == ["2", "4", "5", "6"]
    with pytest.raises(PoolExhausted, match=r"all of 10.0.0.0/29 is in use"):
        ipam.select_address("n", area, leased)
    assert ipam.select_address("n", area, leased[1:]) == leased[0]
    with pytest.raises(AddressInUse):
        ipam.select_address("n", area, leased, "10.0.0.4")


def test_two_hosts_without_broadcast() -> None:
    area = ipam.plan_range("n", ipv4.parse_prefix("10.0.0.0/31"), None)
    assert ipv4.render_address(area.gateway) == "10.0.0.0"
    assert ipv4.render_address(ipam.select_address("n", area, [])) == "10.0.0.1"


def test_default_gateway_among_auxiliary_addresses() -> None:
    area = ipam.plan_range(
        "n",
        ipv4.parse_prefix("10.0.0.0/24"),
        SubnetSpec("10.0.0.0/24", aux_addresses={"DefaultGatewayIPv4": "10.0.0.9"}),
    )
    assert ipv4.render_address(area.gateway) == "10.0.0.1"
    assert ipv4.render_address(area.default_gateway) == "10.0.0.9"
    assert area.default_gateway in area.reserved


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "fe80::1", "10.0.0.1\0", "010.0.0.1x"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(NetworkFault, match="cannot read"):
        ipv4.parse_address(text)


def test_macs() -> None:
    assert ipam.render_mac(ipam.derived_mac(ipv4.parse_address("172.18.0.2"))) == "02:42:ac:12:00:02"
    assert ipam.parse_mac("02-42-AC-12-00-02") == ipam.derived_mac(ipv4.parse_address("172.18.0.2"))
    for text in ("", "02:42", "01:00:00:00:00:01", "zz:00:00:00:00:01"):
        with pytest.raises(NetworkFault, match="cannot use"):
            ipam.parse_mac(text)

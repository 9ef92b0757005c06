"""What makes a project unique to one test run."""

from __future__ import annotations

from pathlib import Path

from compose.plan.desired import Desired
from compose.project import LoadOptions
from compose.spec.desire import desired_from_loaded
from compose.spec.pipeline import load
from compose.testing.wanted import isolated

TEXT = """
services:
  web:
    image: x
    container_name: fixed
    ports: ["8080:80", "127.0.0.2:9000:90/udp"]
    volumes: [data:/data, kept:/kept]
    networks: [front, still]
  fixed-address:
    image: x
    networks: {still: {ipv4_address: 172.30.0.9}}
networks:
  front: {name: frontal, ipam: {config: [{subnet: 172.29.0.0/16}]}}
  still: {ipam: {config: [{subnet: 172.30.0.0/16}]}}
volumes:
  data: {name: precious}
  kept: {external: true, name: others}
"""


def project(tmp_path: Path) -> Desired:
    (tmp_path / "compose.yaml").write_text(TEXT)
    return desired_from_loaded(load(LoadOptions(project_name="t", cwd=str(tmp_path)), {}))


def test_names_are_the_stack_s_own(tmp_path: Path) -> None:
    one = isolated(project(tmp_path))
    assert one.service("web").container_name == ""
    assert "fixed" in one.service("web").config["networks"]["front"]["aliases"]
    assert [network.name for network in one.networks] == ["t_front", "t_still"]
    assert {volume.key: volume.name for volume in one.volumes} == {"data": "t_data", "kept": "others"}


def test_a_subnet_stays_only_where_an_address_needs_it(tmp_path: Path) -> None:
    networks = {network.key: network.config for network in isolated(project(tmp_path)).networks}
    assert "ipam" not in networks["front"]
    assert networks["still"]["ipam"]["config"][0]["subnet"] == "172.30.0.0/16"


def test_random_ports_are_on_loopback_unless_the_file_says_where(tmp_path: Path) -> None:
    ports = isolated(project(tmp_path)).service("web").config["ports"]
    assert [(port["host_ip"], port["target"], port.get("published")) for port in ports] == [
        ("127.0.0.1", 80, None),
        ("127.0.0.2", 90, None),
    ]


def test_ports_as_they_are(tmp_path: Path) -> None:
    before = project(tmp_path)
    assert isolated(before, ports="as-is").service("web").config["ports"] == before.service("web").config["ports"]


def test_resettable_volumes_are_overlays_but_not_those_of_others(tmp_path: Path) -> None:
    volumes = {volume.key: volume.config for volume in isolated(project(tmp_path), resettable="/d").volumes}
    assert volumes["data"]["driver_opts"]["type"] == "overlay"
    assert "upperdir=/d/data/g0/upper" in volumes["data"]["driver_opts"]["o"]
    assert "driver_opts" not in volumes["kept"]


def test_what_changed_has_another_hash_and_what_did_not_has_not(tmp_path: Path) -> None:
    before, after = project(tmp_path), isolated(project(tmp_path))
    assert before.service("web").config_hash != after.service("web").config_hash
    assert before.service("fixed-address").config_hash == after.service("fixed-address").config_hash

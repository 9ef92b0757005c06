"""Capabilities, rlimits, devices: words to kernel values."""

import os
import stat

import pytest

from runtime import capabilities, devices, rlimits
from runtime.cgroups.v2.devices import parse_rule
from runtime.errors import RuntimeFault
from runtime.spec import Device, Resources, Rlimit
from tests.runtime.specs import spec


def test_default_capabilities_are_dockers():
    assert capabilities.mask(capabilities.DEFAULT) == 0xA80425FB


def test_names_and_masks_are_inverse():
    assert capabilities.names(capabilities.mask(capabilities.NAMES)) == capabilities.NAMES


def test_an_unknown_capability_is_an_error():
    with pytest.raises(RuntimeFault, match="cannot grant capability CAP_BOGUS"):
        capabilities.mask(["CAP_BOGUS"])


def test_rlimits():
    assert rlimits.rlimit_values((Rlimit("core", 0, 0), Rlimit("nproc", 5, -1)), may_raise=True) == [
        (4, 0, 0),
        (6, 5, rlimits.UNLIMITED),
    ]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (Rlimit("files", 1, 1), "no such limit"),
        (Rlimit("nofile", 20, 10), "soft 20 is above hard 10"),
        (Rlimit("nofile", 1, 1 << 40), f"cannot set ulimit nofile to {1 << 40}: this machine allows at most"),
    ],
)
def test_rlimits_that_cannot_be(limit, message):
    with pytest.raises(RuntimeFault, match=message):
        rlimits.rlimit_values((limit,), may_raise=False)


def test_a_host_device_keeps_numbers_and_gets_its_rule():
    node = devices.node_from_host(Device("/dev/mine", "/dev/null", "rw"))
    assert (node.path, node.major, node.minor) == ("/dev/mine", 1, 3)
    assert devices.rule_of(node) == "c 1:3 rw"


def test_a_file_is_no_device(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RuntimeFault, match="it is not a device node"):
        devices.node_from_host(Device("/dev/x", str(tmp_path / "file")))
    with pytest.raises(RuntimeFault, match=r"(?i)no such file"):
        devices.node_from_host(Device("/dev/x", str(tmp_path / "nothing")))


def test_a_directory_of_devices(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mknod needs root")
    (tmp_path / "deep").mkdir()
    os.mknod(tmp_path / "deep" / "one", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (tmp_path / "file").write_text("no device")
    nodes = devices.device_nodes(spec(devices=(Device("/dev/snd", str(tmp_path), "r"),)))
    found = [(node.path, node.access) for node in nodes if node not in devices.DEFAULT_NODES]
    assert found == [("/dev/snd/deep/one", "r")]


def test_privileged_gets_the_hosts_devices():
    paths = {node.path for node in devices.device_nodes(spec(privileged=True))}

    assert {"/dev/null", "/dev/tty"} <= paths and len(paths) > 6
    assert devices.device_rules(spec(privileged=True), ()) == ("a *:* rwm",)


def test_users_rules_come_last():
    wanted = spec(resources=Resources(device_rules=("c 10:200 rwm",)))
    assert devices.device_rules(wanted, devices.DEFAULT_NODES)[-1] == "c 10:200 rwm"


@pytest.mark.parametrize("rule", ["", "x 1:3 rwm", "c 1 rwm", "c 1:3 rwx", "c a:b r"])
def test_bad_device_rules(rule):
    with pytest.raises(RuntimeFault, match="cannot use the device rule"):
        parse_rule(rule)

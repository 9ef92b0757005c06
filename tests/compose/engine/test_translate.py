"""Compose's words to the runtime's and the network's: one small input, the fields that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose import labels
from compose.engine.translate import (
    VolumeUse,
    container_spec,
    endpoint_spec,
    network_spec,
    resolv_conf,
    volume_requests,
)
from compose.engine.translate_network import VERSION
from compose.engine.translate_storage import TMPFS_DEFAULTS
from compose.errors import EngineError
from compose.plan.desired import Desired, DesiredFile, DesiredNetwork
from compose.plan.observed import ObservedImage
from compose.record import replace
from netplan.spec import Network, PortMapping, SubnetSpec
from runtime.capabilities import DEFAULT, NAMES
from runtime.spec import ContainerSpec, Device, File, Health, LogConfig, Mount, Restart, Rlimit, Rootfs, decode, encode
from tests.support.projects import project, service, volume

IDENT = "0123456789ab" + "c" * 52
IMAGE = ObservedImage("host", "sha256:feed", {"Cmd": ["/bin/sh"]})


def spec(image: dict[str, Any] | None = None, *, options: dict[str, Any] | None = None, **config: Any) -> ContainerSpec:
    """The spec of one container of a service with this configuration, on an image with that one."""
    desired = project(service("web", **config))
    return translate(desired, image, **(options or {}))


def translate(desired: Desired, image: dict[str, Any] | None = None, **options: Any) -> ContainerSpec:
    shown = ObservedImage("host", "sha256:feed", IMAGE.config if image is None else image)
    options.setdefault("volume_paths", {"shop_data": "/v/data", "/anon": "/v/anon"})
    return container_spec(
        desired,
        desired.services[-1],
        1,
        ident=IDENT,
        name="shop-web-1",
        image=shown,
        rootfs=Rootfs(("/layer",)),
        **options,
    )


def test_a_bare_service() -> None:
    got = spec()
    assert (got.id, got.name, got.hostname) == (IDENT, "shop-web-1", "0123456789ab")
    assert got.process.args == ("/bin/sh",)
    assert got.process.env == (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=0123456789ab",
    )
    assert sorted(got.process.capabilities) == sorted(DEFAULT)
    assert (got.stop_signal, got.stop_timeout, got.shm_size) == ("SIGTERM", 10_000_000_000, 64 << 20)
    assert (got.restart, got.health, got.log) == (Restart(), None, LogConfig())
    assert decode(encode(got)) == got


@pytest.mark.parametrize(
    ("image", "config", "args"),
    [
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {}, ("/e", "c")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {"command": None, "entrypoint": None}, ("/e", "c")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {"command": ["d"]}, ("/e", "d")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {"command": []}, ("/e",)),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {"entrypoint": ["/f"]}, ("/f",)),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {"entrypoint": ["/f"], "command": ["d"]}, ("/f", "d")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, {"entrypoint": [], "command": ["d"]}, ("d",)),
    ],
)
def test_arguments(image: dict[str, Any], config: dict[str, Any], args: tuple[str, ...]) -> None:
    assert spec(image, **config).process.args == args


def test_nothing_to_run() -> None:
    with pytest.raises(
        EngineError, match="cannot create a container of web: neither it nor image host says what to run"
    ):
        spec({})


def test_environment_in_layers_and_null_removes() -> None:
    image = {"Cmd": ["x"], "Env": ["PATH=/opt", "A=image", "B=image"]}
    got = spec(
        image,
        environment={"A": "file", "B": None, "T": True},
        tty=True,
        options={"overrides": {"environment": {"T": "run", "FROM": None, "GONE": None}}, "environ": {"FROM": "shell"}},
    )
    assert got.process.env == (
        "PATH=/opt",
        "HOSTNAME=0123456789ab",
        "TERM=xterm",
        "A=file",
        "T=run",
        "FROM=shell",
    )


def test_process_words() -> None:
    got = spec(
        {"Cmd": ["x"], "User": "nobody", "WorkingDir": "/srv", "StopSignal": "SIGQUIT"},
        group_add=["audio", 5],
        ulimits={"nofile": 100, "nproc": {"soft": 1, "hard": -1}, "core": {"single": 3}},
        oom_score_adj=-5,
        stop_grace_period="1500ms",
        hostname="box",
        domainname="lan",
        init=True,
        stdin_open=True,
        shm_size="1m",
        cgroup_parent="/x",
    )
    process = got.process
    assert (process.user, process.cwd, process.groups, process.oom_score_adj) == ("nobody", "/srv", ("audio", "5"), -5)
    assert process.rlimits == (Rlimit("nofile", 100, 100), Rlimit("nproc", 1, -1), Rlimit("core", 3, 3))
    assert (got.stop_signal, got.stop_timeout) == ("SIGQUIT", 1_500_000_000)
    assert (got.hostname, got.domainname, got.init, got.open_stdin) == ("box", "lan", True, True)
    assert (got.shm_size, got.cgroup_parent) == (1 << 20, "/x")
    assert spec(user="1:2", working_dir="/w", stop_signal="SIGINT").process.user == "1:2"


def test_capabilities() -> None:
    assert spec(privileged=True).process.capabilities == NAMES
    assert spec(cap_add=["ALL"], cap_drop=["NET_RAW"]).process.capabilities == tuple(
        name for name in NAMES if name != "CAP_NET_RAW"
    )
    assert spec(cap_drop=["ALL"], cap_add=["chown", "CAP_KILL"]).process.capabilities == ("CAP_CHOWN", "CAP_KILL")
    assert "CAP_SYS_TIME" in spec(cap_add=["SYS_TIME"]).process.capabilities
    with pytest.raises(EngineError, match="cannot grant or drop capability CAP_NET_ADMN"):
        spec(cap_add=["NET_ADMN"])


def test_privileged_lifts_the_other_walls() -> None:
    got = spec(privileged=True)
    assert (got.privileged, got.seccomp, got.masked_paths) == (True, "unconfined", False)


def test_security_options() -> None:
    got = spec(security_opt=["no-new-privileges:true", "seccomp=unconfined", "apparmor:mine", "systempaths=unconfined"])
    assert (got.process.no_new_privileges, got.seccomp, got.process.apparmor, got.masked_paths) == (
        True,
        "unconfined",
        "mine",
        False,
    )
    assert not spec(security_opt=["no-new-privileges=false", "label=disable"]).process.no_new_privileges
    read = {"/srv/shop/profile.json": b'{"a":1}'}
    got = spec(security_opt=["seccomp:profile.json"], options={"read": read.__getitem__})
    assert got.seccomp == '{"a":1}'
    with pytest.raises(EngineError, match="cannot apply security_opt 'what=ever'"):
        spec(security_opt=["what=ever"])
    with pytest.raises(EngineError, match=r"cannot read seccomp profile /srv/shop/none\.json"):
        spec(security_opt=["seccomp=none.json"])


def test_limits_and_their_twins() -> None:
    got = spec(
        mem_limit="64m",
        mem_reservation="1048576",
        memswap_limit=-1,
        mem_swappiness=0,
        cpus=1.5,
        cpu_shares=5,
        cpu_quota=1000,
        cpu_period=2000,
        cpuset="0-1",
        pids_limit=10,
        blkio_config={"weight": 300},
        device_cgroup_rules=["c 1:3 mr"],
        oom_kill_disable=True,
    ).resources
    assert (got.memory, got.memory_reservation, got.memory_swap, got.memory_swappiness) == (64 << 20, 1 << 20, -1, 0)
    assert (got.cpus_nano, got.cpu_shares, got.cpu_quota, got.cpu_period) == (1_500_000_000, 5, 1000, 2000)
    assert (got.cpuset_cpus, got.pids, got.blkio_weight, got.oom_kill_disable) == ("0-1", 10, 300, True)
    assert got.device_rules == ("c 1:3 mr",)
    limits = {"limits": {"cpus": "0.5", "memory": "52428800", "pids": 7}, "reservations": {"memory": "20m"}}
    got = spec(deploy={"resources": limits}).resources
    assert (got.cpus_nano, got.memory, got.pids, got.memory_reservation) == (500_000_000, 52428800, 7, 20 << 20)
    assert spec().resources.memory_swappiness == -1


@pytest.mark.parametrize(
    ("config", "restart"),
    [
        ({"restart": "always"}, Restart("always")),
        ({"restart": "on-failure:3"}, Restart("on-failure", 3)),
        ({"restart": "no"}, Restart("no")),
        ({"restart": "always", "deploy": {"restart_policy": {"condition": "none"}}}, Restart("no")),
        ({"deploy": {"restart_policy": {"condition": "any", "max_attempts": 2}}}, Restart("always")),
        ({"deploy": {"restart_policy": {"condition": "on-failure", "max_attempts": 2}}}, Restart("on-failure", 2)),
        ({"restart": "always", "deploy": {"restart_policy": {}}}, Restart("no")),
    ],
)
def test_restart(config: dict[str, Any], restart: Restart) -> None:
    assert spec(**config).restart == restart


def test_health_merges_field_by_field() -> None:
    image = {"Cmd": ["x"], "Healthcheck": {"Test": ["CMD-SHELL", "check"], "Interval": 5_000, "Retries": 9}}
    assert spec(image).health == Health(("/bin/sh", "-c", "check"), interval=5_000, retries=9)
    own = spec(image, healthcheck={"interval": "2s", "timeout": "1m30s", "start_period": "1s", "retries": 0}).health
    assert own == Health(("/bin/sh", "-c", "check"), 2_000_000_000, 90_000_000_000, 1_000_000_000, 0, 0)
    assert spec(image, healthcheck={"disable": True}).health is None
    assert spec(image, healthcheck={"test": ["NONE"]}).health is None
    assert spec(healthcheck={"test": ["CMD", "a", "b"]}).health == Health(("a", "b"))
    shell = {"Cmd": ["x"], "Shell": ["/bin/bash", "-ec"]}
    assert spec(shell, healthcheck={"test": ["CMD-SHELL", "t"]}).health == Health(("/bin/bash", "-ec", "t"))


def test_logging() -> None:
    assert spec(logging={"options": {"max-size": "10m", "max-file": "3"}}).log == LogConfig("json-file", 10_000_000, 3)
    assert spec(logging={"driver": "none"}).log == LogConfig("none")
    assert spec(logging={"driver": "local", "options": {"max-size": "-1"}}).log == LogConfig("local", 0, 5)
    with pytest.raises(EngineError, match="cannot log with driver 'splunk'"):
        spec(logging={"driver": "splunk"})
    with pytest.raises(EngineError, match="cannot read log size 'big'"):
        spec(logging={"options": {"max-size": "big"}})


def test_namespaces() -> None:
    assert spec(
        network_mode="host", pid="host", ipc="host", uts="host", cgroup="host"
    ).namespaces.__dict__ == dict.fromkeys(("network", "pid", "ipc", "uts", "cgroup"), "host")
    assert spec(network_mode="none", ipc="shareable", cgroup="private").namespaces == spec().namespaces
    got = spec(network_mode="service:db", pid="container:abc", options={"shares": {"service:db": "d" * 64}})
    assert (got.namespaces.network, got.namespaces.pid) == ("container:" + "d" * 64, "container:abc")
    with pytest.raises(EngineError, match="cannot give web the ipc of db: it has no container"):
        spec(ipc="service:db")


def test_devices_sysctls_and_hosts() -> None:
    got = spec(
        devices=[{"source": "/dev/null", "target": "/dev/x", "permissions": "rw"}, "/dev/zero"],
        sysctls={"net.ipv4.ip_forward": 1},
        extra_hosts=["a=1.2.3.4", "b:[::1]", "gw=host-gateway"],
    )
    assert got.devices == (Device("/dev/x", "/dev/null", "rw"), Device("/dev/zero", "/dev/zero", "rwm"))
    assert got.sysctls == {"net.ipv4.ip_forward": "1"}
    assert got.extra_hosts == (("a", "1.2.3.4"), ("b", "::1"), ("gw", "host-gateway"))
    assert spec(sysctls=["a=b"], extra_hosts={"m": ["1.1.1.1", "2.2.2.2"]}).extra_hosts == (
        ("m", "1.1.1.1"),
        ("m", "2.2.2.2"),
    )


# storage


def test_mounts_parents_first() -> None:
    got = spec(
        {"Cmd": ["x"], "Volumes": {"/anon/": {}, "/data/sub": {}}},
        read_only=True,
        tmpfs=["/run:size=1m,exec", "/tmp"],
        volumes=[
            {"type": "bind", "source": "/host/x", "target": "/data/sub", "bind": {"propagation": "rshared"}},
            {**volume("data", "/data"), "read_only": True},
            {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1048576", "mode": "1777"}},
        ],
    )
    assert got.rootfs.readonly
    assert got.mounts == (
        Mount("/anon", "bind", "/v/anon", ("rw",)),
        Mount("/data", "bind", "/v/data", ("ro",)),
        Mount("/run", "tmpfs", "tmpfs", ("nosuid", "nodev", "size=1m", "exec")),
        Mount("/t", "tmpfs", "tmpfs", (*TMPFS_DEFAULTS, "size=1048576", "mode=1777")),
        Mount("/tmp", "tmpfs", "tmpfs", TMPFS_DEFAULTS),
        Mount("/data/sub", "bind", "/host/x", ("rw", "rshared")),
    )


def test_volume_requests_say_what_to_make() -> None:
    desired = project(
        service(
            "web",
            volumes=[
                {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True, "subpath": "a"}},
                {"type": "volume", "target": "/x/../anon"},
                {"type": "bind", "source": "/h", "target": "/h", "bind": {"create_host_path": False}},
            ],
        )
    )
    overrides = {"volumes": [{"type": "volume", "source": "cache", "target": "/d", "volume": {}}]}
    assert volume_requests(desired, desired.services[0], IMAGE) == (
        VolumeUse("anonymous", "/anon"),
        VolumeUse("named", "/d", name="shop_data", nocopy=True, subpath="a"),
        VolumeUse("bind", "/h", source="/h", create_host_path=False),
    )
    assert volume_requests(desired, desired.services[0], IMAGE, overrides)[1] == VolumeUse("named", "/d", name="cache")


def test_volumes_from_another_service() -> None:
    base = service("base", volumes=[volume("data", "/d"), {"type": "volume", "target": "/anon"}], tmpfs="/t")
    desired = project(base, service("web", volumes_from=["base:ro"], volumes=[volume("data", "/mine")]))
    assert volume_requests(desired, desired.services[1], IMAGE) == (
        VolumeUse("anonymous", "/anon", read_only=True, shared_from="service:base"),
        VolumeUse("named", "/d", name="shop_data", read_only=True),
        VolumeUse("named", "/mine", name="shop_data"),
    )


def test_secrets_and_configs_become_files() -> None:
    desired = replace(
        project(
            service(
                "web",
                secrets=[{"source": "tok"}, {"source": "tok", "target": "t2", "uid": "5", "gid": "6", "mode": "0440"}],
                configs=[{"source": "cf", "target": "/etc/cf", "mode": 0o400}, "cf"],
            )
        ),
        files=(DesiredFile("tok", "secret", file="/f"), DesiredFile("cf", "config", content="h\u00e9")),
    )
    got = translate(desired, read={"/f": b"s3"}.__getitem__)
    assert got.files == (
        File("/run/secrets/tok", b"s3"),
        File("/run/secrets/t2", b"s3", 5, 6, 0o440),
        File("/etc/cf", b"h\xe9", mode=0o400),
        File("/cf", b"h\xe9"),
    )
    with pytest.raises(EngineError, match="cannot read secret tok: /f: No such file"):
        translate(desired)


# labels and run


def test_labels_are_docker_composes() -> None:
    desired = project(service("db"), service("web", "db:healthy!", labels={"mine": "1", "flag": True}))
    desired = replace(desired, environment_files=("/srv/shop/.env",))
    got = translate(desired, {"Cmd": ["x"], "Labels": {"from": "image", "mine": "0"}}, replaces="f" * 64).labels
    assert got == {
        "from": "image",
        "mine": "1",
        "flag": "true",
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.config-hash": desired.services[1].config_hash,
        "com.docker.compose.image": "sha256:feed",
        "com.docker.compose.depends_on": "db:service_healthy:true",
        "com.docker.compose.project.working_dir": "/srv/shop",
        "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
        "com.docker.compose.project.environment_file": "/srv/shop/.env",
        "com.docker.compose.version": "0.1.0",
        "com.docker.compose.replace": "f" * 64,
        "org.pycompose.image": "host",
    }


def test_the_version_label_is_the_packages() -> None:
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert f'version = "{VERSION}"' in pyproject


def test_run_overrides() -> None:
    overrides = {
        "oneoff": True,
        "command": ["ls"],
        "user": "7",
        "working_dir": "/w",
        "tty": True,
        "stdin_open": True,
        "labels": {"l": "1"},
        "cap_add": ["SYS_TIME"],
        "auto_remove": True,
    }
    got = spec({"Entrypoint": ["/e"], "Cmd": ["c"]}, restart="always", tty=False, options={"overrides": overrides})
    assert (got.process.args, got.process.user, got.process.cwd) == (("/e", "ls"), "7", "/w")
    assert (got.process.terminal, got.open_stdin, got.auto_remove, got.restart) == (True, True, True, Restart("no"))
    assert (got.labels["l"], got.labels[labels.ONEOFF], got.labels[labels.SLUG]) == ("1", "True", IDENT)
    assert "CAP_SYS_TIME" in got.process.capabilities
    cleared = spec({"Cmd": ["c"]}, command=["s"], options={"overrides": {"entrypoint": ["/f"]}})
    assert cleared.process.args == ("/f",)


# network


def endpoint(desired: Desired, key: str = "default", index: int = 0, **options: Any) -> Any:
    return endpoint_spec(
        desired,
        desired.services[-1],
        2,
        ident=IDENT,
        container_name="shop-web-2",
        network_key=key,
        index=index,
        **options,
    )


def test_endpoint_names_and_addresses() -> None:
    networks = {"default": {"aliases": ["w", "web"], "ipv4_address": "10.0.0.5", "interface_name": "lan0"}}
    got = endpoint(project(service("web", networks=("default",), hostname="box", mac_address="02:00:00:00:00:01")))
    assert got.names == ("shop-web-2", "web", "0123456789ab", "box")
    assert (got.network, got.container, got.interface, got.mac_address) == (
        "shop_default",
        IDENT,
        "eth0",
        "02:00:00:00:00:01",
    )
    one = service("web")
    one = replace(one, config={**one.config, "networks": networks})
    got = endpoint(project(one), index=1)
    assert (got.names, got.ipv4_address, got.interface) == (
        ("shop-web-2", "web", "w", "0123456789ab"),
        "10.0.0.5",
        "lan0",
    )
    assert endpoint(project(one), aliases=False).names == ("shop-web-2", "0123456789ab")


def test_ports_go_with_the_default_route() -> None:
    ports = [
        {"target": 80, "published": "8080", "host_ip": "127.0.0.1", "protocol": "tcp"},
        {"target": 53, "published": "5000-5002", "protocol": "udp"},
        {"target": 90},
    ]
    one = service("web", networks=("back", "front"), ports=ports)
    one = replace(one, config={**one.config, "networks": {"back": None, "front": {"gw_priority": 1}}})
    desired = project(one)
    assert endpoint(desired, "back").ports == ()
    assert not endpoint(desired, "back").default_route
    got = endpoint(desired, "front")
    assert got.default_route
    assert got.ports == (
        PortMapping(80, 8080, "tcp", "127.0.0.1"),
        PortMapping(53, 5000, "udp", "", 5002),
        PortMapping(90),
    )
    assert endpoint(desired, "front", overrides={"ports": []}).ports == ()
    with pytest.raises(EngineError, match="cannot publish port '99999'"):
        endpoint(project(service("web", ports=[{"target": 1, "published": "99999"}])))


def test_the_default_route_avoids_internal_networks() -> None:
    desired = project(service("web", networks=("a", "b"), ports=[{"target": 80}]))
    internal = tuple(replace(one, config={"internal": one.key == "a"}) for one in desired.networks)
    desired = replace(desired, networks=internal)
    assert (endpoint(desired, "a").default_route, endpoint(desired, "b").default_route) == (False, True)
    alone = replace(desired, services=(replace(desired.services[0], networks=("a",)),))
    assert (endpoint(alone, "a").default_route, endpoint(alone, "a").ports) == (True, ())


def test_links_are_private_aliases() -> None:
    desired = project(service("db", replicas=2), service("web", links=["db:database"], external_links=["other-x-1:x"]))
    assert endpoint(desired).links == {
        "database": "db",
        "db-1": "shop-db-1",
        "db-2": "shop-db-2",
        "x": "other-x-1",
    }


def test_network() -> None:
    config = {
        "driver": "bridge",
        "internal": True,
        "driver_opts": {"com.docker.network.driver.mtu": 1400},
        "ipam": {"config": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "aux_addresses": {"a": "10.1.0.9"}}, {}]},
        "labels": {"l": True},
    }
    got = network_spec("shop", DesiredNetwork("back", "shop_back", False, config, "hash"))
    assert (got.name, got.project, got.internal, got.options) == (
        "shop_back",
        "shop",
        True,
        {"com.docker.network.driver.mtu": "1400"},
    )
    assert got.subnets == (SubnetSpec("10.1.0.0/24", "10.1.0.1", "", {"a": "10.1.0.9"}),)
    assert got.labels == {
        "l": "true",
        "com.docker.compose.project": "shop",
        "com.docker.compose.network": "back",
        "com.docker.compose.config-hash": "hash",
        "com.docker.compose.version": "0.1.0",
    }


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, "nameserver 127.0.0.11\noptions ndots:0\n"),
        ({"dns": ["1.1.1.1"], "dns_search": "lan"}, "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n"),
        ({"dns_opt": ["ndots:2", "rotate"], "dns_search": ["."]}, "nameserver 127.0.0.11\noptions ndots:2 rotate\n"),
        ({"networks": (), "network_mode": "host"}, "nameserver 9.9.9.9\n"),
        ({"networks": (), "network_mode": "none", "dns": ["1.1.1.1", ""]}, "nameserver 1.1.1.1\n"),
    ],
)
def test_resolv_conf(config: dict[str, Any], text: str) -> None:
    """What the service says, else what the host says."""
    desired = project(service("web", **config))
    assert resolv_conf(desired, desired.services[0], "nameserver 9.9.9.9\n") == text


def test_resolv_conf_takes_search_and_options_of_the_host() -> None:
    host = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n"

    def text(**config: Any) -> str:
        desired = project(service("web", networks=("default",), **config))
        return resolv_conf(desired, desired.services[0], host)

    assert text() == "nameserver 127.0.0.11\nsearch corp.example\noptions edns0 trust-ad ndots:0\n"
    assert text(dns_search=["."], dns_opt=["ndots:2"]) == "nameserver 127.0.0.11\noptions ndots:2\n"
    assert "search a b\n" in text(dns_search=["a", "b"])


def test_host_gateway_without_a_network_of_its_own_is_the_loopback() -> None:
    rows = ["a:host-gateway", "b:[fd00::1]"]
    assert spec(network_mode="host", networks=(), extra_hosts=rows).extra_hosts == (
        ("a", "127.0.0.1"),
        ("b", "fd00::1"),
    )
    assert spec(extra_hosts=rows).extra_hosts == (("a", "host-gateway"), ("b", "fd00::1"))


def test_networks_of_one_family_carry_its_route_and_ports() -> None:
    """IPv4's default route is on a network that has it; both families before one; the ports go with IPv4's."""
    desired = project(service("web", networks=("a", "b"), ports=[{"target": 80}]))
    configs = {"a": {"enable_ipv4": False, "enable_ipv6": True}, "b": {"driver_opts": {"com.docker.network.x": 1}}}
    desired = replace(desired, networks=tuple(replace(one, config=configs[one.key]) for one in desired.networks))
    a, b = endpoint(desired, "a"), endpoint(desired, "b")
    assert (a.default_route, a.default_route6, a.ports) == (False, True, ())
    assert (b.default_route, b.default_route6) == (True, False) and len(b.ports) == 1
    alone = replace(desired, services=(replace(desired.services[0], networks=("a",)),))
    assert len(endpoint(alone, "a").ports) == 1
    dual = {"a": {}, "b": {"enable_ipv6": True}}
    desired = replace(desired, networks=tuple(replace(one, config=dual[one.key]) for one in desired.networks))
    assert endpoint(desired, "b").default_route and not endpoint(desired, "a").default_route


def test_an_unknown_ipam_driver_is_named() -> None:
    desired = project(service("web", networks=("a",)))
    with pytest.raises(EngineError, match="there is no ipam driver vendor"):
        network_spec("p", replace(desired.networks[0], config={"ipam": {"driver": "vendor"}}))


def test_an_external_network_is_taken_as_it_is() -> None:
    """It is internal and has IPv6, of which its file says nothing."""
    desired = project(service("web", networks=("a", "b"), ports=[{"target": 80}]))
    outer, own = desired.networks
    desired = replace(desired, networks=(replace(outer, external=True, config={}), own))
    inner = Network(
        *("i", outer.name, "", "bridge", "br-x", 1, "10.0.0.0/24", "10.0.0.1", True, 0, {}, {}, ""),
        *("fd00::/64", "fd00::1"),
    )
    there = {outer.name: inner}
    a, b = endpoint(desired, "a", there=there), endpoint(desired, "b", there=there)
    assert (a.default_route, a.default_route6, len(a.ports)) == (False, True, 0)
    assert (b.default_route, b.default_route6, len(b.ports)) == (True, False, 1)
    assert endpoint(desired, "a").default_route  # nobody knows it

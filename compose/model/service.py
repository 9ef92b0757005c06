"""A service in canonical form. Values are as ``pycompose config`` prints them: durations Go text, sizes decimal text.

The models are built without a second validation from trees that compose.spec has checked with file, line and column;
``model_validate`` accepts the same values, for programs that make a project themselves.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base: frozen, no unknown fields, schema built only when somebody validates (it costs 20 ms)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, protected_namespaces=())


class Port(Model):
    """A published port. ``published`` absent: ephemeral; a range: any free one of it."""

    target: int
    mode: str = "ingress"
    protocol: str = "tcp"
    published: str = ""
    host_ip: str = ""
    name: str = ""
    app_protocol: str = ""


class Mount(Model):
    """A mount. ``type``: bind, volume, tmpfs; the mapping of that name has its options."""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: Mapping[str, Any] | None = None
    volume: Mapping[str, Any] | None = None
    tmpfs: Mapping[str, Any] | None = None
    image: Mapping[str, Any] | None = None


class FileReference(Model):
    """The use of a top-level secret or config. ``mode``: octal text."""

    source: str
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: str = ""


class Device(Model):
    source: str
    target: str
    permissions: str = "rwm"


class Dependency(Model):
    condition: str = "service_started"
    required: bool = True
    restart: bool = False


class Attachment(Model):
    """How a service joins one of its networks."""

    aliases: tuple[str, ...] = ()
    interface_name: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    driver_opts: Mapping[str, str] = {}
    priority: int = 0
    gw_priority: int = 0


class Healthcheck(Model):
    test: tuple[str, ...] = ()
    interval: str = ""
    timeout: str = ""
    retries: int | None = None
    start_period: str = ""
    start_interval: str = ""
    disable: bool = False


class Logging(Model):
    driver: str = ""
    options: Mapping[str, str] = {}


class Deploy(Model):
    mode: str = ""
    replicas: int | None = None
    labels: Mapping[str, str] = {}
    resources: Mapping[str, Any] = {}
    restart_policy: Mapping[str, Any] = {}
    placement: Mapping[str, Any] = {}
    endpoint_mode: str = ""
    update_config: Mapping[str, Any] = {}
    rollback_config: Mapping[str, Any] = {}


class Service(Model):
    """One enabled service; env_file and label_file are folded in, extends is resolved."""

    annotations: Mapping[str, str] = {}
    attach: bool = True
    blkio_config: Mapping[str, Any] = {}
    build: Mapping[str, Any] | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroup: str = ""
    cgroup_parent: str = ""
    command: tuple[str, ...] | None = None
    configs: tuple[FileReference, ...] = ()
    container_name: str = ""
    cpu_count: int = 0
    cpu_percent: float = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpu_shares: int = 0
    cpus: float = 0
    cpuset: str = ""
    credential_spec: Mapping[str, str] = {}
    depends_on: Mapping[str, Dependency] = {}
    deploy: Deploy | None = None
    develop: Mapping[str, Any] = {}
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str = ""
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = {}
    expose: tuple[str, ...] = ()
    external_links: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    gpus: tuple[Mapping[str, Any], ...] = ()
    group_add: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    hostname: str = ""
    image: str = ""
    init: bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: Mapping[str, str] = {}
    links: tuple[str, ...] = ()
    logging: Logging | None = None
    mac_address: str = ""
    mem_limit: str = ""
    mem_reservation: str = ""
    mem_swappiness: str = ""
    memswap_limit: str = ""
    models: Any = None
    network_mode: str = ""
    networks: Mapping[str, Attachment | None] = {}
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    pids_limit: int = 0
    platform: str = ""
    ports: tuple[Port, ...] = ()
    post_start: tuple[Mapping[str, Any], ...] = ()
    pre_start: tuple[Mapping[str, Any], ...] = ()
    pre_stop: tuple[Mapping[str, Any], ...] = ()
    privileged: bool = False
    profiles: tuple[str, ...] = ()
    provider: Mapping[str, Any] = {}
    pull_policy: str = ""
    pull_refresh_after: str = ""
    read_only: bool = False
    restart: str = ""
    runtime: str = ""
    scale: int | None = None
    secrets: tuple[FileReference, ...] = ()
    security_opt: tuple[str, ...] = ()
    shm_size: str = ""
    stdin_open: bool = False
    stop_grace_period: str = ""
    stop_signal: str = ""
    storage_opt: Mapping[str, str] = {}
    sysctls: Mapping[str, str] = {}
    tmpfs: tuple[str, ...] = ()
    tty: bool = False
    ulimits: Mapping[str, int | Mapping[str, int]] = {}
    use_api_socket: bool = False
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volumes: tuple[Mount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str = ""
    extensions: Mapping[str, Any] = {}  # x-* keys

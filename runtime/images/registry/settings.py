"""How registries are reached: mirrors, insecure ones, certificates, patience. Read from where Docker keeps it.

``/etc/docker/daemon.json``: ``registry-mirrors`` (of docker.io, only for pulls) and ``insecure-registries``.
``/etc/docker/certs.d/HOST[:PORT]/``: ``*.crt`` (authorities), ``*.cert`` with ``*.key`` (ours), and containerd's
``hosts.toml`` (further hosts for a namespace). Environment: PYCOMPOSE_REGISTRY_MIRRORS and
PYCOMPOSE_INSECURE_REGISTRIES (both replace the file's, separated by commas), PYCOMPOSE_CERTS_DIR.
"""

from __future__ import annotations

import ipaddress
import json
import os

from runtime.errors import RuntimeFault
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DAEMON_FILE = "/etc/docker/daemon.json"
CERTS_DIR = "/etc/docker/certs.d"
HUB, HUB_HOST = "docker.io", "registry-1.docker.io"


@record
class Settings:
    """``stall``: seconds without a byte that end a connection. ``attempts`` per request; ``backoff``: seconds before
    the second, doubled each time. ``environ``: for proxies and credentials."""

    environ: Mapping[str, str]
    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    certs_dir: str = CERTS_DIR
    connect: float = 30.0
    stall: float = 45.0
    attempts: int = 5
    backoff: float = 0.5


@record
class Endpoint:
    """One place that answers for a registry. ``scheme`` empty: found out (loopback and insecure registries).

    ``prefix``: path before ``/v2``. ``mirror``: gets no credentials of the registry; ``namespace``: the registry it
    stands for. ``resolves``: whether it may be asked for tags. ``verify``: whether certificates are checked.
    """

    host: str
    scheme: str = "https"
    prefix: str = ""
    verify: bool = True
    mirror: bool = False
    namespace: str = ""
    resolves: bool = True
    certs: str = ""  # directory with certificates for it


def read_settings(environ: Mapping[str, str]) -> Settings:
    """From the environment and Docker's files. Raises RuntimeFault when daemon.json is no JSON object."""
    daemon = _daemon(environ.get("PYCOMPOSE_DAEMON_FILE") or DAEMON_FILE)
    return Settings(
        environ=environ,
        mirrors=_words(environ, "PYCOMPOSE_REGISTRY_MIRRORS", daemon.get("registry-mirrors")),
        insecure=_words(environ, "PYCOMPOSE_INSECURE_REGISTRIES", daemon.get("insecure-registries")),
        certs_dir=environ.get("PYCOMPOSE_CERTS_DIR") or CERTS_DIR,
    )


def _daemon(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            plain = json.load(file)
    except OSError:
        return {}
    except ValueError as error:
        raise RuntimeFault(f"cannot read {path}: {error}", "it is Docker's, and pycompose reads its mirrors") from error
    return plain if isinstance(plain, dict) else {}


def _words(environ: Mapping[str, str], name: str, default: Any) -> tuple[str, ...]:
    if name in environ:
        return tuple(word.strip() for word in environ[name].split(",") if word.strip())
    return tuple(str(word) for word in default) if isinstance(default, list) else ()


def endpoints(settings: Settings, registry: str, push: bool = False) -> list[Endpoint]:
    """Where to ask for a registry's images, in order; the registry itself is the last."""
    found = [] if push else _mirrors(settings, registry)
    found += [one for one in _hosts_file(settings, registry, push) if one.host != registry]
    return [*found, _endpoint(settings, HUB_HOST if registry == HUB else registry)]


def _mirrors(settings: Settings, registry: str) -> list[Endpoint]:
    if registry != HUB:
        return []
    return [_from_url(settings, url, registry) for url in settings.mirrors]


def _from_url(settings: Settings, url: str, registry: str, resolves: bool = True) -> Endpoint:
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    host, _, prefix = rest.partition("/")
    one = _endpoint(settings, host)
    prefix = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    return Endpoint(host, scheme or one.scheme, prefix, one.verify, True, registry, resolves, one.certs)


def _endpoint(settings: Settings, host: str) -> Endpoint:
    directory = f"{settings.certs_dir}/{host}"
    certs = directory if os.path.isdir(directory) else ""
    if any(name.endswith(".crt") for name in (os.listdir(certs) if certs else ())):
        return Endpoint(host, certs=certs)
    insecure = is_insecure(host, settings.insecure)
    return Endpoint(host, "" if insecure else "https", verify=not insecure, certs=certs)


def is_insecure(host: str, listed: tuple[str, ...]) -> bool:
    """Whether plain HTTP and unknown certificates are taken: loopback addresses, and what is listed (names, CIDR)."""
    name, address = split_host(host)[0], None
    if host in listed or name in listed:
        return True
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or any(_within(address, text) for text in listed)


def _within(address: Any, text: str) -> bool:
    try:
        return address in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


def split_host(host: str) -> tuple[str, int]:
    """``host:port`` and ``[::1]:5000`` as (name, port); 0 for no port."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name, int(port[1:] or 0) if port[1:].isdigit() else 0
    name, _, port = host.partition(":")
    return name, int(port) if port.isdigit() else 0


def _hosts_file(settings: Settings, registry: str, push: bool) -> list[Endpoint]:
    """containerd's ``hosts.toml``: further hosts with capabilities pull, resolve and push."""
    path = f"{settings.certs_dir}/{registry}/hosts.toml"
    if not os.path.exists(path):
        return []
    import tomllib

    try:
        with open(path, "rb") as file:
            plain = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RuntimeFault(f"cannot read {path}: {error}") from error
    found = []
    for url, options in (plain.get("host") or {}).items():
        able = options.get("capabilities") or ["pull", "resolve", "push"]
        if ("push" if push else "pull") not in able:
            continue
        one = _from_url(settings, url, registry, "resolve" in able)
        verify = one.verify and not options.get("skip_verify")
        found.append(Endpoint(one.host, one.scheme, one.prefix, verify, True, registry, one.resolves, one.certs))
    return found

"""The digest that a registry has for a name now, without pulling anything."""

from __future__ import annotations

from runtime.errors import RuntimeFault
from runtime.images.reference import is_digest, parse
from runtime.images.registry.client import Client
from runtime.images.registry.credentials import find_login
from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.settings import endpoints, read_settings
from runtime.images.registry.transport import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.images.registry.settings import Settings


def with_digest(reference: str, environ: Mapping[str, str], settings: Settings | None = None) -> str:
    """``nginx`` as ``docker.io/library/nginx:latest@sha256:...``; one with a digest stays. Raises RegistryFault."""
    name = parse(reference)
    if name.digest:
        return reference
    settings = settings or read_settings(environ)
    pool = Pool(settings)
    try:
        login = find_login(name.domain, name.path, environ)
        client = Client(pool, settings, endpoints(settings, name.domain, push=True)[-1], name.path, login)
        digest = _ask(client, name.tag)
    except RuntimeFault as fault:
        raise RegistryFault(f"cannot find the digest of {name.familiar}: {fault.message}", fault.hint) from fault
    finally:
        pool.close()
    return f"{name.full}@{digest}"


def _ask(client: Client, tag: str) -> str:
    """By HEAD, which counts as no pull; by GET where that says nothing."""
    try:
        digest = client.manifest(tag, "HEAD")[1]
    except RegistryFault:
        digest = ""
    return digest if is_digest(digest) else client.manifest(tag)[1]

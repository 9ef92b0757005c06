"""``login`` and ``logout``."""

from __future__ import annotations

from runtime.images.registry.client import Client, fault_of
from runtime.images.registry.credentials import Login, erase_login, store_login
from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.settings import HUB, endpoints, read_settings
from runtime.images.registry.transport import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.images.registry.settings import Settings


def registry_of(server: str) -> str:
    """The registry that a server's name or address means; Docker Hub for none."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0]
    return HUB if host in ("", "index.docker.io", "registry-1.docker.io", HUB) else host


def login(server: str, user: str, password: str, environ: Mapping[str, str], settings: Settings | None = None) -> str:
    """Try them, then keep them; where they were put. Raises RegistryFault when the registry does not take them."""
    registry = registry_of(server)
    if not user or not password:
        raise RegistryFault(f"cannot log in to {registry}: a name and a password are needed")
    settings = settings or read_settings(environ)
    pool = Pool(settings)
    try:
        endpoint = endpoints(settings, registry, push=True)[-1]
        client = Client(pool, settings, endpoint, "", Login(user, password))
        client.scopes = ()
        answer = client.request("GET", f"{endpoint.prefix}/v2/")
        if answer.status == 401:
            raise RegistryFault(f"cannot log in to {registry}: user name or password is wrong", "", 401)
        if answer.status != 200:
            raise fault_of(answer, f"cannot log in to {registry}")
        answer.close()
    finally:
        pool.close()
    return store_login(registry, Login(user, password), environ)


def logout(server: str, environ: Mapping[str, str]) -> bool:
    """Forget the login; whether there was one."""
    return erase_login(registry_of(server), environ)

"""``pull``: from a reference to an image in the store. Nothing is transferred that the store has."""

from __future__ import annotations

import json
import os

from runtime.errors import BadArchive, Conflict, RuntimeFault
from runtime.images import builtin
from runtime.images.archive import diff_ids_of
from runtime.images.image_config import check_config
from runtime.images.ingest import Failing, Staging, add_image, write_reference
from runtime.images.origins import remember
from runtime.images.reference import Reference, is_digest, parse
from runtime.images.registry import platforms
from runtime.images.registry.client import Client
from runtime.images.registry.credentials import find_login
from runtime.images.registry.errors import DigestMismatch, RegistryFault, Unreachable
from runtime.images.registry.layers import Layers
from runtime.images.registry.manifests import Resolved, read_config, resolve
from runtime.images.registry.progress import Part
from runtime.images.registry.settings import endpoints, read_settings
from runtime.images.registry.transport import Pool
from runtime.images.store import Image, read_image, reference_path, store_dir, warnings_of
from runtime.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.images.registry.platforms import Platform
    from runtime.images.registry.settings import Settings
    from runtime.paths import Roots

    Tell = Callable[[Part], None]


@record
class Pulled:
    """``changed``: the name means another image than before. ``digest``: of what the registry calls by that name."""

    image: Image
    digest: str
    changed: bool
    warnings: tuple[str, ...] = ()


def pull(
    roots: Roots,
    reference: str,
    platform: str = "",
    *,
    progress: Tell | None = None,
    environ: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Pulled:
    """Bring an image from its registry and name it. Raises RuntimeFault; nothing is named then.

    ``platform``: another than this machine's. ``environ``: proxies, credentials, settings (see settings.py).
    """
    name = parse(reference)
    if name.full in builtin.FULL_NAMES:
        raise Conflict(f"cannot pull {reference!r}: it is the built-in image")
    settings = settings or read_settings(os.environ if environ is None else environ)
    wanted = platforms.parse(platform) if platform else platforms.of_machine()
    pool = Pool(settings)
    try:
        with Failing(roots, f"pull {name.familiar}", name.familiar):
            return _Pull(roots, name, wanted, settings, pool, progress or (lambda _part: None)).run()
    finally:
        pool.close()


class _Pull:
    """One pull, endpoint after endpoint."""

    def __init__(
        self, roots: Roots, name: Reference, wanted: Platform, settings: Settings, pool: Pool, tell: Tell
    ) -> None:
        self._roots = roots
        self._name = name
        self._wanted = wanted
        self._settings = settings
        self._pool = pool
        self._tell = tell

    def run(self) -> Pulled:
        """The first endpoint that has it. Of several failures the registry's own is told."""
        places = endpoints(self._settings, self._name.domain)
        login = find_login(self._name.domain, self._name.path, self._settings.environ)
        for number, endpoint in enumerate(places):
            if not endpoint.resolves and not self._name.digest:
                continue
            client = Client(self._pool, self._settings, endpoint, self._name.path, login)
            try:
                return self._from(client)
            except RegistryFault as fault:
                if number == len(places) - 1 or isinstance(fault, DigestMismatch):
                    raise self._told(fault) from fault
            except BadArchive as fault:
                raise BadArchive(f"cannot pull {self._name.familiar}: {_because(fault)}", fault.hint) from fault
        raise RuntimeFault(f"cannot pull {self._name.familiar}: no mirror may be asked for tags")

    def _told(self, fault: RegistryFault) -> RegistryFault:
        """The fault with the image's name, and what would work instead."""
        message = f"cannot pull {self._name.familiar}: {_because(fault)}"
        hint = fault.hint
        if isinstance(fault, Unreachable) or (fault.status == 404 and not hint):
            hint = "without a registry: pycompose load -i FILE takes an archive, and `image: host` needs nothing"
        return type(fault)(message, hint, fault.status, fault.code)

    def _from(self, client: Client) -> Pulled:
        before = self._current()
        known = self._unchanged(client, before)
        if known is not None:
            return known
        resolved = resolve(client, self._name.digest or self._name.tag, self._wanted)
        config = read_config(client, resolved.config)
        plain = _config(config)
        warnings = [*resolved.warnings, *client.warnings, *self._foreign(plain)]
        diff_ids = diff_ids_of(plain, len(resolved.layers))
        with Staging(self._roots) as staging:
            layers = Layers(client, staging, resolved.layers, diff_ids, self._tell).fetch()
            image = add_image(staging, config, layers, ())
            remember(self._roots, self._name.domain, self._name.path, diff_ids, resolved.layers)
            named = self._named(image, resolved)
        changed = before is None or before.digest != image.digest
        self._tell(Part("", "Downloaded newer image" if changed else "Image is up to date", done=True))
        return Pulled(named, resolved.top, changed, (*warnings, *warnings_of(self._roots, image)))

    def _current(self) -> Image | None:
        try:
            return read_image(reference_path(self._roots, self._name.full))
        except FileNotFoundError:
            return None

    def _unchanged(self, client: Client, before: Image | None) -> Pulled | None:
        """The image, if the registry still means the same by its name: one HEAD request, which counts as no pull."""
        if before is None or not self._is_whole(before):
            return None
        if self._name.digest:
            digest = self._name.digest
        else:
            try:
                digest = client.manifest(self._name.tag, "HEAD")[1]
            except RegistryFault:
                return None  # the GET that follows says why, and is patient
            if not is_digest(digest):
                return None
        try:
            by_digest = read_image(reference_path(self._roots, self._by_digest(digest).full))
        except FileNotFoundError:
            return None
        if by_digest.digest != before.digest:
            return None
        self._touch()
        self._tell(Part("", "Image is up to date", done=True))
        return Pulled(before, digest, False, tuple(client.warnings))

    def _is_whole(self, image: Image) -> bool:
        """Whether all layers are there, and for the platform that is wanted."""
        base = store_dir(self._roots)
        if not all(os.path.exists(f"{base}/{name}/meta.json") for name in image.snapshots):
            return False
        own = platforms.normalise(image.os, image.architecture)
        return any(own.architecture == one.architecture for one in platforms.fitting(self._wanted))

    def _touch(self) -> None:
        """The name was confirmed just now: policies with an age count from here."""
        try:
            os.utime(reference_path(self._roots, self._name.full))
        except FileNotFoundError:
            pass

    def _by_digest(self, digest: str) -> Reference:
        return Reference(self._name.domain, self._name.path, "", digest)

    def _named(self, image: Image, resolved: Resolved) -> Image:
        """By digest first (of the index and of the manifest), then by tag: a kill between leaves no name without it."""
        for digest in dict.fromkeys((resolved.top, resolved.digest)):
            named = write_reference(self._roots, image, self._by_digest(digest))
        if self._name.tag and not self._name.digest:
            return write_reference(self._roots, image, self._name)
        return replace(named, reference=self._name.familiar)

    def _foreign(self, plain: Mapping[str, object]) -> list[str]:
        own = platforms.normalise(str(plain.get("os") or ""), str(plain.get("architecture") or ""))
        best = platforms.fitting(self._wanted)[0]
        if (own.os, own.architecture) == (best.os, best.architecture):
            return []
        return [f"its platform is {own}, not {best}"]


def _config(data: bytes) -> dict[str, object]:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadArchive("cannot load archive: its configuration is not JSON") from error
    if not isinstance(plain, dict):
        raise BadArchive("cannot load archive: its configuration is not an object")
    check_config(plain)
    return plain


def _because(fault: RuntimeFault) -> str:
    """A fault's reason without its beginning, to stand behind another one."""
    for head in ("cannot load archive: ", "cannot unpack archive: "):
        if fault.message.startswith(head):
            return fault.message.removeprefix(head)
    return fault.message

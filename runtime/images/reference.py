"""Image references: ``busybox`` is ``docker.io/library/busybox:latest``.

Grammar and normalisation follow the reference package of the distribution project, as every OCI tool does: the part
before the first slash is a registry if it is ``localhost``, has a dot, a colon or an upper-case letter.
:func:`normalise` only splits (no regular expression: it is on the way of every ``up``); :func:`parse` also checks.
"""

from __future__ import annotations

from runtime.errors import RuntimeFault
from runtime.record import record

DEFAULT_DOMAIN, OFFICIAL, DEFAULT_TAG = "docker.io", "library/", "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST_HEX = {"sha256": 64, "sha512": 128}


@record
class Reference:
    """A reference in its parts. ``tag`` is empty only beside a digest; with both, the digest decides."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def full(self) -> str:
        """The form that names exactly one image: ``docker.io/library/busybox:latest`` or ``...@sha256:...``."""
        return f"{self.domain}/{self.path}" + (f"@{self.digest}" if self.digest else f":{self.tag}")

    @property
    def repository(self) -> str:
        """The familiar name without tag: ``busybox``, ``ghcr.io/a/b``."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path[len(OFFICIAL) :] if self.path.startswith(OFFICIAL) else self.path

    @property
    def familiar(self) -> str:
        """The form to show: ``busybox:latest``."""
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def normalise(text: str) -> Reference:
    """Split a reference and fill in the defaults, without checking its characters."""
    rest, _, digest = text.partition("@")
    colon = rest.rfind(":")
    tag = ""
    if colon > rest.rfind("/"):
        rest, tag = rest[:colon], rest[colon + 1 :]
    domain, path = _split_domain(rest)
    return Reference(domain, path, tag or ("" if digest else DEFAULT_TAG), digest)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_domain = slash and (first == "localhost" or "." in first or ":" in first or first != first.lower())
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, name)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = OFFICIAL + path
    return domain, path


def parse(text: str) -> Reference:
    """A checked reference. Raises RuntimeFault with the reason when ``text`` is not one."""
    import re

    reference = normalise(text)
    stem = text.partition("@")[0]
    if re.fullmatch(r"[0-9a-f]{64}", text):
        raise _refuse(text, "64 hexadecimal digits are an image id, not a name")
    if len(reference.domain) + 1 + len(reference.path) > 255:
        raise _refuse(text, "its name is longer than 255 characters")
    if not re.fullmatch(_DOMAIN, reference.domain):
        raise _refuse(text, f"{reference.domain!r} is not a registry")
    if not re.fullmatch(rf"{_COMPONENT}(?:/{_COMPONENT})*", reference.path):
        upper = reference.path != reference.path.lower()
        raise _refuse(text, "a repository name is in lower case" if upper else "its name is not a repository name")
    if stem.endswith(":") or (reference.tag and not re.fullmatch(_TAG, reference.tag)):
        raise _refuse(text, f"{reference.tag!r} is not a tag" if not stem.endswith(":") else "its tag is empty")
    if "@" in text:
        check_digest(reference.digest)
    return reference


def _refuse(text: str, reason: str) -> RuntimeFault:
    return RuntimeFault(f"cannot use image reference {text!r}: {reason}", "write it as NAME, NAME:TAG or NAME@DIGEST")


def is_digest(text: object) -> bool:
    """Whether ``text`` is a well-formed sha256 or sha512 digest in lower case, safe as a part of a path."""
    if not isinstance(text, str):
        return False
    algorithm, _, digits = text.partition(":")
    return _DIGEST_HEX.get(algorithm) == len(digits) and not digits.strip("0123456789abcdef")


def check_digest(text: object) -> str:
    """The digest itself. Raises RuntimeFault unless it is well formed; do this before it becomes part of any path."""
    if not is_digest(text):
        raise RuntimeFault(f"cannot use digest {text!r}: it is not sha256: and 64 lower-case hexadecimal digits")
    assert isinstance(text, str)
    return text

"""References: the forms people write, and what is none."""

from __future__ import annotations

import pytest

from runtime.errors import RuntimeFault
from runtime.images.reference import check_digest, is_digest, normalise, parse

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("ghcr.io/a/b/c_d--e.f:T", "ghcr.io/a/b/c_d--e.f:T", "ghcr.io/a/b/c_d--e.f:T"),
        (f"busybox@sha256:{HEX}", f"docker.io/library/busybox@sha256:{HEX}", f"busybox@sha256:{HEX}"),
        (f"busybox:1@sha256:{HEX}", f"docker.io/library/busybox@sha256:{HEX}", f"busybox:1@sha256:{HEX}"),
    ],
)
def test_normal_forms(text: str, full: str, familiar: str) -> None:
    assert parse(text) == normalise(text)
    assert (parse(text).full, parse(text).familiar) == (full, familiar)
    assert parse(parse(text).familiar).full == full


@pytest.mark.parametrize(
    "text",
    ["", "/", "a//b", "/a", "a/", "Busybox", "a..b", "-a", "a-", "a___b", "a:", "a:b:c", "a: b", "a b", "a\n", "a\0",
     HEX, "x" * 256, "a:" + "t" * 129, "a@", "a@sha256:abc", f"a@sha256:{HEX.upper()}", f"a@md5:{HEX}", "../a", "é"],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(RuntimeFault, match="cannot use"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["sha256:../../x", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "md5:" + "0" * 32, None, 7]
)
def test_what_is_no_digest(text: object) -> None:
    assert not is_digest(text)
    with pytest.raises(RuntimeFault, match="cannot use digest"):
        check_digest(text)


def test_digests() -> None:
    assert check_digest(f"sha256:{HEX}") == f"sha256:{HEX}"
    assert is_digest(f"sha512:{HEX}{HEX}")

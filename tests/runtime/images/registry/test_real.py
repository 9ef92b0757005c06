"""The distribution project's own registry (Debian's docker-registry), plain, with passwords, and with TLS; skopeo, umoci.

Skipped, with the reason, where they are not installed: ``make registries`` installs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime.images import store
from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.login import login, logout
from runtime.images.registry.pull import pull
from runtime.images.registry.push import push
from runtime.images.registry.settings import Settings
from runtime.images.tar import DIRECTORY, SYMLINK
from runtime.paths import Roots
from tests.runtime.images.conftest import make_tar, member
from tests.support.docker_registry import REGISTRY, Start

pytestmark = [pytest.mark.root, pytest.mark.skipif(not REGISTRY, reason="needs docker-registry: make registries")]
TAR = make_tar(
    member("bin", DIRECTORY),
    member("bin/tool", data=os.urandom(3 << 20), mode=0o4755),
    member("bin/link", SYMLINK, link=b"tool"),
    member("etc", DIRECTORY),
    member("etc/name", data=b"x"),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {"DOCKER_CONFIG": str(tmp_path / "docker"), "HOME": str(tmp_path)}
    return Settings(environ, certs_dir=str(tmp_path / "certs.d"), backoff=0.05, attempts=2)


@pytest.fixture
def local(roots: Roots, tmp_path: Path) -> store.Image:
    (tmp_path / "root.tar").write_bytes(TAR)
    return store.import_rootfs(roots, str(tmp_path / "root.tar"), "local:1", ["CMD sh"])


def round_trip(roots: Roots, host: str, settings: Settings, tmp_path: Path) -> None:
    """Push, then pull into an empty store."""
    name = f"{host}/some/image:1"
    store.tag(roots, "local:1", name)
    digest = push(roots, name, settings=settings)
    other = Roots(str(tmp_path / "other"), str(tmp_path / "run"))
    done = pull(other, name, settings=settings)
    assert (done.digest, done.image.layers) == (digest, store.resolve(roots, "local:1").layers)
    assert not pull(other, name, settings=settings).changed


def test_plain(roots: Roots, start: Start, settings: Settings, local: store.Image, tmp_path: Path) -> None:
    round_trip(roots, start(), settings, tmp_path)


def test_mounting_between_repositories(roots: Roots, start: Start, settings: Settings, local: store.Image) -> None:
    host, told = start(), []
    for name in ("one:1", "two/three:1"):
        store.tag(roots, "local:1", f"{host}/{name}")
        push(roots, f"{host}/{name}", progress=lambda part: told.append(part.status), settings=settings)
    assert "Mounted from one" in told


@pytest.mark.skipif(not shutil.which("htpasswd"), reason="needs htpasswd: make registries")
def test_passwords(roots: Roots, start: Start, settings: Settings, local: store.Image, tmp_path: Path) -> None:
    secrets = tmp_path / "htpasswd"
    subprocess.run(["htpasswd", "-Bbc", str(secrets), "me", "pass word"], check=True, capture_output=True)
    host = start(auth={"htpasswd": {"realm": "test", "path": str(secrets)}})
    with pytest.raises(RegistryFault, match="cannot push"):
        round_trip(roots, host, settings, tmp_path)
    with pytest.raises(RegistryFault, match="user name or password is wrong"):
        login(host, "me", "wrong", settings.environ, settings)
    place = login(host, "me", "pass word", settings.environ, settings)
    assert os.stat(place).st_mode & 0o777 == 0o600
    round_trip(roots, host, settings, tmp_path)
    assert logout(host, settings.environ)
    assert not logout(host, settings.environ)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_tls_with_an_authority_of_ones_own(
    roots: Roots, start: Start, settings: Settings, local: store.Image, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    host = start(http={"tls": {"certificate": str(certificate), "key": str(key)}})
    round_trip(roots, host, settings, tmp_path)  # loopback needs no trust
    directory = tmp_path / "certs.d" / host
    directory.mkdir(parents=True)
    other = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", *words.split(), "-keyout", tmp_path / "k2", "-out", other], check=True, capture_output=True
    )
    shutil.copy(other, directory / "ca.crt")
    with pytest.raises(RegistryFault, match="cannot trust") as caught:
        push(roots, f"{host}/some/image:1", settings=settings)
    assert "ca.crt" in caught.value.hint
    shutil.copy(certificate, directory / "ca.crt")
    push(roots, f"{host}/some/image:1", settings=settings)


@pytest.mark.skipif(not shutil.which("skopeo"), reason="needs skopeo: make registries")
def test_skopeo_reads_what_we_push_and_we_what_it_copies(
    roots: Roots, start: Start, settings: Settings, local: store.Image, tmp_path: Path
) -> None:
    host = start()
    store.tag(roots, "local:1", f"{host}/ours:1")
    push(roots, f"{host}/ours:1", settings=settings)
    skopeo = ["skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    for kind, target in (("oci", f"oci:{tmp_path}/layout:1"), ("v2s2", f"docker://{host}/theirs:1")):
        subprocess.run([*skopeo, "--format", kind, f"docker://{host}/ours:1", target], check=True, capture_output=True)
    other = Roots(str(tmp_path / "other"), str(tmp_path / "run"))
    assert pull(other, f"{host}/theirs:1", settings=settings).image.layers == local.layers
    if shutil.which("umoci"):
        words = ["umoci", "unpack", "--image", f"{tmp_path}/layout:1", f"{tmp_path}/bundle"]
        subprocess.run(words, check=True, capture_output=True)
        assert os.stat(tmp_path / "bundle/rootfs/bin/tool").st_mode & 0o7777 == 0o4755

"""Pulls from a real HTTP server, well-behaved and not: the image is there and whole, or one clear error and nothing."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from typing import Any

import pytest

from runtime.errors import BadArchive, RuntimeFault
from runtime.images import store
from runtime.images.layer_tar import checked_chunks
from runtime.images.registry import layers as layers_module
from runtime.images.registry.errors import DigestMismatch, RegistryFault
from runtime.images.registry.platforms import Platform, choose, fitting, normalise, parse
from runtime.images.registry.pull import Pulled, pull
from runtime.images.tar import DIRECTORY
from runtime.paths import Roots
from tests.runtime.images.conftest import make_tar, member
from tests.runtime.images.registry.fake import Handler, Registry, basic, digest_of

pytestmark = pytest.mark.root

BASE = make_tar(member("etc", DIRECTORY, mode=0o755), member("etc/name", data=b"base" * 5000))
TOP = make_tar(
    member("etc", DIRECTORY),
    member("etc/name", data=b"top"),
    member("bin", DIRECTORY),
    member("bin/tool", data=os.urandom(1_200_000)),
)
HIDING = make_tar(member("etc/.wh.name"), member("etc/new", data=b"x"))


def bring(roots: Roots, server: Registry, name: str = "x/y:1", platform: str = "", **settings: Any) -> Pulled:
    return pull(roots, f"{server.host}/{name}", platform, settings=server.settings(**settings))


def is_clean(roots: Roots) -> bool:
    """No name, no image, no unfinished work, no lock."""
    base = f"{roots.state}/images"
    return not any(
        os.listdir(f"{base}/{name}") for name in ("refs", "ids", "configs", "staging") if os.path.isdir(base)
    ) and not (os.path.isdir(f"{base}/claims") and os.listdir(f"{base}/claims"))


def read(roots: Roots, image: store.Image, path: str) -> bytes:
    """A file of the image's merged view."""
    from runtime.images.merged import Merged

    found = Merged(store.rootfs_of(roots, image).layers).resolve(path)
    assert found is not None
    with open(found.path, "rb") as file:
        return file.read()


# -- what works


def test_layers_are_stacked_and_named(roots: Roots, server: Registry) -> None:
    row = server.add_image(BASE, TOP, HIDING)
    done = bring(roots, server)
    assert (done.changed, done.digest) == (True, row["digest"])
    image = store.resolve(roots, f"{server.host}/x/y:1")
    assert image.layers == tuple(digest_of(tar) for tar in (BASE, TOP, HIDING))
    assert read(roots, image, "etc/new") == b"x"
    with pytest.raises(AssertionError):
        read(roots, image, "etc/name")
    assert store.resolve(roots, f"{server.host}/x/y@{row['digest']}").digest == image.digest


def test_every_layer_can_be_made_a_tar_again(roots: Roots, server: Registry) -> None:
    odd = (
        make_tar(member("a" * 150, data=b"1" * 513), member("d", DIRECTORY), member("d/hard", data=b"2")) + b"\0" * 4096
    )
    server.add_image(BASE, TOP, HIDING, odd)
    image = bring(roots, server).image
    for snapshot, diff_id, tar in zip(image.snapshots, image.layers, (BASE, TOP, HIDING, odd)):
        assert b"".join(checked_chunks(roots, snapshot, diff_id)) == tar


@pytest.mark.parametrize("form", ["plain", "gzip", "members", "zstd"])
def test_compressions(roots: Roots, server: Registry, form: str) -> None:
    from backports import zstd

    packs = {
        "plain": lambda tar: tar,
        "gzip": gzip.compress,
        "members": lambda tar: b"".join(gzip.compress(tar[at : at + 10_000]) for at in range(0, len(tar), 10_000)),
        "zstd": lambda tar: zstd.compress(tar[:20_000]) + zstd.compress(tar[20_000:]),
    }
    server.add_image(TOP, pack=packs[form])
    assert read(roots, bring(roots, server).image, "etc/name") == b"top"


def test_nothing_is_sent_twice(roots: Roots, server: Registry) -> None:
    server.add_image(BASE, TOP)
    bring(roots, server)
    server.seen.clear()
    again = bring(roots, server)
    assert not again.changed
    assert [(method, path) for method, path, _headers in server.seen if path != "/v2/"] == [
        ("HEAD", "/v2/x/y/manifests/1")
    ]
    server.add_image(BASE, HIDING, tag="2")
    server.seen.clear()
    bring(roots, server, "x/y:2")
    assert len(server.paths("GET", "/blobs/")) == 2  # the configuration and the one new layer


def test_a_tag_that_moved(roots: Roots, server: Registry) -> None:
    server.add_image(BASE)
    first = bring(roots, server).image
    server.add_image(BASE, TOP)
    second = bring(roots, server)
    assert second.changed
    assert second.image.digest != first.digest


def test_by_digest(roots: Roots, server: Registry) -> None:
    row = server.add_image(BASE)
    done = bring(roots, server, f"x/y@{row['digest']}")
    assert store.resolve(roots, f"{server.host}/x/y@{row['digest']}").digest == done.image.digest
    server.manifests.clear()
    assert not bring(roots, server, f"x/y@{row['digest']}").changed  # nothing to ask


def test_the_platform_is_chosen_from_an_index(roots: Roots, server: Registry) -> None:
    foreign = {
        **server.add_image(TOP, tag="", architecture="s390x"),
        "platform": {"os": "linux", "architecture": "s390x"},
    }
    ours = {**server.add_image(BASE, tag=""), "platform": {"os": "linux", "architecture": "amd64"}}
    note = {**ours, "platform": {"os": "unknown", "architecture": "unknown"}}
    odd = {**ours, "mediaType": "application/x-unknown", "platform": ours["platform"]}
    server.add_index(note, odd, foreign, server.add_index(ours, tag="inner"), tag="1")
    assert bring(roots, server).image.layers == (digest_of(BASE),)
    assert bring(roots, server, platform="linux/s390x").image.architecture == "s390x"
    with pytest.raises(RegistryFault, match=r"nothing for linux/arm64") as caught:
        server.add_index(foreign, tag="2")
        bring(roots, server, "x/y:2", platform="linux/arm64")
    assert "it is for linux/s390x" in caught.value.hint


def test_preferences_of_platforms() -> None:
    assert fitting(Platform("linux", "amd64", "v3")) == [
        Platform("linux", "amd64", "v3"),
        Platform("linux", "amd64", "v2"),
        Platform("linux", "amd64"),
        Platform("linux", "386"),
    ]
    assert normalise("", "aarch64") == parse("linux/arm64/8") == Platform("linux", "arm64", "v8")
    assert parse("armhf") == Platform("linux", "arm", "v7")
    rows = [{"platform": {"os": "linux", "architecture": a}} for a in ("386", "amd64", "amd64")]
    assert choose(rows, parse("amd64"))[0] is rows[1]
    with pytest.raises(RuntimeFault, match="cannot use platform"):
        parse("a//b")


def test_a_second_process_waits_and_takes_what_is_there(roots: Roots, server: Registry) -> None:
    server.add_image(BASE, TOP)
    asked = threading.Barrier(2, timeout=5)

    def slow(handler: Handler) -> bool:
        if "/blobs/" in handler.path and handler.path.endswith(digest_of(gzip.compress(TOP, 1, mtime=0))):
            time.sleep(0.3)
        return False

    server.before = slow
    results: list[Pulled] = []

    def work() -> None:
        asked.wait()
        results.append(bring(roots, server))

    threads = [threading.Thread(target=work) for _each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert len(server.paths("GET", digest_of(gzip.compress(TOP, 1, mtime=0)))) == 1
    assert not os.listdir(f"{roots.state}/images/claims")


def test_a_layer_that_asks_those_below_waits_for_them(roots: Roots, server: Registry) -> None:
    """An implied directory takes its attributes from a layer that comes later on the wire."""
    low = make_tar(member("tmp", DIRECTORY, mode=0o1777), member("blob", data=os.urandom(500_000)))
    high = make_tar(member("tmp/x", data=b"1"))
    server.add_image(low, high)

    def slow(handler: Handler) -> bool:
        if handler.path.endswith(digest_of(gzip.compress(low, 1, mtime=0))):
            time.sleep(0.2)
        return False

    server.before = slow
    image = bring(roots, server).image
    assert image.snapshots[1].endswith(".chain")
    assert os.stat(f"{roots.state}/images/{image.snapshots[1]}/diff/tmp").st_mode & 0o7777 == 0o1777


# -- logins


def test_bearer_tokens(roots: Roots, server: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add_image(BASE)
    server.token = "secret-token"
    bring(roots, server)
    asked = server.paths("GET", "/token")
    assert "scope=repository%3Ax%2Fy%3Apull" in asked[0]
    assert len(asked) == 1  # kept for the other requests


def test_a_token_that_ends_meanwhile(roots: Roots, server: Registry) -> None:
    server.add_image(BASE)
    server.token = "one"

    def change(handler: Handler) -> bool:
        if "/blobs/" in handler.path and server.token == "one":
            server.token = "two"
        return False

    server.before = change
    assert bring(roots, server).changed
    assert len(server.paths("GET", "/token")) == 2


def test_basic_from_dockers_file(roots: Roots, server: Registry, tmp_path: Any) -> None:
    server.add_image(BASE)
    server.users = {"me": "pass:word"}
    with pytest.raises(RegistryFault, match="log in") as caught:
        bring(roots, server)
    assert f"pycompose login {server.host}" in caught.value.hint
    auth = basic("me", "pass:word").removeprefix("Basic ")
    (tmp_path / "config.json").write_text(f'{{"auths": {{"https://{server.host}/v1/": {{"auth": "{auth}"}}}}}}')
    assert bring(roots, server, environ={"DOCKER_CONFIG": str(tmp_path)}).changed


def test_a_redirect_carries_no_password(roots: Roots, server: Registry, tmp_path: Any) -> None:
    from tests.runtime.images.registry.fake import registry

    with registry() as elsewhere:
        server.add_image(BASE)
        server.users = {"me": "word"}
        elsewhere.blobs = server.blobs

        def move(handler: Handler) -> bool:
            if "/blobs/" not in handler.path:
                return False
            handler.send(307, Location=f"http://localhost:{elsewhere.server.server_port}{handler.path}?signed=1")
            return True

        server.before = move
        auth = basic("me", "word").removeprefix("Basic ")
        (tmp_path / "config.json").write_text(f'{{"auths": {{"{server.host}": {{"auth": "{auth}"}}}}}}')
        assert bring(roots, server, environ={"DOCKER_CONFIG": str(tmp_path)}).changed
        assert elsewhere.seen
        assert not any("Authorization" in headers for _method, _path, headers in elsewhere.seen)


def test_a_token_server_on_an_inner_address_is_refused(roots: Roots, server: Registry) -> None:
    server.add_image(BASE)
    server.before = lambda handler: bool(
        handler.fail(401, WWW_Authenticate='Bearer realm="http://10.0.0.1/token",service="s"') is None
    )
    with pytest.raises(RegistryFault, match=r"token server 10\.0\.0\.1 is on an inner address"):
        bring(roots, server)


# -- mirrors


def test_a_mirror_is_asked_first_and_without_our_password(roots: Roots, server: Registry, tmp_path: Any) -> None:
    server.add_image(BASE, tag="latest")
    auth = basic("me", "word").removeprefix("Basic ")
    (tmp_path / "config.json").write_text(f'{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}}}}}}')
    settings = server.settings(mirrors=(f"http://{server.host}",), environ={"DOCKER_CONFIG": str(tmp_path)})
    done = pull(roots, "some", settings=settings)
    assert done.image.reference == "some:latest"
    assert {path.split("?")[1] for _method, path, _headers in server.seen if "?" in path} == {"ns=docker.io"}
    assert not any("Authorization" in headers for _method, _path, headers in server.seen)


def test_the_next_mirror_is_asked(roots: Roots, server: Registry) -> None:
    server.add_image(BASE, tag="latest")
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    mirrors = (f"http://127.0.0.1:{dead.getsockname()[1]}", f"http://{server.host}")
    assert pull(roots, "some", settings=server.settings(mirrors=mirrors)).changed
    dead.close()


# -- what goes wrong


def test_a_stall_is_taken_up_again(roots: Roots, server: Registry) -> None:
    server.add_image(TOP)
    blob = gzip.compress(TOP, 1, mtime=0)
    server.before = once_then(lambda handler: stall(handler, blob, 100_000), digest_of(blob))
    assert bring(roots, server).changed
    assert "bytes=100000-" in [
        headers.get("Range") for _method, path, headers in server.seen if digest_of(blob) in path
    ]


def test_a_broken_connection_without_ranges_begins_anew(roots: Roots, server: Registry) -> None:
    server.add_image(TOP)
    server.ranges = False
    blob = gzip.compress(TOP, 1, mtime=0)
    server.before = once_then(lambda handler: cut(handler, blob, 100_000), digest_of(blob))
    assert bring(roots, server).changed


def test_a_wrong_range_is_refused(roots: Roots, server: Registry) -> None:
    server.add_image(TOP)
    blob = gzip.compress(TOP, 1, mtime=0)

    def wrong(handler: Handler) -> bool:
        if handler.headers.get("Range"):
            handler.send(206, blob[5:], Content_Range=f"bytes 5-{len(blob) - 1}/{len(blob)}")
            return True
        return digest_of(blob) in handler.path and cut(handler, blob, 1000)

    server.before = wrong
    with pytest.raises(RegistryFault, match="it sent another part"):
        bring(roots, server)
    assert is_clean(roots)


def test_endless_stalls_end(roots: Roots, server: Registry) -> None:
    server.add_image(TOP)
    blob = gzip.compress(TOP, 1, mtime=0)
    server.before = lambda handler: digest_of(blob) in handler.path and stall(handler, blob, 0)
    began = time.monotonic()
    with pytest.raises(RegistryFault, match="does not answer in time") as caught:
        bring(roots, server, attempts=2)
    assert time.monotonic() - began < 5
    assert str(caught.value).startswith(f"cannot pull {server.host}/x/y:1: ")
    assert is_clean(roots)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_busy_servers_are_asked_again(roots: Roots, server: Registry, status: int) -> None:
    server.add_image(BASE)
    left = {"manifests": 1, "blobs": 2}

    def busy(handler: Handler) -> bool:
        for part in left:
            if part in handler.path and left[part]:
                left[part] -= 1
                handler.fail(status, Retry_After="0")
                return True
        return False

    server.before = busy
    assert bring(roots, server).changed


def test_too_many_requests(roots: Roots, server: Registry) -> None:
    server.add_image(BASE)
    server.before = lambda handler: handler.fail(429, "TOOMANYREQUESTS", ratelimit_limit="100;w=21600") is None
    with pytest.raises(RegistryFault, match=r"too many requests \(limit 100;w=21600\)") as caught:
        bring(roots, server)
    assert "pycompose login" in caught.value.hint


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_errors_are_told_in_the_registrys_words(roots: Roots, server: Registry, status: int) -> None:
    server.add_image(BASE)
    server.before = lambda handler: "/blobs/" in handler.path and handler.fail(status, "X", "Sorry, closed") is None
    with pytest.raises(RegistryFault, match="sorry, closed"):
        bring(roots, server, attempts=2)
    assert is_clean(roots)


@pytest.mark.parametrize("where", ["manifest", "config", "layer", "longer", "shorter"])
def test_lies_about_digests(roots: Roots, server: Registry, where: str) -> None:
    row = server.add_image(TOP)
    blob = digest_of(gzip.compress(TOP, 1, mtime=0))
    config = next(name for name in server.blobs if name != blob)
    name = "x/y:1"
    if where == "manifest":
        server.manifests[row["digest"]] = (row["mediaType"], server.manifests["1"][1] + b" ")
        name = f"x/y@{row['digest']}"
    elif where == "config":
        server.blobs[config] = server.blobs[config].replace(b"sh", b"hs")
    elif where == "layer":
        server.blobs[blob] = server.blobs[blob][:-3] + b"abc"
    else:
        server.blobs[blob] = server.blobs[blob] + b"more" if where == "longer" else server.blobs[blob][:-4]
    with pytest.raises(RegistryFault, match=r"cannot accept|it sent another part"):
        bring(roots, server, name, attempts=2)
    assert is_clean(roots)


def test_damage_on_the_way_is_repaired_by_another_try(roots: Roots, server: Registry) -> None:
    server.add_image(TOP)
    blob = gzip.compress(TOP, 1, mtime=0)
    server.before = once_then(
        lambda handler: handler.send(200, blob[:5000] + b"\0" + blob[5001:]) is None, digest_of(blob)
    )
    assert bring(roots, server).changed


def test_a_wrong_diff_id(roots: Roots, server: Registry) -> None:
    server.add_image(TOP, diff_ids=[digest_of(b"other")])
    with pytest.raises(BadArchive, match="cannot accept layer"):
        bring(roots, server)
    assert is_clean(roots)


@pytest.mark.parametrize("change", ["digest", "size", "null", "layers", "both", "schema1", "array"])
def test_hostile_manifests(roots: Roots, server: Registry, change: str) -> None:
    import json

    server.add_image(TOP)
    kind, data = server.manifests["1"]
    plain = json.loads(data)
    if change == "digest":
        plain["layers"][0]["digest"] = "sha256:../../../etc/passwd"
    elif change == "size":
        plain["layers"][0]["size"] = -1
    elif change == "null":
        plain["config"] = None
    elif change == "layers":
        plain["layers"] = plain["layers"] * 600
    elif change == "both":
        plain["manifests"] = []
    elif change == "schema1":
        plain = {"schemaVersion": 1, "fsLayers": []}
    server.manifests["1"] = (
        kind if change != "schema1" else "application/json",
        json.dumps([plain] if change == "array" else plain).encode(),
    )
    with pytest.raises(RuntimeFault, match="cannot pull"):
        bring(roots, server)
    assert is_clean(roots)


def test_a_bomb(roots: Roots, server: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.images import compression

    monkeypatch.setattr(layers_module, "decompress", lambda chunks: compression.decompress(chunks, 1 << 20))
    bomb = make_tar(member("zeros", data=bytes(64 << 20)))
    server.add_image(bomb, pack=lambda tar: gzip.compress(tar, 9))
    with pytest.raises(BadArchive, match="200 times its size"):
        bring(roots, server)
    assert is_clean(roots)


def test_an_endless_manifest(roots: Roots, server: Registry) -> None:
    server.manifests["1"] = ("application/vnd.oci.image.manifest.v1+json", b" " * (9 << 20))
    with pytest.raises(RegistryFault, match="sent more than"):
        bring(roots, server)


def test_redirects_without_end(roots: Roots, server: Registry) -> None:
    server.before = lambda handler: handler.path != "/v2/" and handler.send(302, Location=handler.path) is None
    with pytest.raises(RegistryFault, match="redirects without end"):
        bring(roots, server)


def test_nobody_is_there(roots: Roots, server: Registry) -> None:
    server.close()
    with pytest.raises(RegistryFault, match="connection refused") as caught:
        bring(roots, server)
    assert "pycompose load" in caught.value.hint


def test_a_name_that_is_not_there(roots: Roots, server: Registry) -> None:
    with pytest.raises(RegistryFault, match="manifest unknown") as caught:
        bring(roots, server)
    assert "pycompose load" in caught.value.hint


def test_warnings_of_the_registry_are_told_once(roots: Roots, server: Registry) -> None:
    server.add_image(BASE)

    def warn(handler: Handler) -> bool:
        if "/manifests/" in handler.path:
            kind, data = server.manifests["1"]
            handler.send(200, data, Content_Type=kind, Warning='299 - "going away"')
            return True
        return False

    server.before = warn
    assert bring(roots, server).warnings == ('299 - "going away"',)


def test_the_first_layer_that_fails_ends_the_others(roots: Roots, server: Registry) -> None:
    bad = make_tar(member("a"))
    server.add_image(*[make_tar(member(f"f{n}", data=os.urandom(2000))) for n in range(6)], bad)
    blob = gzip.compress(bad, 1, mtime=0)
    server.blobs[digest_of(blob)] = blob[:-1] + b"x"
    with pytest.raises(DigestMismatch):
        bring(roots, server)
    assert not any(os.listdir(f"{roots.state}/images/{name}") for name in ("refs", "staging", "claims"))


# -- helpers


def once_then(act: Any, part: str) -> Any:
    """Do it at the first request for that path, then behave."""
    done = []

    def before(handler: Handler) -> bool:
        if part in handler.path and not done:
            done.append(1)
            return bool(act(handler))
        return False

    return before


def cut(handler: Handler, data: bytes, count: int) -> bool:
    """Send a beginning, then hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:count])
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def stall(handler: Handler, data: bytes, count: int) -> bool:
    """Send a beginning, then nothing."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:count])
    handler.wfile.flush()
    time.sleep(1.2)
    handler.close_connection = True
    return True

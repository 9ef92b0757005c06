"""The cache taken along by registries: a fresh store carries nothing out again. By a real registry, and one that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.build.exchange import Place, read_places
from runtime.errors import RuntimeFault
from runtime.images import store
from runtime.images.registry.client import OCI_INDEX, OCI_MANIFEST
from runtime.images.registry.push import push
from tests.runtime.build.build_support import Workshop
from tests.runtime.images.registry.fake import Handler, Registry, registry
from tests.support.docker_registry import REGISTRY, Start

pytestmark = pytest.mark.root
real = pytest.mark.skipif(not REGISTRY, reason="needs docker-registry: make registries")

FILE = """FROM base:1 AS made
RUN echo made > /made && rm -r /home && mkdir /home
FROM base:1
COPY a.txt /a
COPY --from=made /made /m
RUN cat /a /m > /r
LABEL l=1
COPY --link a.txt /l
"""


def workshop(tmp_path: Path, name: str) -> Workshop:
    directory = tmp_path / name
    directory.mkdir()
    made = Workshop(directory)
    (directory / "c").mkdir()
    (directory / "c/a.txt").write_text("a\n")
    (directory / "c/Dockerfile").write_text(FILE)
    return made


@pytest.fixture
def one(tmp_path: Path) -> Workshop:
    return workshop(tmp_path, "one")


@pytest.fixture
def other(tmp_path: Path) -> Workshop:
    return workshop(tmp_path, "other")


@pytest.fixture
def server() -> Iterator[Registry]:
    with registry() as running:
        yield running


def run(shop: Workshop, **settings: object) -> tuple[store.Image, str, list[str]]:
    """(image, one letter a step: c(ached) or m(ade), warnings)."""
    image, events = shop.build(shop.directory / "c", **settings)
    steps = [row for row in shop.steps(events) if not row[0].startswith("[internal]")]
    return image, "".join("c" if hit else "m" for _title, hit in steps), [event.text for event in events.of("Warned")]


@real
@pytest.mark.parametrize("options", ["", ",mode=max,compression=gzip,oci-mediatypes=true"])
def test_a_registry_carries_results_to_another_store(
    one: Workshop, other: Workshop, start: Start, options: str
) -> None:
    name = f"{start()}/some/cache:main"
    first, made, _told = run(one, cache_to=(f"type=registry,ref={name}{options}",))
    assert made == "mmmmm"
    image, reused, told = run(other, cache_from=(name if not options else f"type=registry,ref={name}",))
    assert (reused, told) == ("ccccc", [])
    assert (image.layers, image.created) == (first.layers, first.created)
    (other.directory / "c/a.txt").write_text("changed\n")
    assert sorted(run(other, cache_from=(name,))[1]) == sorted("cmmmm")


@real
def test_an_image_carries_its_own_layers(one: Workshop, other: Workshop, start: Start) -> None:
    name = f"{start()}/some/image:1"
    plain, _made, _told = run(one)
    first, reused, _told = run(one, tags=(name,), cache_to=("type=inline",))
    assert reused == "ccccc"
    assert first.digest != plain.digest  # its configuration says more
    assert first.digest == run(one, args={"BUILDKIT_INLINE_CACHE": "1"})[0].digest
    push(one.roots, name)
    image, again, told = run(other, cache_from=(name,), cache_to=("type=inline",))
    assert (sorted(again), told) == (sorted("mcccc"), [])  # the stage `made` is no layer of it
    assert image.layers == first.layers


def test_only_what_the_image_has_with_mode_min(one: Workshop, server: Registry) -> None:
    count = {}
    for mode in ("min", "max"):
        name = f"{server.host}/x/cache:{mode}"
        run(one, cache_to=(f"type=registry,ref={name},mode={mode}",))
        count[mode] = len(json.loads(server.manifests[mode][1])["layers"])
    assert count["max"] == count["min"] + 1


def test_a_cache_that_is_not_there_is_told_of_once(one: Workshop, server: Registry) -> None:
    server.add_image(b"\0" * 1024, tag="image")
    _image, made, told = run(one, cache_from=(f"{server.host}/x/none:1", f"{server.host}/x/app:image"))
    assert made == "mmmmm"
    assert len(told) == 2
    assert any("it holds no cache that pycompose wrote" in text for text in told)
    server.seen.clear()
    assert run(one, cache_from=(f"{server.host}/x/none:1",))[1:] == ("ccccc", [])
    assert not server.seen  # nobody is asked for what is here


@pytest.mark.parametrize("form", ["index", "manifest", "inline", "directory"])
def test_caches_of_buildkit_are_told_of(one: Workshop, server: Registry, tmp_path: Path, form: str) -> None:
    """In the four forms that BuildKit writes; the steps are carried out."""
    kind = "application/vnd.buildkit.cacheconfig.v0"
    word = f"{server.host}/x/cache:1"
    layer = {**server.add_blob(b"layer"), "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}
    config = {**server.add_blob(b'{"layers": [], "records": []}'), "mediaType": kind}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [layer, config]}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    if form == "index":
        server.add_manifest(index, OCI_INDEX, "1")
    elif form == "manifest":
        server.add_manifest(manifest, OCI_MANIFEST, "1")
    elif form == "inline":
        plain = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["x"]}, "moby.buildkit.cache.v0": "W10="}
        image = {**server.add_blob(json.dumps(plain).encode()), "mediaType": "application/vnd.oci.image.config.v1+json"}
        server.add_manifest({**manifest, "config": image}, OCI_MANIFEST, "1")
    else:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache/index.json").write_text(json.dumps(index))
        word = f"type=local,src={tmp_path}/cache"
    _image, made, told = run(one, cache_from=(word,))
    assert made == "mmmmm"
    assert len(told) == 1
    assert told[0].endswith(" is not used: it was written by BuildKit, whose caches are not read")


def test_a_layer_with_other_content_is_a_miss(one: Workshop, other: Workshop, server: Registry) -> None:
    name = f"{server.host}/x/cache:1"
    run(one, cache_to=(f"type=registry,ref={name}",))
    manifest = json.loads(server.manifests["1"][1])
    rows = manifest["layers"]
    for row in rows:  # each layer is another one's: digests on the way are right, and the content is wrong
        row.update(server.add_blob(server.blobs[rows[-1]["digest"]] if row is not rows[-1] else b"\0" * 2048))
    server.add_manifest(manifest, manifest["mediaType"], "1")
    _image, made, _told = run(other, cache_from=(name,))
    assert made == "mmmmm"


def test_a_registry_that_refuses_fails_the_build_unless_it_may(one: Workshop, server: Registry) -> None:
    def refuse(handler: Handler) -> bool:
        if handler.command == "GET":
            return False
        handler.fail(403, "DENIED", "not you")
        return True

    server.before = refuse
    words = f"type=registry,ref={server.host}/x/cache:1"
    with pytest.raises(RuntimeFault, match=r"cannot write the cache to .*not you"):
        run(one, cache_to=(words,), tags=("t:1",))
    _image, _made, told = run(one, cache_to=(f"{words},ignore-error=true",))
    assert "not you" in told[0]


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("type=registry", "names no image"),
        ("type=local", "names no directory"),
        ("type=registry,ref=a:1,compression=lz4", "unknown compression 'lz4'"),
        ("type=registry,ref=A", "lower case"),
    ],
)
def test_words_that_cannot_be_meant(word: str, part: str) -> None:
    with pytest.raises(RuntimeFault, match=part):
        read_places((word,), "to")


def test_words() -> None:
    assert read_places(("a/b:1", "type=gha", "type=inline"), "from") == (
        [Place("registry", "a/b:1")],
        ["type=gha", "type=inline"],
    )
    assert read_places(("type=inline", "type=local,dest=/d,mode=min"), "to")[0] == [
        Place("inline", "", whole=False),
        Place("local", "/d", whole=False),
    ]

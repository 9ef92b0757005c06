"""Compose files from git repositories and registries: fetched once, kept by content, refused when they are wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.errors import SpecError
from compose.project import LoadOptions, load_project
from compose.spec.remote import PROJECT, cache_dir
from tests.runtime.images.registry.fake import Registry, registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
YAML, ENV = "application/vnd.docker.compose.file+yaml", "application/vnd.docker.compose.envfile"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if not shutil.which("git"):
        pytest.skip("needs git")
    directory = tmp_path / "shop"
    (directory / "deploy").mkdir(parents=True)
    (directory / "compose.yaml").write_text("services: {web: {image: one, build: web}}\n")
    (directory / "deploy" / "compose.yaml").write_text("services: {deployed: {image: two}}\n")
    git(directory, "init", "-q", "-b", "main")
    commit(directory)
    git(directory, "tag", "-a", "v1", "-m", "one")
    return directory


def git(directory: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True)


def commit(directory: Path) -> None:
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "change")


def images(*files: str, environ: dict[str, str], cwd: Path) -> dict[str, str | None]:
    project = load_project(LoadOptions(files=files, cwd=str(cwd)), environ)
    return {name: service.image for name, service in project.services.items()}


def test_a_repository_s_file_and_what_lies_beside_it(repository: Path, environ: dict[str, str], tmp_path: Path) -> None:
    project = load_project(LoadOptions(files=(f"file://{repository}",), cwd=str(tmp_path)), environ)
    assert project.name == "shop"
    assert project.services["web"].image == "one"
    context = str((project.services["web"].build or {})["context"])
    assert context.startswith(cache_dir(environ)) and context.endswith("/shop/web")


def test_references_directories_and_files(repository: Path, environ: dict[str, str], tmp_path: Path) -> None:
    url = f"file://{repository}"
    assert images(f"{url}#v1:deploy", environ=environ, cwd=tmp_path) == {"deployed": "two"}
    assert images(f"{url}#main:deploy/compose.yaml", environ=environ, cwd=tmp_path) == {"deployed": "two"}
    with pytest.raises(SpecError, match="has no branch or tag nothing"):
        images(f"{url}#nothing", environ=environ, cwd=tmp_path)
    with pytest.raises(SpecError, match=r"has no '\.\./\.\./etc'"):
        images(f"{url}#main:../../etc", environ=environ, cwd=tmp_path)


def test_a_branch_that_moves_is_fetched_again_and_a_tag_is_not(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    url = f"file://{repository}"
    assert images(url, environ=environ, cwd=tmp_path) == {"web": "one"}
    (repository / "compose.yaml").write_text("services: {web: {image: later}}\n")
    commit(repository)
    assert images(url, environ=environ, cwd=tmp_path) == {"web": "later"}
    assert images(f"{url}#v1", environ=environ, cwd=tmp_path) == {"web": "one"}
    assert len(os.listdir(cache_dir(environ))) == 2


def test_included_and_extended(repository: Path, environ: dict[str, str], tmp_path: Path) -> None:
    url = f"file://{repository}"
    own = tmp_path / "compose.yaml"
    own.write_text(
        f"include: ['{url}#v1:deploy']\nservices:\n  mine:\n    extends: {{file: '{url}', service: web}}\n    image: own\n"
    )
    assert images(str(own), environ=environ, cwd=tmp_path) == {"deployed": "two", "mine": "own"}


# -- registries


@pytest.fixture
def server() -> Iterator[Registry]:
    with registry() as one:
        yield one


def publish(server: Registry, *files: tuple[str, dict[str, str], bytes], kind: str = PROJECT) -> None:
    layers = []
    for media_type, notes, data in files:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        server.blobs[digest] = data
        layers.append({"mediaType": media_type, "digest": digest, "size": len(data), "annotations": notes})
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "layers": layers}).encode()
    server.manifests["1"] = (MANIFEST, manifest)


def file(name: str, text: str) -> tuple[str, dict[str, str], bytes]:
    return YAML, {"com.docker.compose.file": name}, text.encode()


def test_a_published_project(server: Registry, environ: dict[str, str], tmp_path: Path) -> None:
    publish(
        server,
        file("compose.yaml", "services: {web: {image: one, env_file: [hash.env]}}"),
        file("compose.override.yaml", "services: {web: {image: over}}"),
        (ENV, {"com.docker.compose.envfile": "hash.env"}, b"A=b\n"),
    )
    project = load_project(LoadOptions(files=(f"oci://{server.host}/x/shop:1",), cwd=str(tmp_path)), environ)
    assert (project.name, project.services["web"].image) == ("shop", "over")
    assert project.services["web"].environment == {"A": "b"}


@pytest.mark.parametrize(
    ("files", "kind", "reason"),
    [
        ([file("compose.yaml", "services: {}")], "text/plain", "it is no Compose project"),
        ([], PROJECT, "it has no Compose file"),
        (
            [file("c", "{}"), (ENV, {"com.docker.compose.envfile": "../../x"}, b"")],
            PROJECT,
            r"a file of the name '\.\./\.\./x'",
        ),
    ],
)
def test_what_is_wrong_is_said(
    server: Registry, environ: dict[str, str], tmp_path: Path, files: list[object], kind: str, reason: str
) -> None:
    publish(server, *files, kind=kind)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=reason):
        images(f"oci://{server.host}/x/shop:1", environ=environ, cwd=tmp_path)
    assert not os.path.exists(cache_dir(environ))


def test_a_file_of_another_content_is_refused(server: Registry, environ: dict[str, str], tmp_path: Path) -> None:
    publish(server, file("compose.yaml", "services: {}"))
    (digest,) = server.blobs
    server.blobs[digest] = b"services: {evil: {image: x}}"
    with pytest.raises(SpecError, match="its content is"):
        images(f"oci://{server.host}/x/shop:1", environ=environ, cwd=tmp_path)

"""Compose files from elsewhere: ``https://…/repo.git#ref:path`` by git, ``oci://registry/name:tag`` from a registry.

They are kept below ``$XDG_CACHE_HOME/pycompose`` by what they are (a commit, a digest), so that a second look
costs one question to the server. A name that moved is fetched again; nothing is ever changed in place.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from compose.errors import SpecError

if TYPE_CHECKING:
    from runtime.images.registry.artifact import ArtifactFile

PROJECT = "application/vnd.docker.compose.project"  # artifactType of what `docker compose publish` pushes
_COMPOSE = "application/vnd.docker.compose.file+yaml"
_ENV = "application/vnd.docker.compose.envfile"
_FILE_KEYS = ("com.docker.compose.file", "com.docker.compose.extends", "com.docker.compose.envfile")


def fetch(path: str, environ: Mapping[str, str], candidates: tuple[str, ...], where: str = "") -> str:
    """The local copy of a remote Compose file. ``candidates``: names to look for when a directory is meant.

    Raises SpecError when it cannot be had.
    """
    from runtime.errors import RuntimeFault

    try:
        return _from_registry(path, environ) if path.startswith("oci:") else _from_git(path, environ, candidates)
    except RuntimeFault as fault:
        raise SpecError(f"cannot read {path}: {fault.message}", hint=fault.hint, where=where) from fault
    except OSError as error:
        raise SpecError(
            f"cannot read {path}: {error.filename}: {error.strerror}",
            where=where,
            hint="git must be installed, and ~/.cache/pycompose be yours to write",
        ) from error


def cache_dir(environ: Mapping[str, str]) -> str:
    """Where remote files are kept."""
    base = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/root", ".cache")
    return os.path.join(base, "pycompose", "remote")


# -- git


def _from_git(url: str, environ: Mapping[str, str], candidates: tuple[str, ...]) -> str:
    from runtime.build.git import commit_of, fetch, find_inside, split_url

    repository, reference, inside = split_url(url)
    commit = commit_of(repository, reference)
    key = hashlib.sha256(f"{repository}@{commit}".encode()).hexdigest()[:32]
    home = os.path.join(cache_dir(environ), key, _stem(repository))
    if not os.path.isdir(home):
        _once(home, lambda target: fetch(f"{repository}#{commit}", target, keep=False))
    found = find_inside(home, inside)
    if not found:
        raise SpecError(
            f"cannot read {url}: the repository has no {inside!r}",
            hint="name a path within it behind the #REF: as in #main:deploy",
        )
    if not os.path.isdir(found):
        return found
    for name in candidates:
        if os.path.isfile(os.path.join(found, name)):
            return os.path.join(found, name)
    raise SpecError(f"cannot read {url}: it has no {candidates[0]}", hint="name the file: #REF:DIRECTORY/FILE")


def _stem(name: str) -> str:
    """The last part of a repository's name: the directory's, and so the project's when it has no ``name``."""
    return name.rstrip("/").rpartition("/")[2].partition(":")[0].partition("@")[0].removesuffix(".git") or "project"


def _once(home: str, make: Callable[[str], object]) -> None:
    """Make a directory aside and rename it into place; of two at once the first wins."""
    from runtime.tree import remove_tree

    aside = f"{home}.{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(os.path.dirname(home), 0o700, exist_ok=True)
    try:
        make(aside)
        os.rename(aside, home)
    except OSError:
        if not os.path.isdir(home):
            raise
    finally:
        remove_tree(aside)


# -- registries


def _from_registry(path: str, environ: Mapping[str, str]) -> str:
    from runtime.images.registry.artifact import fetch_artifact

    reference = path.removeprefix("oci:").lstrip("/")
    artifact = fetch_artifact(reference, environ)
    if artifact.kind != PROJECT:
        raise SpecError(
            f"cannot read {path}: it is no Compose project ({artifact.kind or 'of no kind'})",
            hint="artifacts that `docker compose publish` makes can be read",
        )
    home = os.path.join(cache_dir(environ), artifact.digest.replace(":", "-"), _stem(reference))
    if not os.path.isdir(home):
        files = _named(path, artifact.files)
        _once(home, lambda target: _write(target, files))
    return os.path.join(home, "compose.yaml")


def _named(path: str, files: Iterable[ArtifactFile]) -> dict[str, bytes]:
    """File name → content; several Compose files are the documents of one, in their order."""
    documents: list[bytes] = []
    named: dict[str, bytes] = {}
    for file in files:
        name = next((file.annotations[key] for key in _FILE_KEYS if key in file.annotations), "")
        if file.media_type == _COMPOSE and "com.docker.compose.extends" not in file.annotations:
            documents.append(file.data)
        elif file.media_type in (_COMPOSE, _ENV):
            if not name or name != os.path.basename(name) or name.startswith("."):
                raise SpecError(
                    f"cannot read {path}: it has a file of the name {name!r}", hint="publish it with plain file names"
                )
            named[name] = file.data
    if not documents:
        raise SpecError(f"cannot read {path}: it has no Compose file", hint="it needs a compose.yaml, or name one")
    return {**named, "compose.yaml": b"\n---\n".join(documents)}


def _write(target: str, files: Mapping[str, bytes]) -> None:
    os.makedirs(target, 0o700)
    for name, data in files.items():
        with open(os.path.join(target, name), "wb") as file:
            file.write(data)

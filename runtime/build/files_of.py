"""Where a build comes from: a directory, a git repository, an http archive; and its Dockerfile."""

from __future__ import annotations

import os

from runtime.build import adding
from runtime.build.errors import BuildFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.builder import Builder

NAMES = ("Dockerfile", "dockerfile", "Containerfile")
_MAX = 4 << 20


def find_context(builder: Builder) -> tuple[str, str]:
    """(directory of the context or "", path of the Dockerfile or "" when its text was given). Raises BuildFault."""
    request = builder.request
    directory = fetch_context(builder, request.context) if request.context else ""
    if request.inline:
        return directory, ""
    if request.dockerfile:
        return directory, os.path.join(directory or ".", request.dockerfile)
    for name in NAMES:
        if os.path.exists(f"{directory}/{name}"):
            return directory, f"{directory}/{name}"
    hint = "name it: --file PATH, or build.dockerfile in the Compose file"
    raise BuildFault(f"cannot build: there is no Dockerfile in {directory or 'the context'}", hint)


def fetch_context(builder: Builder, context: str) -> str:
    """The directory of a context; what is remote is fetched into staging. Raises BuildFault."""
    if adding.is_git(context):
        from runtime.build.git import fetch

        return fetch(context, f"{builder.scratch()}/git", keep=False)
    if not context.startswith(("http://", "https://")):
        if os.path.isfile(context) and adding.is_archive(os.fsencode(context)):
            return _unpack(builder, context)
        if not os.path.isdir(context):
            reason = "it is not a directory" if os.path.exists(context) else "no such directory"
            raise BuildFault(f"cannot use build context {context}: {reason}")
        return context
    return _fetch_archive(builder, context)


def _fetch_archive(builder: Builder, url: str) -> str:
    """An archive's tree, or a directory with the one Dockerfile that a URL gave."""
    top = builder.scratch()
    path = f"{top}/download"
    adding.download(url, "", path)
    if adding.is_archive(os.fsencode(path)):
        return _unpack(builder, path)
    directory = f"{top}/context"
    os.mkdir(directory, 0o755)
    os.rename(path, f"{directory}/Dockerfile")
    return directory


def _unpack(builder: Builder, path: str) -> str:
    """The directory that an archive holds."""
    from runtime.build.copying import Copier

    directory = f"{builder.scratch()}/context"
    os.mkdir(directory, 0o755)
    copier = Copier(directory, (), (0, 0), None, foreign=True)
    try:
        adding.unpack(copier, os.fsencode(path), "/")
    finally:
        copier.close()
    return directory


def read_dockerfile(builder: Builder) -> tuple[bytes, str]:
    """The text and how to call it. Raises BuildFault."""
    if builder.request.inline:
        return builder.request.inline.encode("utf-8", "surrogateescape"), "dockerfile_inline"
    path = builder.dockerfile
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX + 1)
    except OSError as error:
        raise BuildFault(f"cannot read {path}: {(error.strerror or '').lower()}") from error
    if len(data) > _MAX:
        raise BuildFault(f"cannot read {path}: it is larger than 4 MiB")
    return data, _shown(path, builder.directory)


def _shown(path: str, directory: str) -> str:
    inside = os.path.relpath(path, directory) if directory else path
    return path if inside.startswith("..") else inside

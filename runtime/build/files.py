"""COPY and ADD: what they read, the key of it, and writing it into a layer."""

from __future__ import annotations

import os
import posixpath
import stat

from runtime.build import adding
from runtime.build.cache import key_of
from runtime.build.context import digest_of
from runtime.build.copying import Copier
from runtime.build.errors import BuildFault
from runtime.build.modes import Chmod, resolve_owner
from runtime.build.select import Pick, entries_of, select
from runtime.build.words import Expander
from runtime.images.merged import Merged
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.build.instructions import Instruction
    from runtime.build.lines import Heredoc
    from runtime.build.stage import StageBuilder


@record
class Transfer:
    """A COPY or ADD with everything expanded. ``documents``: (name, content) of here-documents, in place of sources."""

    sources: tuple[str, ...]
    destination: str
    documents: tuple[tuple[str, bytes], ...]
    owner: tuple[int, int] | None
    mode: Chmod | None
    link: bool
    shown: str


def copy_files(stage: StageBuilder, step: Instruction) -> None:
    """Carry out a COPY or an ADD. Raises BuildFault."""
    made = _read(stage, step)
    tree, what, foreign, origin = stage.builder.sources.tree_of(stage, step.flag("from"))
    remote = [source for source in made.sources if step.keyword == "ADD" and adding.is_remote(source)]
    if step.flag("checksum"):
        for source in made.sources:
            adding.check_checksum(step.flag("checksum"), source)
    local = [source for source in made.sources if source not in remote]
    definition = [
        step.keyword,
        "" if made.link else stage.state.key,
        made.destination,
        list(made.sources),
        [[name, content.hex()] for name, content in made.documents],
        list(made.owner) if made.owner else None,
        made.mode.text if made.mode else "",
        sorted(step.flags),
        stage.planned.platform,
    ]
    early = key_of([*definition, origin]) if origin and not remote else ""
    title = stage.title(step.original.split("\n")[0])
    renewed = stage.builder.sources.is_renewed(stage, step.flag("from"))
    if early and not renewed and stage.builder.reuse(stage, early, title, made.link):
        return stage.state.note(_history(step, made), empty=False)
    picks = select(tree, local, step.every("exclude"), step.switch("parents"), what)
    fetched = _Fetched(stage, step, remote)
    try:
        key = key_of([*definition, _digest(stage, tree, picks, foreign), fetched.identity()])

        def make(place: str) -> int:
            return _write(place, stage, step, made, tree, picks, foreign, fetched)

        stage.builder.step(stage, key, title, make, linked=made.link, alias=early)
    finally:
        fetched.close()
    return stage.state.note(_history(step, made), empty=False)


def _digest(stage: StageBuilder, tree: Merged, picks: Sequence[Pick], foreign: bool) -> list[str]:
    """Of each source its name and all that it holds; a directory's own name and attributes do not count."""
    found = []
    for pick in picks:
        name = "" if pick.found.dirs and not pick.whole else pick.name
        digest = stage.builder.unchanged.digest(tree, pick, stage.builder.digests, not foreign)
        found.append(f"{name}:{digest}")
    return found


def _history(step: Instruction, made: Transfer) -> str:
    return f"{step.keyword} {made.shown} # buildkit"


def _read(stage: StageBuilder, step: Instruction) -> Transfer:
    """Expand everything; the last word is the destination."""
    names = {heredoc.name for heredoc in step.heredocs}
    words: list[str] = []
    for word in step.words:
        if not step.is_json and step.heredocs and word.lstrip("0123456789").startswith("<<"):
            continue
        words += stage.expander().words(word) if step.is_json is False else [stage.expander().word(word)]
    if not words or (len(words) < 2 and not names):
        raise BuildFault(f"cannot {step.keyword.lower()}: a source or the destination is empty after expansion")
    owner = stage.expand(step.flag("chown"))
    mode = stage.expand(step.flag("chmod"))
    documents = tuple((heredoc.name, _content(stage, heredoc)) for heredoc in step.heredocs)
    flags = "".join(f"--{name}={value} " for name, value in (("chown", owner), ("chmod", mode)) if value)
    shown = " ".join([*words[:-1], *(f"<<{name}" for name, _content in documents), words[-1]])
    return Transfer(
        sources=tuple(words[:-1]),
        destination=_destination(stage, words[-1]),
        documents=documents,
        owner=_owner(stage, step, owner),
        mode=Chmod(mode) if mode else None,
        link=step.switch("link"),
        shown=flags + shown,
    )


def _content(stage: StageBuilder, heredoc: Heredoc) -> bytes:
    if not heredoc.expand:
        return heredoc.body.encode("utf-8", "surrogateescape")
    return expand_body(heredoc.body, stage).encode("utf-8", "surrogateescape")


def expand_body(body: str, stage: StageBuilder) -> str:
    """A here-document's variables; quotes in it are ordinary characters."""
    marked = body.replace("'", "\ue000").replace('"', "\ue001")
    return Expander(stage.state.scope, stage.escape).word(marked).replace("\ue000", "'").replace("\ue001", '"')


def _destination(stage: StageBuilder, text: str) -> str:
    """Absolute; it ends with a slash if what was written says that it is a directory."""
    path = posixpath.normpath(posixpath.join("/", stage.state.config.get("WorkingDir") or "/", text))
    is_directory = text.endswith("/") or posixpath.basename(text) in (".", "..") or path == "/"
    return path.rstrip("/") + "/" if is_directory else path


def _owner(stage: StageBuilder, step: Instruction, text: str) -> tuple[int, int] | None:
    """The owner of everything new: --chown, else root, else (from another stage) None for the source's."""
    if text:
        passwd = read_file(stage.state.layers, "/etc/passwd")
        return resolve_owner(text, passwd, read_file(stage.state.layers, "/etc/group"))
    return None if step.flag("from") and stage.builder.sources.keeps_owner(step.flag("from")) else (0, 0)


def read_file(layers: Sequence[str], path: str) -> bytes | None:
    """A small file of the stage, or None."""
    found = Merged(layers).resolve(path)
    if found is None or not stat.S_ISREG(found.info.st_mode):
        return None
    with open(found.path, "rb") as file:
        return file.read(1 << 20)


def _write(
    place: str,
    stage: StageBuilder,
    step: Instruction,
    made: Transfer,
    tree: Merged,
    picks: Sequence[Pick],
    foreign: bool,
    fetched: _Fetched,
) -> int:
    below = () if made.link else stage.state.layers
    copier = Copier(f"{place}/diff", below, made.owner, made.mode, foreign)
    copier.check = stage.builder.check_stopped
    try:
        for name, content in made.documents:
            copier.write(made.destination, name, content)
        for pick in picks:
            if step.keyword == "ADD" and step.switch("unpack", True) and _is_archive(pick):
                adding.unpack(copier, pick.found.path, made.destination, made.owner if step.flag("chown") else None)
            else:
                copier.copy(tree, pick, made.destination)
        fetched.write(copier, made.destination)
    finally:
        copier.close()
    return copier.size


def _is_archive(pick: Pick) -> bool:
    return stat.S_ISREG(pick.found.info.st_mode) and adding.is_archive(pick.found.path)


class _Fetched:
    """What an ADD takes from the net, in a directory of its own until :meth:`close`."""

    def __init__(self, stage: StageBuilder, step: Instruction, sources: Sequence[str]) -> None:
        self.step = step
        self.rows: list[tuple[str, str, str, int]] = []  # kind, path, name or subdirectory, time
        self.directory = stage.builder.scratch() if sources else ""
        for index, source in enumerate(sources):
            self._fetch(source, f"{self.directory}/{index}")

    def _fetch(self, source: str, target: str) -> None:
        checksum = self.step.flag("checksum")
        if adding.is_git(source):
            from runtime.build.git import fetch

            top = fetch(source, target, keep=self.step.switch("keep-git-dir"), commit=checksum)
            self.rows.append(("git", top, "", -1))
        else:
            name, modified = adding.download(source, checksum, target)
            self.rows.append(("http", target, name, modified))

    def identity(self) -> list[str]:
        """What tells the content apart, for the key."""
        from runtime.build.context import Digests, hash_file

        found = []
        for kind, path, name, _modified in self.rows:
            if kind == "http":
                found.append(f"{name}:{hash_file(os.fsencode(path))}")
            else:
                tree = Merged((path,))
                top = tree.root()
                rows = entries_of(tree, Pick("", top)) if top is not None else iter(())
                found.append(digest_of(((at, entry) for at, entry in rows if at), Digests(), False))
        return found

    def write(self, copier: Copier, destination: str) -> None:
        for kind, path, name, modified in self.rows:
            if kind == "git":
                tree = Merged((path,))
                top = tree.root()
                if top is not None:
                    copier.copy(tree, Pick("", top), destination)
            elif self.step.switch("unpack") and adding.is_archive(os.fsencode(path)):
                adding.unpack(copier, os.fsencode(path), destination, copier.owner if self.step.flag("chown") else None)
            else:
                with open(path, "rb") as file:
                    copier.write(destination, name, file.read(), 0o600, modified)

    def close(self) -> None:
        if self.directory:
            from runtime.tree import remove_tree

            remove_tree(self.directory)

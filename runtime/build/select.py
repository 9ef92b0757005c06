"""Which files a COPY or ADD means: sources looked up in a tree, wildcards, ``--parents``, ``--exclude``. Reads only."""

from __future__ import annotations

import os
import posixpath
import re
import stat

from runtime.build.errors import BuildFault
from runtime.build.patterns import Ignore, glob_regex, has_wildcard, unescape
from runtime.images.merged import Found, Merged, split
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@record
class Pick:
    """One source. ``name``: what it is called at the destination when that is a directory; ``found``: the entry.

    ``above``: with ``--parents``, the directories between the pivot and the entry. ``excludes``: for what is below it.
    """

    name: str
    found: Found
    above: tuple[Found, ...] = ()
    excludes: Ignore | None = None
    whole: bool = False


def select(tree: Merged, sources: Sequence[str], excludes: Sequence[str], parents: bool, what: str) -> list[Pick]:
    """The entries that the sources name, in their order. Raises BuildFault for a plain name that is not there."""
    ignore = Ignore(excludes) if excludes else None
    found: list[Pick] = []
    for source in sources:
        picks = list(_parents(tree, source, ignore) if parents else _plain(tree, source, ignore))
        if not picks and not has_wildcard(source):
            raise BuildFault(f"cannot copy {source!r}: it is not in {what}", "is it left out by .dockerignore?")
        found += picks
    return found


def _plain(tree: Merged, source: str, ignore: Ignore | None) -> Iterator[Pick]:
    clean = posixpath.normpath("/" + source)
    if not has_wildcard(source):
        path = unescape(clean)
        found = tree.resolve(path)
        if found is not None:
            yield Pick(posixpath.basename(path), found, excludes=ignore)
        return
    for at, found in _matches(tree, clean):
        resolved = tree.resolve(b"/".join(at)) if stat.S_ISLNK(found.info.st_mode) else found
        if resolved is None:
            name = os.fsdecode(b"/".join(at))
            raise BuildFault(
                f"cannot copy {name!r}: it is a link to what is not there", "links are followed inside only"
            )
        yield Pick(os.fsdecode(at[-1]), resolved, excludes=ignore if resolved.dirs else None)


def _matches(tree: Merged, pattern: str) -> list[tuple[tuple[bytes, ...], Found]]:
    """Entries that a pattern matches, one component at a time; links to directories on the way are followed."""
    root = tree.root()
    here: list[tuple[tuple[bytes, ...], Found]] = [((), root)] if root is not None else []
    for word in pattern.strip("/").split("/"):
        regex = re.compile(glob_regex(word), re.DOTALL)
        following = []
        for at, found in here:
            directory = tree.resolve(b"/".join(at)) if stat.S_ISLNK(found.info.st_mode) else found
            if directory is None or not directory.dirs:
                continue
            for name in tree.names(directory):
                if regex.fullmatch(os.fsdecode(name)):
                    child = tree.child(directory, name)
                    following += [((*at, name), child)] if child is not None else []
        here = following
    return here


def _parents(tree: Merged, source: str, ignore: Ignore | None) -> Iterator[Pick]:
    """``a/./b/c``: everything after the pivot is kept; without one, everything."""
    before, pivot, after = source.partition("/./")
    if not pivot:
        before, after = "", source
    if after.startswith("./"):
        after = after[2:]
    base = split(os.fsencode(unescape(posixpath.normpath("/" + before))))
    pattern = posixpath.normpath("/" + after).strip("/")
    for at in _deep_matches(tree, base, pattern):
        chain = [tree.lookup((*base, *at[:depth])) for depth in range(1, len(at) + 1)]
        if all(chain):
            entries = [found for found in chain if found is not None]
            yield Pick(os.fsdecode(b"/".join(at)), entries[-1], tuple(entries[:-1]), ignore, whole=True)


def _deep_matches(tree: Merged, base: tuple[bytes, ...], pattern: str) -> Iterator[tuple[bytes, ...]]:
    """Paths below ``base`` that a pattern with ``**`` matches; what is below a match is not listed again."""
    top = tree.lookup(base)
    if top is None:
        return
    if not has_wildcard(pattern):
        at = split(os.fsencode(unescape(pattern)))
        if tree.lookup((*base, *at)) is not None:
            yield at
        return
    regex = re.compile(glob_regex(pattern, deep=True), re.DOTALL)
    stack = [top]
    while stack:
        directory = stack.pop()
        for name in reversed(tree.names(directory)):
            found = tree.child(directory, name)
            if found is None:
                continue
            at = found.at[len(base) :]
            if regex.fullmatch(os.fsdecode(b"/".join(at))):
                yield at
            elif found.dirs:
                stack.append(found)


def entries_of(tree: Merged, pick: Pick) -> Iterator[tuple[str, Found]]:
    """A pick and all below it that is not excluded: (path relative to it, entry), directories first."""
    yield "", pick.found
    stack = [(pick.found, "")]
    while stack:
        directory, prefix = stack.pop()
        for name in reversed(tree.names(directory)) if directory.dirs else ():
            found = tree.child(directory, name)
            path = f"{prefix}{os.fsdecode(name)}"
            if found is None or (pick.excludes and pick.excludes.ignores(path) and not _kept_below(found, path, pick)):
                continue
            yield path, found
            if found.dirs:
                stack.append((found, f"{path}/"))


def _kept_below(found: Found, path: str, pick: Pick) -> bool:
    return bool(found.dirs) and pick.excludes is not None and not pick.excludes.prunes(path)

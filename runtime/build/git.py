"""Git repositories as contexts and sources of ADD, by the ``git`` program, which is kept from running anything."""

from __future__ import annotations

import _signal
import os
import subprocess
import threading

from runtime.build.errors import BuildCancelled, BuildFault
from runtime.tree import remove_tree

_HARDENED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": "/dev/null",
    "GIT_CONFIG_KEY_1": "protocol.ext.allow",
    "GIT_CONFIG_VALUE_1": "never",
    "GIT_CONFIG_KEY_2": "advice.detachedHead",
    "GIT_CONFIG_VALUE_2": "false",
}

_RUNNING: dict[int, subprocess.Popen[str]] = {}  # by the thread that waits for it


def end_git(threads: set[int]) -> None:
    """Kill what these threads wait for, with its helpers: they then raise BuildCancelled."""
    for thread in threads:
        child = _RUNNING.pop(thread, None)
        if child is not None and child.poll() is None:
            os.killpg(child.pid, _signal.SIGKILL)


def split_url(url: str) -> tuple[str, str, str]:
    """(repository, reference, subdirectory) of ``repository#reference:subdirectory``."""
    repository, _, fragment = url.partition("#")
    reference, _, directory = fragment.partition(":")
    if repository.startswith("github.com/"):
        repository = f"https://{repository}"
    return repository, reference, directory


def commit_of(repository: str, reference: str) -> str:
    """The commit that a branch or tag is at, HEAD by default; a commit is its own. Raises BuildFault."""
    if repository.startswith("-") or reference.startswith("-"):
        raise BuildFault(f"cannot fetch {repository}: a name may not begin with a dash")
    if len(reference) == 40 and not reference.strip("0123456789abcdef"):
        return reference
    wanted = reference or "HEAD"
    lines = [line.split("\t") for line in _git("/", "ls-remote", repository, wanted, f"{wanted}^{{}}").splitlines()]
    found = {name: commit for commit, name in lines}
    for name in (f"refs/tags/{wanted}^{{}}", f"refs/heads/{wanted}", f"refs/tags/{wanted}", wanted):
        if name in found:
            return found[name]
    raise BuildFault(
        f"cannot fetch {repository}: it has no branch or tag {reference}",
        hint="name a branch, tag or commit that it has",
    )


def fetch(url: str, target: str, *, keep: bool, commit: str = "") -> str:
    """Check a repository out below ``target``; the directory that is meant. ``keep``: leave .git there.

    ``commit``: what it must be, or the beginning of it. Raises BuildFault.
    """
    repository, reference, directory = split_url(url)
    if reference.startswith("-") or repository.startswith("-"):
        raise BuildFault(f"cannot fetch {url}: a name may not begin with a dash")
    os.makedirs(target, 0o755)
    _git(target, "init", "-q")
    _git(target, "remote", "add", "origin", repository)
    try:
        _git(target, "fetch", "-q", "--depth", "1", "origin", reference or "HEAD")
        found = "FETCH_HEAD"
    except BuildCancelled:
        raise
    except BuildFault:
        _git(target, "fetch", "-q", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        found = reference
    _git(target, "checkout", "-q", found)
    head = _git(target, "rev-parse", "HEAD").strip()
    if commit and not head.startswith(commit):
        raise BuildFault(f"cannot use {url}: it is at commit {head}, not {commit}")
    if os.path.exists(f"{target}/.gitmodules"):
        _git(target, "submodule", "update", "-q", "--init", "--recursive", "--depth", "1")
    if not keep:
        remove_tree(f"{target}/.git")
    return _inside(target, directory, url)


def _inside(target: str, directory: str, url: str) -> str:
    path = find_inside(target, directory)
    if not os.path.isdir(path):
        raise BuildFault(
            f"cannot use {url}: it has no directory {directory!r}", hint="name one that it has behind the colon"
        )
    return path


def find_inside(target: str, path: str) -> str:
    """Where that is below ``target``, links followed; empty when it is not there, or leads outside."""
    found = os.path.realpath(os.path.join(target, path.strip("/")))
    return found if f"{found}/".startswith(f"{os.path.realpath(target)}/") and os.path.exists(found) else ""


def _git(directory: str, *words: str) -> str:
    pipe = subprocess.PIPE
    environ = {**os.environ, **_HARDENED}
    try:
        child = subprocess.Popen(
            ["git", *words],
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,  # so that it can be killed with what it started
        )
    except FileNotFoundError:
        raise BuildFault("cannot fetch a git repository: git is not installed", "install git") from None
    with child:
        _RUNNING[threading.get_ident()] = child
        try:
            out, errors = child.communicate()
        finally:
            ended = _RUNNING.pop(threading.get_ident(), None) is None
    if ended:
        raise BuildCancelled
    if child.returncode:
        lines = [line for line in errors.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:] or ["it failed"]
        raise BuildFault(f"cannot fetch with git: {said[0]}")
    return out

"""Builds for tests: a store with the base image, requests from docker build's words, events kept in a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.build import build
from runtime.build.request import BuildRequest, Secret
from runtime.images import store
from runtime.images.store import Image
from runtime.paths import Roots
from tests.runtime.build.case_files import base_archive


class Events:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def emit(self, event: Any) -> None:
        self.seen.append(event)

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.seen if type(event).__name__ == kind]


class Workshop:
    """A store of its own with ``base:1`` in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.roots = Roots(str(directory / "state"), str(directory / "run"))
        archive = directory / "base.tar"
        archive.write_bytes(base_archive())
        self.base = store.import_rootfs(self.roots, str(archive), "base:1", [])
        archive.unlink()

    def build(self, context: Path, **settings: Any) -> tuple[Image, Events]:
        events = Events()
        return build(self.roots, BuildRequest(str(context), **settings), events), events

    def steps(self, events: Events) -> list[tuple[str, bool]]:
        """(title, whether cached) of every step."""
        return [(event.title, event.cached) for event in events.of("StepEnded")]


def settings_from_args(args: tuple[str, ...], context: Path) -> dict[str, Any]:
    """docker build's flags as fields of a request."""
    found: dict[str, Any] = {"args": {}, "labels": {}, "contexts": {}, "secrets": {}}
    for flag, value in zip(args[::2], args[1::2], strict=True):
        name, _, rest = value.partition("=")
        if flag == "--build-arg":
            found["args"][name] = rest
        elif flag == "--label":
            found["labels"][name] = rest
        elif flag == "--build-context":
            found["contexts"][name] = rest if "://" in rest else str(context / rest)
        elif flag == "--secret":
            words = dict(word.split("=", 1) for word in value.split(","))
            found["secrets"][words["id"]] = Secret((context / words["src"]).read_bytes())
        elif flag == "-f":
            found["dockerfile"] = value
        else:
            found[flag.removeprefix("--")] = value
    return found

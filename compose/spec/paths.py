"""Relative paths of a canonical tree become absolute, below the directory of the file or project they belong to."""

from __future__ import annotations

import os
from typing import Any

from compose.spec.tree import Map, Seq

_REMOTE = ("https:", "http:", "git:", "ssh:", "github.com/", "git@")
_CONTEXT_SCHEMES = ("docker-image:", "oci-layout:", "service:", "target:")


def is_remote(context: str) -> bool:
    """Whether a build context is fetched from elsewhere."""
    return "://" in context or context.startswith(_REMOTE)


class Resolver:
    """Makes paths absolute; absolute ones stay as they are, so that a second pass changes nothing."""

    def __init__(self, directory: str, home: str) -> None:
        self.directory = directory
        self.home = home

    def path(self, path: str) -> str:
        if path == "~" or path.startswith("~/"):
            path = self.home + path[1:]
        return os.path.normpath(os.path.join(self.directory, path))

    def tree(self, root: Map) -> None:
        """Resolve all paths of a tree, in place."""
        for service in _maps(root.get("services")):
            self.service(service)
        for kind in ("secrets", "configs"):
            for item in _maps(root.get(kind)):
                self._key(item, "file")
        for volume in _maps(root.get("volumes")):
            options = volume.get("driver_opts")
            if isinstance(options, Map) and "bind" in str(options.get("o", "")).split(","):
                self._key(options, "device")

    def service(self, service: Map) -> None:
        for volume in _maps(service.get("volumes")):
            if volume.get("type") == "bind":
                self._key(volume, "source")
        for file in _maps(service.get("env_file")):
            self._key(file, "path")
        labels = service.get("label_file")
        if isinstance(labels, Seq):
            labels[:] = [self.path(item) if isinstance(item, str) else item for item in labels]
        develop = service.get("develop")
        for rule in _maps(develop.get("watch") if isinstance(develop, Map) else None):
            self._key(rule, "path")
        extends = service.get("extends")
        if isinstance(extends, Map):
            self._key(extends, "file")
        build = service.get("build")
        if isinstance(build, Map):
            self._build(build)

    def _build(self, build: Map) -> None:
        context = build.get("context", ".")
        if isinstance(context, str) and not is_remote(context):
            build["context"] = self.path(context)
        contexts = build.get("additional_contexts")
        if not isinstance(contexts, Map):
            return
        for name, value in contexts.items():
            if isinstance(value, str) and not is_remote(value) and not value.startswith(_CONTEXT_SCHEMES):
                contexts[name] = self.path(value)

    def _key(self, mapping: Map, key: str) -> None:
        if isinstance(mapping.get(key), str) and mapping[key]:
            mapping[key] = self.path(mapping[key])


def _maps(value: Any) -> list[Map]:
    items = value.values() if isinstance(value, Map) else value if isinstance(value, Seq) else ()
    return [item for item in items if isinstance(item, Map)]

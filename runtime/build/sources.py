"""The trees that the steps of a build read: contexts, stages, images; each opened once."""

from __future__ import annotations

import json
import os
import threading

from runtime.build.cache import key_of
from runtime.build.context import digest_of, open_context, read_ignore
from runtime.build.copying import Copier
from runtime.build.errors import BuildFault
from runtime.build.files_of import fetch_context
from runtime.build.select import Pick, entries_of
from runtime.build.state import StageState, state_from_image
from runtime.errors import NotFound
from runtime.images.builtin import is_builtin
from runtime.images.merged import Merged
from runtime.images.store import is_id, resolve, store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.builder import Builder
    from runtime.build.context import ContextTree
    from runtime.build.stage import StageBuilder
    from runtime.images.store import Image
    from runtime.paths import Roots


class Sources:
    """What a build reads beside its own results. Its methods may be called from the threads of several stages."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._lock = threading.Lock()
        self._contexts: dict[str, ContextTree] = {}
        self._images: dict[str, StageState] = {}
        self._turns: dict[str, threading.Lock] = {}  # who brings an image

    def begin_from(self, name: str) -> StageState:
        value = self._context_value(name)
        if value.startswith("docker-image://"):
            return self.image_state(value.removeprefix("docker-image://")).child()
        if value.startswith("oci-layout://"):
            return self.image_state(self._load_layout(value)).child()
        if value.startswith("target:"):
            raise BuildFault(f"cannot use context {name!r}: targets of other files are bake's")
        raise BuildFault(f"cannot begin a stage with context {name!r}: it is a directory", "copy from it: COPY --from")

    def _context_value(self, name: str) -> str:
        return next(value for key, value in self._builder.request.contexts.items() if key.lower() == name.lower())

    def _load_layout(self, value: str) -> str:
        from runtime.images.store import load_archive

        path = value.removeprefix("oci-layout://").partition("@")[0]
        if not os.path.isdir(path):
            path = path.rpartition(":")[0] or path
        images = load_archive(self._builder.roots, path)
        if not images:
            raise BuildFault(f"cannot use {value}: it holds no image")
        return images[0].digest

    def image_state(self, reference: str) -> StageState:
        """An image of the store as a finished stage; it is pulled if need be."""
        with self._lock:
            turn = self._turns.setdefault(reference, threading.Lock())
        with turn:  # other images are brought meanwhile
            if reference not in self._images:
                image = self._find_image(reference)
                self._images[reference] = state_from_image(
                    image, config_of(self._builder.roots, image), store_dir(self._builder.roots)
                )
            return self._images[reference]

    def _find_image(self, reference: str) -> Image:
        """From the store; from its registry when it is missing, and with ``pull`` always."""
        builder, around = self._builder, self._builder.surroundings
        if around is None or is_id(reference) or is_builtin(reference) or reference in builder.request.own_images:
            return resolve(builder.roots, reference)
        if not builder.request.pull:
            try:
                return resolve(builder.roots, reference)
            except NotFound:
                pass
        return builder.aside(f"[internal] pulling {reference}", lambda tell: around.pull_image(reference, tell))

    # -- trees that steps read

    def tree_of(self, stage: StageBuilder, name: str) -> tuple[Merged, str, bool, str]:
        """Where a step reads: (tree, how to call it, whether it is no layer of ours, what it was made from or "")."""
        if not name:
            return self._main_context(), "the build context", True, ""
        index = self._stage_index(stage, name)
        if index is not None:
            state = self._builder.stage_result(index)
            return Merged(state.layers, state.binds), f"stage {name}", False, state.key
        if name.lower() in {key.lower() for key in self._builder.request.contexts}:
            return self._named_context(name)
        state = self.image_state(name)
        return Merged(state.layers, state.binds), f"image {name}", False, state.key

    def is_renewed(self, stage: StageBuilder, name: str) -> bool:
        """Whether a command of the stage that is read ran in this build: older results that know its key do not fit."""
        index = self._stage_index(stage, name) if name else None
        return index is not None and self._builder.stage_result(index).renewed

    def _stage_index(self, stage: StageBuilder, name: str) -> int | None:
        """An earlier stage by name (the last of several) or number."""
        before = self._builder.plan.stages[: stage.planned.stage.index]
        for planned in reversed(before):
            if planned.stage.name == name.lower():
                return planned.stage.index
        return int(name) if name.isdigit() and int(name) < len(before) else None

    def _named_context(self, name: str) -> tuple[Merged, str, bool, str]:
        value = self._context_value(name)
        if "://" in value and value.startswith(("docker-image://", "oci-layout://")):
            state = self.begin_from(name)
            return Merged(state.layers, state.binds), f"image {value}", False, state.key
        return self._open(name, value), f"context {name}", True, ""

    def keeps_owner(self, name: str) -> bool:
        """Whether files from there keep their owners: of stages and images, not of directories."""
        value = next(
            (value for key, value in self._builder.request.contexts.items() if key.lower() == name.lower()), None
        )
        return value is None or value.startswith(("docker-image://", "oci-layout://"))

    def _main_context(self) -> ContextTree:
        if not self._builder.directory:
            raise BuildFault("cannot copy from the build context: there is none", "give a directory as the context")
        with self._lock:
            if "" not in self._contexts:
                directory = self._builder.directory
                ignore = read_ignore(directory, self._builder.dockerfile)
                self._contexts[""] = open_context(directory, ignore)
            return self._contexts[""]

    def _open(self, name: str, value: str) -> ContextTree:
        with self._lock:
            if name not in self._contexts:
                directory = fetch_context(self._builder, value)
                self._contexts[name] = open_context(directory, read_ignore(directory))
            return self._contexts[name]

    def layers_of(self, stage: StageBuilder, name: str, source: str) -> tuple[str, ...]:
        """Directories (top first) that show a tree, for mounting; of a context only what the source names."""
        tree, _what, foreign, _origin = self.tree_of(stage, name)
        if not foreign:
            return tuple(os.fsdecode(layer) for layer in tree.layers)
        return (self._context_layer(name, source, tree),)

    def _context_layer(self, name: str, source: str, tree: Merged | None = None) -> str:
        """A part of a context as a directory of its own, without what is ignored; copied once per content."""
        assert tree is not None
        found = tree.resolve(source or "/")
        if found is None:
            raise BuildFault(f"cannot mount {source!r}: it is not in the context")
        digest = digest_of(entries_of(tree, Pick("", found)), self._builder.digests, False)
        at = os.fsdecode(b"/".join(found.at))
        key = key_of(["context", at, digest])
        with self._lock:
            piece = self._builder.cache.find(key)
            if piece is None:
                place = self._builder.new_place()
                copier = Copier(f"{place}/diff", (), (0, 0), None, foreign=True)
                try:
                    copier.copy(tree, Pick(os.path.basename(at), found), f"/{at}" if found.at else "/")
                finally:
                    copier.close()
                piece = self._builder.cache.keep(key, place, copier.size)
            return piece.path


def config_of(roots: Roots, image: Image) -> dict[str, object]:
    """An image's whole OCI configuration; of the built-in one, what there is."""
    try:
        with open(f"{store_dir(roots)}/configs/{image.digest[7:]}.json", "rb") as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return {"config": dict(image.config), "created": image.created}

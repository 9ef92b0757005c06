"""A stage while it is built: its layers, configuration, history, and what its variables mean."""

from __future__ import annotations

import copy

from runtime.build import settings
from runtime.build.cache import Piece, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.images.store import Image

PROXIES = frozenset(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)


class StageState:
    """``pieces``: layers, lowest first. ``key``: what all of them were made from. ``args``: those in scope, in order of
    declaration, None without value. ``scope``: values of variables, the later of ENV and ARG winning.

    ``own_cmd``: whether CMD was said in this stage. ``binds``: of the built-in image. ``base_size``: bytes of the
    layers that were there before the first step. ``renewed``: a command below ran in this build, so that older results
    for what stands on it do not fit, though they have the same key.
    """

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.key = key_of("scratch")
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.args: dict[str, str | None] = {}
        self.scope: dict[str, str] = {}
        self.own_cmd = False
        self.author = ""
        self.base_size = 0
        self.renewed = False
        self.binds: tuple[tuple[str, str], ...] = ()
        self.platform = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """Directories, top first, as overlayfs takes them."""
        return tuple(piece.path for piece in reversed(self.pieces))

    def child(self) -> StageState:
        """What a stage FROM this one begins with: everything, its ARGs too."""
        other = copy.copy(self)
        other.pieces, other.history = list(self.pieces), list(self.history)
        other.config, other.args, other.scope = copy.deepcopy(self.config), dict(self.args), dict(self.scope)
        other.own_cmd = False
        return other

    def complete(self) -> None:
        """Every stage has a PATH."""
        if "PATH" not in settings.env_of(self.config):
            settings.set_env(self.config, "PATH", settings.DEFAULT_PATH)
            self.scope["PATH"] = settings.DEFAULT_PATH

    def add(self, piece: Piece, key: str, linked: bool = False) -> None:
        """One more layer; ``linked``: its key does not tell what lies below."""
        self.pieces.append(piece)
        self.key = key_of(["on", self.key, key]) if linked else key

    def note(self, created_by: str, empty: bool = True) -> None:
        """A row of the history."""
        created = next((piece.created for piece in reversed(self.pieces) if piece.created), "")
        row: dict[str, Any] = {"created": created, "created_by": created_by, "comment": "buildkit.dockerfile.v0"}
        if empty:
            row["empty_layer"] = True
        self.history.append(row)

    def environment(self) -> dict[str, str]:
        """The variables of RUN: of the configuration, then ARGs that have a value."""
        values = settings.env_of(self.config)
        for name, value in self.args.items():
            if value is not None and name in self.scope:
                values[name] = self.scope[name]
        return values

    def arg_prefix(self) -> str:
        """How the history of RUN begins when ARGs are in scope."""
        if not self.args:
            return ""
        return f"|{len(self.args)} " + "".join(f"{name}={value or ''} " for name, value in self.args.items())


def state_from_image(image: Image, config: dict[str, Any], store: str) -> StageState:
    """A stage FROM an image. ``config``: its whole OCI configuration."""
    state = StageState()
    state.config = settings.finish(dict(config.get("config") or image.config))
    state.binds = image.binds
    state.base_size = image.size
    state.author = config.get("author") or ""
    state.history = [dict(row) for row in config.get("history") or []]
    for name, diff in zip(image.snapshots, image.layers, strict=False):
        state.pieces.append(Piece(name, f"{store}/{name}/diff", image.created, 0, diff))
    state.pieces += [
        Piece(name, f"{store}/{name}/diff", image.created, 0, "") for name in image.snapshots[len(image.layers) :]
    ]
    state.key = key_of(["base", list(image.layers) or list(image.snapshots)])
    state.scope = settings.env_of(state.config)
    return state

"""The one look, beside commands of other projects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from compose.engine.observe import _endpoints


class Store:
    """Two looks at a store from which another command removes a project in between."""

    def networks(self) -> list[Any]:
        return [SimpleNamespace(name="mine")]

    def endpoints(self) -> list[Any]:
        return [
            SimpleNamespace(network=name, public=lambda _row, name=name: SimpleNamespace(container=f"c-{name}"))
            for name in ("mine", "gone")
        ]


def test_an_endpoint_of_a_network_that_goes_meanwhile_is_left_out() -> None:
    assert list(_endpoints(Store())) == ["c-mine"]  # type: ignore[arg-type]

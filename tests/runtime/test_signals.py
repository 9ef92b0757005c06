"""Names and numbers of signals."""

from __future__ import annotations

import pytest

from runtime.errors import RuntimeFault
from runtime.signals import signal_number


@pytest.mark.parametrize(
    ("name", "number"),
    [("SIGTERM", 15), ("term", 15), ("15", 15), (9, 9), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("HUP", 1)],
)
def test_signal_names(name, number):
    assert signal_number(name) == number


@pytest.mark.parametrize("name", ["", "WAT", "0", "65", "RTMIN+x", "-1"])
def test_bad_signal_names(name):
    with pytest.raises(RuntimeFault, match="no such signal"):
        signal_number(name)

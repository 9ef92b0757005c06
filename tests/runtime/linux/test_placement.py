"""The flag that keeps new layers away from deleted ones."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runtime.images.ingest import Staging
from runtime.linux.placement import spread
from runtime.paths import Roots


def flags(path: str | Path) -> str:
    done = subprocess.run(["lsattr", "-d", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this file system has no such flags: {done.stderr.strip()}")
    return done.stdout.split()[0]


def test_layers_are_made_apart(tmp_path: Path) -> None:
    flags(tmp_path)
    with Staging(Roots(str(tmp_path / "state"), str(tmp_path / "run"))) as staging:
        assert "T" in flags(staging.path)
        first, second = staging._place(), staging._place()
        assert "T" not in flags(f"{first}/diff")  # the files of one layer stay together
        assert os.path.basename(first) != os.path.basename(second)


def test_other_flags_stay(tmp_path: Path) -> None:
    before = flags(tmp_path)
    subprocess.run(["chattr", "+d", str(tmp_path)], check=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        spread(fd)
        spread(fd)
    finally:
        os.close(fd)
    assert set(flags(tmp_path)) == {*before, "T", "d"}


def test_a_file_system_without_the_flag_is_left_alone() -> None:
    fd = os.open("/proc/self", os.O_RDONLY)
    try:
        spread(fd)
    finally:
        os.close(fd)

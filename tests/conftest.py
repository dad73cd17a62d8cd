"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets; the test is skipped, saying so, where it is absent."""
    named = os.environ.get("MINIVAE_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "mnist").is_dir():
        pytest.skip(f"needs the real data sets: {folder} is absent (set MINIVAE_TEST_DATA)")
    return folder


@pytest.fixture
def swift_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out fsync, which guards against power cuts only and is slow on some disks."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)

"""Fixtures of the training tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def swift_disk(monkeypatch):
    """Leaves out fsync, which guards against power cuts only and is slow on some disks."""
    for module in ("checkpoint", "metrics_log", "run"):
        monkeypatch.setattr(f"minivae.training.{module}.os.fsync", lambda handle: None)

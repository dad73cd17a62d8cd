"""Benchmarks that are believed: gates before and after, peers in the same run, limits measured."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

if importlib.util.find_spec("minivae_kernels") is None:  # a bare clone, nothing installed
    sys.path.insert(0, str(ROOT / "kernels"))

"""The measured limits are plausible, and asking for too many threads does not break them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from benchmarks import limits


def test_the_peak_counts_what_it_does() -> None:
    peak = limits.FmaPeak(1)
    assert peak.width in (4, 8, 16)
    few, many = (min(peak.run(n) for _ in range(5)) for n in (4e8, 1.6e9))
    assert 1.5 < many / few < 20  # four times the work; wide, as the machine may be busy
    assert 4e8 / few > 1e8  # no processor with vectors is slower than that


def test_too_many_threads_are_as_many_as_there_are_cores() -> None:
    assert 1 <= limits.use_threads(10_000) == limits.use_threads(None)
    assert limits.bandwidth(1 << 16, threads=10_000, tries=1) > 0


def test_cache_sizes_grow_with_the_level() -> None:
    size = limits.cache_sizes()
    assert 0 < size["L1"] <= size["L2"] <= size["L3"]


def test_the_sweep_adds() -> None:
    a, b, c = (np.arange(64, dtype=np.float32) * k for k in (1, 10, 0))
    limits._sweep(a, b, c, 2, 2)
    assert np.array_equal(c, 11 * np.arange(64, dtype=np.float32))

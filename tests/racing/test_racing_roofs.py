"""The measured limits are plausible, and asking for too many threads does not break them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from minivae.racing import roofs
from minivae.racing.load import cache_sizes


def test_the_peak_counts_what_it_does() -> None:
    peak = roofs.FmaPeak(1)
    assert peak.width in (4, 8, 16)
    few, many = (min(peak.run(n) for _ in range(5)) for n in (4e8, 1.6e9))
    assert 1.5 < many / few < 20  # four times the work; wide, as the machine may be busy
    assert 4e8 / few > 1e8  # no processor with vectors is slower than that


@pytest.mark.parametrize("pattern", roofs.PATTERNS)
def test_too_many_threads_are_as_many_as_there_are_cores(pattern: str) -> None:
    assert 1 <= roofs.use_threads(10_000) == roofs.use_threads(None)
    assert roofs.bandwidth(1 << 16, threads=10_000, tries=1, pattern=pattern) > 0


def test_cache_sizes_grow_with_the_level() -> None:
    size = cache_sizes()
    assert 0 < size["L1"] <= size["L2"] <= size["L3"]
    assert roofs.level_of(1000, 1) == "L1"
    assert (
        roofs.level_of(1.5 * size["L1"], 1) == "L2" and roofs.level_of(1.5 * size["L1"], 2) == "L1"
    )
    assert roofs.level_of(1 << 40, 64) == "memory"


def test_every_pattern_touches_every_float() -> None:
    a, b = (np.arange(64, dtype=np.float32) * k for k in (1, 0))
    over = {pattern: loop for pattern, (loop, *_) in roofs.PATTERNS.items()}
    over["copy"](a, b, 2, 2)
    assert np.array_equal(b, a + 1)  # the second turn adds one
    over["write"](a, b, 3, 2)
    assert (b == 2).all()
    over["in place"](a, b, 1, 2)
    assert (b == 2).all() and np.array_equal(a, np.arange(64))
    over["read"](a, b, 1, 2)
    assert b[0] + b[16] == a.sum()


def test_the_limit_names_what_binds() -> None:
    rates = {"L1": 400.0, "L2": 200.0, "L3": 100.0, "memory": 30.0}
    gbs = {level: {"copy": rate, "in place": 2 * rate} for level, rate in rates.items()}
    roof = {"threads": 2, "gbs": gbs, "fma_gflops": 240.0}
    seconds, binds = roofs.limit(1e9, 1.0, "copy", roof)
    assert binds == "memory bandwidth (copy)" and seconds == pytest.approx(1e9 / 30e9)
    assert roofs.limit(1e9, 1.0, "in place", roof)[0] == pytest.approx(1e9 / 60e9)
    seconds, binds = roofs.limit(1000, 1e9, "copy", roof)
    assert binds == "arithmetic" and seconds == pytest.approx(1e9 / 120e9)

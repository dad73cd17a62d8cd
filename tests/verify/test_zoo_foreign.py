"""Passes as others write them, right and with the classical mistakes: all judged right."""

import os

import numpy as np
import pytest

from minivae.verify import check
from tests.verify import (
    zoo_algebra,
    zoo_corners,
    zoo_gates,
    zoo_indexing,
    zoo_layers,
    zoo_libraries,
    zoo_losses,
    zoo_pieces,
    zoo_points,
    zoo_reports,
    zoo_scales,
    zoo_scans,
    zoo_sequences,
    zoo_styles,
)
from tests.verify.zoo_tools import passes

PARTS = (
    zoo_layers, zoo_gates, zoo_losses, zoo_pieces, zoo_scans, zoo_sequences, zoo_algebra,
    zoo_indexing, zoo_points, zoo_scales, zoo_styles, zoo_libraries, zoo_reports, zoo_corners,
)  # fmt: skip
ZOOS = {function.__name__: function for part in PARTS for function in part.ZOO}
WAYS = [(np.float64, True), (np.float32, False), (np.float64, False), (np.float32, True)]


def misjudged(name, seeds, dtype, contiguous):
    """(how many verdicts, those that are not what they should be) of one pass."""
    item, found, count = passes([ZOOS[name]], dtype, contiguous)[name], [], 0
    for seed in seeds:
        for mistake, backward in [(None, item.right), *item.wrong.items()]:
            report = check(item.forward, backward, item.inputs, seed=seed, **item.options)
            count += 1
            if report.ok != (mistake is None):
                found.append((seed, mistake, repr(report)))
    return count, found


@pytest.mark.parametrize(("dtype", "contiguous"), WAYS[:2], ids=["float64", "float32 strided"])
@pytest.mark.parametrize("name", ZOOS)
def test_foreign_passes(name, dtype, contiguous):
    assert misjudged(name, [0], dtype, contiguous)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOOS)
def test_foreign_passes_over_many_seeds(name, tell):
    """MINIVAE_ZOO_SEEDS=20 is the whole run: every pass, seed, precision and memory order."""
    seeds = range(1, 1 + int(os.environ.get("MINIVAE_ZOO_SEEDS", "1")))
    results = [misjudged(name, seeds, *way) for way in WAYS]
    wrong = [line for _, found in results for line in found]
    tell(f"{name}: {sum(count for count, _ in results)} verdicts, {len(wrong)} misjudged")
    assert wrong == []


def test_there_are_enough_foreign_passes():
    assert len(ZOOS) >= 120

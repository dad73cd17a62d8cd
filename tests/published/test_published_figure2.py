"""Kingma & Welling's figure 2: what is kept of a long curve still begins and ends where it does."""

import numpy as np
import pytest

from minivae.published.kingma2014_figure2 import DRAWN, epochs_drawn


@pytest.mark.parametrize("epochs", [0, 1, DRAWN, DRAWN + 1, 5653])
def test_a_kept_curve_has_its_ends_and_no_more_points_than_are_drawn(epochs: int) -> None:
    kept = epochs_drawn(epochs)
    assert len(kept) <= min(epochs, DRAWN)
    assert (np.diff(kept) > 0).all()
    assert kept[:1] + kept[-1:] == ([0, epochs - 1] if epochs else [])
    if epochs <= DRAWN:
        assert kept == list(range(epochs))

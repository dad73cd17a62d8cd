"""Kingma & Welling's figure 2: what is kept of a long curve still begins and ends where it does."""

from types import SimpleNamespace

import numpy as np
import pytest

from minivae.published.kingma2014_figure2 import DIGITS, DRAWN, claims_of, epochs_drawn


@pytest.mark.parametrize("epochs", [0, 1, DRAWN, DRAWN + 1, 5653])
def test_a_kept_curve_has_its_ends_and_no_more_points_than_are_drawn(epochs: int) -> None:
    kept = epochs_drawn(epochs)
    assert len(kept) <= min(epochs, DRAWN)
    assert (np.diff(kept) > 0).all()
    assert kept[:1] + kept[-1:] == ([0, epochs - 1] if epochs else [])
    if epochs <= DRAWN:
        assert kept == list(range(epochs))


@pytest.mark.parametrize(("samples", "judged"), [(5_000, None), (6_000, True), (60_000, True)])
def test_claims_are_not_judged_by_the_beginnings_of_the_curves(samples, judged):
    curves = {1: [-9.0, -5.0], 2: [-8.0, -4.0]}
    found = {
        J: SimpleNamespace(samples=[1_000, samples], curve=lambda part, key, c=c: c)
        for J, c in curves.items()
    }
    assert [claim.holds for claim in claims_of(DIGITS, found)] == [judged, judged]
    curves[2][1] = -6.0  # now lower than with one dimension
    assert claims_of(DIGITS, found)[0].holds is (None if judged is None else False)

"""Kingma & Welling's figure 2: what is kept of a long curve still begins and ends where it does."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.published import carry_out
from minivae.published.findings import Findings
from minivae.published.kingma2014_figure2 import (
    DIGITS,
    DRAWN,
    FALLEN,
    FREY,
    KINGMA2014_FIGURE2,
    MNIST,
    RATES,
    below_its_best,
    claims_of,
    epochs_drawn,
    rates_in_words,
)
from minivae.published.order import Order
from minivae.published.record import Experiment, Protocol
from minivae.published.run import Run


def test_every_curve_has_its_rate_from_its_trials():
    for series in (MNIST, FREY, DIGITS):
        for run, bounds in zip(series.runs(), series.trials.values(), strict=True):
            best = max(bounds)
            assert bounds[RATES.index(run.settings["lr"])] == best
            assert f"{best:.2f}" in rates_in_words(series)
    rates = {run.name: run.settings["lr"] for run in KINGMA2014_FIGURE2.full.runs}
    assert rates["mnist,J=10"] == 0.01 and rates["mnist,J=3"] == rates["frey,J=20"] == 0.02


@pytest.mark.usefixtures("swift_disk")
def test_the_trials_of_the_small_version_give_the_bounds_that_are_noted(tmp_path):
    pytest.importorskip("numba")  # whose bits are the same everywhere
    short = {"epochs": DIGITS.trial // DIGITS.rows}
    runs = tuple(
        Run(f"{run.name},rate={rate}", run.dataset, {**run.settings, **short, "lr": rate})
        for run in DIGITS.runs()
        for rate in RATES
    )
    tried = Protocol(runs, lambda bench: Findings(()), "a second")
    experiment = Experiment(KINGMA2014_FIGURE2.paper, tried, tried, KINGMA2014_FIGURE2.draw)
    order = Order(experiment, tmp_path, load_backend("numba"), threads=1)
    found = carry_out.carry_out(order).runs
    for J, noted in DIGITS.trials.items():
        names = [f"{DIGITS.name(J)},rate={rate}" for rate in RATES]
        bounds = [found[name].curve("train", "elbo")[-1] for name in names]
        assert all(math.isclose(a, b, abs_tol=0.006) for a, b in zip(bounds, noted, strict=True))


@pytest.mark.parametrize("epochs", [0, 1, DRAWN, DRAWN + 1, 5653])
def test_a_kept_curve_has_its_ends_and_no_more_points_than_are_drawn(epochs: int) -> None:
    kept = epochs_drawn(epochs)
    assert len(kept) <= min(epochs, DRAWN)
    assert (np.diff(kept) > 0).all()
    assert kept[:1] + kept[-1:] == ([0, epochs - 1] if epochs else [])
    if epochs <= DRAWN:
        assert kept == list(range(epochs))


@pytest.mark.parametrize(("samples", "judged"), [(14_000, None), (15_000, True), (150_000, True)])
def test_claims_are_not_judged_by_the_beginnings_of_the_curves(samples, judged):
    curves = {1: [-9.0, -5.0], 2: [-8.0, -4.0]}
    found = {
        J: SimpleNamespace(samples=[1_000, samples], curve=lambda part, key, c=c: c)
        for J, c in curves.items()
    }
    assert [claim.holds for claim in claims_of(DIGITS, found)] == [judged, judged]
    curves[2][1] = -6.0  # now lower than with one dimension
    assert claims_of(DIGITS, found)[0].holds is (None if judged is None else False)


def test_a_fall_is_told_from_noise():
    """A curve as noisy as Frey's that rises has not fallen; one that loses four nats has."""
    passes = np.arange(5653)
    noise = np.random.default_rng(0).normal(0, 1.5, passes.size)
    rising = 900 + 20 * np.log(passes + 1) + noise
    assert max(rising) - rising[-1] > FALLEN  # by single passes it would seem to have
    assert 0 <= below_its_best(rising) < FALLEN
    assert below_its_best(rising - np.interp(passes, [5000, 5652], [0, 6])) > FALLEN
    assert not below_its_best([1.0, float("nan"), 2.0]) <= FALLEN
    assert below_its_best([1.0, 3.0, 2.5]) == 0.5

"""Active units, KL per dimension, and collapse in plain words."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.metrics.latent import active_units, diagnose, latent_report, most_active, spans


def means(spread: list[float], n: int = 501) -> np.ndarray:
    """mu (n, J) whose columns have these standard deviations and a large common mean."""
    column = np.linspace(-1, 1, n)
    return 40.0 + np.outer(column / column.std(), spread)


def test_a_unit_is_active_where_its_mean_varies_by_more_than_a_hundredth() -> None:
    mu = means([0.09, 0.11, 0.0, 2.0])  # variances 0.0081, 0.0121, 0, 4
    assert active_units(mu).tolist() == [False, True, False, True]
    assert most_active(mu) == [1, 3]
    assert most_active(mu, 1) == [3]


def test_report() -> None:
    mu = means([1.0, 0.0, 0.5])
    kl = np.tile([1.5, 0.0, 0.25], (len(mu), 1))
    report = latent_report(mu, kl)
    np.testing.assert_allclose(report.kl_per_dimension, [1.5, 0.0, 0.25])
    np.testing.assert_allclose(report.mean_variance, [1.0, 0.0, 0.25], atol=1e-9)
    assert report.active_units == 2
    assert not report.collapsed
    assert "2 of 3" in report.diagnosis and "dimension 1 collapsed" in report.diagnosis


def test_float32_means_are_not_rounded_away() -> None:
    mu = (means([0.11]) * 1).astype(np.float32)
    assert active_units(mu).all()


@pytest.mark.parametrize(
    ("active", "words"),
    [
        ([True, True], "Every latent dimension is in use (2 of 2)"),
        ([False, False], "Posterior collapse"),
        ([True, False, False, True, False], "dimensions 1-2, 4 collapsed"),
    ],
)
def test_diagnosis_in_plain_words(active: list[bool], words: str) -> None:
    assert words in diagnose(np.array(active))


def test_total_collapse_is_reported() -> None:
    assert latent_report(means([0.0, 0.0]), np.zeros((501, 2))).collapsed


def test_spans() -> None:
    assert spans([]) == ""
    assert spans([3]) == "3"
    assert spans([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"


def test_collapse_does_not_depend_on_the_scale_of_the_codes():
    """Means 0.05 apart with deviations of 0.002 carry 5.7 nats: small codes are no collapse."""
    rng = np.random.default_rng(0)
    mu, sigma = 0.05 * rng.normal(size=(500, 2)), 0.002
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma))
    report = latent_report(mu, kl)
    assert report.kl_per_dimension.min() > 5
    assert not report.collapsed and "in use (2 of 2)" in report.diagnosis
    assert report.active_units == 0  # by the published threshold, which has z's unit
    gone = latent_report(0 * mu, 0 * kl)
    assert gone.collapsed and "collapse" in gone.diagnosis.lower()

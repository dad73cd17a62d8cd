"""Codes from the prior, the aggregated posterior and a mixture; paths between codes."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import decode_mean, encode, layout_of
from minivae.sampling import (
    aggregate_codes,
    decode_all,
    draw_all,
    encode_all,
    linear_path,
    mixture_codes,
    prior_codes,
    spherical_path,
)

K = load_backend("numpy")
N, D, J = 2100, 7, 3
rng = np.random.default_rng(0)


def test_prior_codes_are_standard_normal_and_a_function_of_their_number() -> None:
    z = prior_codes(20_000, J, seed=4)
    assert np.abs(z.mean(axis=0)).max() < 0.03 and np.abs(z.std(axis=0) - 1).max() < 0.03
    np.testing.assert_array_equal(z[:5], prior_codes(5, J, seed=4))
    assert not np.array_equal(z[:5], prior_codes(5, J, seed=5))


def test_aggregate_codes_have_the_aggregates_moments() -> None:
    mu = np.array([[-3.0, 0.0], [1.0, 2.0], [1.0, 2.0]], dtype=np.float32)
    logvar = np.log(np.array([[0.25, 1.0], [0.04, 4.0], [0.04, 4.0]], dtype=np.float32))
    z = aggregate_codes(mu, logvar, 60_000, seed=1)
    np.testing.assert_allclose(z.mean(axis=0), mu.mean(axis=0), atol=0.03)
    variance = mu.var(axis=0) + np.exp(logvar).mean(axis=0)
    np.testing.assert_allclose(z.var(axis=0), variance, rtol=0.03)
    near = z[:, 0] < -1
    np.testing.assert_allclose(z[near].std(axis=0), [0.5, 1.0], rtol=0.03)


def test_mixture_codes_follow_separate_clusters_in_no_order() -> None:
    mu = np.concatenate([rng.normal(-5, 0.3, (300, 2)), rng.normal(5, 0.3, (300, 2))])
    z = mixture_codes(mu.astype(np.float32), 400, seed=0, components=2)
    assert z.shape == (400, 2) and z.dtype == np.float32
    low = (z[:, 0] < 0).astype(int)
    assert 0.4 < low.mean() < 0.6 and np.abs(np.abs(z) - 5).max() < 2
    assert np.abs(np.diff(low)).sum() > 100  # not one component after the other
    assert mixture_codes(mu[:3].astype(np.float32), 5, seed=0).shape == (5, 2)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_encoding_and_decoding_in_chunks(likelihood: str) -> None:
    config = ModelConfig(D, J, hidden=(5,), likelihood=likelihood, c=0.09)
    p = layout_of(config).views(initialise(config, 0))
    x = rng.random((N, D)).astype(np.float32)
    mu, logvar = encode_all(K, p, x, config)
    whole = encode(K, p, x, config)
    np.testing.assert_allclose(mu, whole[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logvar, whole[1], rtol=1e-5, atol=1e-6)
    mean = decode_all(K, p, mu, config)
    np.testing.assert_allclose(mean, decode_mean(K, p, mu, config), rtol=1e-5, atol=1e-6)
    drawn = draw_all(K, p, mu, config, seed=2)
    if likelihood == "bernoulli":
        assert set(np.unique(drawn)) == {0.0, 1.0}
        assert abs((drawn - mean).mean()) < 0.02
    else:
        assert (drawn - mean).std() == pytest.approx(0.3, rel=0.03)


def test_a_mixture_of_codes_that_coincide_and_of_too_few() -> None:
    mu = np.repeat(np.float32([[0.3, -1.1, 2.0]]), 41, axis=0)
    codes = mixture_codes(mu, 7, seed=1)  # a warning would fail
    np.testing.assert_allclose(codes, mu[:7], atol=0.05)
    with pytest.raises(ValueError, match="at least 2 codes"):
        mixture_codes(mu[:1], 7, seed=1)


def test_paths_start_and_end_where_they_should() -> None:
    a, b = np.array([2.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0])
    for path in (linear_path, spherical_path):
        z = path(a, b, 5)
        assert z.shape == (5, 3)
        np.testing.assert_allclose(z[[0, -1]], [a, b], atol=1e-12)
    np.testing.assert_allclose(linear_path(a, b, 3)[1], [1.0, 1.5, 0.0])
    arc = spherical_path(a, b, 3)[1]
    np.testing.assert_allclose(arc, 2.5 * np.array([1, 1, 0]) / np.sqrt(2))
    lengths = np.linalg.norm(spherical_path(a, b, 7), axis=1)
    np.testing.assert_allclose(lengths, np.linspace(2, 3, 7))


@pytest.mark.parametrize("b", [[0.0, 0.0], [-1.0, -2.0], [1.0, 2.0], [2.0, 4.0]])
def test_where_there_is_no_arc_it_is_the_line(b: list[float]) -> None:
    a, end = np.array([1.0, 2.0]), np.array(b)
    z = spherical_path(a, end, 5)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(z, linear_path(a, end, 5), atol=1e-9)

"""The regularity measures on cases whose answer is known (E39, E40, E41, E46)."""

import numpy as np
import pytest

from minivae.metrics import regularity as r


def test_stretch_of_a_linear_map_is_its_largest_singular_value():
    rng = np.random.default_rng(2)
    weight, z = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    expected = np.linalg.svd(weight, compute_uv=False)[0]
    assert np.abs(r.decoder_stretch(lambda u: u @ weight.T, z) - expected).max() < 1e-13
    scale = rng.normal(size=(3, 3))
    expected = np.linalg.svd(weight @ scale, compute_uv=False)[0]
    assert np.abs(r.decoder_stretch(lambda u: u @ weight.T, z, scale) - expected).max() < 1e-12


def test_stretch_does_not_change_with_the_latent_units():
    rng = np.random.default_rng(3)
    weight, z, t = rng.normal(size=(6, 2)), rng.normal(size=(4, 2)), np.diag([5.0, 0.2])

    def decode(u):
        return np.tanh(u @ weight.T)

    plain = r.decoder_stretch(decode, z)
    rescaled = r.decoder_stretch(lambda u: decode(u @ np.linalg.inv(t)), z @ t, t)
    assert np.abs(plain - rescaled).max() < 1e-12


def test_jacobian_of_a_curved_map():
    z = np.array([[0.3, -0.7], [1.1, 0.4], [0.0, 2.0]])
    found = r.decoder_jacobian(lambda u: np.stack([u[:, 0] * u[:, 1], np.exp(u[:, 0])], 1), z)
    expected = np.zeros((3, 2, 2))
    expected[:, 0, 0], expected[:, 0, 1] = z[:, 1], z[:, 0]
    expected[:, 1, 0] = np.exp(z[:, 0])
    assert np.abs(found - expected).max() < 1e-15


def test_a_decoder_that_drops_the_imaginary_part_is_refused():
    with pytest.raises(TypeError, match="imaginary"):
        r.decoder_stretch(lambda u: np.abs(u), np.ones((2, 2)))


def test_completeness_where_half_the_samples_are_far_away():
    rng = np.random.default_rng(5)
    data = rng.normal(size=(200, 3))
    samples = data + 1e-9
    samples[:50] += 1000.0
    found = r.completeness_and_coverage(samples, data, k=3)
    assert found.completeness == pytest.approx(0.75)


def test_coverage_sees_a_dropped_mode_that_completeness_does_not():
    rng = np.random.default_rng(6)
    data = np.concatenate([rng.normal(size=(150, 2)), 100.0 + rng.normal(size=(50, 2))])
    samples = np.repeat(data[:100], 2, axis=0) + 1e-6 * rng.normal(size=(200, 2))
    found = r.completeness_and_coverage(samples, data, k=3)
    assert found.completeness == 1.0
    assert found.coverage <= 0.75


def test_radii_and_distances_by_hand():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert np.allclose(r.neighbour_radii(points, 1), [1, 1, 2, 4])
    assert np.allclose(r.neighbour_radii(points, 2), [3, 2, 3, 6])
    assert np.allclose(r.nearest_distance(np.array([[2.5], [9.0]]), points), [0.5, 2.0])
    with pytest.raises(ValueError, match="at least 5 points"):
        r.neighbour_radii(points, 4)


def test_overlap_against_quadrature():
    mu = np.array([[0.2], [1.1]])
    logvar = np.array([[-0.4], [0.7]])
    z = np.linspace(-30, 30, 200001)
    densities = [
        np.exp(-0.5 * (z - m) ** 2 / np.exp(v)) / np.sqrt(2 * np.pi * np.exp(v))
        for m, v in zip(mu[:, 0], logvar[:, 0], strict=True)
    ]
    expected = np.sum(np.sqrt(densities[0] * densities[1])) * (z[1] - z[0])
    assert r.bhattacharyya(mu[:1], logvar[:1], mu[1:], logvar[1:])[0] == pytest.approx(
        expected, rel=1e-10
    )
    assert r.posterior_overlap(mu, logvar) == pytest.approx([expected] * 2, rel=1e-10)


def test_overlap_extremes():
    mu, tiny = np.array([[0.0, 0.0], [1.0, 0.0]]), np.full((2, 2), -300.0)
    assert np.all(r.posterior_overlap(mu, tiny) == 0.0)
    assert np.allclose(r.posterior_overlap(0 * mu, tiny), 1.0)


def test_halfway_on_a_line_and_round_a_circle():
    line = np.linspace(-1, 1, 401)[:, None] * np.array([[1.0, 2.0]])
    found = r.halfway_test(
        lambda z: z @ np.array([[1.0, 2.0]]) + [0.0, 0.1],
        np.array([[-1.0]]),
        np.array([[0.5]]),
        line,
    )
    assert found.detour[0] == pytest.approx(1.0)
    assert found.ratio[0] == pytest.approx(1.0, abs=0.05)
    angles = np.linspace(0, np.pi, 1001)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ends = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    chord = r.halfway_test(lambda z: z * 1.001, *ends, circle)
    arc = r.halfway_test(lambda z: z * 1.001, *ends, circle, path="spherical")
    assert chord.midpoint_distance[0] == pytest.approx(1 - 1.001 * np.sqrt(0.5), rel=1e-3)
    assert arc.ratio[0] == pytest.approx(1.0, rel=0.01)
    assert arc.detour[0] == pytest.approx(4 * np.sin(np.pi / 8) / np.sqrt(2), rel=1e-9)
    with pytest.raises(ValueError, match="linear"):
        r.halfway_test(lambda z: z, *ends, circle, path="crooked")


def test_an_arc_between_two_lengths_stays_between_them():
    """The textbook formula gives length 57 here: nearly opposite, of unequal length."""
    a, b = np.array([[1.0, 0.0]]), np.array([[-2.0, 0.035]])
    lengths = [float(np.linalg.norm(r.spherical(a, b, t))) for t in (0.0, 0.25, 0.5, 1.0)]
    assert lengths == pytest.approx([1, 1.25, 1.5, 2], rel=1e-3)
    assert np.allclose(r.spherical(a, b, 1.0), b)


def test_spherical_where_no_circle_is_singled_out():
    a = np.array([[1.0, 0.0]])
    assert np.allclose(r.spherical(a, 3 * a, 0.5), [[2.0, 0.0]])
    assert np.isfinite(r.spherical(a, -a, 0.5)).all()
    assert np.isfinite(r.spherical(0 * a, a, 0.5)).all()

"""MATHS.md, section 10: what a trained model is worth, each measure by brute force.

Quadrature where one latent dimension allows it, double loops, search, central differences.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import optimize

from minivae.metrics import estimators, latent, likelihood, regularity, subspace
from minivae.metrics.rate_distortion import linear_rate_and_distortion, rate_and_distortion
from minivae.models import inference
from minivae.models.bayes import quadrature_draws
from minivae.models.config import ModelConfig
from minivae.models.vae import encode, layout_of
from tests.study.recomputed import LINE, K, close, integral, normal, recomputes, slopes

RNG = np.random.default_rng(2)
CONFIG = ModelConfig(3, 1, (4,), "tanh", "gaussian", c=0.3)
P = layout_of(CONFIG).views(RNG.normal(size=layout_of(CONFIG).size))
X = RNG.normal(size=(4, 3))
LINEAR = ModelConfig(3, 2, (), "tanh", "gaussian", c=0.3)
Q = layout_of(LINEAR).views(0.6 * RNG.normal(size=layout_of(LINEAR).size))


def network(z):
    """The decoder of P, written out."""
    h = np.tanh(z[:, None] @ P["decoder.0.W"] + P["decoder.0.b"])
    return h @ P["decoder.out.W"] + P["decoder.out.b"]


@recomputes(37, "c4f34d4f")
def test_e37_against_the_integral():
    found = likelihood.evaluate(K, P, X, CONFIG, samples=1000, seed=3)
    for n, x in enumerate(X):
        given = np.prod([normal(a, f, 0.3) for a, f in zip(x, network(LINE).T)], axis=0)
        exact = np.log(integral(given * normal(LINE, 0.0, 1.0)))
        off = abs(found.log_p[n] - exact) / np.sqrt(found.log_p_variance[n])
        assert off <= 5.0  # standard errors


@recomputes(38, "0fa90a9a")
def test_e38_a_variance_by_loops():
    mu = RNG.normal(size=(50, 3)) * [1.0, 0.11, 0.05]
    by_loops = []
    for j in range(3):
        mean = math.fsum(mu[:, j]) / 50
        by_loops.append(math.fsum((v - mean) ** 2 for v in mu[:, j]) / 50 > 0.01)
    assert latent.active_units(mu).tolist() == by_loops


def surface(z):
    return np.stack([np.sin(z[:, 0]) * z[:, 1], z[:, 0] ** 2, np.exp(0.5 * z[:, 1])], axis=1)


@recomputes(39, "e0935cf1")
def test_e39_by_trying_all_directions():
    root = np.array([[0.7, 0.0], [0.4, 1.2]])
    z = RNG.normal(size=(4, 2))
    found = regularity.decoder_stretch(surface, z, root)
    angles = np.linspace(0, np.pi, 20001)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    for at, value in zip(z, found):
        rows = [slopes(lambda v, i=i: surface(v[None])[0, i], at) for i in range(3)]
        close(value, np.linalg.norm(np.array(rows) @ root @ directions, axis=0).max(), 1e-7)


def radius(points, i, k):
    """The distance of point i to its k-th neighbour."""
    return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]


@recomputes(40, "ecbc0090")
def test_e40_by_loops_over_all_pairs():
    data, made = RNG.normal(size=(40, 2)), RNG.normal(size=(30, 2)) * 0.8 + 0.3

    def share(of, on):
        reach = [radius(on, i, 3) for i in range(len(on))]
        hit = [any(math.dist(q, p) <= r for p, r in zip(on, reach)) for q in of]
        return sum(hit) / len(of)

    found = regularity.completeness_and_coverage(made, data, 3)
    close(found, [share(made, data), share(data, made)], 1e-15)


@recomputes(41, "cf3db06a")
def test_e41_by_integration():
    mu, logvar = RNG.normal(size=(2, 2)), RNG.normal(size=(2, 2))
    product = 1.0
    for j in range(2):
        q1, q2 = (normal(LINE, mu[i, j], np.exp(logvar[i, j])) for i in (0, 1))
        product *= integral(np.sqrt(q1 * q2))
    found = regularity.bhattacharyya(mu[:1], logvar[:1], mu[1:], logvar[1:])
    close(found[0], product, 1e-10)


def elbo_of_line(x, mu, var):
    """The linear decoder's ELBO: the square's mean is exact, the KL term by term."""
    w, b = Q["decoder.out.W"], Q["decoder.out.b"]
    square = ((x - b - mu @ w) ** 2).sum() + (var * (w**2).sum(axis=1)).sum()
    kl = 0.5 * (mu**2 + var - 1 - np.log(var)).sum()
    return -square / 0.6 - 1.5 * np.log(2 * np.pi * 0.3) - kl


@recomputes(42, "89a9c582")
def test_e42_by_a_search_of_its_own_for_each_datum():
    draws = inference.cubature_draws(2, 4)
    found = inference.amortisation_gap(K, Q, X, draws, draws, replace(LINEAR, beta=4.0), 1500)
    mu, logvar = encode(K, Q, X, LINEAR)
    given = [elbo_of_line(x, m, np.exp(v)) for x, m, v in zip(X, mu, logvar)]
    best = [-optimize.minimize(lambda f, x=x: -elbo_of_line(x, f[:2], np.exp(f[2:])),
                               np.zeros(4)).fun for x in X]  # fmt: skip
    close(found.amortised, np.mean(given), 1e-12)
    close(found.gap, np.mean(best) - np.mean(given), 1e-5)


@recomputes(43, "9e22b2b4")
def test_e43_by_moving_the_integral():
    mu, logvar = np.array([0.3]), np.array([-0.4])

    def value(z):
        return (z**4 - 2 * z).sum(axis=1)

    def expectation(m, v):
        return integral(normal(LINE, m, np.exp(v)) * (LINE**4 - 2 * LINE))

    moved = [slopes(lambda m: expectation(m, logvar[0]), mu[0], 1e-4),
             slopes(lambda v: expectation(mu[0], v), logvar[0], 1e-4)]  # fmt: skip
    nodes, weights = quadrature_draws(1, 12)
    score = estimators.score_function_gradients(value, mu, logvar, nodes)
    path = estimators.pathwise_gradients(lambda z: 4 * z**3 - 2, mu, logvar, nodes)
    for estimate in (score, path):
        close(np.ravel(estimators.exact_mean(estimate, weights)), moved, 1e-6)
    q = normal(LINE, mu[0], np.exp(logvar[0]))
    eps = (LINE - mu[0]) / np.exp(logvar[0] / 2)
    f = LINE**4 - 2 * LINE
    printed = [integral(q * f * eps / np.exp(logvar[0] / 2)), integral(q * f * (eps**2 - 1) / 2)]
    close(printed, moved, 1e-6)


@recomputes(44, "f0888197")
def test_e44_rate_and_distortion_in_closed_form_and_by_search():
    found = rate_and_distortion(K, Q, X, inference.cubature_draws(2, 4), LINEAR)
    mu, logvar = encode(K, Q, X, LINEAR)
    kl = [[integral(normal(LINE, m, np.exp(v)) * 0.5 * (LINE**2 - (LINE - m) ** 2 / np.exp(v) - v))
           for m, v in zip(*row)] for row in zip(mu, logvar)]  # fmt: skip
    w, b = Q["decoder.out.W"], Q["decoder.out.b"]
    square = ((X - b - mu @ w) ** 2).sum(axis=1) + np.exp(logvar) @ (w**2).sum(axis=1)
    close(found, [np.sum(kl) / 4, square.mean()], 1e-11)

    values, c = [3.0, 1.1, 0.5, 0.2], 0.6  # reverse water-filling, direction by direction
    rate = lost = 0.0
    for j, s in enumerate(values):

        def nll(w, s=s):
            return 0.5 * math.log(w**2 + c) + 0.5 * s / (w**2 + c)

        w = optimize.minimize_scalar(nll, bounds=(0, 9), method="bounded",
                                     options={"xatol": 1e-10}).x if j < 3 else 0.0  # fmt: skip
        var, gain = c / (w**2 + c), w / (w**2 + c)
        rate += 0.5 * (gain**2 * s + var - 1 - math.log(var))
        lost += s * (1 - w * gain) ** 2 + w**2 * var
    close(linear_rate_and_distortion(np.array(values), c, 3), [rate, lost], 1e-6)


@recomputes(45, "e0ac9255")
def test_e45_planes_turned_by_known_angles():
    for angles in ((0.3, 1.2), (1e-9, 0.7), (0.0, np.pi / 2)):
        turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
        first = np.eye(5)[:, :2]
        second = np.zeros((5, 2))
        for j, angle in enumerate(angles):
            second[j, j], second[j + 2, j] = np.cos(angle), np.sin(angle)
        mixed = [turn @ basis @ RNG.normal(size=(2, 2)) for basis in (first, second)]
        assert np.abs(subspace.principal_angles(*mixed) - angles).max() <= 1e-14 * 20


@recomputes(46, "635eec6c")
def test_e46_by_distances_one_by_one():
    data, start, end = RNG.normal(size=(30, 3)), RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
    found = regularity.halfway_test(surface, start, end, data)

    def near(y):
        return min(math.dist(y, x) for x in data)

    for n, (a, b) in enumerate(zip(start, end)):
        y0, half, y1 = surface(np.array([a, (a + b) / 2, b]))
        close(found.ratio[n], near(half) / ((near(y0) + near(y1)) / 2), 1e-12)
        way = math.dist(y0, half) + math.dist(half, y1)
        close(found.detour[n], way / math.dist(y0, y1), 1e-12)

"""MATHS.md, sections 1 to 4: each formula, by a way that shares nothing with the code.

Sums written out, central differences, SciPy's distributions, search by brute force.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from minivae.metrics.reconstruction import best_pair, reconstruction_error
from minivae.models import bayes, linear_gaussian, pca
from minivae.models.autoencoder import (
    AutoencoderConfig,
    autoencoder_backward,
    autoencoder_forward,
    autoencoder_layout,
)
from minivae.ops import activation, dense
from tests.study.recomputed import (
    EVIDENCE,
    SEEN,
    UP,
    C,
    K,
    X,
    bend,
    close,
    joint,
    recomputes,
    slopes,
)

RNG = np.random.default_rng(0)


def covariance(x):
    """Divided by N, entry by entry."""
    n, dims = x.shape
    mean = [math.fsum(x[:, i]) / n for i in range(dims)]
    return np.array([[math.fsum((x[:, i] - mean[i]) * (x[:, k] - mean[k])) / n
                      for k in range(dims)] for i in range(dims)])  # fmt: skip


@recomputes(1, "c3d035a1")
def test_e1_the_pair_that_loses_least():
    class Line:
        def __init__(self, angle):
            self.u = np.array([np.cos(angle), np.sin(angle)])

        def fit(self, x):
            return self

        def encode(self, x):
            return x @ self.u[:, None]

        def decode(self, z):
            return z * self.u

    x = X[:, :2]
    angles = np.linspace(0, np.pi, 61)
    lost = [sum((a - b) ** 2 for row in x for a, b in zip(row, row @ np.outer(u, u)))
            for u in (Line(angle).u for angle in angles)]  # fmt: skip
    ranked = best_pair({f"{i}": Line(a) for i, a in enumerate(angles)}, x, x)
    assert int(ranked[0].name) == int(np.argmin(lost))


@recomputes(2, "26ae91ac")
def test_e2_the_error():
    other = X + RNG.normal(size=X.shape)
    by_hand = math.fsum((a - b) ** 2 for a, b in zip(X.ravel(), other.ravel())) / len(X)
    close(reconstruction_error(X, other), by_hand, 1e-14)


@recomputes(3, "49fc893a")
def test_e3_eigenvectors_by_power_iteration():
    sigma = covariance(X)
    values = []
    for _ in range(4):
        v = np.ones(4)
        for _ in range(4000):
            v = sigma @ v / np.linalg.norm(sigma @ v)
        values.append(v @ sigma @ v)
        close(sigma @ v, values[-1] * v, 1e-9)
        mean, axes, found = pca.principal_axes(X, 4)
        close(abs(axes[:, len(values) - 1] @ v), 1.0, 1e-9)
        sigma = sigma - values[-1] * np.outer(v, v)
    close(found, values, 1e-9)
    close(pca.pca_encode(X, mean, axes)[7, 2], (X[7] - X.mean(axis=0)) @ axes[:, 2], 1e-13)


@recomputes(4, "cbdcb5ac")
def test_e4_what_is_discarded_is_the_error_and_no_plane_does_better():
    mean, axes, values = pca.principal_axes(X, 2)
    back = pca.pca_decode(pca.pca_encode(X, mean, axes), mean, axes)
    close(((X - back) ** 2).sum() / len(X), values[2:].sum(), 1e-12)
    for _ in range(300):
        basis = np.linalg.qr(RNG.normal(size=(4, 2)))[0]
        left = X - mean - (X - mean) @ basis @ basis.T
        assert (left**2).sum() / len(X) >= values[2:].sum()


W, B = RNG.normal(size=(4, 3)), RNG.normal(size=3)
DY = RNG.normal(size=(40, 3))


@recomputes(5, "208dd903")
def test_e5_a_dense_layer_sum_by_sum():
    by_hand = [[math.fsum(x[i] * W[i, o] for i in range(4)) + B[o] for o in range(3)] for x in X]
    close(dense.dense_forward(X, W, B), by_hand, 1e-14)


@recomputes(6, "d6c0a747")
def test_e6_its_gradients():
    dW, db = dense.dense_backward_params(DY, X)
    close(dW, slopes(lambda w: ((X @ w + B) * DY).sum(), W), 1e-8)
    close(db, slopes(lambda b: ((X @ W + b) * DY).sum(), B), 1e-8)
    close(dense.dense_backward_input(DY, W), slopes(lambda x: ((x @ W + B) * DY).sum(), X), 1e-8)


@recomputes(7, "9d589a6b")
def test_e7_relu():
    x = np.array([-2.0, -1e-3, 1e-3, 3.0])
    close(activation.relu_forward(x), [0.0, 0.0, 1e-3, 3.0], 0.0)
    close(activation.relu_backward(np.ones(4), x), [0.0, 0.0, 1.0, 1.0], 0.0)
    assert activation.relu_backward(np.ones(1), np.zeros(1)) == 0.0


@recomputes(8, "a67ab43b")
def test_e8_tanh():
    x = np.linspace(-6, 6, 25)
    e = np.exp(2 * x)
    close(activation.tanh_forward(x), (e - 1) / (e + 1), 1e-14)
    close(activation.tanh_backward(np.full(25, UP), x), slopes(
        lambda v: UP * ((np.exp(2 * v) - 1) / (np.exp(2 * v) + 1)).sum(), x), 1e-9)  # fmt: skip


@recomputes(9, "300c6f53")
def test_e9_the_autoencoder():
    config = AutoencoderConfig(4, 2, (3,), "tanh")
    layout = autoencoder_layout(config)
    theta = RNG.normal(size=layout.size)
    p = layout.views(theta)

    def loss(flat):
        q = layout.views(flat)
        h = np.tanh(X @ q["encoder.0.W"] + q["encoder.0.b"])
        z = h @ q["encoder.code.W"] + q["encoder.code.b"]
        h = np.tanh(z @ q["decoder.0.W"] + q["decoder.0.b"])
        out = h @ q["decoder.out.W"] + q["decoder.out.b"]
        return sum(((a - b) ** 2).sum() for a, b in zip(X, out)) / len(X)

    found, cache = autoencoder_forward(K, p, X, config)
    close(found, loss(theta), 1e-13)
    hand = layout.flatten(autoencoder_backward(K, UP, cache, p, config), np.empty_like(theta))
    close(hand, UP * slopes(loss, theta), 1e-7)
    dout = 2 / len(X) * (cache.out - X) * UP
    by_difference = slopes(lambda out: UP * ((X - out) ** 2).sum() / len(X), cache.out)
    close(dout, by_difference, 1e-8)


@recomputes(10, "adcea090")
def test_e10_two_steps_make_a_datum():
    rng = np.random.default_rng(8)
    z, noise = rng.normal(size=(1, 1)), rng.normal(size=(200_000, 2))
    x = bayes.ancestral_sample(bend, C, np.repeat(z, len(noise), axis=0), noise)
    off = (x.mean(axis=0) - bend(z)[0]) / np.sqrt(C / len(x))
    assert np.abs(off).max() <= 4.5  # standard errors
    assert np.abs(np.cov(x.T) - C * np.eye(2)).max() <= 5 * C * np.sqrt(2 / len(x))
    logs = bayes.log_gaussian_likelihood(bend, C, SEEN, z)
    close(logs, stats.multivariate_normal(bend(z)[0], C * np.eye(2)).logpdf(SEEN)[None], 1e-13)


@recomputes(11, "17da3fc2")
def test_e11_bayes_by_adaptive_quadrature():
    grid = bayes.posterior_on_grid(bend, C, SEEN, 1, reach=9.0, points=4001)
    close(np.exp(grid.log_p), EVIDENCE, 1e-10)
    by_nodes = bayes.log_evidence_by_quadrature(bend, C, SEEN, 1, 100)
    close(
        by_nodes, np.log(EVIDENCE), 1e-4
    )  # a hundred nodes, of an integrand that is no polynomial
    at = 2000
    close(grid.density[at], joint(grid.nodes[at, 0])[0] / EVIDENCE, 1e-9)


MODEL = linear_gaussian.LinearGaussian(RNG.normal(size=(4, 2)), X.mean(axis=0), 0.6)


@recomputes(12, "e675fbc9")
def test_e12_by_conditioning_the_joint_gaussian():
    w, m, c = MODEL
    total = w @ w.T + c * np.eye(4)  # of x; the joint covariance has w between x and z
    mean = (X - m) @ np.linalg.inv(total) @ w
    left = np.eye(2) - w.T @ np.linalg.inv(total) @ w
    found = linear_gaussian.posterior(X, MODEL)
    close(found[0], mean, 1e-12)
    close(found[1], left, 1e-12)


@recomputes(13, "32fdaa61")
def test_e13_by_scipy_and_by_climbing():
    w, m, c = MODEL
    scipys = stats.multivariate_normal(m, w @ w.T + c * np.eye(4))
    close(linear_gaussian.log_marginal(X, MODEL), scipys.logpdf(X), 1e-12)
    best = linear_gaussian.ppca_solution(X, 2)

    def loss(flat):
        w, c = flat[:8].reshape(4, 2), np.exp(flat[8])
        return -stats.multivariate_normal(X.mean(axis=0), w @ w.T + c * np.eye(4)).logpdf(X).mean()

    start = np.random.default_rng(7).normal(size=9)
    climbed = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    w, c = climbed.x[:8].reshape(4, 2), np.exp(climbed.x[8])
    close(c, best.c, 1e-4)
    close(w @ w.T, best.weight @ best.weight.T, 1e-4)  # R drops out
    values = np.linalg.eigvalsh(covariance(X))[::-1]
    close(best.c, values[2:].mean(), 1e-10)

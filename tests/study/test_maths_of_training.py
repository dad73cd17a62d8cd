"""MATHS.md, sections 7 to 9: the network, its optimisers and its noise, recomputed another way.

Plain loops, central differences, unrolled sums, Python's integers, SciPy's distributions.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from minivae.models.bayes import quadrature_draws
from minivae.models.config import ModelConfig
from minivae.models.vae import elbo_backward, elbo_forward, encode, layout_of
from minivae.ops import batch, latent, optimiser
from minivae.ops.philox import BINARISE, box_muller, normals, philox, uniforms
from minivae.ops.philox import EPS as NOISE
from minivae.training.schedule import beta_at
from tests.study.recomputed import UP, K, close, recomputes, slopes

RNG = np.random.default_rng(1)
CONFIG = ModelConfig(3, 2, (4,), "tanh", "gaussian", c=0.4, beta=1.7)
LAYOUT = layout_of(CONFIG)
THETA = RNG.normal(size=LAYOUT.size)
X, EPS = RNG.normal(size=(5, 3)), RNG.normal(size=(2, 5, 2))


def affine(row, W, b):
    """One row through a dense layer, sum by sum."""
    return [math.fsum(v * W[i, o] for i, v in enumerate(row)) + b[o] for o in range(len(b))]


def heads(row, p):
    t = [math.tanh(v) for v in affine(row, p["encoder.0.W"], p["encoder.0.b"])]
    return tuple(affine(t, p[f"encoder.{n}.W"], p[f"encoder.{n}.b"]) for n in ("mu", "logvar"))


def loss_by_loops(theta, beta=CONFIG.beta, free_bits=0.0):
    """(E28) with (E15), (E20), (E25), (E26) and (E31) in it, one number at a time."""
    p = LAYOUT.views(theta)
    total, kl = 0.0, np.zeros(2)
    for n, x in enumerate(X):
        mu, logvar = heads(x, p)
        for j in range(2):
            kl[j] += 0.5 * (mu[j] ** 2 + math.exp(logvar[j]) - 1 - logvar[j]) / len(X)
        for eps in EPS[:, n]:
            z = [m + math.sqrt(math.exp(v)) * e for m, v, e in zip(mu, logvar, eps)]
            h = [math.tanh(v) for v in affine(z, p["decoder.0.W"], p["decoder.0.b"])]
            f = affine(h, p["decoder.out.W"], p["decoder.out.b"])
            square = math.fsum((a - b) ** 2 for a, b in zip(x, f))
            nll = square / (2 * 0.4) + 1.5 * math.log(2 * math.pi * 0.4)
            total += nll / (len(X) * len(EPS))
    return total + beta * sum(max(free_bits, each) for each in kl)


@recomputes(25, "4fdc29d4")
def test_e25_one_trunk_two_heads():
    p = LAYOUT.views(THETA)
    by_loops = np.array([heads(x, p) for x in X])
    mu, logvar = encode(K, p, X, CONFIG)
    close(mu, by_loops[:, 0], 1e-13)
    close(logvar, by_loops[:, 1], 1e-13)


MU, LOGVAR = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2))


@recomputes(26, "595e6276")
def test_e26_the_draws_have_the_mean_and_the_variance():
    nodes, weights = quadrature_draws(2, 4)  # exact for squares
    z = latent.reparameterise_forward(MU, LOGVAR, np.repeat(nodes[:, None], 5, axis=1))
    mean = np.tensordot(weights, z, 1)
    close(mean, MU, 1e-12)
    close(np.tensordot(weights, (z - mean) ** 2, 1), np.exp(LOGVAR), 1e-12)
    eps = np.random.default_rng(9).normal(size=(4000, 5, 2))
    one = latent.reparameterise_forward(MU, LOGVAR, eps)
    standard = (one[:, 2, 1] - MU[2, 1]) / np.exp(LOGVAR[2, 1]) ** 0.5
    assert stats.kstest(standard, "norm").pvalue >= 1e-4


@recomputes(27, "b3024101")
def test_e27_by_differences():
    dz = RNG.normal(size=EPS.shape)
    dmu, dlogvar = latent.reparameterise_backward(dz, LOGVAR, EPS)
    close(dmu, slopes(lambda m: (dz * (m + np.sqrt(np.exp(LOGVAR)) * EPS)).sum(), MU), 1e-8)
    close(dlogvar, slopes(lambda v: (dz * (MU + np.sqrt(np.exp(v)) * EPS)).sum(), LOGVAR), 1e-8)


@recomputes(28, "da323491")
def test_e28_the_whole_loss_number_by_number():
    loss, _ = elbo_forward(K, LAYOUT.views(THETA), X, EPS, CONFIG.beta, CONFIG)
    close(loss, loss_by_loops(THETA), 1e-13)


@recomputes(29, "3c55a22a")
def test_e29_the_whole_gradient_by_differences_of_the_loops():
    p = LAYOUT.views(THETA)
    _, cache = elbo_forward(K, p, X, EPS, CONFIG.beta, CONFIG)
    hand = LAYOUT.flatten(elbo_backward(K, UP, cache, p, CONFIG), np.empty_like(THETA))
    close(hand, UP * slopes(loss_by_loops, THETA), 1e-7)
    close(np.full(cache.nll.shape, UP / 10), slopes(lambda v: UP * v.mean(), cache.nll), 1e-9)
    kl = slopes(lambda v: UP * CONFIG.beta * v.sum() / len(v), cache.kl)
    close(np.full(cache.kl.shape, CONFIG.beta * UP / 5), kl, 1e-9)


@recomputes(30, "553bc554")
def test_e30_step_by_step():
    weight = 0.0
    for t in range(20):
        close(beta_at(t, 2.5, 8), weight, 1e-14)
        weight += 2.5 / 8 if t < 8 else 0.0
    assert beta_at(0, 2.5, 0) == 2.5


@recomputes(31, "f626b026")
def test_e31_free_bits_in_the_whole_loss():
    config = ModelConfig(3, 2, (4,), "tanh", "gaussian", c=0.4, beta=1.7, free_bits=0.9)
    p = LAYOUT.views(THETA)
    means = latent.kl_forward(*encode(K, p, X, config)).mean(axis=0)
    low, high = np.sort(means)
    for floor in (low / 2, (low + high) / 2, 2 * high):  # above none, one and both
        loss, cache = elbo_forward(K, p, X, EPS, 1.7, config := _with(config, floor))
        close(loss, loss_by_loops(THETA, 1.7, floor), 1e-13)
        hand = LAYOUT.flatten(elbo_backward(K, UP, cache, p, config), np.empty_like(THETA))
        moved = slopes(lambda t, f=floor: loss_by_loops(t, 1.7, f), THETA)
        close(hand, UP * moved, 1e-7)


def _with(config, floor):
    return ModelConfig(**{**config.__dict__, "free_bits": float(floor)})


@recomputes(64, "b658a2c8")
def test_e64_a_datum_of_weight_two_is_the_same_datum_twice():
    p, weight, twice = LAYOUT.views(THETA), np.array([2.0, 0.0, 1.0, 1.0, 1.0]), [0, 0, 2, 3, 4]
    weighted = elbo_forward(K, p, X, EPS, CONFIG.beta, CONFIG, weight)
    repeated = elbo_forward(K, p, X[twice], EPS[:, twice], CONFIG.beta, CONFIG)
    close(weighted[0], repeated[0], 1e-13)
    one, other = (
        LAYOUT.flatten(elbo_backward(K, UP, cache, p, CONFIG), np.empty_like(THETA))
        for _, cache in (weighted, repeated)
    )
    close(one, other, 1e-13)


GRADIENTS = RNG.normal(size=(6, 4))
START = RNG.normal(size=4)


@recomputes(32, "672534b0")
def test_e32_unrolled():
    theta, velocity = START.copy(), np.zeros(4)
    for g in GRADIENTS:
        optimiser.sgd_update(theta, g, velocity, 0.1, 0.8)
    moved = sum(0.8 ** (t - s) * GRADIENTS[s] for t in range(6) for s in range(t + 1))
    close(theta, START - 0.1 * moved, 1e-14)


def adam_unrolled(t, decay, values):
    """The weighted mean of what was seen up to t: what the corrected average is."""
    weights = np.array([decay ** (t - s) for s in range(t + 1)])
    return weights @ values[: t + 1] / weights.sum()


@recomputes(33, "d065c2be")
def test_e33_unrolled():
    theta, m, v = START.copy(), np.zeros(4), np.zeros(4)
    expected = START.copy()
    for t, g in enumerate(GRADIENTS):
        optimiser.adam_update(theta, g, m, v, 0.1, 0.9, 0.99, 1e-3, t + 1)
        square = adam_unrolled(t, 0.99, GRADIENTS**2)
        expected -= 0.1 * adam_unrolled(t, 0.9, GRADIENTS) / (np.sqrt(square) + 1e-3)
    close(theta, expected, 1e-13)


def philox_in_integers(counter, key):
    """As printed, in Python's integers, which have no width."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


@recomputes(34, "38b2161e")
def test_e34_in_integers_and_by_the_published_answer():
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    answer = [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]
    assert philox_in_integers(*pi) == answer
    for _ in range(20):
        counter, key = RNG.integers(0, 2**32, 4), RNG.integers(0, 2**32, 2)
        found = philox(counter.astype(np.uint32), key.astype(np.uint32))
        assert found.tolist() == philox_in_integers(counter.tolist(), key.tolist())


@recomputes(35, "ef5a5f69")
def test_e35_in_fractions():
    u = uniforms(7, BINARISE, 0, np.arange(500), 8)
    for i, word in enumerate(philox_in_integers([1, 321, 0, BINARISE], [7, 0])):
        assert u[321, 4 + i] == (2 * (word // 2**9) + 1) / 2**24
    assert u.min() > 0 and u.max() < 1 and stats.kstest(u.ravel(), "uniform").pvalue >= 1e-4
    share = batch.binarise(np.full(u.shape, 0.3), u).mean()
    assert abs(share - 0.3) <= 4.5 * math.sqrt(0.3 * 0.7 / u.size)


@recomputes(36, "fb58a54a")
def test_e36_from_the_words_and_by_its_distribution():
    w0, w1 = RNG.integers(0, 2**32, (2, 2000)).astype(np.uint32)
    one, two = (v.astype(np.float64) for v in box_muller(w0, w1))
    u1 = (w0 + 0.5) / 2**32
    close(np.hypot(one, two), np.sqrt(-2 * np.log(u1)), 1e-6)
    u2 = np.arctan2(two, one) / (2 * np.pi) % 1.0  # the angle, from the other word alone
    quarter, rest = np.divmod(w1.astype(np.int64), 2**30)
    close(np.cos(2 * np.pi * (u2 - (quarter + rest / 2**30 - (rest >= 2**29)) / 4)),
          np.ones(2000), 1e-9)  # fmt: skip
    z = normals(5, NOISE, 3, np.arange(5000), 2).astype(np.float64)
    assert stats.kstest(z.ravel(), "norm").pvalue >= 1e-4
    assert abs(np.corrcoef(z.T)[0, 1]) <= 4.5 / math.sqrt(len(z))

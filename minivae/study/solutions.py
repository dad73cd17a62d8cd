"""The check behind each exercise: it gets the reader's function and raises AssertionError, with a
hint, where the answer is wrong.

Sizes all differ, numbers are drawn and upstream gradients are not 1, so that a lucky guess fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.models.pca import principal_axes
from minivae.ops.dense import dense_backward_input, dense_backward_params
from minivae.ops.gaussian import gaussian_kl_forward
from minivae.ops.latent import kl_forward, reparameterise_forward
from minivae.study.agree import agree, near, values_of

Answer = Callable[..., Any]


def rng() -> np.random.Generator:
    """The numbers of every check: drawn, but the same each time."""
    return np.random.default_rng(20)


def relative_error(f: Answer) -> None:
    x = rng().normal(size=(11, 5)) + 3.0
    y = x + rng().normal(size=(11, 5))
    expected = ((x - y) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum()
    squares = ((x - y) ** 2).sum()
    mistakes = {
        "You divide by the sum of squares; the total variance is the mean picture's error.": (
            squares / (x**2).sum()
        ),
        "That is the error itself: divide it by the total variance.": squares,
        "That is the error per datum: divide by the variance per datum.": squares / len(x),
        "That is a ratio of lengths: leave the squares, without the root.": np.sqrt(expected),
    }
    agree(f(x, y), expected, "Divide by the error of the mean picture.", mistakes=mistakes)
    agree(f(x, x), 0.0, "A perfect reconstruction loses nothing.")


def constant_decoder(f: Answer) -> None:
    x = rng().normal(size=(9, 4)) ** 3
    agree(f(x), x.mean(axis=0), "Set the derivative of (E2) in the constant picture to zero.")


def encode(f: Answer) -> None:
    x = rng().normal(size=(13, 6)) + 2.0
    mean, axes, _ = principal_axes(x, 3)
    mistakes = {
        "The mean is not subtracted.": x @ axes,
        "That is the projected picture (N, D); the code is one step before it.": (
            mean + (x - mean) @ axes @ axes.T
        ),
    }
    hint = "Subtract the mean first; axes are columns (D, J)."
    agree(f(x, mean, axes), (x - mean) @ axes, hint, mistakes=mistakes)


def smallest_latent_dim(f: Answer) -> None:
    values = np.array([5.0, 3.0, 1.0, 0.6, 0.4])
    for share, expected in ((0.5, 1), (0.51, 2), (0.8, 2), (0.9, 3), (1.0, 5)):
        agree(f(values, share), expected, f"For a share of {share} the answer is {expected}.")


def whiten(f: Answer) -> None:
    x = rng().normal(size=(50, 4)) * [4, 3, 2, 1]
    mean, axes, values = principal_axes(x, 3)
    codes = (x - mean) @ axes
    white = np.asarray(f(codes, values[:3]))
    mistakes = {
        "You divide by the eigenvalues; they are variances: divide by their roots.": (
            np.diag(1 / values[:3])
        ),
        "The codes come back as they were: divide each by its standard deviation.": (
            np.diag(values[:3])
        ),
        "You multiply where you should divide.": np.diag(values[:3] ** 2),
    }
    hint = "Each code's variance must be one: divide by the eigenvalues' roots."
    if white.shape != codes.shape:
        raise AssertionError(f"the shape is {white.shape}, expected {codes.shape}. {hint}")
    agree(white.T @ white / 50, np.eye(3), hint, mistakes=mistakes)
    rescaled = codes @ np.linalg.lstsq(codes, white, rcond=None)[0]
    agree(white, rescaled, "Each is a code of its datum, rescaled.")
    alone = "Each code is rescaled by itself: a rotation mixes them."  # an axis may be turned round
    agree(np.abs(white), np.abs(codes / np.sqrt(values[:3])), alone)


def dense_backward(f: Answer) -> None:
    r = rng()
    dy, x, w = r.normal(size=(5, 3)), r.normal(size=(5, 4)), r.normal(size=(4, 3))
    dw, db = dense_backward_params(dy, x)
    sums = "{} sums over the batch: the mean is taken in the loss, once."
    dx = dense_backward_input(dy, w)
    found = values_of(f(dy, x, w), 3)
    mistakes = {sums.format("dW"): dw / 5, "That is dWᵀ: W is (I, O).": dw.T}
    agree(found[0], dw, "dW = xᵀ dy.", mistakes=mistakes)
    agree(found[1], db, "db = Σ_n dy.", mistakes={sums.format("db"): db / 5})
    agree(found[2], dx, "dx = dy Wᵀ: it goes back through W.")


def another_basis(f: Answer) -> None:
    r = rng()
    encoder, decoder, a = r.normal(size=(6, 3)), r.normal(size=(3, 6)), r.normal(size=(3, 3))
    new = [np.asarray(t) for t in values_of(f(encoder, decoder, a), 2)]
    agree(new[0] @ new[1], encoder @ decoder, "The product of the two must stay the same.")
    either = (encoder @ a, encoder @ np.linalg.inv(a))  # A's inverse makes another basis as well
    if near(new[0], either[1], 1e-10):
        return
    mistakes = {"That is the basis it was: change it by A.": encoder}
    hint = (
        "The encoder is multiplied by A from the right, the decoder by its inverse from the left."
    )
    agree(new[0], either[0], hint, mistakes=mistakes)


def count_parameters(f: Answer) -> None:
    hint = "Each dense layer has I·O weights and O biases; the decoder mirrors the encoder."
    agree(f(64, (), 3), 64 * 3 + 3 + 3 * 64 + 64, hint)
    agree(f(64, (20, 7), 3), 64 * 20 + 20 + 147 + 24 + 28 + 160 + 20 * 64 + 64, hint)


def memorise(f: Answer) -> None:
    x = rng().normal(size=(9, 7))
    encode, decode = values_of(f(x), 2)
    z = np.asarray(encode(x))
    if z.shape != (9, 1):
        raise AssertionError(f"codes have shape {z.shape}, expected (9, 1): one number per datum.")
    agree(decode(z), x, "Give datum n the code n, and let the decoder look it up.")
    order = rng().permutation(9)
    hint = "The decoder must read the code: codes in another order give the pictures in that order."
    agree(decode(z[order]), x[order], hint)


def fit_gaussian(f: Answer) -> None:
    codes = rng().normal(size=(30, 3)) @ rng().normal(size=(3, 3))
    mean, covariance = values_of(f(codes), 2)
    agree(mean, codes.mean(axis=0), "The mean is over the data.")
    centred = codes - codes.mean(axis=0)
    by_n, unbiased = (centred.T @ centred / n for n in (30, 29))
    if not near(np.asarray(covariance), by_n, 1e-10):
        agree(covariance, unbiased, "The covariance is (J, J), divided by N or N - 1.")


def kl(f: Answer) -> None:
    mu, logvar = rng().normal(size=(4, 3)), rng().normal(size=(4, 3))
    right = kl_forward(mu, logvar)
    mistakes = {
        "It is not summed: one number per datum and dimension.": right.sum(axis=1),
        "It is not summed: one number per datum and dimension, (B, J).": right.sum(),
        "The ½ is missing.": 2 * right,
        "The sign is turned round: a KL is never negative.": -right,
        "The 1 is missing: at μ = 0, ℓ = 0 it must be 0.": right + 0.5,
        "e^ℓ is σ²; you took e^{2ℓ}.": 0.5 * (mu**2 + np.exp(2 * logvar) - 1 - logvar),
        "μ is squared.": right + 0.5 * (mu - mu**2),
    }
    agree(f(mu, logvar), right, "½ (μ² + e^ℓ - 1 - ℓ).", mistakes=mistakes)
    tiny = np.full((1, 1), 1e-9)
    ratio = np.asarray(f(0 * tiny, tiny)) / (0.25 * tiny**2)
    agree(ratio, [[1.0]], "At ℓ = 1e-9 it should be ℓ²/4: write exp(ℓ) - 1 as expm1(ℓ).", 1e-3)


def draw(f: Answer) -> None:
    r = rng()
    mu, logvar, eps = r.normal(size=(4, 3)), r.normal(size=(4, 3)), r.normal(size=(4, 3))
    right = reparameterise_forward(mu, logvar, eps[None])[0]
    sigma = np.exp(logvar / 2)
    mistakes = {
        "exp(logvar) is the variance; the standard deviation is exp(logvar / 2).": (
            mu + np.exp(logvar) * eps
        ),
        "logvar itself is no standard deviation: σ = exp(logvar / 2).": mu + logvar * eps,
        "A minus before ε draws from the same distribution, but (E26) has a plus.": mu
        - sigma * eps,
        "ε is not scaled by σ.": mu + eps,
        "μ is missing.": sigma * eps,
        "σ = exp(+logvar / 2): you divide by it.": mu + eps / sigma,
        "ε is missing: that is no draw.": mu + sigma,
    }
    agree(f(mu, logvar, eps), right, "z = μ + σ ε with σ = exp(logvar / 2).", mistakes=mistakes)


def gaussian_kl(f: Answer) -> None:
    r = rng()
    roots = r.normal(size=(2, 3, 3))
    covs = [a @ a.T + np.eye(3) for a in roots]
    mus = r.normal(size=(2, 3))
    expected = gaussian_kl_forward(mus[0], covs[0], mus[1], covs[1])
    turned = gaussian_kl_forward(mus[1], covs[1], mus[0], covs[0])
    log_dets = float(np.subtract(*[np.linalg.slogdet(cov)[1] for cov in covs]))  # Σ₀ over Σ₁
    step = mus[1] - mus[0]
    crossed = [np.trace(np.linalg.solve(covs[i], covs[1 - i])) for i in (1, 0)]
    quadratic = [step @ np.linalg.solve(covs[i], step) for i in (1, 0)]
    mistakes = {
        "That is KL(p₁ ‖ p₀): the inverse is that of the second one.": turned,
        "The ½ is missing.": 2 * expected,
        "The dimension is not subtracted: between equals it must be 0.": expected + 1.5,
        "The logarithm's fraction is upside down: det Σ₁ stands above.": expected + log_dets,
        "The logarithm of the determinants is missing.": expected + 0.5 * log_dets,
        "The term of the means is missing.": expected - 0.5 * quadratic[0],
        "The trace is of Σ₁⁻¹ Σ₀, not of Σ₀⁻¹ Σ₁.": expected + 0.5 * (crossed[1] - crossed[0]),
        "Between the means stands Σ₁⁻¹, not Σ₀⁻¹.": expected + 0.5 * (quadratic[1] - quadratic[0]),
        "Σ is a covariance: its inverse stands in the formula, not itself.": 0.5
        * (np.trace(covs[1] @ covs[0]) + step @ covs[1] @ step - 3 - log_dets),
    }
    hint = "½ [tr(Σ₁⁻¹ Σ₀) + (μ₁ - μ₀)ᵀ Σ₁⁻¹ (μ₁ - μ₀) - J + log(det Σ₁ / det Σ₀)]."
    agree(f(mus[0], covs[0], mus[1], covs[1]), expected, hint, mistakes=mistakes)

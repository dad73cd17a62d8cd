"""The check behind each exercise: it gets the reader's function and raises AssertionError, with a
hint, where the answer is wrong.

Sizes all differ, numbers are drawn and upstream gradients are not 1, so that a lucky guess fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.metrics.regularity import bhattacharyya
from minivae.models.linear_gaussian import LinearGaussian, log_marginal, posterior
from minivae.models.pca import principal_axes
from minivae.ops.dense import dense_backward_input, dense_backward_params
from minivae.ops.gaussian import gaussian_kl_forward
from minivae.ops.latent import kl_forward, reparameterise_backward, reparameterise_forward
from minivae.ops.likelihood import gaussian_nll_forward

Answer = Callable[..., Any]


def rng() -> np.random.Generator:
    """The numbers of every check: drawn, but the same each time."""
    return np.random.default_rng(20)


def agree(found: Any, expected: Any, hint: str, tolerance: float = 1e-10) -> None:
    """Raise AssertionError with the hint unless shapes and values agree; NaN never does."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if found.shape != expected.shape:
        raise AssertionError(f"the shape is {found.shape}, expected {expected.shape}. {hint}")
    error = np.max(np.abs(found - expected)) if expected.size else 0.0
    if not error <= tolerance * max(1.0, float(np.max(np.abs(expected)))):
        raise AssertionError(f"off by up to {error:.3g}. {hint}")


def relative_error(f: Answer) -> None:
    x = rng().normal(size=(11, 5)) + 3.0
    y = x + rng().normal(size=(11, 5))
    expected = ((x - y) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum()
    agree(f(x, y), expected, "Divide by the error of the mean picture, not by the sum of squares.")
    agree(f(x, x), 0.0, "A perfect reconstruction loses nothing.")


def constant_decoder(f: Answer) -> None:
    x = rng().normal(size=(9, 4)) ** 3
    agree(f(x), x.mean(axis=0), "Set the derivative of (E2) in the constant picture to zero.")


def pca_projection(f: Answer) -> None:
    x = rng().normal(size=(13, 6)) + 2.0
    mean, axes, _ = principal_axes(x, 3)
    agree(f(x, mean, axes), (x - mean) @ axes, "Subtract the mean first; axes are columns (D, J).")


def smallest_latent_dim(f: Answer) -> None:
    values = np.array([5.0, 3.0, 1.0, 0.6, 0.4])
    for share, expected in ((0.5, 1), (0.51, 2), (0.8, 2), (0.9, 3), (1.0, 5)):
        agree(f(values, share), expected, f"For a share of {share} the answer is {expected}.")


def whiten(f: Answer) -> None:
    x = rng().normal(size=(50, 4)) * [4, 3, 2, 1]
    mean, axes, values = principal_axes(x, 3)
    white = np.asarray(f((x - mean) @ axes, values[:3]))
    agree(white.T @ white / 50, np.eye(3), "Eigenvalues are variances: divide by their roots.")


def dense_backward(f: Answer) -> None:
    r = rng()
    dy, x, w = r.normal(size=(5, 3)), r.normal(size=(5, 4)), r.normal(size=(4, 3))
    dw, db = dense_backward_params(dy, x)
    hints = ("dW sums over the batch.", "db sums over the batch.", "dx goes back through W.")
    expected = (dw, db, dense_backward_input(dy, w))
    for found, right, hint in zip(f(dy, x, w), expected, hints, strict=True):
        agree(found, right, hint)


def another_basis(f: Answer) -> None:
    r = rng()
    encoder, decoder, a = r.normal(size=(6, 3)), r.normal(size=(3, 6)), r.normal(size=(3, 3))
    new = f(encoder, decoder, a)
    agree(new[0] @ new[1], encoder @ decoder, "The product of the two must stay the same.")
    agree(new[0], encoder @ a, "The encoder is multiplied by A from the right.")


def count_parameters(f: Answer) -> None:
    hint = "Each dense layer has I·O weights and O biases; the decoder mirrors the encoder."
    agree(f(64, (), 3), 64 * 3 + 3 + 3 * 64 + 64, hint)
    agree(f(64, (20, 7), 3), 64 * 20 + 20 + 147 + 24 + 28 + 160 + 20 * 64 + 64, hint)


def memorise(f: Answer) -> None:
    x = rng().normal(size=(9, 7))
    encode, decode = f(x)
    z = np.asarray(encode(x))
    if z.shape != (9, 1):
        raise AssertionError(f"codes have shape {z.shape}, expected (9, 1): one number per datum.")
    agree(decode(z), x, "Give datum n the code n, and let the decoder look it up.")


def fit_gaussian(f: Answer) -> None:
    codes = rng().normal(size=(30, 3)) @ rng().normal(size=(3, 3))
    mean, covariance = f(codes)
    agree(mean, codes.mean(axis=0), "The mean is over the data.")
    centred = codes - codes.mean(axis=0)
    either = np.min(
        [np.abs(np.asarray(covariance) - centred.T @ centred / n).max() for n in (29, 30)]
    )
    agree(either, 0.0, "The covariance is (J, J), divided by N or N - 1.")


def kl(f: Answer) -> None:
    mu, logvar = rng().normal(size=(4, 3)), rng().normal(size=(4, 3))
    agree(f(mu, logvar), kl_forward(mu, logvar), "½ (μ² + e^ℓ - 1 - ℓ), not summed.")
    tiny = np.full((1, 1), 1e-9)
    ratio = np.asarray(f(0 * tiny, tiny)) / (0.25 * tiny**2)
    agree(ratio, [[1.0]], "At ℓ = 1e-9 it should be ℓ²/4: write exp(ℓ) - 1 as expm1(ℓ).", 1e-3)


def draw(f: Answer) -> None:
    r = rng()
    mu, logvar, eps = r.normal(size=(4, 3)), r.normal(size=(4, 3)), r.normal(size=(4, 3))
    right = reparameterise_forward(mu, logvar, eps[None])[0]
    agree(f(mu, logvar, eps), right, "The standard deviation is exp(logvar / 2), not exp(logvar).")


def gaussian_kl(f: Answer) -> None:
    r = rng()
    roots = r.normal(size=(2, 3, 3))
    covs = [a @ a.T + np.eye(3) for a in roots]
    mus = r.normal(size=(2, 3))
    expected = gaussian_kl_forward(mus[0], covs[0], mus[1], covs[1])
    agree(f(mus[0], covs[0], mus[1], covs[1]), expected, "The inverse is that of the second one.")


def overlap(f: Answer) -> None:
    mu1, s1, mu2, s2 = 0.3, 0.7, 1.9, 1.4
    logs = [np.array([[2 * np.log(s)]]) for s in (s1, s2)]
    right = bhattacharyya(np.array([[mu1]]), logs[0], np.array([[mu2]]), logs[1])[0]
    agree(f(mu1, s1, mu2, s2), right, "The mean variance is (σ₁² + σ₂²) / 2.")


def rescale(f: Answer) -> None:
    mu, logvar = rng().normal(size=(5, 2)), rng().normal(size=(5, 2))
    new_mu, new_logvar = f(mu, logvar, 3.5)
    agree(new_mu, 3.5 * mu, "Means are multiplied.")
    agree(new_logvar, logvar + 2 * np.log(3.5), "Variances are multiplied by a².")
    before = bhattacharyya(mu[:1], logvar[:1], mu[1:2], logvar[1:2])
    after = bhattacharyya(new_mu[:1], new_logvar[:1], new_mu[1:2], new_logvar[1:2])
    agree(after, before, "No overlap may change.")


def posterior_1d(f: Answer) -> None:
    model = LinearGaussian(np.array([[1.7]]), np.zeros(1), 0.6)
    mean, variance = posterior(np.array([[0.9]]), model)
    found = f(0.9, 1.7, 0.6)
    agree(found[0], mean[0, 0], "x w / c, times the variance.")
    agree(found[1], variance[0, 0], "Precisions add: 1 from the prior, w²/c from the datum.")


def log_marginal_1d(f: Answer) -> None:
    model = LinearGaussian(np.array([[1.7]]), np.zeros(1), 0.6)
    right = log_marginal(np.array([[0.9]]), model)[0]
    agree(f(0.9, 1.7, 0.6), right, "x is Gaussian with variance w² + c.")


def beta_of(f: Answer) -> None:
    for c in (0.02, 0.5, 3.0):
        agree(f(c), 2 * c, "Multiply (E20) by 2c.")


def best_variances(f: Answer) -> None:
    a = rng().normal(size=(4, 4))
    precision = a @ a.T + np.eye(4)
    hint = "Not the diagonal of the inverse: minimise ½ Σ (P_jj σ_j² - log σ_j²)."
    agree(f(precision), 1 / np.diag(precision), hint)


def elbo_from(f: Answer) -> None:
    kl_term = gaussian_kl_forward(
        np.array([0.4]), np.array([[0.3]]), np.array([1.1]), np.array([[0.8]])
    )
    agree(f(-2.5, 0.4, 0.3, 1.1, 0.8), -2.5 - kl_term, "log p minus KL(q ‖ posterior).")


def reparameterise_gradient(f: Answer) -> None:
    r = rng()
    dz, eps, logvar = r.normal(size=(5, 4, 3)), r.normal(size=(5, 4, 3)), r.normal(size=(4, 3))
    expected = reparameterise_backward(dz, logvar, eps)
    hints = ("Sum over the draws.", "½ σ times the sum of dz · ε over the draws.")
    for found, right, hint in zip(f(dz, logvar, eps), expected, hints, strict=True):
        agree(found, right, hint)


def covariance_numbers(f: Answer) -> None:
    agree(f(20), (210, 20), "A symmetric matrix has J (J + 1) / 2 free entries.")
    agree(f(1), (1, 1), "In one dimension there is no difference.")


def score_gradient_mu(f: Answer) -> None:
    values, eps, sigma = rng().normal(size=6), rng().normal(size=(6, 2)), np.array([0.5, 2.0])
    agree(f(values, eps, sigma), values[:, None] * eps / sigma, "F(z) ε / σ, draw by draw.")


def vae_loss(f: Answer) -> None:
    mean, x = rng().normal(size=(1, 1, 7)), rng().normal(size=(1, 7))
    squares = float(((mean[0] - x) ** 2).sum())
    nll = gaussian_nll_forward(mean, x, np.log(np.array(0.3)))[0, 0]
    agree(f(squares, 4.2, 0.3, 7), nll + 4.2, "C · error + KL + (D/2) log(2πc), with C = 1/(2c).")


def cheapest(f: Answer) -> None:
    tables = {2: {"PCA": 3.4, "VAE": 2.1}, 8: {"PCA": 1.5, "VAE": 0.9}, 16: {"PCA": 0.7}}
    for tolerance, right in ((2.5, ("VAE", 2)), (1.6, ("VAE", 8)), (0.8, ("PCA", 16))):
        found = tuple(f(tables, tolerance))
        if found != right:
            raise AssertionError(f"for a tolerance of {tolerance} it is {right}, not {found}.")

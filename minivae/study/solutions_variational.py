"""The checks of the exercises of chapters 6 to 10; those of the first five are in solutions.py."""

from __future__ import annotations

import numpy as np

from minivae.metrics.regularity import bhattacharyya
from minivae.models.linear_gaussian import LinearGaussian, log_marginal, posterior
from minivae.ops.gaussian import gaussian_kl_forward
from minivae.ops.latent import reparameterise_backward
from minivae.ops.likelihood import gaussian_nll_forward
from minivae.study.agree import agree, values_of
from minivae.study.solutions import Answer, rng


def overlap(f: Answer) -> None:
    mu1, s1, mu2, s2 = 0.3, 0.7, 1.9, 1.4
    logs = [np.array([[2 * np.log(s)]]) for s in (s1, s2)]
    right = bhattacharyya(np.array([[mu1]]), logs[0], np.array([[mu2]]), logs[1])[0]
    gap, mean, both = (mu1 - mu2) ** 2, (s1**2 + s2**2) / 2, s1 * s2
    mistakes = {
        "s² is the mean of the two variances: their sum, halved.": (
            np.sqrt(both / (2 * mean)) * np.exp(-gap / (16 * mean))
        ),
        "The root in front is missing.": both / mean * np.exp(-gap / (8 * mean)),
        "Under the means' distance stands 8 s².": np.sqrt(both / mean) * np.exp(-gap / (2 * mean)),
        "The factor in front of exp is missing.": np.exp(-gap / (8 * mean)),
    }
    hint = "√(σ₁ σ₂ / s²) exp(-(μ₁ - μ₂)² / (8 s²)) with s² = (σ₁² + σ₂²) / 2."
    agree(f(mu1, s1, mu2, s2), right, hint, mistakes=mistakes)


def rescale(f: Answer) -> None:
    mu, logvar = rng().normal(size=(5, 2)), rng().normal(size=(5, 2))
    new_mu, new_logvar = values_of(f(mu, logvar, 3.5), 2)
    agree(new_mu, 3.5 * mu, "Means are multiplied.")
    mistakes = {
        "logvar is a logarithm: where σ² is multiplied, something is added to it.": 3.5**2 * logvar,
        "logvar is a logarithm, and of σ²: add 2 log a.": 3.5 * logvar,
        "That is log σ's shift; log σ² moves by twice as much.": logvar + np.log(3.5),
    }
    right = logvar + 2 * np.log(3.5)
    agree(new_logvar, right, "Variances are multiplied by a².", mistakes=mistakes)
    before = bhattacharyya(mu[:1], logvar[:1], mu[1:2], logvar[1:2])
    after = bhattacharyya(new_mu[:1], new_logvar[:1], new_mu[1:2], new_logvar[1:2])
    agree(after, before, "No overlap may change.")


def posterior_1d(f: Answer) -> None:
    model = LinearGaussian(np.array([[1.7]]), np.zeros(1), 0.6)
    mean, variance = posterior(np.array([[0.9]]), model)
    found = values_of(f(0.9, 1.7, 0.6), 2)
    agree(found[0], mean[0, 0], "x w / c, times the variance.")
    agree(found[1], variance[0, 0], "Precisions add: 1 from the prior, w²/c from the datum.")


def log_marginal_1d(f: Answer) -> None:
    model = LinearGaussian(np.array([[1.7]]), np.zeros(1), 0.6)
    right = log_marginal(np.array([[0.9]]), model)[0]
    mistakes = {
        "c is a variance already: it is not squared.": log_marginal(
            np.array([[0.9]]), model._replace(c=0.36)
        )[0],
        "That is p(x), not its logarithm.": np.exp(right),
        "The normaliser -½ log 2π is missing.": right + 0.5 * np.log(2 * np.pi),
        "The noise adds c to the variance.": -0.5 * (np.log(2 * np.pi * 2.89) + 0.81 / 2.89),
    }
    hint = "x is Gaussian with mean 0 and variance w² + c: take the logarithm of its density."
    agree(f(0.9, 1.7, 0.6), right, hint, mistakes=mistakes)


def beta_of(f: Answer) -> None:
    for c in (0.02, 0.5, 3.0):
        mistakes = {
            "That is C, the error's weight when the KL's is one: turn it round.": 1 / (2 * c),
            "(E20) has 2c under the error, not c.": c,
        }
        agree(f(c), 2 * c, "Multiply (E20) by 2c.", mistakes=mistakes)


def best_variances(f: Answer) -> None:
    a = rng().normal(size=(4, 4))
    precision = a @ a.T + np.eye(4)
    hint = "Not the diagonal of the inverse: minimise ½ Σ (P_jj σ_j² - log σ_j²)."
    mistakes = {
        "Those are the posterior's own variances, the diagonal of P⁻¹; the best q's are smaller.": (
            np.diag(np.linalg.inv(precision))
        ),
        "Those are precisions: variances are one over them.": np.diag(precision),
    }
    agree(f(precision), 1 / np.diag(precision), hint, mistakes=mistakes)


def elbo_from(f: Answer) -> None:
    q, post = ((np.array([m]), np.array([[v]])) for m, v in ((0.4, 0.3), (1.1, 0.8)))
    kl_term, turned = gaussian_kl_forward(*q, *post), gaussian_kl_forward(*post, *q)
    mistakes = {
        "The KL is subtracted: the ELBO never exceeds log p.": -2.5 + kl_term,
        "That is KL(posterior ‖ q): q comes first.": -2.5 - turned,
        "That is the KL; the ELBO is log p minus it.": kl_term,
        "The arguments are variances, not standard deviations.": -2.5
        - gaussian_kl_forward(q[0], q[1] ** 2, post[0], post[1] ** 2),
    }
    hint = "log p minus KL(q ‖ posterior)."
    agree(f(-2.5, 0.4, 0.3, 1.1, 0.8), -2.5 - kl_term, hint, mistakes=mistakes)


def reparameterise_gradient(f: Answer) -> None:
    r = rng()
    dz, eps, logvar = r.normal(size=(5, 4, 3)), r.normal(size=(5, 4, 3)), r.normal(size=(4, 3))
    dmu, dlogvar = reparameterise_backward(dz, logvar, eps)
    found = values_of(f(dz, logvar, eps), 2)
    sums = {"Sum over the draws: their mean is taken in the loss.": dmu / 5}
    agree(found[0], dmu, "Sum dz over the draws.", mistakes=sums)
    mistakes = {
        "The ½ of σ = exp(logvar / 2) is missing.": 2 * dlogvar,
        "Sum over the draws: their mean is taken in the loss.": dlogvar / 5,
        "ε is missing: z moves with σ by ε.": 0.5 * np.exp(logvar / 2) * dmu,
        "exp(logvar) is σ²; z moves with σ.": dlogvar * np.exp(logvar / 2),
        "σ is missing: dσ/dlogvar = σ / 2.": 0.5 * (dz * eps).sum(axis=0),
    }
    agree(found[1], dlogvar, "½ σ times the sum of dz · ε over the draws.", mistakes=mistakes)


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
    constant = 3.5 * np.log(2 * np.pi * 0.3)
    mistakes = {
        "The constant (D/2) log(2πc) is missing.": nll + 4.2 - constant,
        "C = 1/(2c): the 2 is missing.": nll + 4.2 + squares / 0.6,
        "The KL is added, not subtracted.": nll - 4.2,
        "The constant is D/2 times the logarithm.": nll + 4.2 + constant,
    }
    hint = "C · error + KL + (D/2) log(2πc), with C = 1/(2c)."
    agree(f(squares, 4.2, 0.3, 7), nll + 4.2, hint, mistakes=mistakes)


def cheapest(f: Answer) -> None:
    tables = {
        16: {"PCA": 0.7},
        2: {"PCA": 3.4, "VAE": 2.1},
        8: {"PCA": 1.5, "VAE": 0.9},
        4: {"AE": 1.8, "PCA": 2.0, "VAE": 1.9},
    }
    asked = {2.5: ("VAE", 2), 3.4: ("VAE", 2), 2.1: ("VAE", 2), 2.0: ("AE", 4), 1.6: ("VAE", 8)}
    for tolerance, right in {**asked, 0.8: ("PCA", 16), 0.7: ("PCA", 16)}.items():
        found = tuple(f(tables, tolerance))
        if found != right:
            raise AssertionError(f"for a tolerance of {tolerance} it is {right}, not {found}.")

"""The chapters' exercises: what is asked. solutions*.py decide; try before you look."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from minivae.study import solutions as s
from minivae.study import solutions_variational as v
from minivae.study.solutions import Answer


class Exercise(NamedTuple):
    """The function asked for: its signature, what it should return, and its check."""

    signature: str
    task: str
    check: Callable[[Answer], None]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.split("(", 1)[0]


EXERCISES: dict[str, tuple[Exercise, ...]] = {
    "dimensionality-reduction": (
        Exercise("relative_error(x, x_hat)", "share of the total variance lost", s.relative_error),
        Exercise("constant_decoder(x)", "the best constant picture (D,)", s.constant_decoder),
    ),
    "principal-components": (
        Exercise("encode(x, mean, axes)", "the projection (E3), (N, J)", s.pca_projection),
        Exercise("smallest_latent_dim(eigenvalues, share)", "the least J", s.smallest_latent_dim),
        Exercise("whiten(z, eigenvalues)", "codes of variance one, (N, J)", s.whiten),
    ),
    "autoencoders": (
        Exercise("dense_backward(dy, x, W)", "(dW, db, dx) (E6)", s.dense_backward),
        Exercise("another_basis(W_e, W_d, A)", "(encoder, decoder), same product", s.another_basis),
        Exercise("count_parameters(data_dim, hidden, latent_dim)", "how many", s.count_parameters),
    ),
    "limits-of-autoencoders": (
        Exercise("memorise(x)", "(encode, decode), one number per datum, no loss", s.memorise),
        Exercise("fit_gaussian(codes)", "(mean (J,), covariance (J, J))", s.fit_gaussian),
    ),
    "variational-autoencoders": (
        Exercise("kl(mu, logvar)", "(E15), (B, J)", s.kl),
        Exercise("draw(mu, logvar, eps)", "a code from each distribution, (B, J)", s.draw),
        Exercise("gaussian_kl(mu0, cov0, mu1, cov1)", "(E14)", s.gaussian_kl),
    ),
    "regularisation": (
        Exercise("overlap(mu1, sigma1, mu2, sigma2)", "(E41) on a line", v.overlap),
        Exercise("rescale(mu, logvar, a)", "(mu, logvar) after stretching by a", v.rescale),
    ),
    "probabilistic-model": (
        Exercise("posterior_1d(x, w, c)", "(mean, variance)", v.posterior_1d),
        Exercise("log_marginal_1d(x, w, c)", "log p(x) in nats", v.log_marginal_1d),
    ),
    "variational-inference": (
        Exercise("beta_of(c)", "the KL's weight when the error's is one", v.beta_of),
        Exercise("best_variances(precision)", "(J,)", v.best_variances),
        Exercise("elbo_from(log_p, q_mu, q_var, post_mu, post_var)", "by (E18)", v.elbo_from),
    ),
    "neural-networks": (
        Exercise("reparameterise_gradient(dz, logvar, eps)", "(dmu, dlogvar)",
                 v.reparameterise_gradient),
        Exercise("covariance_numbers(latent_dim)", "(full, diagonal)", v.covariance_numbers),
        Exercise("score_gradient_mu(values, eps, sigma)", "(L, J)", v.score_gradient_mu),
    ),
    "takeaways": (
        Exercise("vae_loss(squared_error, kl, c, data_dim)", "nats", v.vae_loss),
        Exercise("cheapest(tables, tolerance)", "(model, J)", v.cheapest),
    ),
}  # fmt: skip

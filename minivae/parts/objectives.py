"""The objectives: from a batch's terms to one number to minimise, and back to their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minivae.parts.lookup import Table
from minivae.types import Array


class Terms(NamedTuple):
    """What a batch's forward pass hands to the objective; prices are in nats."""

    nll: Array  # (L, B) -log p(x | z)
    kl: Array  # (B, J) of each datum's posterior to the prior, in closed form
    mu: Array  # (B, J)
    logvar: Array  # (B, J)
    z: Array  # (L, B, J)
    eps: Array  # (L, B, J)
    weight: Array | None = None  # (B,) how much each datum counts; None where all count alike

    def weigh(self, values: Array) -> Array:
        """values (..., B), each datum's times its weight; a map that is its own adjoint (E64)"""
        return values if self.weight is None else values * self.weight


class TermGradients(NamedTuple):
    """The gradients of the reconstruction, and of the posterior beside its way through it."""

    dnll: Array  # (L, B)
    dmu: Array  # (B, J)
    dlogvar: Array  # (B, J)


@dataclass(frozen=True)
class Objective:
    """What training minimises, in nats per datum: the only place where a batch's mean is taken.

    forward(K, terms, beta, free_bits) -> loss (); backward(K, dloss, terms, beta, free_bits) ->
    TermGradients. least_draws: the fewest draws L that make sense. free_bits: whether it knows
    a floor for the KL. weighs: whether it counts each datum by `terms.weight` (E64). by_draws:
    held-out data are measured with all its draws, not with one. linear: the loss is a weighted sum
    of log p(x | z) and the KL, so that β and the likelihood's scale convert into each other.
    formula(draws, weight, kl) -> the loss in letters: the number of draws, β as a prefix such as
    "0.5 * ", and the KL's term.
    """

    name: str
    forward: Callable[..., Array]
    backward: Callable[..., TermGradients]
    words: str = ""
    least_draws: int = 1
    free_bits: bool = True
    weighs: bool = False
    by_draws: bool = False
    linear: bool = True
    formula: Callable[[int, str, str], str] = lambda draws, weight, kl: "loss"


def _elbo_formula(draws: int, weight: str, kl: str) -> str:
    over = "" if draws == 1 else f" mean over {draws} draws of"
    return f"loss = mean over batch of{over} [-log p(x|z)] + {weight}{kl}"


def elbo_objective_forward(K: Any, terms: Terms, beta: float, free_bits: float) -> Array:
    """mean_n [ mean_l nll_ln ] + β Σ_j max(free_bits, mean_n kl_nj)      (E28, E31, E64)"""
    L, B = terms.nll.shape
    kl_mean = terms.weigh(terms.kl.T).T.sum(axis=0) / B  # (J,)
    kl_paid = K.free_bits_forward(kl_mean, free_bits)  # (J,)
    return terms.weigh(terms.nll).sum() / (L * B) + beta * kl_paid.sum()


def elbo_objective_backward(
    K: Any, dloss: Array, terms: Terms, beta: float, free_bits: float
) -> TermGradients:
    """Every draw's share of the mean; the KL's pull, where it is above its floor (E16, E31, E64)"""
    L, B = terms.nll.shape
    J = terms.kl.shape[1]
    dnll = terms.weigh(np.broadcast_to(dloss / (L * B), terms.nll.shape))  # (L, B)
    kl_mean = terms.weigh(terms.kl.T).T.sum(axis=0) / B  # (J,)
    dkl_mean = K.free_bits_backward(np.broadcast_to(dloss * beta, (J,)), kl_mean, free_bits)
    dkl = terms.weigh(np.broadcast_to(dkl_mean / B, terms.kl.shape).T).T  # (B, J)
    return TermGradients(dnll, *K.kl_backward(dkl, terms.mu, terms.logvar))


def iwae_objective_forward(K: Any, terms: Terms, beta: float, free_bits: float) -> Array:
    """-mean_n log [ mean_l w_ln ], w = p(x | z) (p(z) / q(z | x))^β      (E61, E64)

    With β = 1 the bound of L draws, tighter with each; at L = 1 it is the ELBO with the KL sampled
    as well. Another β, as in a warm-up, makes no bound. Burda et al. 2016, equation 8.
    """
    log_w = _log_weights(terms, beta)  # (L, B)
    top = log_w.real.max(axis=0)  # (B,) a plain number, so that no exponential overflows
    log_mean = np.log(np.exp(log_w - top).sum(axis=0) / len(log_w)) + top  # (B,)
    return -terms.weigh(log_mean).sum() / len(log_mean)


def iwae_objective_backward(
    K: Any, dloss: Array, terms: Terms, beta: float, free_bits: float
) -> TermGradients:
    """Each draw counts by its share of the weights, w_l / Σ w           (E62, E64)"""
    log_w = _log_weights(terms, beta)  # (L, B)
    w = np.exp(log_w - log_w.max(axis=0))
    dlog_w = terms.weigh(-dloss / log_w.shape[1] * (w / w.sum(axis=0)))  # (L, B)
    return _log_weights_backward(K, dlog_w, terms, beta)


def sampled_elbo_objective_forward(K: Any, terms: Terms, beta: float, free_bits: float) -> Array:
    """-mean_n mean_l log w_ln: the ELBO, its KL by the draws themselves  (E65, E64)

    Kingma and Welling 2014's estimator A. It needs no KL in closed form, and pays with variance.
    """
    log_w = _log_weights(terms, beta)  # (L, B)
    return -terms.weigh(log_w).sum() / log_w.size


def sampled_elbo_objective_backward(
    K: Any, dloss: Array, terms: Terms, beta: float, free_bits: float
) -> TermGradients:
    """Each draw counts alike, by a share of 1 / L                        (E65, E62, E64)"""
    dlog_w = terms.weigh(np.broadcast_to(-dloss / terms.nll.size, terms.nll.shape))  # (L, B)
    return _log_weights_backward(K, dlog_w, terms, beta)


def _log_weights(terms: Terms, beta: float) -> Array:
    """log w (L, B) = log p(x | z) + β (log p(z) - log q(z | x)); the 2π cancel   (E61)"""
    z, eps = terms.z, terms.eps
    return beta * (0.5 * (eps * eps + terms.logvar - z * z)).sum(axis=-1) - terms.nll


def _log_weights_backward(K: Any, dlog_w: Array, terms: Terms, beta: float) -> TermGradients:
    """From log w (L, B) to the reconstruction; to the posterior directly and by z   (E62)"""
    dz = beta * (dlog_w[..., None] * -terms.z)  # (L, B, J)
    dmu, dlogvar = K.reparameterise_backward(dz, terms.logvar, terms.eps)  # (B, J)
    own = np.broadcast_to(0.5 * beta * dlog_w.sum(axis=0)[:, None], dlogvar.shape)
    return TermGradients(-dlog_w, dmu, dlogvar + own)


def _sampled_elbo_formula(draws: int, weight: str, kl: str) -> str:
    over = "" if draws == 1 else f" and over {draws} draws"
    return (
        f"loss = -mean over batch{over} of log w,  "
        f"log w = log p(x|z) + {weight}[log p(z) - log q(z|x)]"
    )


def _iwae_formula(draws: int, weight: str, kl: str) -> str:
    return (
        f"loss = -mean over batch of log [mean over {draws} draws of w],  "
        f"log w = log p(x|z) + {weight}[log p(z) - log q(z|x)]"
    )


OBJECTIVES: Table[Objective] = Table(
    "objective",
    [
        Objective(
            "elbo",
            elbo_objective_forward,
            elbo_objective_backward,
            "reconstruction + KL; the bound of Kingma and Welling",
            weighs=True,
            formula=_elbo_formula,
        ),
        Objective(
            "iwae",
            iwae_objective_forward,
            iwae_objective_backward,
            "the importance-weighted bound of all draws; tighter with each",
            least_draws=2,
            free_bits=False,
            weighs=True,
            by_draws=True,
            linear=False,
            formula=_iwae_formula,
        ),
        Objective(
            "sampled-elbo",
            sampled_elbo_objective_forward,
            sampled_elbo_objective_backward,
            "the ELBO with its KL by sampling too; no closed form, more variance",
            free_bits=False,
            weighs=True,
            formula=_sampled_elbo_formula,
        ),
    ],
)

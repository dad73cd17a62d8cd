"""Planted changes that compute the same gradients: what they are, where they stand, and why."""

# ruff: noqa: E501

from __future__ import annotations

from typing import NamedTuple

from minivae.proof.mutate import Mutant


class Equivalent(NamedTuple):
    """Mutants of one function that are no bugs.

    change: the beginning of "before -> after". within: the source around what is changed; '' where
    the reason holds all over the function.
    """

    function: str
    change: str
    within: str
    why: str

    def fits(self, mutant: Mutant) -> bool:
        label = f"{self.function}: {self.change}"
        return mutant.label.startswith(label) and self.within in ("", mutant.within)


KINK = "differs at the kink itself only, where any value between the two sides is a subgradient"
PRICE = "the price enters a comparison with the floor and nothing else; no price is that near it"
SHAPE = "0 * x (or r, or logits) lends its shape and precision, not its values"
SHIFT = "what is taken from every draw's log w cancels in w / sum(w)"
SIZES = "the groups' sizes are whole numbers, which no factor changes"
FREE_BITS = "K.free_bits_backward(np.broadcast_to(dloss * beta, (J,)), kl_mean, free_bits)"
BOUND = "K.bound_logvar_backward(dlogvar_z + dlogvar_kl, raw_logvar)"
PRICES = "terms.weigh(terms.kl.T).T.sum(axis=0) / B"
EXP = "np.exp(log_w - log_w.max(axis=0))"
IWAE = "iwae_objective_backward"
CATEGORICAL = "categorical_nll_backward"

EQUIVALENT: tuple[Equivalent, ...] = (
    Equivalent("leaky_relu_backward", "x.real <= 0 -> x.real < 0", "", KINK),
    Equivalent("relu_backward", "x.real <= 0 -> x.real < 0", "", KINK),
    Equivalent("elu_backward", "x.real <= 0 -> x.real < 0", "", "both branches are dy at the kink"),
    Equivalent("elu_backward", "np.where(x.real <= 0, dy * np.exp(_below_zero(x)), dy) -> dy * np.exp(_below_zero(x))", "", "exp(min(x, 0)) is 1 where x > 0"),
    Equivalent("laplace_nll_backward", "r.real > 0 -> r.real >= 0", "", KINK),
    Equivalent("laplace_nll_backward", "r.real < 0 -> r.real <= 0", "", KINK),
    Equivalent("laplace_nll_backward", "np.where(r.real < 0, -1, 0 * r) -> -1", "", KINK),
    Equivalent("laplace_nll_backward", "0 * r -> ", "np.where(r.real < 0, -1, 0 * r)", SHAPE),
    Equivalent("laplace_nll_backward", "r -> ", "0 * r", SHAPE),
    Equivalent("laplace_nll_backward", "rate * side -> rate / side", "", "a sign is its own inverse"),
    Equivalent(CATEGORICAL, "0 * logits -> ", "weights = 0 * logits", SHAPE),
    Equivalent(CATEGORICAL, "logits -> ", "0 * logits", SHAPE),
    Equivalent(CATEGORICAL, "groups -> _scaled", "", SIZES),
    Equivalent(CATEGORICAL, "x[..., columns].sum(axis=-1) -> x[..., columns].sum(axis=1)", "", "x has two axes, and 1 is the last"),
    Equivalent(CATEGORICAL, "weights * softmax(logits, groups) -> softmax(logits, groups)", "", "x adds up to 1 in each group, as a category must"),
    Equivalent("bound_logvar_backward", "logvar.real > LOGVAR_BOUND -> logvar.real >= LOGVAR_BOUND", "", KINK),
    Equivalent("bound_logvar_backward", "logvar.real < -LOGVAR_BOUND -> logvar.real <= -LOGVAR_BOUND", "", KINK),
    Equivalent("free_bits_backward", "kl_mean.real < floor -> kl_mean.real <= floor", "", KINK),
    Equivalent("gaussian_kl_backward", "dkl -> 0 * dkl + np.mean(dkl)", "", "the upstream is a scalar, its own mean"),
    Equivalent("gaussian_kl_backward", "(precision1 + precision1.T) @ d -> d @ (precision1 + precision1.T)", "", "a matrix plus its transpose is symmetric"),
    Equivalent("mlp_backward", "i > 0 -> i >= 0", "", "works out a gradient of the data that nobody reads"),
    Equivalent("elbo_objective_backward", f"{PRICES} -> 1.0", f"kl_mean = {PRICES}", PRICE),
    Equivalent("elbo_objective_backward", "kl_mean -> _scaled", FREE_BITS, PRICE),
    Equivalent("elbo_objective_backward", "free_bits -> _scaled", FREE_BITS, PRICE),
    Equivalent(IWAE, "log_w - log_w.max(axis=0) -> log_w", EXP, SHIFT),
    Equivalent(IWAE, "log_w -> ", "log_w.max", SHIFT),
    Equivalent("elbo_backward", "raw_logvar -> _scaled", BOUND, "the bound's backward compares it with 40, nothing else"),
    Equivalent("nll_backward", "dnll -> 0 * dnll + np.mean(dnll)", "", "inside the loss all of dnll is one number (E28)"),
    Equivalent("nll_backward", "x -> ", "beside_output(p, x, config)", "log c takes x's precision, and all here have one"),
    Equivalent("linear_vae_backward", "(variance * norms).sum() -> (variance * norms).sum(axis=", "", "it has one axis"),
)  # fmt: skip


def reason_for(mutant: Mutant) -> str:
    """Why a surviving mutant is no bug; '' if nobody knows."""
    return next((known.why for known in EQUIVALENT if known.fits(mutant)), "")

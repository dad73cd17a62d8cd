"""Explain a configuration's objective: the exact loss, its units, and every convention for it.

People write the two terms' balance as c, σ², β, C = 1/(2c), or as a "kld weight" beside a mean
over pixels. All are one number (E20, E28, E63); this file converts between them. The logarithm of
a mean of weights (E61) is no sum of two terms: there c and β are two numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minivae.parts import LIKELIHOODS, OBJECTIVES, Likelihood, Objective


@dataclass(frozen=True)
class ObjectiveSettings:
    """What decides a loss: the model's part of a configuration, and how β arrives."""

    data_dim: int
    latent_dim: int = 2
    likelihood: str = "bernoulli"
    c: float | str = 1.0  # the likelihood's scale; "learned" makes it a parameter
    beta: float = 1.0
    free_bits: float = 0.0
    draws: int = 1
    warmup: float = 0.0
    binarise: str = "none"
    learned_c: float | None = None  # a run's present value of a learned c
    objective: str = "elbo"

    @property
    def model(self) -> Likelihood:
        """The likelihood's record."""
        return LIKELIHOODS[self.likelihood]

    @property
    def aim(self) -> Objective:
        """The objective's record."""
        return OBJECTIVES[self.objective]


def explain(objective: ObjectiveSettings) -> dict[str, Any]:
    """The objective as a dictionary of plain values: formulas, units, conversions, remarks.

    Raises ValueError for sizes below 1, c <= 0, β < 0 or an unknown likelihood.
    """
    check(objective)
    return {
        "likelihood": objective.likelihood,
        "units": "nats per datum: a sum over features, then a mean over the batch",
        "loss": loss_formula(objective),
        "reconstruction": reconstruction_formula(objective),
        "kl": kl_formula(objective),
        "elbo": "ELBO = -(reconstruction + KL): always at beta = 1 and without free bits",
        "setting": setting(objective),
        "conversions": conversions(objective),
        "remarks": remarks(objective),
    }


def check(o: ObjectiveSettings) -> None:
    """Raise ValueError, naming the value and its range, where the objective makes no sense."""
    for name, size in (("data_dim", o.data_dim), ("latent", o.latent_dim), ("draws", o.draws)):
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
    LIKELIHOODS.require(o.likelihood)
    OBJECTIVES.require(o.objective)
    if isinstance(o.c, str) and o.c != "learned":
        raise ValueError(f"c is {o.c!r}; give a positive number or learned")
    if not isinstance(o.c, str) and not 0 < o.c < math.inf:
        raise ValueError(f"c is {o.c}; the variance of p(x|z) must be positive and finite")
    for name, value in (("beta", o.beta), ("free_bits", o.free_bits), ("warmup", o.warmup)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}; it must be finite and not negative")


def loss_formula(o: ObjectiveSettings) -> str:
    """The loss in one line, with the configuration's numbers in it (E28, E30, E31, E61, E65)."""
    kl = "sum_j KL_j"
    if o.free_bits > 0:
        kl = f"sum_j max({o.free_bits:g}, mean over batch of KL_j)"
    beta = "beta(t)" if o.warmup > 0 else f"{o.beta:g}"
    weight = "" if beta == "1" else f"{beta} * "
    return o.aim.formula(o.draws, weight, batch_mean(kl, o))


def batch_mean(kl: str, o: ObjectiveSettings) -> str:
    return kl if o.free_bits > 0 else f"mean over batch of [{kl}]"


def reconstruction_formula(o: ObjectiveSettings) -> str:
    """-log p(x|z) of one datum (E20, E23, E52 to E57, E66)."""
    return o.model.formula(o.data_dim, None if o.c == "learned" else float(o.c))


def kl_formula(o: ObjectiveSettings) -> str:
    """KL of q(z|x) to the prior (E15)."""
    return (
        f"KL = sum over {o.latent_dim} latent dimensions of "
        "(mu^2 + sigma^2 - 1 - log sigma^2) / 2,  z = mu + sigma * eps,  log sigma^2 = logvar"
    )


def setting(o: ObjectiveSettings) -> dict[str, Any]:
    """The setting under each of its names; None where a name does not apply."""
    c = present_c(o)
    if c is None or not o.model.squared_error:
        scale = None if o.model.scale is None else o.c if c is None else c
        return {"c": scale, "sigma2": None, "sigma": None, "beta": o.beta, "C": None,
                "c_at_beta_1": None}  # fmt: skip
    return {
        "c": c,
        "sigma2": c,
        "sigma": math.sqrt(c),
        "beta": o.beta,
        "C": 1 / (2 * c),
        # β KL beside e²/(2c) has the optimum of KL beside e²/(2cβ): the same f, g and h
        "c_at_beta_1": c * o.beta if o.aim.linear and o.beta > 0 else None,
    }


def present_c(o: ObjectiveSettings) -> float | None:
    """The likelihood's scale as a number, where there is one."""
    if o.model.scale is None:
        return None
    return o.learned_c if o.c == "learned" else float(o.c)


def conversions(o: ObjectiveSettings) -> list[dict[str, Any]]:
    """The objective as others would type it: what multiplies the KL in each convention, and
    in the article's the squared error (E63); none for a loss that is no sum of the two."""
    if not o.aim.linear:
        return []
    d, j = o.data_dim, o.latent_dim
    name = o.model.term
    rows = [
        row(f"sum over pixels of {name} + w * KL (this project, E28)", o.beta),
        row(f"mean over pixels of {name} + w * KL ('kld weight')", o.beta / d),
        row(f"mean over pixels of {name} + w * mean over latent dims of KL", o.beta * j / d),
    ]
    c = present_c(o)
    if o.model.squared_error and c is not None:
        weight = 2 * c * o.beta
        rows += [
            row("sum of squared errors + w * KL", weight),
            row("half the sum of squared errors + w * KL (c = 1, beta = w)", weight / 2),
            row("mean squared error over pixels + w * KL ('kld weight')", weight / d),
            row("mean squared error + w * mean over latent dims of KL", weight * j / d),
        ]
        if o.beta > 0:
            article = "C * squared error + KL, the article's form: C = 1/(2c beta)"
            rows.append(row(article, 1 / weight, "C"))
    return rows


def row(convention: str, value: float, symbol: str = "w") -> dict[str, Any]:
    return {"convention": convention, "symbol": symbol, "value": value}


def remarks(o: ObjectiveSettings) -> list[str]:
    """What a reader of the figures should know about this very configuration."""
    notes = [*o.model.remarks]
    if o.model.binary:
        notes += binary_remarks(o)
    if o.model.squared_error:
        notes += squared_error_remarks(o)
    notes += beta_remarks(o)
    if o.warmup > 0:
        notes.append(
            f"warm-up: beta(t) rises in a straight line from 0 to {o.beta:g} "
            f"over the first {o.warmup:g} epochs (E30)."
        )
    if o.free_bits > 0:
        floor = o.beta * o.free_bits * o.latent_dim
        when = " once the warm-up is over" if o.warmup > 0 else ""
        notes.append(
            f"free bits: each latent dimension is charged at least {o.free_bits:g} nats "
            f"(E31), so the KL term never falls below {floor:g} nats{when}."
        )
    return notes


def beta_remarks(o: ObjectiveSettings) -> list[str]:
    if o.beta == 1:
        return []
    if o.beta == 0:
        return ["beta = 0: the KL is not trained; the latent space has no reason to be regular."]
    if not o.aim.linear:
        knobs = ", and c and beta are two knobs" if o.model.squared_error else ""
        return [f"beta = {o.beta:g}, not 1: this is no bound on -log p(x){knobs}."]
    if o.beta < 1:
        return [
            f"beta = {o.beta:g}: the loss is no longer a bound on -log p(x); "
            "the reported ELBO still is, since it always takes beta = 1."
        ]
    return [
        f"beta = {o.beta:g}: the loss is still a bound on -log p(x), a looser one than at "
        "beta = 1, for the KL is never negative; the reported ELBO takes beta = 1."
    ]


def binary_remarks(o: ObjectiveSettings) -> list[str]:
    notes = [
        "Bernoulli: there is no c or sigma^2 to set; beta alone weighs the two terms "
        "(beta = 1 is the bound on -log p(x))."
    ]
    if o.binarise == "none":
        notes.append(
            "Grey targets (0 < x < 1): the term is a cross-entropy between x and the decoded "
            "pixel, not the likelihood of any x; its least value is the pixels' own entropy, "
            "not 0. Figures compare with others on grey targets alone; --binarise dynamic makes "
            "it a likelihood."
        )
    else:
        notes.append(f"Targets are 0 or 1 ({o.binarise} binarisation): a true likelihood.")
    return notes


def squared_error_remarks(o: ObjectiveSettings) -> list[str]:
    if o.c == "learned":
        now = "" if o.learned_c is None else f" (now {o.learned_c:.6g})"
        draws = "" if o.aim.linear else ", each draw by its share of the weights"
        return [
            f"c is learned{now}: at the optimum it is the mean squared error per pixel{draws}, and "
            "the likelihood, not you, weighs the two terms."
        ]
    if not o.aim.linear:
        return []
    notes = ["C, c, sigma^2 and beta are one knob: only c * beta moves the optimum."]
    if o.beta not in (0, 1):
        notes.append(
            f"Same f, g and h as c = {float(o.c) * o.beta:.6g} with beta = 1, whose loss is a "
            "bound on -log p(x)."
        )
    return notes


def text(explanation: dict[str, Any]) -> str:
    """The explanation as lines for a terminal."""
    lines = [
        f"likelihood      {explanation['likelihood']}",
        f"units           {explanation['units']}",
        "",
        explanation["loss"],
        explanation["reconstruction"],
        explanation["kl"],
        explanation["elbo"],
        "",
        "the same setting, by its other names",
    ]
    names = {"c": "c", "sigma2": "sigma^2", "sigma": "sigma", "beta": "beta", "C": "C = 1/(2c)",
             "c_at_beta_1": "c at beta = 1"}  # fmt: skip
    for key, value in explanation["setting"].items():
        if value is not None:
            shown = value if isinstance(value, str) else f"{value:.6g}"
            lines.append(f"  {names[key]:<14}{shown}")
    rows = explanation["conversions"]
    if rows:
        lines += ["", "the same objective, as others write it"]
    width = max((len(r["convention"]) for r in rows), default=0)
    for r in rows:
        lines.append(f"  {r['convention']:<{width}}  {r['symbol']} = {r['value']:.6g}")
    return "\n".join([*lines, "", *explanation["remarks"]])

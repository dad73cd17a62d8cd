"""What the latent dimensions do: KL of each, active units, and collapse said in plain words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minivae.types import Array

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, section 5.2: Cov_x(E_q[u]) > 10⁻²
# A dimension whose posteriors carry less is switched off. Nats have no unit of z's, so that the
# verdict does not change with the scale of the codes.
USED_NATS = 0.01


class LatentReport(NamedTuple):
    """One row per latent dimension, and what they mean together."""

    kl_per_dimension: Array  # (J,) mean KL, nats
    mean_variance: Array  # (J,) variance over the data of the posterior mean
    active: Array  # (J,) bool, by the posterior mean's variance (E38)
    diagnosis: str  # plain words
    collapsed: bool  # no dimension carries information: the decoder ignores z

    @property
    def active_units(self) -> int:
        return int(self.active.sum())


def latent_report(mu: Array, kl: Array) -> LatentReport:
    """The report from posterior means mu (N, J) and KL per datum and dimension kl (N, J), nats."""
    kl_mean = np.asarray(kl, dtype=np.float64).mean(axis=0)
    variance = np.asarray(mu, dtype=np.float64).var(axis=0)
    used = kl_mean > USED_NATS
    return LatentReport(kl_mean, variance, active_units(mu), diagnose(used), not bool(used.any()))


def active_units(mu: Array, threshold: float = ACTIVE_VARIANCE) -> Array:
    """Which of the J dimensions are active: Var_x(E_q[z_j]) > threshold (E38); mu (N, J)."""
    return np.asarray(np.asarray(mu, dtype=np.float64).var(axis=0) > threshold)


def most_active(mu: Array, n: int = 2) -> list[int]:
    """The n dimensions whose posterior mean varies most over the data, in rising order."""
    order = np.argsort(-np.asarray(mu, dtype=np.float64).var(axis=0), kind="stable")
    return sorted(int(j) for j in order[:n])


def diagnose(in_use: Array) -> str:
    """What the dimensions in use (J,) mean, in a sentence or two that needs no theory."""
    idle = [int(j) for j in np.flatnonzero(~np.asarray(in_use))]
    total, used = len(in_use), len(in_use) - len(idle)
    if not idle:
        return f"Every latent dimension is in use ({total} of {total})."
    if used == 0:
        return (
            "Posterior collapse: no latent dimension is in use. The encoder answers with the prior "
            "whatever the input is, and the decoder gives the same output whatever z is. "
            "Try --warmup 10, --free-bits 0.5, a smaller --beta or more epochs."
        )
    return (
        f"{used} of {total} latent dimensions are in use; "
        f"{plural(len(idle))} {spans(idle)} collapsed to the prior: the decoder ignores "
        f"{'it' if len(idle) == 1 else 'them'}, at no cost in KL. "
        "With a latent space larger than the data needs, this is ordinary; "
        "--free-bits 0.1 or --warmup 10 puts more to use."
    )


def plural(n: int) -> str:
    return "dimension" if n == 1 else "dimensions"


def spans(numbers: list[int]) -> str:
    """Sorted numbers as spans: [0, 1, 2, 5] -> '0-2, 5'."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else str(s[0]) for s in parts)

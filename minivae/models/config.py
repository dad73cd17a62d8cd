"""What a VAE is made of: sizes, activation, likelihood and the terms of its objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from minivae.parts import ACTIVATIONS, LIKELIHOODS, OBJECTIVES
from minivae.settings import (
    ConfigError,
    nearest,
    require_choice,
    require_int,
    require_known,
    require_number,
)

__all__ = [
    "ConfigError",
    "ModelConfig",
    "nearest",
    "require_choice",
    "require_int",
    "require_known",
    "require_number",
]


@dataclass(frozen=True)
class ModelConfig:
    """A VAE's architecture and objective, derived in MATHS.md, (E10) to (E31) and (E47) to (E66).

    data_dim: D, the number of features (pixels) of a datum.
    latent_dim: J, the number of latent dimensions.
    hidden: the encoder trunk's layer sizes; the decoder mirrors them. () is the linear VAE.
    activation: after every hidden layer, a name in `parts.ACTIVATIONS`.
    likelihood: p(x | z), a name in `parts.LIKELIHOODS`.
    c: the likelihood's scale (the Gaussian's variance), or "learned"; unused where it has none.
    beta: weight of the KL term.
    free_bits: nats per latent dimension below which the KL costs nothing.
    draws: L, Monte-Carlo draws per datum in training.
    objective: what is minimised, a name in `parts.OBJECTIVES`.
    groups: sizes of the groups of columns, for a likelihood of groups; () for all others.
    """

    data_dim: int
    latent_dim: int = 2
    hidden: tuple[int, ...] = (400,)
    activation: str = "relu"
    likelihood: str = "bernoulli"
    c: float | str = 1.0
    beta: float = 1.0
    free_bits: float = 0.0
    draws: int = 1
    objective: str = "elbo"
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_int("data_dim", self.data_dim, 1)
        require_int("latent_dim", self.latent_dim, 1)
        if not isinstance(self.hidden, (tuple, list)):
            raise ConfigError(f"hidden = {self.hidden!r}: must be a list of layer sizes")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for size in self.hidden:
            require_int("hidden", size, 1)
        ACTIVATIONS.require(self.activation)
        LIKELIHOODS.require(self.likelihood)
        OBJECTIVES.require(self.objective)
        if self.c != "learned":
            if isinstance(self.c, str):
                raise ConfigError(f"c = {self.c!r}: must be a number above 0 or 'learned'")
            require_number("c", self.c, 0.0, open_=True)
        require_number("beta", self.beta, 0.0)
        require_number("free_bits", self.free_bits, 0.0)
        require_int("draws", self.draws, 1)
        self._check_groups()
        self._check_objective()

    def _check_groups(self) -> None:
        if not isinstance(self.groups, (tuple, list)):
            raise ConfigError(f"groups = {self.groups!r}: must be a list of the groups' sizes")
        object.__setattr__(self, "groups", tuple(self.groups))
        for size in self.groups:
            require_int("groups", size, 1)
        grouped = LIKELIHOODS[self.likelihood].grouped
        if grouped and sum(self.groups) != self.data_dim:
            raise ConfigError(
                f"groups = {list(self.groups)}: their sizes must add up to the {self.data_dim} "
                f"columns that the {self.likelihood} likelihood divides among them"
            )
        if self.groups and not grouped:
            raise ConfigError(
                f"groups = {list(self.groups)}: the {self.likelihood} likelihood knows no groups "
                "of columns; leave them out"
            )

    def _check_objective(self) -> None:
        objective = OBJECTIVES[self.objective]
        if self.draws < objective.least_draws:
            raise ConfigError(
                f"draws = {self.draws}: the objective {self.objective} needs at least "
                f"{objective.least_draws} draws (--draws {objective.least_draws})"
            )
        if self.free_bits > 0 and not objective.free_bits:
            raise ConfigError(
                f"free_bits = {self.free_bits:g}: the objective {self.objective} has no KL term "
                "to put a floor under; leave free bits out"
            )

    @property
    def learns_c(self) -> bool:
        """Whether the likelihood's scale is a parameter (its logarithm)."""
        return LIKELIHOODS[self.likelihood].scale is not None and self.c == "learned"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, in field order."""
        return {**asdict(self), "hidden": list(self.hidden), "groups": list(self.groups)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ConfigError on an unknown key, naming the nearest."""
        require_known(values, cls, "the model's configuration")
        if "data_dim" not in values:
            raise ConfigError("data_dim is missing in the model's configuration")
        return cls(**values)

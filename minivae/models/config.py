"""What a VAE is made of: sizes, activation, likelihood and the terms of its objective."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

ACTIVATIONS = ("relu", "tanh")
LIKELIHOODS = ("bernoulli", "gaussian")


class ConfigError(ValueError):
    """A configuration that cannot be: the message names the key, its value and what is allowed."""


def nearest(word: str, known: object) -> str:
    """A hint " (did you mean 'x'?)", or nothing where no known word is near."""
    match = difflib.get_close_matches(str(word), [str(k) for k in known], n=1)  # type: ignore[attr-defined]
    return f" (did you mean {match[0]!r}?)" if match else ""


def require_choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless the value is one of those allowed."""
    if value not in allowed:
        raise ConfigError(
            f"{key} = {value!r}: must be one of {', '.join(allowed)}{nearest(str(value), allowed)}"
        )


def require_int(key: str, value: object, least: int) -> None:
    """Raise ConfigError unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{key} = {value!r}: must be a whole number of at least {least}")


def require_number(key: str, value: object, least: float, *, open_: bool = False) -> None:
    """Raise ConfigError unless the value is a finite number ≥ least (> least if `open_`)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = number and math.isfinite(value) and (value > least if open_ else value >= least)  # type: ignore[arg-type,operator]
    if not good:
        sign = "above" if open_ else "of at least"
        raise ConfigError(f"{key} = {value!r}: must be a finite number {sign} {least:g}")


def require_known(values: Mapping[str, Any], config: Any, what: str) -> None:
    """Raise ConfigError on a key that is no field of the configuration, naming the nearest."""
    known = [field.name for field in fields(config)]
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in {what}{nearest(key, known)}")


@dataclass(frozen=True)
class ModelConfig:
    """A VAE's architecture and objective; the derivation is in MATHS.md, (E10) to (E31).

    data_dim: D, the number of features (pixels) of a datum.
    latent_dim: J, the number of latent dimensions.
    hidden: the encoder trunk's layer sizes; the decoder mirrors them. () is the linear VAE.
    activation: "relu" or "tanh", after every hidden layer.
    likelihood: "bernoulli" (data in [0, 1]) or "gaussian" (any real data).
    c: variance of the Gaussian likelihood, or "learned". Unused by the Bernoulli one.
    beta: weight of the KL term.
    free_bits: nats per latent dimension below which the KL costs nothing.
    draws: L, Monte-Carlo draws per datum in training.
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

    def __post_init__(self) -> None:
        require_int("data_dim", self.data_dim, 1)
        require_int("latent_dim", self.latent_dim, 1)
        if not isinstance(self.hidden, (tuple, list)):
            raise ConfigError(f"hidden = {self.hidden!r}: must be a list of layer sizes")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for size in self.hidden:
            require_int("hidden", size, 1)
        require_choice("activation", self.activation, ACTIVATIONS)
        require_choice("likelihood", self.likelihood, LIKELIHOODS)
        if self.c != "learned":
            if isinstance(self.c, str):
                raise ConfigError(f"c = {self.c!r}: must be a number above 0 or 'learned'")
            require_number("c", self.c, 0.0, open_=True)
        require_number("beta", self.beta, 0.0)
        require_number("free_bits", self.free_bits, 0.0)
        require_int("draws", self.draws, 1)

    @property
    def learns_c(self) -> bool:
        """Whether log c is a parameter."""
        return self.likelihood == "gaussian" and self.c == "learned"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, in field order."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ConfigError on an unknown key, naming the nearest."""
        require_known(values, cls, "the model's configuration")
        if "data_dim" not in values:
            raise ConfigError("data_dim is missing in the model's configuration")
        return cls(**values)

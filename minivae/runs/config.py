"""How a model is trained: every setting but the model's own, checked, and written as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from minivae.backend import ROUNDED
from minivae.messages import shown
from minivae.models.config import ModelConfig
from minivae.models.initialise import INITIALISATIONS
from minivae.parts import LIKELIHOODS, OPTIMISERS
from minivae.parts.optimisers import bounds_of, require_bounds
from minivae.settings import (
    ConfigError,
    require_below,
    require_choice,
    require_int,
    require_known,
    require_number,
)

MOST_OF_A_COUNT = 2**31
BINARISE = ("none", "dynamic", "fixed")
OUTPUT_BIASES = ("zero", "mean")
ORDERS = ("rows", "blocks")

# The settings of optimisers that have a field of their own here, which several of them share.
FIELD_OF = {"momentum": "momentum", "beta1": "beta1", "beta2": "beta2", "eps": "adam_eps"}

# What may differ when a run is resumed: where its data lie (their sha256 must be the same), where
# and how long it runs, not what it computes ...
FREE_ON_RESUME = frozenset(
    "dataset data_dir epochs backend threads tf32 bf16 patience keep checkpoint_every "
    "checkpoint_seconds".split()
)
# ... and lr, so that a run that diverged can go on at a lower rate (it is said aloud).
NOTED_ON_RESUME = frozenset({"lr"})
# What a checkpoint does not hold, because its bytes must not depend on it.
PLACE_ONLY = frozenset({"data_dir", "threads", "keep", "checkpoint_every", "checkpoint_seconds"})


@dataclass(frozen=True)
class TrainConfig:
    """Training settings; a wrong value raises ConfigError in one line.

    dataset, data_dir: its name or its file's path, and the folder with copies of published data
        where one was given: where the data are looked for again. What tells them from other data
        is their sha256, not their place.
    epochs, batch_size: passes over the training rows, and rows in an update.
    lr, optimiser: the rate, and a name in `parts.OPTIMISERS` (E32, E33, E58 to E60).
    lr_steps: [epoch, factor] pairs, epochs rising: from the end of that epoch on, the rate is
        lr x factor. None of them: the rate is lr throughout.
    initialisation: of the weights, a name in `models.initialise.INITIALISATIONS`.
    output_bias: where the decoder's last bias begins: "zero", or "mean", at which the mean of the
        training rows is decoded whatever the code.
    momentum, beta1, beta2, adam_eps: what optimisers call momentum, beta1, beta2 and eps.
    optimiser_settings: their other settings by name, and values that win over these four.
    warmup: epochs over which beta rises linearly from 0 (E30); 0 for none.
    binarise: "none" takes the targets as they are, "dynamic" draws them anew at each
        presentation, "fixed" draws them once (E35).
    order: "rows" shuffles all rows together; "blocks" shuffles blocks of neighbouring rows and
        rows within some of them at a time, which a disk can serve.
    seed: of everything random.
    backend, threads: who computes; threads None leaves the number to the backend.
    tf32: let a card round the products' inputs to 10 bits of mantissa; backend "cupy" only.
    bf16: have the processor round them to 7 bits; backend "numba" only, and AVX512-BF16.
    patience: epochs without a better held-out loss after which to stop, counted once the warm-up
        is over; None never stops.
    validation: fraction of the training rows held out, below 1; None for none.
    keep: checkpoints kept besides the best.
    shards: fixed parts of every batch, a power of two, whose gradients are added in a fixed tree:
        the same bits for any number of processes under mpiexec. 1 is the fused step.
    checkpoint_every: epochs between checkpoints; checkpoint_seconds: besides, the longest time
        between two inside an epoch.
    """

    dataset: str = "digits"
    data_dir: str | None = None
    epochs: int = 50
    batch_size: int = 128
    lr: float = 1e-3
    optimiser: str = "adam"
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    adam_eps: float = 1e-8
    warmup: float = 0.0
    binarise: str = "none"
    order: str = "rows"
    seed: int = 0
    backend: str = "numpy"
    threads: int | None = None
    tf32: bool = False
    bf16: bool = False
    patience: int | None = None
    validation: float | None = None
    keep: int = 3
    checkpoint_every: int = 1
    checkpoint_seconds: float = 30.0
    optimiser_settings: dict[str, float] = field(default_factory=dict)
    shards: int = 1
    lr_steps: list[list[float]] = field(default_factory=list)
    initialisation: str = "glorot"
    output_bias: str = "zero"

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ConfigError(f"dataset = {shown(self.dataset)}: must be a name")
        OPTIMISERS.require(self.optimiser)
        require_choice("binarise", self.binarise, BINARISE)
        require_choice("order", self.order, ORDERS)
        require_choice("initialisation", self.initialisation, INITIALISATIONS)
        require_choice("output_bias", self.output_bias, OUTPUT_BIASES)
        for key in ("epochs", "batch_size", "keep", "checkpoint_every", "shards"):
            require_int(key, getattr(self, key), 1)
        require_int("seed", self.seed, 0)
        for key in ROUNDED:
            if not isinstance(value := getattr(self, key), bool):
                raise ConfigError(f"{key} = {shown(value)}: must be true or false")
        for key in ("threads", "patience"):
            if getattr(self, key) is not None:
                require_int(key, getattr(self, key), 1)
        require_number("lr", self.lr, 0.0, open_=True)
        for key in ("warmup", "checkpoint_seconds"):
            require_number(key, getattr(self, key), 0.0)
        for setting, key in FIELD_OF.items():
            require_bounds(key, getattr(self, key), bounds_of(setting))
        if self.validation is not None:
            require_number("validation", self.validation, 0.0, open_=True)
            require_below("validation", self.validation, 1)
        require_below("seed", self.seed, 2**64)
        for key in ("epochs", "batch_size", "keep", "checkpoint_every", "threads", "patience"):
            if getattr(self, key) is not None:
                require_below(key, getattr(self, key), MOST_OF_A_COUNT)
        if self.shards & (self.shards - 1) or self.batch_size % self.shards:
            raise ConfigError(
                f"shards = {self.shards}: must be a power of two that divides the batch of "
                f"{self.batch_size}"
            )
        if not isinstance(self.optimiser_settings, dict):
            raise ConfigError(
                f"optimiser_settings = {shown(self.optimiser_settings)}: must be names with numbers"
            )
        OPTIMISERS[self.optimiser].settled(self.settings)
        object.__setattr__(self, "lr_steps", checked_steps(self.lr_steps))

    @property
    def settings(self) -> dict[str, float]:
        """The optimiser's own settings, by the names in its record."""
        known = OPTIMISERS[self.optimiser].settings
        shared = {key: getattr(self, FIELD_OF[key]) for key in known if key in FIELD_OF}
        return shared | self.optimiser_settings

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ConfigError on an unknown key, naming the nearest."""
        require_known(values, cls, "the training configuration")
        return cls(**values)

    def for_checkpoint(self) -> dict[str, Any]:
        """The settings a checkpoint records: all but those that change no bit of it."""
        return {key: value for key, value in asdict(self).items() if key not in PLACE_ONLY}

    def with_changes(self, **changes: Any) -> Self:
        """These settings with some replaced, and checked again."""
        return replace(self, **changes)


def checked_steps(steps: Any) -> list[list[float]]:
    """Steps of the learning rate as lists; ConfigError unless [epoch, factor] pairs that rise."""
    try:
        pairs = [[epoch, factor] for epoch, factor in steps]
    except (TypeError, ValueError):
        raise ConfigError(
            f"lr_steps = {shown(steps)}: must be pairs of an epoch and a factor"
        ) from None
    for epoch, factor in pairs:
        require_int("an epoch in lr_steps", epoch, 1)
        require_number("a factor in lr_steps", factor, 0.0, open_=True)
    epochs = [epoch for epoch, _ in pairs]
    if any(not later > earlier for earlier, later in itertools.pairwise(epochs)):
        raise ConfigError(f"lr_steps = {shown(steps)}: the epochs must rise from pair to pair")
    return pairs


def check_together(model: ModelConfig, config: TrainConfig) -> None:
    """Raise ConfigError for settings that are each allowed but not together."""
    if config.binarise != "none" and not LIKELIHOODS[model.likelihood].binary:
        able = " or ".join(name for name, part in LIKELIHOODS.items() if part.binary)
        raise ConfigError(
            f"binarise = {config.binarise!r}: needs the {able} likelihood, "
            f"not {model.likelihood} (or binarise none)"
        )
    if config.output_bias == "mean" and LIKELIHOODS[model.likelihood].output_of is None:
        able = ", ".join(name for name, part in LIKELIHOODS.items() if part.output_of)
        raise ConfigError(
            f"output_bias = 'mean': the {model.likelihood} likelihood has no output for a mean "
            f"(known of {able}); use output_bias zero"
        )
    if config.shards > 1 and model.free_bits > 0:
        raise ConfigError(
            f"free_bits = {model.free_bits:g}: the floor is put under the whole batch's KL, which "
            "no shard knows by itself; leave free bits or shards out"
        )

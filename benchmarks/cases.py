"""What is raced: architectures, their counted work, and the data and parameters all share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minivae.data import DataError, load
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.parts import ACTIVATIONS, LIKELIHOODS

LR, BETA1, BETA2, ADAM_EPS = 1e-3, 0.9, 0.999, 1e-8
SEED = 20
DATASET_ROWS = 60_000
# one timed block: long enough for the clock, short enough to interleave
BLOCK_FLOPS = {"cpu": 4e10, "gpu": 2e12}
MAX_BLOCK_STEPS = 1000

#: published pictures of as many rows: raced where MINIVAE_DATA has them
PIXELS = ("mnist", "fashion-mnist")


def words() -> dict[str, str]:
    """The words of an architecture -> the field that each sets."""
    return {
        **dict.fromkeys(ACTIVATIONS, "activation"),
        **dict.fromkeys(LIKELIHOODS, "likelihood"),
        "dynamic": "binarise",
        **dict.fromkeys(PIXELS, "data"),
    }


class CaseError(ValueError):
    """A case that cannot be parsed; the message says which part and what is allowed."""


@dataclass(frozen=True)
class StepCase:
    """One VAE and one batch size: `784-400-20:relu` means data 784, hidden 400, latent 20."""

    data_dim: int
    hidden: tuple[int, ...]
    latent_dim: int
    activation: str = "relu"
    likelihood: str = "bernoulli"
    binarise: str = "none"
    batch: int = 128
    data: str = ""  # a published data set's name; synthetic pictures otherwise

    @property
    def arch(self) -> str:
        """The architecture in the notation that `parse_arch` reads."""
        told = [self.activation]
        told += [self.likelihood] if self.likelihood != StepCase.likelihood else []
        told += [self.binarise] if self.binarise != StepCase.binarise else []
        told += [self.data] if self.data else []
        sizes = "-".join(map(str, (self.data_dim, *self.hidden, self.latent_dim)))
        return ":".join([sizes, *told])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> StepCase:
        return cls(**{**raw, "hidden": tuple(raw["hidden"])})

    def model(self) -> ModelConfig:
        """The architecture as the project's own configuration."""
        return ModelConfig(
            data_dim=self.data_dim,
            latent_dim=self.latent_dim,
            hidden=self.hidden,
            activation=self.activation,
            likelihood=self.likelihood,
        )

    def parameters(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """(name, offset, shape) of every tensor in the flat buffer."""
        return [(e.name, e.offset, e.shape) for e in layout_of(self.model()).entries]

    def dense_shapes(self) -> list[tuple[str, int, int]]:
        """(name, inputs, outputs) of every dense layer."""
        return [(n[:-2], s[0], s[1]) for n, _, s in self.parameters() if n.endswith(".W")]

    def flops(self) -> int:
        """Floating-point operations of the products of one update (2 per multiply-add).

        Forward, weight gradient and input gradient of every layer; the layers that read the data
        need no input gradient. Elementwise work is not counted, so shares of the peak are modest.
        """
        first = ("encoder.0",) if self.hidden else ("encoder.mu", "encoder.logvar")
        per_datum = sum(i * o * (2 if name in first else 3) for name, i, o in self.dense_shapes())
        return 2 * per_datum * self.batch

    def block_steps(self, device: str = "cpu") -> int:
        """How many updates one timed block holds."""
        by_work = round(BLOCK_FLOPS[device] / self.flops())
        least = 2 if device == "cpu" else 4  # a card's updates are short even at 32768
        return max(least, min(by_work, DATASET_ROWS // self.batch, MAX_BLOCK_STEPS))


def parse_arch(text: str, batch: int) -> StepCase:
    """Read `sizes:word:word`, as in `784-200-200-50:tanh:dynamic`; raises CaseError."""
    sizes, *told = text.strip().split(":")
    try:
        dims = [int(part) for part in sizes.split("-")]
    except ValueError:
        raise CaseError(f"{text!r}: sizes must be integers, as in 784-400-20:relu") from None
    if len(dims) < 2 or min(*dims, batch) < 1 or batch > DATASET_ROWS:
        raise CaseError(
            f"{text!r}, batch {batch}: needs data-…-latent, all from 1 on, and a "
            f"batch of at most {DATASET_ROWS}"
        )
    chosen: dict[str, Any] = {}
    known = words()
    for word in told:
        if word not in known:
            raise CaseError(f"{text!r}: unknown word {word!r}; known: {', '.join(known)}")
        chosen[known[word]] = word
    if "data" in chosen and dims[0] != published(chosen["data"]).shape[1]:
        raise CaseError(f"{text!r}: {chosen['data']} has {published(chosen['data']).shape[1]} "
                        f"pixels, not {dims[0]}")  # fmt: skip
    return StepCase(dims[0], tuple(dims[1:-1]), dims[-1], batch=batch, **chosen)


@lru_cache(maxsize=1)
def published(name: str) -> np.ndarray:
    """The training pixels of a published data set, (60000, D) uint8; CaseError without them."""
    try:
        found: np.ndarray = load(name).train
    except DataError as error:
        raise CaseError(f"{name}: {error}") from None
    return found


def has_pixels(name: str) -> bool:
    """Whether the pixels of a data set are at hand."""
    try:
        return len(published(name)) == DATASET_ROWS
    except CaseError:
        return False


def make_data(data_dim: int, rows: int = DATASET_ROWS, seed: int = SEED) -> np.ndarray:
    """Synthetic grey images, (rows, data_dim) uint8: blends of a few patterns, mostly dark."""
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((12, data_dim), dtype=np.float32)
    data = np.empty((rows, data_dim), np.uint8)
    for lo in range(0, rows, 4096):  # in pieces, so that the peak memory stays small
        mix = rng.standard_normal((min(4096, rows - lo), 12), dtype=np.float32)
        data[lo : lo + len(mix)] = 255.0 / (1.0 + np.exp(4.0 - 1.5 * (mix @ patterns)))
    return data


def make_theta(case: StepCase) -> np.ndarray:
    """The project's own initial parameters (P,) float32, with biases that are not zero."""
    from minivae.models.initialise import initialise

    theta = initialise(case.model(), seed=SEED)
    rng = np.random.default_rng(SEED)
    for name, offset, shape in case.parameters():
        if name.endswith(".b"):
            theta[offset : offset + shape[0]] = rng.uniform(-0.01, 0.01, shape[0])
    return theta


def make_rows(case: StepCase, block: int, steps: int) -> np.ndarray:
    """The row indices (steps, batch) int64 of one block, without replacement within it."""
    rng = np.random.default_rng((SEED, block + 1))
    need = steps * case.batch
    passes = [rng.permutation(DATASET_ROWS) for _ in range(-(-need // DATASET_ROWS))]
    return np.concatenate(passes)[:need].reshape(steps, case.batch)

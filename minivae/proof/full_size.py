"""A whole 784-400-20 model at batch 128: one random-sign probe per tensor, and bisection on
failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.models import vae
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.proof.first_wrong_op import WatchedOps, WrongOp, first_wrong
from minivae.proof.tolerances import tol
from minivae.types import Array
from minivae.types.analytic import complex_step
from minivae.types.differences import bisect

Gradients = dict[str, Array]


class ProbeRow(NamedTuple):
    """One tensor: |hand.u - true.u| over the gradient's 2-norm, along random signs u."""

    tensor: str
    size: int
    error: float

    @property
    def ok(self) -> bool:
        return self.error <= tol("probe")


class Found(NamedTuple):
    """A wrong entry: where it is, both values, and what the search for it cost."""

    tensor: str
    at: tuple[int, ...]
    hand: float
    true: float
    probes: int
    seconds: float  # of processor time, so that a busy machine changes nothing


class FullSize:
    """A model, a batch and its gradient in float64; `K` and `backward` are what is on trial."""

    def __init__(
        self,
        K: Any = ops,
        config: ModelConfig | None = None,
        batch: int = 128,
        seed: int = 1,
        backward: Callable[..., Gradients] = vae.elbo_backward,
    ) -> None:
        self.config = config or ModelConfig(784, 20, hidden=(400,))
        self.K, self.backward, self.beta = K, backward, 0.83
        rng = np.random.default_rng(seed)
        layout = vae.layout_of(self.config)
        theta = initialise(self.config, seed, "float64")
        theta += 0.05 * rng.normal(size=theta.shape)  # biases too: a zero one could hide a lost one
        self.p = {name: np.array(view) for name, view in layout.views(theta).items()}
        self.x = (rng.random((batch, self.config.data_dim)) < 0.3) * 0.9 + 0.05
        self.eps = rng.normal(size=(self.config.draws, batch, self.config.latent_dim))
        self.rng, self.upstream = rng, np.asarray(1.37)
        self.probes = 0
        self.hand = self.gradient()

    def gradient(self, rows: slice | Array = slice(None), K: Any = None) -> Gradients:
        """The hand-written gradient on some samples of the batch."""
        K = self.K if K is None else K
        _, cache = vae.elbo_forward(
            K, self.p, self.x[rows], self.eps[:, rows], self.beta, self.config
        )
        return self.backward(K, self.upstream, cache, self.p, self.config)

    def push(self, tensor: str, delta: Array, rows: slice | Array = slice(None)) -> float:
        """The true slope along delta in one tensor: one complex forward."""
        self.probes += 1

        def loss(value: Array) -> Any:
            p = {**self.p, tensor: value}
            eps = self.eps[:, rows]
            return vae.elbo_forward(ops, p, self.x[rows], eps, self.beta, self.config)[0]

        return float(self.upstream) * float(complex_step(loss, [self.p[tensor]], {0: delta}))

    def probe(self, tensor: str, hand: Gradients | None = None) -> ProbeRow:
        """One tensor along one random-sign direction: no error can sum to zero by its sign."""
        g = (hand or self.hand)[tensor]
        u = self.rng.choice([-1.0, 1.0], g.shape)
        norm = float(np.sqrt((g * g).sum()))
        gap = abs(float((g * u).sum()) - self.push(tensor, u))
        return ProbeRow(tensor, g.size, gap / norm if norm > 0 else gap)

    def probe_all(self, hand: Gradients | None = None) -> list[ProbeRow]:
        """Every tensor, one probe each."""
        return [self.probe(tensor, hand) for tensor in self.p]

    def locate(self, tensor: str, hand: Gradients | None = None) -> Found:
        """The wrong entry of a tensor by bisection: log2(size) probes."""
        start, before = time.process_time(), self.probes
        g = (hand or self.hand)[tensor]
        u = self.rng.choice([-1.0, 1.0], g.size)

        def gap(mask: Array) -> float:
            part = (mask * u).reshape(g.shape)
            return float((g * part).sum()) - self.push(tensor, part)

        low = bisect(gap, g.size)
        one = np.zeros(g.size)
        one[low] = 1.0
        true = self.push(tensor, one.reshape(g.shape))
        index = tuple(int(i) for i in np.unravel_index(low, g.shape))
        spent = time.process_time() - start
        return Found(tensor, index, float(g[index]), true, self.probes - before, spent)

    def blame_sample(self, tensor: str, index: tuple[int, ...]) -> int:
        """The sample whose share of that entry is wrong, by halving the batch."""
        one = np.zeros(self.p[tensor].shape)
        one[index] = 1.0

        def gap(mask: Array) -> float:
            rows = np.flatnonzero(mask)
            share = self.gradient(rows)[tensor][index]
            return float(share - self.push(tensor, one, rows)) * len(rows)

        return bisect(gap, len(self.x))

    def first_wrong_op(self) -> WrongOp | None:
        """The first op whose own gradient is wrong in this very run; None: it is the model's
        wiring."""
        watched = WatchedOps(self.K)
        self.gradient(K=watched)
        return first_wrong(watched.calls)

    def latent_dimension(self, tensor: str, index: tuple[int, ...]) -> int | None:
        """The latent dimension an entry belongs to, where the tensor has one."""
        if tensor.startswith(("encoder.mu", "encoder.logvar")):
            return index[-1]
        first = "decoder.0.W" if self.config.hidden else "decoder.out.W"  # whose rows take z
        return index[0] if tensor == first else None


def score_plants(
    model: FullSize, count: int, relative: float, seed: int = 2
) -> list[tuple[bool, Found]]:
    """Plant `count` errors of one entry each and look for them; (was it found, what was found)."""
    rng = np.random.default_rng(seed)
    names = list(model.p)
    weights = np.array([model.p[n].size for n in names], dtype=float)
    outcome = []
    for _ in range(count):
        tensor = str(rng.choice(names, p=weights**0.5 / (weights**0.5).sum()))
        g = model.hand[tensor]
        typical = np.median(np.abs(g))
        flat = int(rng.choice(np.flatnonzero(np.abs(g) >= typical)))
        index = tuple(int(i) for i in np.unravel_index(flat, g.shape))
        wrong = g.copy()
        wrong[index] *= 1 + relative
        found = model.locate(tensor, {**model.hand, tensor: wrong})
        outcome.append((found.at == index, found))
    return outcome

"""The training step in its readable form; a backend's fused step is held against this one.

One update: gather a batch, replay its noise, run the model forward and backward, move θ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

from minivae.backend import Unsupported
from minivae.models.vae import Cache, elbo_backward, elbo_forward
from minivae.ops.philox import BINARISE, EPS
from minivae.params import Entry, Layout
from minivae.parts import OPTIMISERS
from minivae.training.plan import StepPlan, model_of
from minivae.types import Array


class StepMetrics(TypedDict):
    """Sums since they were last read: over samples, except the two counts and loss (Σ loss · B)."""

    updates: int
    samples: int
    nll: float
    kl: float
    kl_j: Array
    loss: float


class RunningSums:
    """What `StepMetrics` hold, added up over updates until somebody takes them."""

    def __init__(self, latent_dim: int) -> None:
        self.latent_dim = latent_dim
        self._start()

    def _start(self) -> None:
        self.updates = self.samples = 0
        self.nll = self.loss = 0.0
        self.kl_j = np.zeros(self.latent_dim)

    def add(self, samples: int, nll: float, kl_j: Array, loss: float) -> None:
        """One update of so many samples, with the sums over them of nll, KL (J,) and loss."""
        self.updates += 1
        self.samples += samples
        self.nll += nll
        self.kl_j += kl_j
        self.loss += loss

    def take(self) -> StepMetrics:
        """The sums so far; they start anew."""
        sums = StepMetrics(
            updates=self.updates,
            samples=self.samples,
            nll=self.nll,
            kl=float(self.kl_j.sum()),
            kl_j=self.kl_j,
            loss=self.loss,
        )
        self._start()
        return sums


def make_step(
    K: Any,
    plan: StepPlan,
    theta: Array,
    moments: Array,
    data: Array,
    say: Callable[[str], None] = lambda line: None,
    weight: Array | None = None,
) -> Any:
    """The backend's fused step for this plan, or the reference step on that backend's ops.

    weight (N,): how much each row counts, where the plan is weighted.
    A backend without a kernel for a part of the plan declines it, and `say` is told so in a line.
    """
    return offered(
        K,
        lambda: K.make_step(plan, theta, moments, data),
        lambda: ReferenceStep(K, plan, theta, moments, data, weight),
        say,
    )


def offered(
    K: Any, ask: Callable[[], Any], otherwise: Callable[[], Any], say: Callable[[str], None]
) -> Any:
    """What the backend K gives; what it has no kernel for, done `otherwise`, and `say` is told."""
    try:
        return ask()
    except Unsupported as declined:
        if declined.reason:
            say(slower(K, declined))
        return otherwise()


def slower(K: Any, declined: Unsupported) -> str:
    """What to say where a backend has no fused step for a plan."""
    return f"{K.name}: {declined.reason}, so each update runs op by op on its kernels (slower)"


class ReferenceStep:
    """Training steps on one set of parameters, by any backend's ops.

    theta (P,), moments (M, P) as many as the optimiser has, data (N, D) uint8 or float, weight
    (N,) by a row's number, or None. The copies it makes are its own.
    `bad_step` is the first update whose loss was not finite, or -1; that update and all later
    ones are not applied, so the last good state is kept.
    """

    def __init__(
        self, K: Any, plan: StepPlan, theta: Array, moments: Array, data: Array,
        weight: Array | None = None,
    ) -> None:  # fmt: skip
        self.K, self.plan, self.config = K, plan, model_of(plan)
        self.weight = weight
        self.layout = Layout(tuple(Entry(*entry) for entry in plan.layout))
        self.theta, self.moments = theta.copy(), moments.copy()
        self.grad = np.zeros_like(theta)
        self.data = data
        self.bad_step = -1
        self._sums = RunningSums(plan.latent_dim)

    def __call__(
        self, rows: Array, t: int, lr: Array, beta: Array, places: Array | None = None
    ) -> None:
        """n updates numbered t, t + 1, …: rows (n, B) of the data, lr and beta (n,).

        places (n, B): where those rows lie in `data`, if not at their numbers.
        """
        for i in range(len(rows)):
            if self.bad_step >= 0:
                return
            there = None if places is None else places[i]
            self._update(rows[i], t + i, float(lr[i]), float(beta[i]), there)

    def batch(self, rows: Array, t: int, places: Array | None = None) -> tuple[Array, Array]:
        """Inputs x (B, D) and noise eps (L, B, J) of update t: a function of (seed, t, rows)."""
        K, plan = self.K, self.plan
        if plan.binarise != "dynamic":
            x = K.gather(self.data, rows if places is None else places, plan.scale)
        elif places is None:
            x = K.gather_binarise(self.data, rows, plan.scale, plan.seed, BINARISE, t)
        else:
            x = K.gather(self.data, places, plan.scale)
            x = K.binarise(x, K.uniforms(plan.seed, BINARISE, t, rows, plan.data_dim))
        L, J = plan.draws, plan.latent_dim
        eps = K.normals(plan.seed, EPS, t, rows, L * J).reshape(len(rows), L, J)
        return x.astype(self.theta.dtype), eps.transpose(1, 0, 2).astype(self.theta.dtype)

    def weight_of(self, rows: Array) -> Array | None:
        """How much each of the rows (B,) counts, (B,), or None where all count alike."""
        if self.weight is None:
            return None
        return self.K.to_device(self.weight[rows].astype(self.theta.dtype))

    def _update(self, rows: Array, t: int, lr: float, beta: float, places: Array | None) -> None:
        x, eps = self.batch(rows, t, places)
        p = self.layout.views(self.theta)
        with np.errstate(over="ignore", invalid="ignore"):  # the check below says it better
            loss, cache = elbo_forward(self.K, p, x, eps, beta, self.config, self.weight_of(rows))
        if not np.isfinite(loss):
            self.bad_step = t
            return
        with np.errstate(over="ignore", invalid="ignore"):
            g = elbo_backward(self.K, np.ones_like(loss), cache, p, self.config)
            self.layout.flatten(g, self.grad)
            self._descend(lr, t)
        self._count(len(rows), float(loss), cache)

    def _descend(self, lr: float, t: int) -> None:
        rule, settings = OPTIMISERS[self.plan.optimiser], self.plan.settings
        rule.descend(self.K, self.theta, self.grad, self.moments, lr, settings, t + 1)

    def _count(self, B: int, loss: float, cache: Cache) -> None:
        weigh = cache.terms.weigh
        nll = float(weigh(cache.nll).sum(dtype=np.float64)) / self.plan.draws
        self._sums.add(B, nll, weigh(cache.kl.T).sum(axis=1, dtype=np.float64), loss * B)

    def metrics(self) -> StepMetrics:
        """The sums since the last call, which starts them anew."""
        return self._sums.take()

    def state(self) -> tuple[Array, Array]:
        """Copies of theta (P,) and moments (M, P) on the host."""
        return self.theta.copy(), self.moments.copy()

"""minivae itself: the backend's own training step, noise, gather and metrics included."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.backend import load_backend
from minivae.training.plan import make_plan
from minivae.training.step import make_step

from ..cases import ADAM_EPS, BETA1, BETA2, LR, SEED, StepCase


def plan_of(case: StepCase, threads: int | None = None) -> Any:
    """The plan of a case: the same whether a kernel or the float64 reference runs it."""
    return make_plan(
        case.model(),
        scale=1 / 255,
        seed=SEED,
        max_batch=case.batch,
        settings={"beta1": BETA1, "beta2": BETA2, "eps": ADAM_EPS},
        binarise=case.binarise,
        threads=threads or 0,
    )


class MinivaeStep:
    """`make_step` of one backend, called for a whole block of updates at a time.

    As `minivae-numba:1` it runs on one thread, whatever the others run on; as
    `minivae-numba:again` it is the same once more, so that A is raced against A; as
    `minivae-numba:float32` it is what bfloat16 is measured against.
    """

    exact_noise = True  # the reference can replay its noise, so its results are gated exactly

    def __init__(
        self,
        backend: str,
        option: str = "",
        threads: int | None = None,
        tf32: bool = False,
        bf16: bool = False,
    ) -> None:
        self.threads = int(option) if option.isdigit() else threads
        self.K = load_backend(backend, self.threads, tf32=tf32, bf16=bf16 and option != "float32")

    def versions(self) -> dict[str, str]:
        if self.K.name != "cupy":
            return {"backend": self.K.label}
        from ..bandwidth import header

        card = {k: str(v) for k, v in header(self.K.to_device.__self__).items()}
        return {"backend": self.K.label, "device": f"cuda, {card['card']}", **card}

    def prepare(self, case: StepCase, data: np.ndarray, theta: np.ndarray) -> None:
        self.case, self.data = case, data
        self.plan = plan_of(case, self.threads)
        self.reset(theta)

    def reset(self, theta: np.ndarray) -> None:
        moments = np.zeros((2, theta.size), np.float32)
        self.step = make_step(self.K, self.plan, theta.copy(), moments, self.data)
        self.t = 0

    def run(self, rows: np.ndarray) -> float:
        """All the updates of `rows` (n, B); returns the mean loss, read after the last update."""
        n = len(rows)
        self.step(rows, self.t, np.full(n, LR), np.ones(n))
        self.t += n
        sums = self.step.metrics()
        return float(sums["loss"]) / max(int(sums["samples"]), 1)

    def gradient_of(self, theta: np.ndarray, rows: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and flat gradient at theta (P,), of update 0 of the rows (1, B).

        By a step of its own: from zero moments the first one becomes 1 - beta1 times the gradient.
        """
        zeros = np.zeros((2, theta.size), np.float32)
        step = make_step(self.K, self.plan, theta.copy(), zeros, self.data)
        step(rows, 0, np.full(1, LR), np.ones(1))
        sums, (_, moments) = step.metrics(), step.state()
        return float(sums["loss"]) / int(sums["samples"]), moments[0] / (1 - BETA1)

    def check(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """A few updates, with the state before and after, for the gate to judge."""
        theta, moments = self.step.state()
        t = self.t
        loss = self.run(rows)
        after, moments_after = self.step.state()
        return {
            "theta": theta,
            "moments": moments,
            "rows": rows,
            "t": np.array(t),
            "loss": np.array(loss),
            "theta_after": after,
            "moments_after": moments_after,
        }

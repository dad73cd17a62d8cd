"""The fast training step on a card: one captured graph per batch size, replayed for every update.

A call uploads its rows and schedules once and replays the graph n times; nothing is read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minivae_kernels.gpu.buffers import CALLS_HELD, COUNTER, ROWS_HELD, SUM, Buffers
from minivae_kernels.gpu.importance import OBJECTIVES, require_kernels
from minivae_kernels.gpu.launcher import LANES, Device
from minivae_kernels.gpu.update import Update

# Updates in the longer of the two graphs of a batch size: between two graphs the card waits for the
# next launch, within one it does not.
UPDATES_HELD = 8


def _checked(theta: Any, moments: Any, data: Any) -> None:
    if theta.dtype != np.float32 or moments.dtype != np.float32:
        raise TypeError(
            f"make_step: theta is {theta.dtype}, moments {moments.dtype}; "
            "this backend trains in float32"
        )
    if moments.shape not in ((1, theta.size), (2, theta.size)):
        raise ValueError(
            f"make_step: moments {moments.shape} for {theta.size} parameters; "
            f"(1 or 2, {theta.size}) is needed"
        )
    if data.dtype not in (np.uint8, np.float32) or data.ndim != 2:
        raise TypeError(
            f"make_step: data is {data.dtype} {data.shape}; (N, D) uint8 or float32 is needed"
        )


class GraphStep:
    """Training updates on the device; see `make_step` for what it is made from.

    `bad_step` is the first update whose loss was not finite, or -1; that update and all later
    ones change nothing. Reading it, `metrics()` or `state()` waits for the device.
    """

    def __init__(self, device: Device, plan: Any, theta: Any, moments: Any, data: Any) -> None:
        require_kernels(plan)
        _checked(theta, moments, data)
        self.device, self.plan = device, plan
        self.graphs: dict[int, tuple[Callable[[], None], Callable[[], None]]] = {}
        with device.working():
            self.buffers = Buffers(device, plan, theta, moments, data)
            device.synchronise()

    def __call__(self, rows: Any, t: int, lr: Any, beta: Any) -> None:
        """n updates numbered t, t + 1, …: rows (n, B) of the data, lr and beta (n,)."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        lr, beta = np.asarray(lr, dtype=np.float64), np.asarray(beta, dtype=np.float64)
        self._check(rows, lr, beta)
        with self.device.working():
            for start, stop in self._portions(*rows.shape):
                self._run(rows[start:stop], t + start, lr[start:stop], beta[start:stop])

    def _check(self, rows: Any, lr: Any, beta: Any) -> None:
        if rows.ndim != 2 or not 1 <= rows.shape[1] <= self.plan.max_batch:
            raise ValueError(
                f"step: rows {rows.shape}; (n, B) with B from 1 to {self.plan.max_batch} is needed"
            )
        if lr.shape != rows.shape[:1] or beta.shape != rows.shape[:1]:
            raise ValueError(f"step: lr {lr.shape} and beta {beta.shape} for {len(rows)} updates")
        n = len(self.buffers.data)
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            raise IndexError(
                f"step: rows from {rows.min()} to {rows.max()}; the data have rows 0 to {n - 1}"
            )

    def _portions(self, n: int, batch: int) -> Iterator[tuple[int, int]]:
        """The updates in portions whose rows fit into the buffer."""
        most = min(CALLS_HELD, max(1, ROWS_HELD // batch))
        for start in range(0, n, most):
            yield start, min(start + most, n)

    def _run(self, rows: Any, t: int, lr: Any, beta: Any) -> None:
        b, upload = self.buffers, self.device.upload
        upload(b.rows, rows)
        upload(b.lr, lr)
        upload(b.beta, beta)
        one, many = self._graph(rows.shape[1])
        self._begin(t, dry=False)
        for _ in range(len(rows) // UPDATES_HELD):
            many()
        for _ in range(len(rows) % UPDATES_HELD):
            one()

    def _begin(self, t: int, *, dry: bool) -> None:
        self.device.launch("begin_call", (1, 1), LANES, (self.buffers.counters, t, dry))

    def _graph(self, batch: int) -> tuple[Callable[[], None], Callable[[], None]]:
        """The graphs of one and of several updates for this batch size, recorded at first use.

        The launches run once for show before the recording (DRY: nothing is applied), so that
        whatever is loaded or allocated at first use is there: in a recording it must not be.
        """
        if batch not in self.graphs:
            update = OBJECTIVES[self.plan.objective](self.buffers, batch)
            self._begin(0, dry=True)
            update()
            self.device.synchronise()
            self.graphs[batch] = self._recorded(update)
        return self.graphs[batch]

    def _recorded(self, update: Update) -> tuple[Callable[[], None], Callable[[], None]]:
        capture = self.device.capture
        return capture(update), capture(lambda: [update() for _ in range(UPDATES_HELD)])

    @property
    def bad_step(self) -> int:
        """The first update with a loss that is not finite, or -1."""
        return int(self._counters()[COUNTER["BAD"]])

    def _counters(self) -> Any:
        return self.device.to_host(self.buffers.counters)

    def metrics(self) -> dict[str, Any]:
        """Sums since the last call, which starts them anew; the keys are the contract's."""
        b, counters = self.buffers, self._counters()
        sums = self.device.to_host(b.sums)
        with self.device.working():
            b.sums[...] = 0
            b.counters[COUNTER["UPDATES"] : COUNTER["SAMPLES"] + 1] = 0
        kl_j = sums[SUM["KL_J"] :]
        return {
            "updates": int(counters[COUNTER["UPDATES"]]),
            "samples": int(counters[COUNTER["SAMPLES"]]),
            "nll": float(sums[SUM["NLL"]]),
            "kl": float(kl_j.sum()),
            "kl_j": kl_j,
            "loss": float(sums[SUM["LOSS"]]),
        }

    def state(self) -> tuple[Any, Any]:
        """Copies of theta (P,) and moments (M, P) on the host."""
        b, host = self.buffers, self.device.to_host
        return host(b.theta), np.stack([host(b.m), host(b.v)])[: b.moments]

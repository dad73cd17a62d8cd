"""The training step that the training loop calls: n updates for one call into compiled code."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import address_of
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.live import PAIRS_WORTH_IT, WORTH_IT, density, new_lists
from minivae_kernels.cpu.ops.arguments import readable
from minivae_kernels.cpu.ops.optimisers import CONSTANTS, OPTIMISERS
from minivae_kernels.cpu.step import rounded, tables
from minivae_kernels.cpu.step.ahead import compile_beside, compile_meanwhile
from minivae_kernels.cpu.step.records import BATCHES, MEMBERS_OWN, SHARED, Batches, Own, Shared
from minivae_kernels.cpu.threads.count import checked, threads
from minivae_kernels.cpu.threads.partition import Deal
from minivae_kernels.cpu.threads.pool import run
from minivae_kernels.cpu.threads.team_size import TeamSize


class Step:
    """Consecutive updates of one model, as the reference step computes them.

    theta (P,), one or two moments (M, P) and data (N, D) uint8, bool or floats as in the plan;
    theta and the moments are copied; the data is not, where it is contiguous uint8 or float32.
    `bad_step` is the first update whose loss was not finite, or -1; that update and all later ones
    change nothing. bf16: products in bfloat16.
    """

    def __init__(
        self, plan: Any, theta: Any, moments: Any, data: Any, *, bf16: bool = False
    ) -> None:
        tables.kernels_of(plan)  # first: an optimiser without a kernel may have other moments
        self.layout = tuple(plan.layout)
        self.threads = checked(plan.threads or threads())
        self.max_batch = int(plan.max_batch)
        size = sum(int(np.prod(shape, dtype=np.int64)) for _, _, shape in self.layout)
        theta, moments = np.asarray(theta), np.asarray(moments)
        if theta.shape != (size,) or moments.shape not in ((1, size), (2, size)):
            raise ValueError(
                f"theta {theta.shape} and moments {moments.shape}: the plan has {size} "
                f"parameters, so they must be ({size},) and (1 or 2, {size})"
            )
        if theta.dtype != np.float32 or moments.dtype != np.float32:
            raise TypeError(
                f"theta is {theta.dtype} and moments {moments.dtype}: the compiled step computes "
                f"in float32; train other precisions with the numpy backend"
            )
        compile_beside(plan, np.asarray(data))
        self.plan = tables.build(plan)
        self.likelihood, self.objective = plan.likelihood, plan.objective
        self.optimiser = OPTIMISERS[plan.optimiser]
        self.settings = [value for _, value in plan.settings]
        self._data(np.asarray(data), int(plan.data_dim))
        self.moments = len(moments)
        self.shared = self._shared(theta, moments, np.asarray(data), bf16)
        self.owns = [self._own(int(plan.latent_dim)) for _ in range(self.threads)]
        self.own_words = [MEMBERS_OWN.words(own) for own in self.owns]
        self.own_addresses = np.array([w.ctypes.data for w in self.own_words], dtype=np.int64)
        if bf16:
            rounded.begin(self.shared, self.owns[0].scratch)
        self.sums = np.zeros(tables.KL_J + plan.latent_dim)
        self.bad = np.full(1, -1, dtype=np.int64)
        self.work: dict[tuple[int, int], Deal] = {}  # by the batch's rows and the team
        self.team = TeamSize(self.threads)

    def _shared(self, theta: Any, moments: Any, data: Any, bf16: bool) -> Shared:
        """The buffers of the team, with the parameters and moments in panels."""
        plan = self.plan
        second = moments[1] if len(moments) > 1 else np.zeros_like(theta)
        packed = (tables.pack(plan, a, self.layout) for a in (theta, moments[0], second))
        worth = density(data, 2) < PAIRS_WORTH_IT if bf16 else density(data) < WORTH_IT
        lists = new_lists(self.max_batch if worth else 0, panels(data.shape[1]))
        return Shared(
            plan.config, plan.numbers, plan.layers, *packed, aligned(plan.workspace),
            aligned(plan.partials), aligned(PANEL) + np.float32(1), aligned(PANEL), *lists,
            aligned(rounded.words(plan) if bf16 else 0),
        )  # fmt: skip

    def _own(self, J: int) -> Own:
        """One thread's."""
        scratch = aligned(int(self.plan.config[tables.SCRATCH]))
        return Own(scratch, aligned(panels(J) * PANEL), np.zeros(J, dtype=np.float64))

    def _data(self, data: Any, features: int) -> None:
        if data.ndim != 2 or data.shape[1] != features:
            raise ValueError(f"data has shape {data.shape}: the plan needs (N, {features})")
        self.count = len(data)
        if data.dtype == np.uint8:
            self.bytes = readable(np.ascontiguousarray(data))
            self.floats = np.zeros((0, features), dtype=np.float32)
            self.plan.config[tables.BYTES] = 1
        elif np.issubdtype(data.dtype, np.floating) or data.dtype == np.bool_:
            self.bytes = np.zeros((0, features), dtype=np.uint8)
            self.floats = readable(np.require(data, np.float32, ["C", "A"]))
        else:
            raise TypeError(f"data is {data.dtype}: the compiled step takes uint8, bool or floats")

    @property
    def bad_step(self) -> int:
        """The first update whose loss was not finite, or -1."""
        return int(self.bad[0])

    def __call__(self, rows: Any, t: int, lr: Any, beta: Any, places: Any = None) -> None:
        """n updates numbered t, t + 1, …: rows (n, B) of the data, lr and beta (n,).

        places (n, B): where those rows lie in the data at hand, if not at their numbers.
        """
        rows = readable(np.ascontiguousarray(rows, dtype=np.int64))
        given = rows if places is None else places
        places = readable(np.ascontiguousarray(given, dtype=np.int64))
        if rows.ndim != 2 or not 0 < rows.shape[1] <= self.max_batch:
            raise ValueError(
                f"rows has shape {rows.shape}: (updates, batch) with a batch of 1 to "
                f"{self.max_batch} is needed"
            )
        if rows.size == 0:
            return
        if places.shape != rows.shape:
            raise ValueError(f"places has shape {places.shape}, and rows {rows.shape}")
        if rows.min() < 0 or places.min() < 0 or places.max() >= self.count:
            raise IndexError(f"rows must lie in 0 … {self.count - 1}")
        lr = readable(np.ascontiguousarray(lr, dtype=np.float64))
        beta = readable(np.ascontiguousarray(beta, dtype=np.float64))
        if lr.shape != (len(rows),) or beta.shape != (len(rows),):
            raise ValueError(f"lr and beta must each have {len(rows)} values, one an update")
        from minivae_kernels.cpu.step.work import update_work

        batch, team = rows.shape[1], self.team.now
        if (batch, team) not in self.work:
            lists = len(self.shared.masks) > 0
            self.work[batch, team] = update_work(self.plan, batch, team, lists)
        constants = self._constants(lr, t)
        first = np.full(1, t, dtype=np.int64)
        batches = BATCHES.words(
            Batches(rows, places, first, beta, constants, self.bytes, self.floats)
        )
        shared = SHARED.words(self.shared)
        args = (batches.ctypes.data, *self.work[batch, team], shared.ctypes.data,
                self.own_addresses, self.sums, self.bad)  # fmt: skip
        train = self._compiled()
        wall, busy = time.perf_counter(), time.thread_time()
        run(train, team, *args)
        self.team.report(rows.size, time.perf_counter() - wall, time.thread_time() - busy)

    def _compiled(self) -> Any:
        """`train`, with the address of its second half in the plan."""
        from minivae_kernels.cpu.step.train import LEARN_KINDS, TRAIN_KINDS, learn, train

        if self.plan.config[tables.LEARN] == 0:
            address_of(train, *TRAIN_KINDS)  # first: a helper may be at work on the second half
            compile_meanwhile(self.likelihood)
            self.plan.config[tables.LEARN] = address_of(learn, *LEARN_KINDS)
            if self.plan.config[tables.ROW_WEIGHT0] != 0:
                from minivae_kernels.cpu.step.importance import addresses

                for word, address in addresses(self.objective).items():
                    self.plan.config[word] = address
            if self.plan.config[tables.ROW_LOOP] != 0:
                from minivae_kernels.cpu.step import row_scores

                for word, address in row_scores.addresses(self.plan.config).items():
                    self.plan.config[word] = address
        return train

    def _constants(self, lr: Any, t: int) -> np.ndarray:
        """The optimiser's constants of each update, (n, CONSTANTS)."""
        out = np.zeros((len(lr), CONSTANTS), dtype=np.float32)
        for i, rate in enumerate(lr.tolist()):
            constants = self.optimiser.constants(rate, *self.settings, int(t) + i + 1)
            out[i, : len(constants)] = constants
        return out

    def metrics(self) -> dict[str, Any]:
        """Sums over updates and samples since the last call, in nats; they start anew."""
        s = self.sums.copy()
        self.sums[:] = 0
        return {
            "updates": int(s[tables.UPDATES]),
            "samples": int(s[tables.SAMPLES]),
            "nll": float(s[tables.NLL]),
            "kl": float(s[tables.KL]),
            "kl_j": s[tables.KL_J :],
            "loss": float(s[tables.LOSS]),
        }

    def state(self) -> tuple[np.ndarray, np.ndarray]:
        """theta (P,) and moments (M, P), as copies."""
        packed = (self.shared.theta, self.shared.m, self.shared.v)
        theta, m, v = (tables.unpack(self.plan, a, self.layout) for a in packed)
        return theta, np.stack([m, v])[: self.moments]

"""What a training step keeps in device memory, how much that is, and where each tensor lies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae_kernels.gpu import faults, sources
from minivae_kernels.gpu.launcher import (
    MOST_BLOCKS,
    MOST_TILES,
    THREADS,
    WARPS,
    WIDTH,
    Array,
    Device,
    ceil_div,
    column_tiles,
    rows_per_block,
)
from minivae_kernels.gpu.ops_activation import keeps_input
from minivae_kernels.gpu.ops_likelihood import LIKELIHOODS, NONE, WITHIN, ends_of

COUNTER = sources.enumeration("Counter")
SUM = sources.enumeration("Sum")
ROWS_HELD = 1 << 20  # row numbers uploaded at a time (8 MiB): 8192 updates of 128
CALLS_HELD = 1 << 16  # updates uploaded at a time
MEASURED_ROWS = 512  # of minivae/training/heldout.py
WEIGHTED = ("iwae",)  # objectives in which each draw has a weight of its own
WORKSPACES = 66 << 20  # two of cuBLAS's, one a branch of the graph, and small change


class BatchSizes(NamedTuple):
    """A batch's sizes: rows of the encoder and the decoder, and how the column sums are cut.

    Both halves have the same number of row tiles, so one last kernel finishes all bias gradients.
    """

    batch: int
    rows: int  # draws · batch, the decoder's
    encoder_rows: int  # rows a block walks down
    decoder_rows: int
    tiles: int

    @classmethod
    def of(cls, batch: int, draws: int) -> BatchSizes:
        """The sizes for a batch, a function of its size alone."""
        per = rows_per_block(batch)
        return cls(batch, batch * draws, per, per * draws, ceil_div(batch, per))


def bytes_per_datum(plan: Any) -> int:
    """Device memory that one more datum in the batch costs, in bytes."""
    hidden = (3 if keeps_input(plan.activation) else 2) * sum(plan.hidden)
    encoder = plan.data_dim + hidden + 4 * plan.latent_dim
    decoder = plan.data_dim + hidden + 3 * plan.latent_dim
    if plan.objective in WEIGHTED:
        encoder, decoder = encoder + 6, decoder + column_tiles(plan.data_dim) + 5
    return 4 * (encoder + plan.draws * decoder)


def bytes_fixed(plan: Any, parameters: int, data_bytes: int) -> int:
    """Device memory whatever the batch: data, parameters, gradient, moments, work space."""
    over_data = 2 if LIKELIHOODS[plan.likelihood].each else 1
    columns = sum(plan.hidden) * 2 + over_data * plan.data_dim + 3 * plan.latent_dim
    partial = 4 * MOST_TILES * columns
    return 16 * parameters + data_bytes + 8 * ROWS_HELD + 16 * CALLS_HELD + partial + WORKSPACES


def bytes_beside(plan: Any, parameters: int) -> int:
    """Device memory that measuring on held-out rows takes while the step waits, in bytes.

    θ once more, and a chunk of rows through the model. Without it a batch that fits would end the
    run after its first epoch.
    """
    per_row = 2 * plan.data_dim + 4 * sum(plan.hidden) + 8 * plan.latent_dim
    return 4 * (parameters + MEASURED_ROWS * per_row)


def _as_read(device: Device, data: Any) -> bool:
    """Whether a kernel can read these data by fours: in one piece, from the 16-byte grid on."""
    return bool(data.flags.c_contiguous) and device.pointer(data) % 16 == 0


def scale_tensor(plan: Any) -> str:
    """The name of the likelihood's learned log scale; "" where it has none."""
    others = [name for name, _, _ in plan.layout if not name.endswith((".W", ".b"))]
    return others[0] if others else ""


class Buffers:
    """Every array of a step, allocated once for the largest batch; `matrix` cuts smaller ones.

    theta and moments are copied; data that are on the device already are used as they are, but for
    a view with gaps or off the 16-byte grid.
    Raises OutOfDeviceMemory with the batch that would fit: before anything is allocated, or,
    where others took the memory meanwhile, with nothing kept.
    """

    def __init__(self, device: Device, plan: Any, theta: Any, moments: Any, data: Any) -> None:
        there = (
            device.is_array(data) and not isinstance(data, np.ndarray) and _as_read(device, data)
        )
        fixed = bytes_fixed(plan, theta.size, 0 if there else data.nbytes)
        fixed += bytes_beside(plan, theta.size)
        sizes = fixed, bytes_per_datum(plan), plan.max_batch
        faults.check_memory(*sizes, device.free_memory())
        self.device, self.plan = device, plan
        try:
            self._allocate(theta, moments, data)
        except faults.OutOfDeviceMemory as full:
            vars(self).clear()
            raise faults.too_little(*sizes, device.free_memory()) from full

    def _allocate(self, theta: Any, moments: Any, data: Any) -> None:
        device = self.device
        self.theta = device.to_device(theta.copy())
        self.grad = device.zeros(theta.shape, np.float32)
        self.moments = len(moments)
        second = moments[1].copy() if self.moments > 1 else np.zeros_like(moments[0])
        self.m, self.v = device.to_device(moments[0].copy()), device.to_device(second)
        self.data = device.to_device(data)
        if not _as_read(device, self.data):  # a view: read by fours it must be a copy
            self.data = device.xp.ascontiguousarray(self.data)
            self.data = self.data if _as_read(device, self.data) else self.data.copy()
        self.p, self.g = self._views(self.theta), self._views(self.grad)
        self._activations()
        self._control()

    def _views(self, flat: Array) -> dict[str, Array]:
        return {
            name: flat[offset : offset + int(np.prod(shape, dtype=np.int64))].reshape(shape)
            for name, offset, shape in self.plan.layout
        }

    def _activations(self) -> None:
        plan, most = self.plan, self.plan.max_batch
        R, J = most * plan.draws, plan.latent_dim
        sizes = {
            "x": most * plan.data_dim,
            "out": R * plan.data_dim,
            "mu": most * J,
            "logvar": most * J,
            "dmu": most * J,
            "dlogvar": most * J,
            "eps": R * J,
            "z": R * J,
            "dz": R * J,
        }
        depth = len(plan.hidden)
        kinds = ("", "d.", "in.") if keeps_input(plan.activation) else ("", "d.")
        for i, H in enumerate(plan.hidden):
            for kind in kinds:  # the gradients have places of their own: a product may still
                sizes[f"{kind}encoder.{i}"] = most * H  # read one while the next is being made
                sizes[f"{kind}decoder.{depth - 1 - i}"] = R * H
        self.flat = {name: self.device.empty((n,), np.float32) for name, n in sizes.items()}

    def _control(self) -> None:
        plan, device = self.plan, self.device
        tiles = min(MOST_TILES, ceil_div(plan.max_batch, WARPS))  # the most that any batch has
        where, self.offsets = self._bias_columns()
        self.where = device.to_device(np.array(where, dtype=np.int32))
        self.part = device.empty((tiles * len(where),), np.float32)
        self.kl_part = device.empty((tiles * plan.latent_dim,), np.float32)
        self.total = device.empty((tiles * column_tiles(plan.data_dim),), np.float32)
        self.factor = device.empty((plan.latent_dim,), np.float32)
        self.rates = device.empty((3,), np.float32)
        self.counters = device.zeros((COUNTER["COUNTERS"],), np.int64)
        self.counters[COUNTER["BAD"]] = -1
        self.sums = device.zeros((SUM["KL_J"] + plan.latent_dim,), np.float64)
        self.kl_now = device.empty((plan.latent_dim,), np.float64)
        held = max(ROWS_HELD, plan.max_batch)
        self.rows = device.empty((held,), np.int64)
        self.lr, self.beta = (
            device.empty((CALLS_HELD,), np.float64),
            device.empty((CALLS_HELD,), np.float64),
        )
        self._scale(tiles * column_tiles(plan.data_dim))
        self._weights()

    def _scale(self, blocks: int) -> None:
        """The likelihood's log scale, given or a parameter, and where its gradient is collected.

        One of all columns has its gradient in `dscale`, by a kernel of its own; those of single
        columns are column sums, like a bias's.
        """
        plan, device, of = self.plan, self.device, LIKELIHOODS[self.plan.likelihood]
        self.scale_name, self.scale_each = scale_tensor(plan), False
        self.pulls, self.dscale, self.log_scale = None, None, None
        if self.scale_name:
            self.log_scale = self.p[self.scale_name].reshape(-1)
            self.scale_each = of.each
            if not of.each:
                self.dscale = self.g[self.scale_name].reshape(-1)
                self.pulls = device.empty((blocks,), np.float64) if of.scale == WITHIN else None
        elif of.scale != NONE:
            self.log_scale = device.to_device(np.full(1, plan.logc, np.float32))
        self.ends = device.to_device(ends_of(plan.groups)) if of.grouped else None

    def _weights(self) -> None:
        """What an objective over weighted draws keeps of each row, and of each datum (iwae.cu)."""
        plan, empty = self.plan, self.device.empty
        self.row_part = self.kept = self.weight = self.datum = None
        if plan.objective not in WEIGHTED:
            return
        rows = plan.max_batch * plan.draws
        self.row_part = empty((rows * column_tiles(plan.data_dim),), np.float32)
        self.kept = empty((2 * rows,), np.float64)
        self.weight = empty((rows,), np.float32)
        self.datum = empty((3 * plan.max_batch,), np.float64)

    def _bias_columns(self) -> tuple[list[int], dict[str, int]]:
        """Where each gradient that is a column sum goes, and its first column among the sums."""
        where: list[int] = []
        offsets = {}
        each = scale_tensor(self.plan) if LIKELIHOODS[self.plan.likelihood].each else ""
        for name, offset, shape in self.plan.layout:
            if name.endswith(".b") or name == each:
                offsets[name] = len(where)
                where += range(offset, offset + shape[0])
        return where, offsets

    def matrix(self, name: str, rows: int, columns: int) -> Array:
        """The first rows · columns numbers of a buffer as a matrix."""
        return self.flat[name][: rows * columns].reshape(rows, columns)


def walk_blocks(n: int) -> int:
    """Blocks for a kernel that walks a buffer four numbers a thread."""
    return min(ceil_div(n, WIDTH * THREADS), MOST_BLOCKS)

"""The fused step's plan as plain integers: what each layer is and where its arrays lie.

Any number of layers runs through one compiled function, because an architecture is data here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae_kernels import kernel_of
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.layout import Arena, Place, aligned, panels, row_stride
from minivae_kernels.cpu.ops.activations import ACTIVATION_CODES
from minivae_kernels.cpu.ops.likelihoods import LIKELIHOOD_CODES
from minivae_kernels.cpu.ops.optimisers import OPTIMISER_CODES

# Columns of the layer table.
(INPUTS, OUTPUTS, W0, W_PANEL, B0, X0, X_PANEL, Y0, Y_PANEL, DY0, DY_PANEL, DX0, DX_PANEL,
 DECODES, LAYER_WORDS) = range(15)  # fmt: skip

# Words of the configuration.
(DATA_DIM, LATENT_DIM, DRAWS, DEPTH_, ACTIVATION, LIKELIHOOD, LEARN_C, LOGC0, DYNAMIC, OPTIMISER,
 BYTES, EPS0, SIGMA0,
 KL0, LATENT_PANEL, Z_PANEL, KEY0, KEY1, SCRATCH, WORDS) = range(20)  # fmt: skip
# Numbers of the configuration.
LOGC, FREE_BITS, SCALE, MOMENTUM, BETA1, BETA2, ADAM_EPS, NUMBERS = range(8)
OBJECTIVE_CODES = {"elbo": 0}
# Words of the running sums (float64); the sums of each dimension's KL follow.
UPDATES, SAMPLES, NLL, KL, LOSS, KL_J = range(6)


class Plan(NamedTuple):
    """Everything the compiled step reads, and how large its buffers are."""

    config: np.ndarray  # (WORDS,) int64
    numbers: np.ndarray  # (NUMBERS,) float64
    layers: np.ndarray  # (encoder hidden, mu, logvar, decoder hidden, out; LAYER_WORDS) int64
    names: tuple[str, ...]  # one a layer
    parameters: int  # floats
    workspace: int
    scratch: int  # floats for each thread
    partials: int


def build(plan: Any) -> Plan:
    """The tables of a StepPlan. Raises Unsupported where a part has no fused kernel."""
    activation = kernel_of(plan, "activation", ACTIVATION_CODES)
    likelihood = kernel_of(plan, "likelihood", LIKELIHOOD_CODES)
    optimiser = kernel_of(plan, "optimiser", OPTIMISER_CODES)
    if hasattr(plan, "objective"):
        kernel_of(plan, "objective", OBJECTIVE_CODES)
    hidden, J, D = tuple(plan.hidden), plan.latent_dim, plan.data_dim
    depth = len(hidden)
    space, params = Arena(), Arena()
    few, many = row_stride(plan.max_batch), row_stride(plan.max_batch * plan.draws)
    place_x = space.matrix(D, few)
    layers: list[list[int]] = []
    names: list[str] = []

    def dense(name: str, inputs: int, outputs: int, x: Place, dx: Place | None, stride: int,
              in_place: bool = False) -> tuple[Place, Place]:  # fmt: skip
        w_panel = panels(inputs) * PANEL * PANEL
        w0, b0 = params.take(panels(outputs) * w_panel), params.take(panels(outputs) * PANEL)
        y = space.matrix(outputs, stride)
        dy = y if in_place else space.matrix(outputs, stride)
        start = (dx or Place(-1, 0)).start, (dx or Place(-1, 0)).panel
        decodes = int(name.startswith("decoder"))
        layers.append([inputs, outputs, w0, w_panel, b0, *x, *y, *dy, *start, decodes])
        names.append(name)
        return y, dy

    x, dx, size = place_x, None, D
    for i, units in enumerate(hidden):
        x, dx = dense(f"encoder.{i}", size, units, x, dx, few)
        size = units
    dense("encoder.mu", size, J, x, dx, few)
    dense("encoder.logvar", size, J, x, dx, few)
    sigma, kl = space.matrix(J, few), space.matrix(J, few)
    eps, z, dz = (space.matrix(J, many) for _ in range(3))
    x, dx, size = z, dz, J
    for i, units in enumerate(reversed(hidden)):
        x, dx = dense(f"decoder.{i}", size, units, x, dx, many)
        size = units
    dense("decoder.out", size, D, x, dx, many, in_place=True)

    learn_c = any(name == "decoder.logc" for name, _, _ in plan.layout)
    scratch = 17 * PANEL * PANEL + 2 * PANEL * max(panels(D), 8) + PANEL * panels(J) * 4
    config = np.zeros(WORDS, dtype=np.int64)
    config[:] = (D, J, plan.draws, depth, activation, likelihood, learn_c,
                 params.take(PANEL), plan.binarise == "dynamic", optimiser, 0,
                 eps.start, sigma.start, kl.start, few, many,
                 plan.seed & 0xFFFFFFFF, (plan.seed >> 32) & 0xFFFFFFFF, scratch)  # fmt: skip
    logc = 0.0 if plan.logc is None else float(plan.logc)
    rule = [plan.setting(name) for name in ("momentum", "beta1", "beta2", "eps")]
    numbers = np.array([logc, plan.free_bits, plan.scale, *rule], dtype=np.float64)
    table = np.array(layers, dtype=np.int64)
    rows = plan.max_batch * plan.draws
    slots = panels(D) * (rows // 64 + 17)
    return Plan(config, numbers, table, tuple(names), params.size, space.size, scratch,
                slots * PANEL)  # fmt: skip


def pack(plan: Plan, plain: np.ndarray, layout: tuple[tuple[str, int, Any], ...]) -> np.ndarray:
    """A flat parameter-shaped vector, laid out in panels."""
    out = aligned(plan.parameters)
    for name, (start, shape) in _tensors(layout).items():
        view, kind = _view(plan, out, name, shape)
        size = int(np.prod(shape, dtype=np.int64))
        tensor = plain[start : start + size].reshape(shape)
        if kind == "W":
            rows, columns = shape
            full = np.zeros((view.shape[1], view.shape[0] * PANEL), dtype=np.float32)
            full[:rows, :columns] = tensor
            view[...] = full.reshape(view.shape[1], view.shape[0], PANEL).transpose(1, 0, 2)
        else:
            view[: max(size, 1)] = tensor
    return out


def unpack(plan: Plan, packed: np.ndarray, layout: tuple[tuple[str, int, Any], ...]) -> np.ndarray:
    """The inverse of `pack`."""
    tensors = _tensors(layout)
    total = sum(int(np.prod(shape, dtype=np.int64)) for _, shape in tensors.values())
    out = np.empty(total, dtype=np.float32)
    for name, (start, shape) in tensors.items():
        view, kind = _view(plan, packed, name, shape)
        size = int(np.prod(shape, dtype=np.int64))
        if kind == "W":
            full = view.transpose(1, 0, 2).reshape(view.shape[1], -1)
            out[start : start + size] = full[: shape[0], : shape[1]].reshape(-1)
        else:
            out[start : start + size] = view[:size]
    return out


def _tensors(layout: Any) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {name: (int(start), tuple(shape)) for name, start, shape in layout}


def _view(plan: Plan, packed: np.ndarray, name: str, shape: Any) -> tuple[np.ndarray, str]:
    """Where a tensor lies in the packed buffer: panels (P, rows, 32) of a matrix, or a vector."""
    if name == "decoder.logc":
        start = int(plan.config[LOGC0])
        return packed[start : start + 1], "b"
    stem, kind = name.rsplit(".", 1)
    layer = plan.layers[plan.names.index(stem)]
    if kind == "b":
        return packed[int(layer[B0]) : int(layer[B0]) + shape[0]], "b"
    start, panel = int(layer[W0]), int(layer[W_PANEL])
    count = panels(shape[1])
    return packed[start : start + count * panel].reshape(count, panel // PANEL, PANEL), "W"

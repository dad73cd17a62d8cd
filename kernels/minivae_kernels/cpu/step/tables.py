"""The fused step's plan as plain integers: what each layer is and where its arrays lie.

Any number of layers runs through one compiled function, because an architecture is data here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.layout import Arena, PanelMatrix, aligned, panels, row_stride
from minivae_kernels.cpu.ops.activations import ACTIVATIONS
from minivae_kernels.cpu.ops.likelihood_kernel import LikelihoodLoop
from minivae_kernels.cpu.ops.likelihoods import LIKELIHOODS
from minivae_kernels.cpu.ops.optimisers import OPTIMISERS
from minivae_kernels.cpu.ops.random import BINARISE_LINE
from minivae_kernels.cpu.ops.row_likelihoods import ROW_LIKELIHOODS, RowLikelihood
from minivae_kernels.support import Unsupported, kernel_of, require_alike

# Columns of the layer table. What a hidden layer's derivative is read off lies at KEPT0: its output
# (then KEPT0 is Y0) or its input, a = x W + b.
(INPUTS, OUTPUTS, W0, W_PANEL, B0, X0, X_PANEL, Y0, Y_PANEL, KEPT0, DY0, DY_PANEL, DX0, DX_PANEL,
 DECODES, LAYER_WORDS) = range(16)  # fmt: skip

# Words of the configuration. ACTIVATE, DEACTIVATE, SCORE, DESCEND and LEARN are addresses of
# functions; so are DYNAMIC, or 0 where nothing is binarised, SHARE and ROW_TERMS to
# LATENT_BACKWARD, or 0 where draws are not weighed, ROUND_ROWS to ROUND_WEIGHTS, or 0 where
# products are float32, and SCORE_ROWS to LEARN_SCALES, or 0 where panels are scored by themselves
# (else SCORE is 0) and where no scale is learned. PAIRS0, WEIGHTS0 and ACROSS0 are where the
# shadows of rounded.py begin. The sizes of the GROUPS groups of columns follow after all WORDS.
(DATA_DIM, LATENT_DIM, DRAWS, DEPTH, ACTIVATE, DEACTIVATE, SCORE, LOGARITHMS, DESCEND, LEARN_SCALE,
 LOG_SCALE0, DYNAMIC, BYTES, EPS0, SIGMA0, KL0, LATENT_PANEL, Z_PANEL, KEY0, KEY1, SCRATCH,
 LEARN, ROW_TERMS, WEIGH, LATENT_BACKWARD, ROW_TERMS0, ROW_WEIGHT0, DATUM0, ROUND_ROWS,
 DENSE_ROUNDED, INPUT_ROUNDED, WEIGHTS_ROUNDED, ROUND_WEIGHTS, PAIRS0, WEIGHTS0, ACROSS0,
 SCORE_ROWS, ROW_LOOP, LEARN_SCALES, SLOPES0, SCALE_EACH, SHARE, GROUPS,
 WORDS) = range(44)  # fmt: skip
# Numbers of the configuration.
LOG_SCALE, WEIGHT, CONSTANT, FREE_BITS, DATA_SCALE, ROW_SCALE, NUMBERS = range(7)
# Whether draws are weighed (importance.py).
OBJECTIVES = {"elbo": False, "iwae": True, "sampled-elbo": True}
# What such an objective keeps of each datum: its loss, -log p(x | z) summed over draws, and the
# weighted sum of the likelihood's terms.
DATUM_LOSS, DATUM_NLL, DATUM_TERMS, DATUM_WORDS = range(4)
# Words of the running sums (float64); the sums of each dimension's KL follow.
UPDATES, SAMPLES, NLL, KL, LOSS, KL_J = range(6)


class Plan(NamedTuple):
    """Everything the compiled step reads, and how large its buffers are."""

    config: np.ndarray  # (WORDS + groups,) int64
    numbers: np.ndarray  # (NUMBERS,) float64
    layers: np.ndarray  # (encoder hidden, mu, logvar, decoder hidden, out; LAYER_WORDS) int64
    names: tuple[str, ...]  # one a layer
    log_scale: str | None  # the name of the likelihood's learned log-scale
    parameters: int  # floats
    workspace: int
    partials: int


def kernels_of(plan: Any) -> tuple[Any, Any, Any, Any]:
    """Its activation's, likelihood's, optimiser's and objective's; Unsupported where one has none.

    None of them is compiled yet.
    """
    require_alike(plan)
    return (
        kernel_of(plan, "activation", ACTIVATIONS),
        kernel_of(plan, "likelihood", {**LIKELIHOODS, **ROW_LIKELIHOODS}),
        kernel_of(plan, "optimiser", OPTIMISERS),
        kernel_of(plan, "objective", OBJECTIVES),
    )


def build(plan: Any) -> Plan:
    """The tables of a StepPlan. Raises Unsupported where a part has no fused kernel."""
    activation, likelihood, optimiser, weighed = kernels_of(plan)
    few, many = row_stride(plan.max_batch), row_stride(plan.max_batch * plan.draws)
    stack = _Stack(activation.reads_input)
    latent = _lay_out(stack, plan, few, many)
    log_scale = _log_scale(plan)
    latent.update(_score(stack, plan, many, likelihood, log_scale))
    if weighed:
        latent.update(_rows(stack, plan, many))
    values = {
        **latent,
        DATA_DIM: plan.data_dim,
        LATENT_DIM: plan.latent_dim,
        DRAWS: plan.draws,
        DEPTH: len(plan.hidden),
        ACTIVATE: activation.forward.address,
        DEACTIVATE: activation.backward.address,
        DESCEND: optimiser.loop.address,
        DYNAMIC: BINARISE_LINE.address if plan.binarise == "dynamic" else 0,
        LATENT_PANEL: few,
        Z_PANEL: many,
        KEY0: plan.seed & 0xFFFFFFFF,
        KEY1: (plan.seed >> 32) & 0xFFFFFFFF,
        # eight blocks of a gradient (update.py); two lines of the data (batch.py, row_scores.py)
        SCRATCH: 8 * PANEL * PANEL + 2 * PANEL * panels(plan.data_dim),
    }
    config = np.zeros(WORDS + len(plan.groups), dtype=np.int64)
    config[list(values)] = list(values.values())
    config[WORDS:] = plan.groups
    given = 0.0 if plan.logc is None else float(plan.logc)
    if isinstance(likelihood, LikelihoodLoop):
        form = given, likelihood.weight, likelihood.constant
    else:
        form = 0.0, 1.0, 0.0
    numbers = *form, plan.free_bits, plan.scale, given
    slots = panels(plan.data_dim) * (plan.max_batch * plan.draws // 64 + 17)
    return Plan(
        config, np.array(numbers, dtype=np.float64), np.array(stack.layers, dtype=np.int64),
        tuple(stack.names), log_scale, stack.params.size, stack.space.size, slots * PANEL,
    )  # fmt: skip


class _Stack:
    """Dense layers, one on the other, with the places of their arrays and parameters."""

    def __init__(self, keeps_input: bool) -> None:
        self.space, self.params, self.keeps_input = Arena(), Arena(), keeps_input
        self.layers: list[list[int]] = []
        self.names: list[str] = []

    def hidden(self, name: str, inputs: int, outputs: int, x: PanelMatrix, dx: PanelMatrix | None,
               stride: int) -> tuple[PanelMatrix, PanelMatrix]:  # fmt: skip
        """A layer with an activation -> where its output lies, and the output's gradient."""
        y = self.space.matrix(outputs, stride)
        kept = self.space.matrix(outputs, stride) if self.keeps_input else y
        dy = self.space.matrix(outputs, stride)
        self._add(name, inputs, outputs, x, y, kept, dy, dx)
        return y, dy

    def linear(self, name: str, inputs: int, outputs: int, x: PanelMatrix, dx: PanelMatrix | None,
               stride: int, *, in_place: bool = False) -> None:  # fmt: skip
        """A layer without one; in_place: its output's gradient takes the output's place."""
        y = self.space.matrix(outputs, stride)
        dy = y if in_place else self.space.matrix(outputs, stride)
        self._add(name, inputs, outputs, x, y, y, dy, dx)

    def _add(self, name: str, inputs: int, outputs: int, x: PanelMatrix, y: PanelMatrix,
             kept: PanelMatrix, dy: PanelMatrix, dx: PanelMatrix | None) -> None:  # fmt: skip
        w_panel = panels(inputs) * PANEL * PANEL
        w0 = self.params.take(panels(outputs) * w_panel)
        b0 = self.params.take(panels(outputs) * PANEL)
        decodes = int(name.startswith("decoder"))
        row = [inputs, outputs, w0, w_panel, b0, *x, *y, kept.start, *dy,
               *(dx or PanelMatrix(-1, 0)), decodes]  # fmt: skip
        self.layers.append(row)
        self.names.append(name)


def _lay_out(stack: _Stack, plan: Any, few: int, many: int) -> dict[int, int]:
    """Put the model's layers on the stack -> where ε, σ and the KL lie.

    few, many: the strides of panels of a batch's rows, and of all draws' rows.
    """
    x, dx, size = stack.space.matrix(plan.data_dim, few), None, plan.data_dim
    for i, units in enumerate(plan.hidden):
        x, dx = stack.hidden(f"encoder.{i}", size, units, x, dx, few)
        size = units
    J = plan.latent_dim
    stack.linear("encoder.mu", size, J, x, dx, few)
    stack.linear("encoder.logvar", size, J, x, dx, few)
    sigma, kl = stack.space.matrix(J, few), stack.space.matrix(J, few)
    eps, z, dz = (stack.space.matrix(J, many) for _ in range(3))
    x, dx, size = z, dz, J
    for i, units in enumerate(reversed(plan.hidden)):
        x, dx = stack.hidden(f"decoder.{i}", size, units, x, dx, many)
        size = units
    stack.linear("decoder.out", size, plan.data_dim, x, dx, many, in_place=True)
    return {EPS0: eps.start, SIGMA0: sigma.start, KL0: kl.start}


def _score(
    stack: _Stack, plan: Any, many: int, of: LikelihoodLoop | RowLikelihood, log_scale: str | None
) -> dict[int, int]:
    """How outputs are scored: panel by panel, or by rows; and where the log-scale lies."""
    learns = int(log_scale is not None)
    if isinstance(of, LikelihoodLoop):
        return {
            SCORE: of.loop.address,
            LOGARITHMS: of.logarithms,
            LEARN_SCALE: learns,
            LOG_SCALE0: stack.params.take(PANEL),
        }
    columns = plan.data_dim if of.each else 1
    return {
        ROW_LOOP: of.loop.address,
        LEARN_SCALES: learns,  # an address later
        LOG_SCALE0: stack.params.take(panels(columns) * PANEL),
        SLOPES0: 0 if of.grouped else stack.space.matrix(plan.data_dim, many).start,
        SCALE_EACH: of.each,
        GROUPS: len(plan.groups),
    }


def _rows(stack: _Stack, plan: Any, many: int) -> dict[int, int]:
    """Places for what an objective over weighed draws keeps of each row and each datum."""
    rows = many // PANEL
    return {
        ROW_TERMS0: stack.space.take(panels(plan.data_dim) * rows),
        ROW_WEIGHT0: stack.space.take(rows),
        DATUM0: stack.space.take(DATUM_WORDS * plan.max_batch),
    }


def _log_scale(plan: Any) -> str | None:
    """The name of the likelihood's learned log-scale, if there is one."""
    others = [(n, shape) for n, _, shape in plan.layout if not n.endswith((".W", ".b"))]
    fits = all(shape in ((), (1,), (plan.data_dim,)) for _, shape in others)
    if not fits or len(others) > 1:
        raise Unsupported(plan, f"no fused kernel for the parameters {', '.join(dict(others))}")
    return others[0][0] if others else None


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
    if name == plan.log_scale:
        start = int(plan.config[LOG_SCALE0])
        return packed[start : start + int(np.prod(shape, dtype=np.int64))], "b"
    stem, kind = name.rsplit(".", 1)
    layer = plan.layers[plan.names.index(stem)]
    if kind == "b":
        return packed[int(layer[B0]) : int(layer[B0]) + shape[0]], "b"
    start, panel = int(layer[W0]), int(layer[W_PANEL])
    count = panels(shape[1])
    return packed[start : start + count * panel].reshape(count, panel // PANEL, PANEL), "W"

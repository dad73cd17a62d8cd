"""One datum's walk through the VAE: every op's numbers, and every gradient beside its complex step.

Nothing is computed here a second time. `elbo_forward` and `elbo_backward` run as they are, on a
backend that writes down each op they call. To check a gradient, the forward pass runs again with
one entry of that op's argument moved by an imaginary 1e-40.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.backend import Observed
from minivae.layers import Parameters
from minivae.models.config import ModelConfig
from minivae.models.vae import elbo_backward, elbo_forward
from minivae.ops.activation import sigmoid_forward, softplus_forward
from minivae.ops.table import FUNCTIONS
from minivae.types import Array
from minivae.types.analytic import complex_step

ALL_ENTRIES = 96  # tensors up to this size are checked entry by entry, larger ones by sample
SAMPLED = 24


@dataclass
class Call:
    """One op as it was called: its arguments and results by name, and its equations."""

    op: str
    place: int
    layer: str
    arguments: dict[str, Any]
    results: list[Any]
    equations: tuple[str, ...]


@dataclass
class Gradient:
    """A gradient from the backward pass and what the complex step says of the same entries."""

    op: str
    layer: str
    argument: str
    equations: tuple[str, ...]
    hand: Array
    entries: list[tuple[int, ...]] = field(default_factory=list)
    complex_step: list[float] = field(default_factory=list)

    @property
    def worst(self) -> float:
        """The largest difference, as a share of the tensor's largest entry (NaN if any is NaN)."""
        hand = np.array([self.hand[entry] for entry in self.entries])
        scale = np.abs(self.hand).max() or 1.0
        return float(np.max(np.abs(hand - np.array(self.complex_step))) / scale)


class Inside(NamedTuple):
    """A number that stands inside an op and is not among its results."""

    equation: str
    words: str
    value: Array


class Meeting(NamedTuple):
    """Where two gradients of one argument are added: the draw's (E27) and the KL's (E16)."""

    argument: str
    by_draw: Array
    by_kl: Array

    @property
    def total(self) -> Array:
        """What is handed on to the encoder."""
        return self.by_draw + self.by_kl


@dataclass
class Walk:
    """The whole walk: forward calls in order, gradients from the loss back to the data."""

    loss: float
    beta: float
    forward: list[Call]
    gradients: list[Gradient]

    def meetings(self) -> list[Meeting]:
        """The two that meet in μ and the two in log σ²; none where an op took another way."""
        found = {(g.op, g.argument): g.hand for g in self.gradients}
        draw, kl = "reparameterise_backward", "kl_backward"
        return [
            Meeting(name, found[draw, name], found[kl, name])
            for name in ("mu", "logvar")
            if (draw, name) in found and (kl, name) in found
        ]


class CallRecorder(Observed):
    """A backend that calls K's ops and writes down each call; `nudge` moves one argument."""

    def __init__(self, K: Any, p: Parameters, nudge: tuple[int, str, Array] | None = None) -> None:
        super().__init__(K)
        self._nudge = nudge
        self._layers = {id(value): name.rpartition(".")[0] for name, value in p.items()}
        self.calls: list[Call] = []

    def called(self, name: str, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """The op's result, written down with its arguments by name and its equations."""
        arguments = dict(zip(inspect.signature(op).parameters, args, strict=True))
        equations = tuple(re.findall(r"E\d+", inspect.getdoc(op) or ""))
        place = len(self.calls)
        layer = next((self._layers[id(v)] for v in args if id(v) in self._layers), "")
        layer = layer if name.startswith("dense") else ""
        if self._nudge and self._nudge[0] == place:
            arguments[self._nudge[1]] = arguments[self._nudge[1]] + self._nudge[2]
        out = op(*arguments.values())
        results = list(out) if isinstance(out, tuple) else [out]
        self.calls.append(Call(name, place, layer, arguments, results, equations))
        return out


def walk(
    K: Any, p: Parameters, x: Array, eps: Array, beta: float, config: ModelConfig, seed: int = 0
) -> Walk:
    """Send one datum forward and back, in float64.

    x (1, D), eps (L, 1, J). The loss is in nats (E28). Entries of large tensors are sampled
    with `seed`; the largest gradient is always among them.
    Raises ValueError unless x is one datum.
    """
    if len(x) != 1:
        raise ValueError(f"a walk follows one datum, but x has {len(x)} rows: pass x[i : i + 1]")
    p = {name: np.asarray(value, dtype=np.float64) for name, value in p.items()}
    x, eps = x.astype(np.float64), eps.astype(np.float64)
    forward = CallRecorder(K, p)
    loss, cache = elbo_forward(forward, p, x, eps, beta, config)
    backward = CallRecorder(K, p)
    elbo_backward(backward, np.ones_like(loss), cache, p, config)

    def loss_with(place: int, name: str, change: Array) -> Any:
        return elbo_forward(CallRecorder(K, p, (place, name, change)), p, x, eps, beta, config)[0]

    rng = np.random.default_rng(seed)
    gradients = _gathered(backward.calls, forward.calls)
    for (place, name), gradient in gradients.items():
        for entry in _entries(gradient.hand, rng):
            one = np.zeros(gradient.hand.shape)
            one[entry] = 1.0
            loss_at = partial(loss_with, place, name)
            gradient.entries.append(entry)
            gradient.complex_step.append(float(complex_step(loss_at, [0 * one], {0: one})))
    return Walk(float(loss), beta, forward.calls, list(gradients.values()))


def _gathered(backward: list[Call], forward: list[Call]) -> dict[tuple[int, str], Gradient]:
    """The gradient of each argument of each forward call, by the call's place and the name.

    Where an objective sends a second gradient through the same op, as the importance weights do
    through the draw, the two add.
    """
    found: dict[tuple[int, str], Gradient] = {}
    used = set[tuple[int, str]]()
    for call in backward:
        source = _undone(call, forward, used)
        for name, hand in _gradients_of(call, source):
            key = source.place, name
            if key in found:
                found[key].hand = found[key].hand + hand
            else:
                found[key] = Gradient(call.op, source.layer, name, call.equations, np.asarray(hand))
    return found


def inside(call: Call) -> list[Inside]:
    """What a call's result is made of, where that is worth seeing; empty for most ops."""
    explain = INSIDE.get(call.op)
    return [] if explain is None else explain(**call.arguments)


def _inside_draw(mu: Array, logvar: Array, eps: Array) -> list[Inside]:
    sigma = np.exp(0.5 * logvar)
    return [
        Inside("E26", "noise eps", eps),
        Inside("E26", "sigma = exp(logvar / 2)", sigma),
        Inside("E26", "sigma * eps", sigma * eps),
    ]


def _inside_gaussian(mean: Array, x: Array, logc: Array) -> list[Inside]:
    square = ((mean - x) ** 2).sum(axis=-1)
    c = np.exp(logc)
    return [
        Inside("E20", "squared error |x - f(z)|^2", square),
        Inside("E20", "variance c", c),
        Inside("E20", "squared error / (2 c)", square / (2 * c)),
        Inside("E20", "constant D/2 log(2 pi c)", 0.5 * x.shape[-1] * np.log(2 * np.pi * c)),
    ]


def _inside_bernoulli(logits: Array, x: Array) -> list[Inside]:
    soft = softplus_forward(logits)
    return [
        Inside("E23", "sum of softplus(a)", soft.sum(axis=-1)),
        Inside("E23", "sum of x * a", (x * logits).sum(axis=-1)),
        Inside("E20", "squared error |x - s(a)|^2", ((sigmoid_forward(logits) - x) ** 2).sum(-1)),
    ]


INSIDE: dict[str, Callable[..., list[Inside]]] = {
    ops.reparameterise_forward.__name__: _inside_draw,
    ops.gaussian_nll_forward.__name__: _inside_gaussian,
    ops.bernoulli_nll_forward.__name__: _inside_bernoulli,
}


def _undone(call: Call, forward: list[Call], used: set[tuple[int, str]]) -> Call:
    """The forward call that a backward call undoes: the last unused one on the same values.

    Where all are used, the last one: it is undone a second time, by another path.
    """
    stem = re.sub(r"_backward.*", "", call.op)
    fitting = [one for one in reversed(forward) if one.op == f"{stem}_forward" and _same(one, call)]
    if not fitting:
        raise LookupError(f"{call.op} undoes no op of the forward pass")
    chosen = next((one for one in fitting if (one.place, call.op) not in used), fitting[0])
    used.add((chosen.place, call.op))
    return chosen


def _same(forward: Call, backward: Call) -> bool:
    """Whether the arguments that two calls share by name are the same numbers."""
    shared = [name for name in backward.arguments if name in forward.arguments]
    return all(np.array_equal(forward.arguments[n], backward.arguments[n]) for n in shared)


def _gradients_of(call: Call, source: Call) -> list[tuple[str, Any]]:
    """The (argument, gradient) pairs that a backward call returned."""
    backward = FUNCTIONS[call.op].backward
    names = backward.gives.split() if backward else list(source.arguments)[:1]
    return list(zip(names, call.results, strict=True))


def _entries(hand: Array, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Every entry of a small tensor; the largest and some drawn at random of a large one."""
    flat = range(hand.size)
    if hand.size > ALL_ENTRIES:
        drawn = rng.choice(hand.size, SAMPLED, replace=False)
        flat = sorted({int(np.abs(hand).argmax()), *drawn.tolist()})  # type: ignore[assignment]
    return [tuple(int(i) for i in np.unravel_index(i, hand.shape)) for i in flat]

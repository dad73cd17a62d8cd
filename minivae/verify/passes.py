"""A pass under test: forward and backward run on copies of their inputs, against a clock."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minivae.types import (
    EPS32,
    EPS64,
    Array,
    Shape,
    copy_leaf,
    eps_of,
    float_parts,
    holds_float32,
    in_place_of_floats,
    kind_of,
    leaves,
    replace,
    vector,
)
from minivae.types.foreign import CannotRun, Clock

Rng = np.random.Generator
Function = Callable[..., Any]
Deltas = dict[int, Array]  # how far to go, in the leaves at these places


def apart(a: Array, b: Array, limit: float) -> bool:
    """Whether two runs differ by more than `limit` of their largest entry."""
    if a.shape != b.shape or np.array_equal(a, b, equal_nan=True):
        return a.shape != b.shape
    scale = max(np.abs(a).max(), np.abs(b).max())
    return not np.abs(a - b).max() <= limit * scale < np.inf


def signed(rng: Rng, shape: Shape, low: float = 0.5, high: float = 1.5) -> Array:
    """Random numbers of both signs, no two moduli equal."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(low, high, shape))


class Leaf(NamedTuple):
    """One float array to differentiate by: place in the flat inputs, address, argument, value."""

    place: int
    name: str
    arg: int
    value: Array

    @property
    def eps(self) -> float:
        """The spacing of floats at 1 in its precision."""
        return eps_of(self.value)

    @property
    def scale(self) -> Array:
        """A natural size of a step in each entry: the entry itself, or its tensor's median."""
        size = np.abs(self.value.astype(np.float64))
        middle = float(np.median(size[size > 0])) if size.any() else 1.0
        return np.where(size > 1e-3 * middle, size, middle)

    def unit(self, entry: int) -> Array:
        """The direction of one entry, by its flat index."""
        return (np.arange(self.value.size) == entry).reshape(self.value.shape).astype(np.float64)


@dataclass(eq=False)
class Pass:
    """forward(*inputs) -> (y, cache) and backward(dy, cache) -> grads, ready to be probed.

    `wrt` names the inputs to differentiate by (arguments or addresses); all others are constants:
    never moved, and no gradient of them is asked for. Raises ValueError for an unknown name.
    """

    forward: Function
    backward: Function
    args: Sequence[Any]
    names: Sequence[str]
    wrt: Sequence[str] | None = None
    clock: Clock = field(default_factory=Clock)
    y_tree: Any = field(default=None, init=False)
    y_shapes: list[Shape] = field(default_factory=list, init=False)
    y0: Array = field(default_factory=lambda: np.zeros(0), init=False)
    y_eps: float = field(default=EPS64, init=False)

    def __post_init__(self) -> None:
        self.args, found = tuple(self.args), []
        self.flat: list[tuple[str, Any]] = []
        for number, (name, arg) in enumerate(zip(self.names, self.args, strict=True)):
            for path, value in leaves(arg, name):
                if kind_of(value) == "float":
                    found.append(Leaf(len(self.flat), path, number, np.asarray(value)))
                self.flat.append((path, value))
        self.base = [value for _, value in self.flat]
        self.leaves = [leaf for leaf in found if self.wanted(leaf.name, leaf.arg)]
        known = {x.name for x in found} | {self.names[x.arg] for x in found}
        if self.wrt is not None and not self.wrt:
            raise ValueError(f"wrt names no input; there are {sorted(known)}")
        for item in set(self.wrt or ()) - known:
            what = f"wrt names {item!r}, which is no float input"
            raise ValueError(f"{what}; there are {sorted(known)}")

    @property
    def coarse(self) -> bool:
        """Whether differences see less than float64: its inputs or outputs are shorter."""
        return max(self.y_eps, *(leaf.eps for leaf in self.leaves)) > EPS64

    def wanted(self, name: str, arg: int) -> bool:
        """Whether the input at this address is one to differentiate by."""
        return self.wrt is None or name in self.wrt or self.names[arg] in self.wrt

    def named(self, args: Sequence[Any]) -> dict[str, Any]:
        """Arguments by their names."""
        return dict(zip(self.names, args, strict=True))

    def at(self, values: Sequence[Any]) -> Pass:
        """This pass at other inputs."""
        return dataclasses.replace(self, args=replace(self.args, values))

    def widened(self) -> Pass:
        """This pass with every float input in float64."""
        wide = [np.asarray(v, np.float64)[()] if kind_of(v) == "float" else v for v in self.base]
        return self.at(wide)

    def narrowed(self, values: Sequence[Any]) -> list[Any]:
        """Flat inputs in the precision of this pass's own."""
        pairs = zip(values, self.base, strict=True)
        return [np.asarray(v, b.dtype)[()] if kind_of(b) == "float" else v for v, b in pairs]

    # -- forward -----------------------------------------------------------------------------
    def call(self, args: Any) -> Any:
        """forward on these very arguments; whatever it returns."""
        return self.clock.timed("forward", self.forward, *args)

    def run(self, values: Sequence[Any]) -> Any:
        """forward on copies of the flat inputs `values`; whatever it returns."""
        return self.call(replace(self.args, [copy_leaf(v) for v in values]))

    def adopt(self, y: Any) -> None:
        """Remember the reference output: its structure, numbers and precision."""
        self.y_tree = y
        parts = float_parts(y)
        self.y_shapes = [np.shape(part) for part in parts]
        self.y0 = vector(y).real.astype(np.float64)
        self.y_eps = max(eps_of(part) for part in parts)
        if self.y_eps == EPS64 and holds_float32(self.y0):
            self.y_eps = EPS32

    def output(self, values: Sequence[Any]) -> Array:
        """The output vector of forward at the flat inputs `values`."""
        return vector(self.run(values)[0])

    def moved(self, deltas: Deltas, t: float = 1.0) -> list[Any]:
        """The flat inputs with t * delta added to the leaves at the places of `deltas`."""
        values = list(self.base)
        for place, delta in deltas.items():
            old = np.asarray(self.base[place])
            values[place] = np.asarray(old.astype(np.float64) + t * delta, dtype=old.dtype)
        return values

    def nudge(self, rng: Rng, eps: float) -> Deltas:
        """Changes of every entry of every leaf by one or two eps of itself."""
        sizes = {x.place: x.value.astype(np.float64) for x in self.leaves}
        return {place: eps * signed(rng, x.shape, 1, 2) * x for place, x in sizes.items()}

    def output_noise(self, rng: Rng) -> Array:
        """The rounding to expect in each output: its own, or what a nudge of the inputs shows on
        both sides; on one side only it is a jump."""
        noise = self.y_eps * np.abs(self.y0)
        if not self.clock.fits(forward=2):
            return 4 * noise
        nudge = self.nudge(rng, self.y_eps)
        with contextlib.suppress(Exception):  # a point where nothing may move
            up, down = (np.abs(self.output(self.moved(nudge, t)).real - self.y0) for t in (1, -1))
            low, high = np.minimum(up, down), np.maximum(up, down)
            jump = (low < 1e-3 * high) & (high > 1e6 * self.y_eps * np.abs(self.y0).max(initial=0))
            noise = np.fmax(noise, np.where(jump, low, high))
        return noise

    # -- backward ----------------------------------------------------------------------------
    def draw_upstream(self, rng: Rng) -> Array:
        """Numbers of both signs, no two moduli equal, that y's precision can hold."""
        short = {EPS64: np.float64, EPS32: np.float32}.get(self.y_eps, np.float16)
        return signed(rng, self.y0.shape).astype(short).astype(np.float64)

    def upstream(self, numbers: Array) -> Any:
        """The vector of upstream numbers in the structure, shapes and dtypes of the output."""
        return in_place_of_floats(numbers, self.y_tree)

    def back(self, upstream: Any, cache: Any) -> Any:
        """What backward returns for this very upstream and cache."""
        return self.clock.timed("backward", self.backward, upstream, cache)


def lost_below(job: Pass, dy: Array, eps: float) -> float:
    """What an inner result that is zero in float32 or float16, and tiny in float64, may cost: the
    least number of the precision, times whatever later factors it may meet."""
    least = 2.0**-126 if eps <= EPS32 else 2.0**-24  # normal; half's subnormal, never flushed
    factors = [dy, *(leaf.value for leaf in job.leaves)]
    return least * float(np.prod([max(1.0, np.abs(f).max(initial=0)) for f in factors]))


def unpack(result: Any) -> tuple[Any, Any]:
    """(y, cache) of a forward's result; CannotRun says what came instead."""
    several = isinstance(result, (tuple, list))
    if several and len(result) == 2:
        return result[0], result[1]
    what = f"{len(result)} values" if several else "None"
    if not several and result is not None:
        what = f"{type(result).__name__} of shape {np.shape(result)}"
    raise CannotRun(f"forward returned {what} where a pair (y, cache) is due")

"""One pass under test: runs its forward and backward on copies, in real or complex arithmetic."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minivae.types import Array
from minivae.verify import tree
from minivae.verify.tolerances import EPS32, EPS64, STEP

BRANCH = 1e-5  # real and complex runs of one branch differ by rounding, other branches by far more


class Leaf(NamedTuple):
    """One float array of the inputs: its place in the flattened inputs, its address, its
    argument."""

    place: int
    name: str
    arg: int
    value: Array


class CannotRun(Exception):
    """A forward or backward that raised; the message is one line."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Floating-point and other warnings of the code under test are its own affair."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def complex_mode() -> Iterator[None]:
    """A silently discarded imaginary part becomes an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


def one_line(error: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def argument_names(forward: Callable[..., Any], count: int) -> list[str]:
    """The parameter names of `forward`, or input0, input1, … where it does not tell."""
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "input")
    return [names[i] if i < len(names) else f"{star}{i}" for i in range(count)]


class Pass:
    """forward(*inputs) -> (y, cache) and backward(dy, cache) -> grads, ready to be probed."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        args: Sequence[Any],
        names: Sequence[str],
    ) -> None:
        self.forward, self.backward = forward, backward
        self.args, self.names = tuple(args), list(names)
        self.flat: list[tuple[str, Any]] = []
        self.leaves: list[Leaf] = []
        for number, (name, arg) in enumerate(zip(self.names, self.args, strict=True)):
            for path, value in tree.leaves(arg, name):
                if tree.kind_of(value) == "float":
                    array = np.asarray(value)
                    self.leaves.append(Leaf(len(self.flat), path, number, array))
                self.flat.append((path, value))
        self.base = [value for _, value in self.flat]
        self.y_tree: Any = None
        self.y_shapes: list[tuple[int, ...]] = []
        self.y0: Array = np.zeros(0)
        self.y_eps = EPS64
        self.all_complex = False

    # -- forward -----------------------------------------------------------------------------
    def run(self, values: Sequence[Any]) -> Any:
        """forward on copies of the flat inputs `values`; whatever it returns."""
        args = tree.replace(self.args, [tree.copy_leaf(v) for v in values])
        return self.forward(*args)

    def adopt(self, y: Any) -> None:
        """Remember the reference output: its structure, its numbers and the precision it was
        computed in."""
        self.y_tree = y
        parts = self._float_parts(y)
        self.y_shapes = [np.shape(part) for part in parts]
        self.y0 = self.vector(y).real.astype(np.float64)
        dtypes = [np.asarray(part).dtype for part in parts]
        coarse = any(d.itemsize < 8 for d in dtypes) or self._rounded(parts)
        self.y_eps = EPS32 if coarse else EPS64

    @staticmethod
    def _rounded(parts: list[Any]) -> bool:
        """Whether float64 outputs hold float32 numbers only: the forward computes in float32."""
        values = np.concatenate([np.ravel(np.asarray(p, dtype=np.float64)) for p in parts])
        values = values[np.isfinite(values)]
        fractions = values[values != np.round(values)]
        if fractions.size < 4:
            return False
        short = fractions.astype(np.float32).astype(np.float64) == fractions
        dyadic = np.ldexp(fractions, 16) == np.round(np.ldexp(fractions, 16))
        return bool(short.all() and not dyadic.all())

    @staticmethod
    def _float_parts(y: Any) -> list[Any]:
        return [v for _, v in tree.leaves(y) if tree.kind_of(v) in ("float", "number", "complex")]

    def vector(self, y: Any) -> Array:
        """All float outputs of a forward as one vector."""
        parts = [np.ravel(np.asarray(part)) for part in self._float_parts(y)]
        wide = [p.astype(np.complex128 if p.dtype.kind == "c" else np.float64) for p in parts]
        return np.concatenate(wide) if wide else np.zeros(0)

    def output(self, values: Sequence[Any]) -> Array:
        """The output vector of forward at the flat inputs `values`."""
        return self.vector(self.run(values)[0])

    def moved(self, leaf: Leaf, delta: Array, t: float = 1.0) -> Array:
        """The output vector with leaf + t * delta in place of one leaf; float64."""
        values = list(self.base)
        moved = leaf.value.astype(np.float64) + t * delta
        values[leaf.place] = np.asarray(moved, dtype=leaf.value.dtype)
        return self.output(values)

    def imaginary(self, leaf: Leaf, delta: Array) -> Array:
        """J delta by one complex step: Im y(leaf + i h delta) / h, for all outputs."""
        values = list(self.base)
        if self.all_complex:
            values = [v.astype(complex) if tree.kind_of(v) == "float" else v for v in values]
        values[leaf.place] = leaf.value + (1j * STEP) * delta
        y = self.output(values)
        if y.shape != self.y0.shape:
            raise CannotRun("the output changes its shape on complex input")
        gap, scale = np.abs(y.real - self.y0).max(initial=0), np.abs(self.y0).max(initial=0)
        if not (gap <= BRANCH * scale) and np.isfinite(y).all():
            raise CannotRun("complex input takes another branch than real input")
        return np.asarray(y.imag / STEP)

    # -- backward ----------------------------------------------------------------------------
    def upstream(self, vector: Array) -> Any:
        """The vector of upstream numbers in the structure, shapes and dtypes of the output."""
        place = 0

        def one(leaf: Any) -> Any:
            nonlocal place
            kind = tree.kind_of(leaf)
            if kind in ("integer", "other"):
                return np.zeros(np.shape(leaf)) if isinstance(leaf, np.ndarray) else leaf
            if kind == "constant":
                return leaf
            shape = np.shape(leaf)
            size = int(np.prod(shape))
            piece = vector[place : place + size].reshape(shape)
            place += size
            if kind == "number":
                return float(piece)
            if isinstance(leaf, np.generic):
                return leaf.dtype.type(piece)
            return np.array(piece, dtype=leaf.dtype)

        return tree.transform(self.y_tree, one)

    def raw_gradient(self, dy: Array, values: Sequence[Any] | None = None) -> Any:
        """What backward returns for a fresh forward: layers that keep state on themselves see
        it fresh."""
        cache = self.run(self.base if values is None else values)[1]
        return self.backward(self.upstream(dy), cache)

    def gradient(self, dy: Array, values: Sequence[Any] | None = None) -> list[Array | None]:
        """One float64 array per leaf, None where backward gave none that fits."""
        from minivae.verify.structure import align

        pieces, _ = align(self, self.raw_gradient(dy, values))
        out: list[Array | None] = []
        for leaf, piece in zip(self.leaves, pieces, strict=True):
            fits = piece is not None and np.shape(piece) == leaf.value.shape
            out.append(np.array(piece, dtype=np.float64) if fits else None)
        return out

    def nudged(self, rng: np.random.Generator, eps: float) -> list[Any]:
        """The flat inputs with every float entry changed by up to 2 eps of itself."""
        out: list[Any] = []
        for value in self.base:
            if tree.kind_of(value) == "float":
                factor = 1 + 2 * eps * rng.uniform(-1, 1, np.shape(value))
                moved = np.asarray(value, dtype=np.float64) * factor
                value = np.asarray(moved, dtype=np.asarray(value).dtype)
            out.append(value)
        return out

    def output_noise(self, rng: np.random.Generator) -> Array:
        """The rounding to expect in each output: its own, or what a nudge of the inputs shows."""
        noise = self.y_eps * np.abs(self.y0)
        for _ in range(2):
            try:
                y = self.output(self.nudged(rng, self.y_eps))
            except Exception:  # a point where nothing may move
                return noise
            if y.shape == noise.shape and np.isfinite(y).all():
                noise = np.maximum(noise, np.abs(y.real - self.y0))
        return noise

    def widened(self) -> Pass:
        """The same pass with every float input in float64."""
        flat = [
            np.asarray(v, dtype=np.float64)[()] if tree.kind_of(v) == "float" else v
            for v in self.base
        ]
        return Pass(self.forward, self.backward, tree.replace(self.args, flat), self.names)

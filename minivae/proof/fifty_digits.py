"""Fifty digits: the same op source run on mpmath numbers, held to a difference with 80 working
digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae import ops
from minivae.backend import Observed
from minivae.proof.case import Case
from minivae.proof.tolerances import tol
from minivae.types import Array, kind_of, leaves, replace, transform
from minivae.types.foreign import quiet

DIGITS = 80


class Real:
    """An mpmath number with the methods that NumPy's ufuncs call on the entries of object
    arrays."""

    __slots__ = ("v",)

    def __init__(self, value: Any) -> None:
        self.v: Any = value.v if isinstance(value, Real) else arithmetic().mpf(value)

    @property
    def real(self) -> Real:
        return self

    def __float__(self) -> float:
        return float(self.v)

    def __bool__(self) -> bool:
        return bool(self.v != 0)

    def __neg__(self) -> Real:
        return Real(-self.v)

    def __pos__(self) -> Real:
        return self

    def __abs__(self) -> Real:
        return Real(abs(self.v))

    def __repr__(self) -> str:
        return f"Real({self.v})"


def arithmetic() -> Any:
    """mpmath, with enough digits; ImportError says how to get it."""
    try:
        import mpmath
    except ImportError as error:
        raise ImportError(
            "the 50-digit check needs mpmath: pip install 'minivae[verify]'"
        ) from error
    mpmath.mp.dps = max(mpmath.mp.dps, DIGITS)
    return mpmath


def _binary(name: str) -> Callable[[Real, Any], Any]:
    def method(self: Real, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        value = other.v if isinstance(other, Real) else arithmetic().mpf(float(other))
        result = getattr(self.v, name)(value)
        if result is NotImplemented:
            return result
        return bool(result) if name in COMPARISONS else Real(result)

    return method


def _unary(name: str) -> Callable[[Real], Real]:
    return lambda self: Real(getattr(arithmetic(), name)(self.v))


COMPARISONS = ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__")
for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "rpow"):
    setattr(Real, f"__{_name}__", _binary(f"__{_name}__"))
for _name in COMPARISONS:
    setattr(Real, _name, _binary(_name))
for _name in ("exp", "log", "expm1", "log1p", "sqrt", "tanh", "cosh", "sinh", "sin", "cos", "atan"):
    setattr(Real, _name, _unary(_name))
Real.__hash__ = None  # type: ignore[assignment]


def lift(value: Any) -> Any:
    """Float arrays as object arrays of 80-digit numbers; everything else as it is."""
    if kind_of(value) != "float":
        return value
    array = np.asarray(value)
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        out[index] = Real(float(array[index]))
    return out


def random_like(y: Any, rng: np.random.Generator) -> Any:
    """An upstream in the structure of y."""

    def one(leaf: Any) -> Any:
        sign = rng.choice([-1.0, 1.0], np.shape(leaf)) * rng.uniform(0.5, 1.5, np.shape(leaf))
        return lift(np.asarray(sign))

    return transform(y, one)


def project(y: Any, dy: Any) -> Any:
    """Sum of dy * y over all outputs, in 80 digits."""
    total: Any = Real(0)
    for (_, a), (_, b) in zip(leaves(y), leaves(dy), strict=True):
        for left, right in zip(np.ravel(a), np.ravel(b), strict=True):
            total = total + left * right
    return total


class Lifted(Observed):
    """A namespace of ops whose results hold 80-digit numbers only: a clipped entry is a plain
    float."""

    def called(self, name: str, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """The op's result, every number of it lifted."""
        return transform(op(*args), relift)


def relift(value: Any) -> Any:
    """The object array with its plain numbers lifted."""
    if not isinstance(value, np.ndarray) or value.dtype != object:
        return value
    flat = [v if isinstance(v, Real) else Real(float(v)) for v in value.ravel()]
    out = np.empty(value.size, dtype=object)
    out[:] = flat
    return out.reshape(value.shape)


def errors(
    case: Case, K: Any = ops, entries: int = 40, samples: int = 1, seed: int = 3
) -> dict[str, float]:
    """By tensor: the worst |hand - true| over the tensor's largest entry.

    Tensors of up to `entries` entries are compared entry by entry, larger ones along a random-sign
    direction through all of them and in `samples` entries.
    """
    K = Lifted(K)
    rng = np.random.default_rng(seed)
    flat = [(n, v) for name, arg in case.inputs.items() for n, v in leaves(arg, name)]
    args = transform(tuple(case.inputs.values()), lift)
    with quiet():
        y, cache = case.forward(K, *args)
        dy = random_like(y, rng)
        grads = case.backward(K, dy, cache)
        hands = _by_leaf(case, grads)
        place = {name: i for i, (name, _) in enumerate(flat)}
        return {
            name: _tensor_error(case, K, args, place[name], hand, dy, rng, (entries, samples))
            for name, hand in hands.items()
        }


def _by_leaf(case: Case, grads: Any) -> dict[str, Any]:
    names = list(case.wrt or [n for n, v in case.inputs.items() if _has_float(v)])
    if not isinstance(grads, tuple):
        grads = (grads,)
    named = zip(names, grads, strict=True)
    return {path: leaf for name, grad in named for path, leaf in leaves(grad, name)}


def _has_float(value: Any) -> bool:
    return any(kind_of(leaf) == "float" for _, leaf in leaves(value))


def _tensor_error(
    case: Case,
    K: Any,
    args: Any,
    place: int,
    hand: Any,
    dy: Any,
    rng: np.random.Generator,
    budget: tuple[int, int],
) -> float:
    hand = np.asarray(hand, dtype=object)
    biggest = float(np.max([abs(float(v)) for v in hand.ravel()], initial=0.0))  # NaN stays
    gaps = []
    size = hand.size
    chosen = np.arange(size) if size <= budget[0] else rng.choice(size, budget[1], replace=False)
    directions = [np.eye(1, size, int(k)).reshape(hand.shape) for k in chosen]
    if size > budget[0]:
        directions.append(rng.choice([-1.0, 1.0], hand.shape))
    for delta in directions:
        true = _derivative(case, K, args, place, delta, dy)
        mine: Any = Real(0)
        for g, u in zip(hand.ravel(), delta.ravel(), strict=True):
            if u:
                mine = mine + g * float(u)
        gaps.append(abs(float(mine - true)))
    worst = float(np.max(gaps, initial=0.0))
    return worst if biggest == 0 else worst / biggest


def _derivative(case: Case, K: Any, args: Any, place: int, delta: Array, dy: Any) -> Any:
    """The central difference along delta: its error is h**2 from truncation and 1e-80 / h from
    rounding."""
    h: Any = Real(tol("fifty_digits_step"))
    sides = []
    for sign in (1.0, -1.0):
        flat = [leaf for _, leaf in leaves(args)]
        moved = np.empty(delta.shape, dtype=object)
        base = np.asarray(flat[place], dtype=object)
        for index in np.ndindex(delta.shape):
            moved[index] = base[index] + h * (sign * float(delta[index]))
        flat[place] = moved
        y, _ = case.forward(K, *replace(args, flat))
        sides.append(project(y, dy))
    return (sides[0] - sides[1]) / (h * 2.0)

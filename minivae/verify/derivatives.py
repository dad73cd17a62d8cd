"""True derivatives along a line: by one complex step where forward takes complex numbers, by
fourth-order differences elsewhere; and bisection, from a wrong sum to the wrong entry."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minivae.types import Array
from minivae.verify.passes import EPS64, Pass
from minivae.verify.strategies import Hands

STEP = 1e-40  # the complex step: h*h underflows against everything, h itself is far above 1e-308
RATIO = 4.0  # from one step of the differences to the next
RUNGS = 27  # 4**27 = 2e16: from a quarter of the input's scale down to its last bit
HALVINGS = 6


class Tolerance(NamedTuple):
    """A number, and why it is that number."""

    value: float
    why: str


TOLERANCES = {
    "entry": Tolerance(4096.0, "eps of the entry itself: 1e-12 in float64, relative"),
    "entry32": Tolerance(64.0, "eps32 of the entry: constants rounded to float32 in one pass only"),
    "sum": Tolerance(16.0, "eps of the largest entry: an entry may be a sum that cancels"),
    "noise": Tolerance(16.0, "times the change that a 2-eps nudge makes; if rounding explains it"),
    "floor": Tolerance(32.0, "eps of the largest |dy*y|, where all inputs are moved by 1"),
    "faint": Tolerance(1024.0, "eps of all that may cancel in it; if rounding explains it"),
    "direction": Tolerance(256.0, "eps of the norm of g*u along one direction"),
    "finite_difference": Tolerance(1e-7, "of the largest entry, beside the difference's own error"),
    "finite_difference32": Tolerance(2e-3, "what differences reach in float32: 600 eps**0.8"),
    "reliable": Tolerance(1e-4, "a difference whose own error is larger gives no opinion"),
    "reliable32": Tolerance(2e-2, "the same where forward computes in float32"),
    "float32_match": Tolerance(2e-3, "float32 against the same source in float64"),
}  # fmt: skip


def tol(name: str) -> float:
    """The tolerance called `name`."""
    return TOLERANCES[name].value


def complex_step(
    function: Callable[..., Any], values: Sequence[Any], deltas: dict[int, Array], h: float = STEP
) -> Any:
    """Im f(values + i h delta) / h for the places in `deltas`: exact to rounding."""
    moved = list(values)
    for place, delta in deltas.items():
        moved[place] = moved[place] + (1j * h) * delta
    return np.imag(function(*moved)) / h


def bisect(gap: Callable[[Array], float], size: int) -> int:
    """The wrong one of `size` entries: halves the set, keeping the half with the larger part of
    `gap(mask)`, which adds up over entries; log2(size) + 1 calls."""
    low, high, whole = 0, size, gap(np.ones(size))
    while high - low > 1:
        middle = (low + high) // 2
        mask = np.zeros(size)
        mask[low:middle] = 1.0
        left = gap(mask)
        if abs(left) > abs(whole - left) or not np.isfinite(left):
            high, whole = middle, left
        else:
            low, whole = middle, whole - left
    return low


# -- complex arrays on which the usual real functions stay analytic --------------------------------
# By the name of a NumPy function: its slopes by each of its arguments, at real numbers.
SLOPES: dict[str, Callable[..., Sequence[Any]]] = {
    "absolute": lambda x: [np.sign(x)],
    "fabs": lambda x: [np.sign(x)],
    "conjugate": lambda x: [1.0],
    "logaddexp": lambda a, b: [1 / (1 + np.exp(b - a)), 1 / (1 + np.exp(a - b))],
    "arctan2": lambda y, x: [x / (x * x + y * y), -y / (x * x + y * y)],
    "hypot": lambda a, b: [a / np.hypot(a, b), b / np.hypot(a, b)],
    "expit": lambda x: [0.25 / np.cosh(x / 2) ** 2],
    "cbrt": lambda x: [1 / (3 * np.cbrt(x) ** 2)],
    "copysign": lambda a, b: [np.sign(a) * np.copysign(1.0, b), 0.0],
    "heaviside": lambda x, at: [0.0, 0.0],
    **dict.fromkeys(("sign", "rint", "floor", "ceil", "trunc"), lambda x: [0.0]),
}
LOSSY = frozenset(
    "sign angle abs svd eigh eigvalsh cholesky pinv lstsq qr real nanvar nanstd cov corrcoef norm "
    "matrix_norm vector_norm vecdot slogdet imag around round".split()
)


def by_slopes(ufunc: np.ufunc, args: Sequence[Any]) -> Array:
    """f(real) + i f'(real) imag: the first order is all that a step of 1e-40 shows."""
    real, imaginary = [np.real(a) for a in args], [np.imag(a) for a in args]
    slopes = zip(SLOPES[ufunc.__name__](*real), imaginary, strict=True)
    return np.asarray(ufunc(*real) + 1j * sum(slope * step for slope, step in slopes))


def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean norm; NotImplementedError for another."""
    if ord not in (None, 2, "fro") or (ord == 2 and axis is None and x.ndim != 1):
        raise NotImplementedError
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


class Analytic(np.ndarray):
    """A complex array on which np.abs, np.linalg.norm, np.var, … keep the imaginary part, and which
    writes down what else may lose it."""

    seen: set[str] = set()

    def _wrap(self, result: Any) -> Any:
        return result.view(Analytic) if type(result) is np.ndarray else result

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        plain = [np.asarray(a) if isinstance(a, Analytic) else a for a in args]
        out = tuple(map(np.asarray, kwargs.pop("out", ())))
        known = method == "__call__" and ufunc.__name__ in SLOPES and "where" not in kwargs
        if known and any(np.iscomplexobj(a) for a in plain):
            result = by_slopes(ufunc, plain)
            if out:
                out[0][...] = result
        else:
            result = getattr(ufunc, method)(*plain, **kwargs, **({"out": out} if out else {}))
        return self._wrap(out[0] if out else result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name == "norm" and np.iscomplexobj(args[0]):
            with contextlib.suppress(TypeError, NotImplementedError):
                return self._wrap(np.asarray(norm(np.asarray(args[0]), *args[1:], **kwargs)))
        if name in LOSSY:
            self.seen.add(f"np.{name}")
        return super().__array_function__(function, types, args, kwargs)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False, **_: Any) -> Any:  # type: ignore[override]
        gap = self - self.mean(axis=axis, keepdims=True)
        total = (gap * gap).sum(axis=axis, keepdims=keepdims)
        return self._wrap(np.asarray(total / (self.size / np.size(total) - ddof)))

    def std(self, axis: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        return np.sqrt(self.var(axis, **kwargs))


# -- differences -----------------------------------------------------------------------------------
class Slope(NamedTuple):
    """A derivative along a line: value, how far it may be off, the one-sided slopes, and whether
    these differ."""

    value: float = np.nan
    error: float = np.inf
    left: float = np.nan
    right: float = np.nan
    kink: bool = False


def between(value: Any, a: Any, b: Any, margin: Any) -> Any:
    """Whether values lie between two others, or within the margin of them; never a NaN."""
    return (np.minimum(a, b) - margin <= value) & (value <= np.maximum(a, b) + margin)


class Line:
    """phi(t) = sum dy * (y(x + t delta) - y(x)), and the rounding noise seen in it so far."""

    def __init__(self, job: Pass, deltas: dict[int, Array], dy: Array, rounding: Array) -> None:
        self.job, self.deltas, self.dy = job, deltas, dy
        self.rounding = np.abs(dy) * rounding
        self.noise = 0.0

    def __call__(self, t: float) -> float:
        try:
            y = self.job.output(self.job.moved(self.deltas, t))
        except Exception:  # outside the domain of the code under test
            return np.nan
        if y.shape != self.dy.shape or not np.isfinite(y).all():
            return np.nan
        difference = y.real - self.job.y0
        moved = difference != 0
        # An output that did not move may have moved by less than it can show.
        unseen = 4 * float(self.rounding[~moved].max(initial=0))
        self.noise = max(self.noise, float(self.rounding[moved].sum()) + unseen)
        return float(self.dy @ difference)

    def sides(self, h: float) -> Array:
        """The slopes of the secants over a step h, to the left and to the right."""
        up, down = self(h), self(-h)
        return np.array([-down / h, up / h])

    def may_hide(self, slope: float, natural: float) -> bool:
        """Whether this slope may hold nearer than differences reach: it shows at the smallest step
        clear of the noise, or would make outputs as noisy as they are, beyond rounding (chaos)."""
        self(1e-9)
        t = 1e6 * self.noise / abs(slope) if slope else 0.0
        seen = self.sides(t).mean() if t > 0 else np.nan
        plain = self.job.y_eps * float(np.abs(self.dy * self.job.y0).sum())
        chaotic = 1e3 * plain < self.noise <= 1e3 * EPS64 * abs(slope * natural)
        return bool(chaotic or abs(seen - slope) <= 1e-3 * abs(slope))


def difference(line: Line, start: float, rungs: int, grain: float) -> Slope:
    """phi'(0) from steps start, start/4, …; `grain` is the rounding of t itself.

    Central differences D(h) are extrapolated (16 D(h) - D(4h)) / 15. The error estimate adds how
    much that moves from rung to rung, the rounding noise / h, and what a kink would leave: how far
    the two one-sided slopes, (4 S(h) - S(4h)) / 3, are apart.
    """
    best = sides = Slope()
    far, fourth_far = line.sides(start), np.nan
    for k in range(1, rungs):
        h = start / RATIO**k
        near = line.sides(h)
        central, central_far = near.mean(), far.mean()
        fourth, (left, right) = (16 * central - central_far) / 15, (RATIO * near - far) / 3
        corner, round_off = abs(right - left), (line.noise + abs(central) * grain) / h
        drift = abs(fourth - (central_far if np.isnan(fourth_far) else fourth_far))
        error = drift + corner + round_off
        one_sided = abs(left - near[0]) + abs(right - near[1]) + round_off
        if error < best.error:
            best = Slope(fourth, error)
        if one_sided < sides.error:
            sides = Slope(fourth, one_sided, left, right, corner > 4 * one_sided)
        if round_off > 4 * max(best.error, sides.error, 1e-300):
            break
        far, fourth_far = near, fourth
    return best._replace(left=sides.left, right=sides.right, kink=sides.kink)


def taylor_rate(line: Line, slope: float, eps: float, start: float = 0.25) -> float | None:
    """The rate at which |phi(t) - t slope| falls with t: 2 for a right slope, inf where phi is
    linear nearby, None where no window of six halvings is clear of rounding and straight."""
    steps = start / 2.0 ** np.arange(24)
    rest = np.abs([line(t) - t * slope for t in steps])
    noise = line.noise + eps * np.abs(steps * slope)
    if (rest <= 64 * noise)[len(steps) // 2 :].all():
        return math.inf
    rates = -np.diff(np.where(rest > 100 * noise, np.log2(rest), np.nan))
    windows = np.lib.stride_tricks.sliding_window_view(rates, HALVINGS)
    spread = np.nan_to_num(np.ptp(windows, axis=1), nan=np.inf)
    best = int(spread.argmin())
    return float(windows[best].mean()) if spread[best] < 0.05 else None


# -- all tensors together -------------------------------------------------------------------------
class Joint(NamedTuple):
    """One difference along random signs in all tensors together, by two calls of forward: what the
    hand-written gradients say, what it is, and how far it may be off."""

    hand: float
    true: float
    doubt: float
    unit: float  # the smallest step taken in any entry

    @property
    def fails(self) -> bool:
        return abs(self.hand - self.true) > self.doubt  # NaN, where none can be taken, says nothing


def along_all(
    job: Pass, dy: Array, hands: Hands, rounding: Array, signs: Callable[..., Array]
) -> Joint:
    """The probe that is made however little time there is. At kinks the two sides differ, and so
    much may it be off."""
    job.clock.kept = (0, 0)
    pairs = [(x, g) for x, g in zip(job.leaves, hands, strict=True) if g is not None]
    deltas = {x.place: signs(g.shape) * np.median(x.scale) for x, g in pairs}
    coarse, line = job.y_eps > EPS64, Line(job, deltas, dy, rounding)
    step = 1e-2 if coarse else 1e-7
    sides = line.sides(step)
    parts = np.concatenate([(g * deltas[x.place]).ravel() for x, g in pairs])
    hand, true = float(parts.sum()), float(sides.mean())
    sure = tol("finite_difference32") if coarse else 10 * tol("finite_difference")
    rough = sure * max(float(np.sqrt((parts * parts).sum())), abs(true))
    doubt = 2 * float(np.ptp(sides)) + 4 * line.noise / step + rough
    unit = min(float(np.abs(d).min(initial=np.inf)) for d in deltas.values())
    return Joint(hand, true, doubt if np.isfinite(doubt) else np.inf, unit)

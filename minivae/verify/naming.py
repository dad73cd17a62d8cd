"""Names what is wrong from the pattern of wrong numbers: a flipped sign, a factor, a transposition,
a forgotten sum, … and says it in one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minivae.types import Array
from minivae.verify.oracles import tol
from minivae.verify.passes import EPS32


class Kind(NamedTuple):
    """A short word, a sentence, and the factor hand/true where there is a constant one."""

    word: str
    text: str
    factor: float | None = None


class Evidence(NamedTuple):
    """What the naming may look at. Arrays have the tensor's shape; `visited`: entries compared."""

    hand: Array
    true: Array
    wrong: Array
    visited: Array
    batch: int | None  # length of the output's axis 0, where it is a batch
    lengths: tuple[tuple[int, ...], ...]  # shapes whose axes may have been averaged over
    others: dict[str, Array]  # the true gradients of the other tensors
    inputs: dict[str, Array]
    ones: Array | None  # the true gradient if the upstream were 1 everywhere
    mean: Array | None  # … if it were its own mean everywhere
    samples: Array | None  # (batch, *shape): each sample's share of the true gradient


def alike(a: Array, b: Array, mask: Array | None = None) -> bool:
    """Whether two arrays agree to the accuracy a pattern needs to be named."""
    if mask is not None:
        a, b = a[mask], b[mask]
    if a.size == 0:
        return False
    scale = max(np.abs(a).max(), np.abs(b).max())
    return bool(scale > 0 and np.abs(a - b).max() <= 1e-6 * scale)


def likely_cause(k: float, e: Evidence) -> str:
    """The likely reason for a constant factor, in words."""
    k = abs(k)

    def close(value: float) -> bool:
        return value > 0 and abs(value - 1) > 1e-9 and abs(k / value - 1) < 1e-4

    products: dict[int, str] = {e.batch: f"the batch size (B = {e.batch})"} if e.batch else {}
    for axis, n in enumerate(e.hand.shape):
        products.setdefault(n, f"the length of axis {axis} ({n})")
    products.setdefault(e.hand.size, f"the number of entries ({e.hand.size})")
    for shape in e.lengths:
        for count in range(1, len(shape) + 1):
            for axes in itertools.combinations(shape, count):
                n = int(np.prod(axes))
                products.setdefault(n, f"{' x '.join(map(str, axes))} = {n} of shape {shape}")
    for n, words in products.items():
        if n > 1 and close(n):
            return f": {words}, so a mean's 1/{n} is missing"
        if n > 1 and close(1 / n):
            return f": one over {words}, so a mean stands for a sum"
    if close(2) or close(0.5):
        return ": a factor of 2 " + ("too many" if k > 1 else "is missing")
    for n, words in products.items():
        if n > 2 and (close((n - 1) / n) or close(n / (n - 1))):
            return f": (n - 1)/n or its inverse with n {words}: n and n - 1 (ddof) are mixed up"
        if n > 1 and (close(n**0.5) or close(n**-0.5)):
            return f": the square root of {words}, or its inverse"
    return ""


def by_factor(e: Evidence) -> Kind | None:
    """hand = k * true with one k."""
    mask = e.visited
    g, t = e.hand[mask], e.true[mask]
    if not np.any(t):
        return None
    if not np.any(g):
        return Kind("zero", "the gradient is zero everywhere: it was never computed, or lost")
    strong = np.abs(t) > 1e-9 * np.abs(t).max()
    k = float(g @ t / (t @ t))
    many = strong.sum() > 1 or e.hand.size == 1
    residue = np.abs(g - k * t).max()
    shift = abs(k - 1) * np.abs(t).max()
    fits = residue <= max(1e-9 * np.abs(g).max(), tol("alike") * shift)
    if not many or not fits or k == 1 or e.wrong[mask].sum() < max(1, 0.5 * strong.sum()):
        return None
    if abs(k + 1) < 1e-6:
        return Kind("sign", "the sign is flipped (-1x the true gradient)", -1.0)
    sign = " and the sign flipped" if k < 0 else ""
    size = f"{k:.6g}" if abs(abs(k) - 1) > 1e-3 else f"{k:.13g}"
    return Kind(
        "factor", f"a constant factor {size}x the true gradient{likely_cause(k, e)}{sign}", k
    )


def by_transposition(e: Evidence) -> Kind | None:
    if not e.visited.all() or e.hand.ndim < 2:
        return None
    shape = e.hand.shape
    for a in range(e.hand.ndim):
        for b in range(a + 1, e.hand.ndim):
            if shape[a] == shape[b] and alike(e.hand, np.swapaxes(e.true, a, b)):
                return Kind(
                    "transposed", f"it is the transposed true gradient (axes {a} and {b} swapped)"
                )
    if alike(e.hand, e.true.T.reshape(shape)):
        return Kind("transposed", "it is the transposed true gradient, reshaped")
    return None


def by_swap(e: Evidence) -> Kind | None:
    if not e.visited.all():
        return None
    for name, other in e.others.items():
        if other.shape == e.hand.shape and alike(e.hand, other):
            return Kind("swapped", f"it is the true gradient of {name}: two gradients are swapped")
    return None


def by_permutation(e: Evidence) -> Kind | None:
    if not e.visited.all() or e.hand.size < 3 or e.wrong.sum() < 2:
        return None
    for axis in range(e.hand.ndim):
        if alike(e.hand, np.flip(e.true, axis)):
            return Kind("permuted", f"it is the true gradient flipped along axis {axis}")
        for step in (1, -1):
            if alike(e.hand, np.roll(e.true, step, axis)):
                return Kind(
                    "permuted", f"it is the true gradient shifted by {step} along axis {axis}"
                )
    if e.hand.ndim > 1 and alike(e.hand, np.flip(e.true)):
        return Kind("permuted", "it is the true gradient flipped along every axis")
    if np.ptp(e.true) > 1e-6 * np.abs(e.true).max() and alike(
        np.sort(e.hand, None), np.sort(e.true, None)
    ):
        return Kind(
            "permuted",
            "the right values stand in the wrong places (an axis or an index is mixed up)",
        )
    return None


def by_upstream(e: Evidence) -> Kind | None:
    if not e.visited.all():
        return None
    if e.ones is not None and alike(e.hand, e.ones):
        return Kind(
            "upstream-ignored", "the upstream is ignored: it is the gradient for an upstream of 1"
        )
    if e.mean is not None and alike(e.hand, e.mean):
        return Kind("upstream-ignored", "the upstream is replaced by its mean over all outputs")
    return None


def by_samples(e: Evidence) -> Kind | None:
    """Only some samples' shares arrived."""
    if e.samples is None or not e.visited.all() or len(e.samples) < 2:
        return None
    for b, share in enumerate(e.samples):
        if alike(e.hand, share):
            text = f"the sum over the batch is missing: it is sample {b}'s share alone"
            return Kind("missing-batch-sum", text)
        if alike(e.hand, e.true - share):
            return Kind("missing-sample", f"sample {b}'s share is missing")
    hand, shares = e.hand[e.wrong], e.samples[:, e.wrong]
    scale = np.abs(shares).max() or 1.0
    close = (np.abs(shares - hand) <= 1e-6 * scale) & (shares != 0)
    if close.any(axis=0).all():
        text = "each wrong entry holds one sample's share: overwritten where it must be added up"
        return Kind("overwritten", text)
    return None


def repeats(rest: Array) -> bool:
    """Whether an error is the same all along some axis, as rounding never is."""
    size = np.abs(rest).max()
    longer = [axis for axis in range(rest.ndim) if rest.shape[axis] > 1]
    return any(np.ptp(rest, axis=axis).max() <= 1e-3 * size for axis in longer)


def by_rounding(e: Evidence) -> Kind | None:
    if e.visited.all() and repeats(e.hand - e.true):
        return None
    g, t = e.hand[e.visited], e.true[e.visited]
    error = np.abs(g - t)
    if error.max() <= 2 * EPS32 * np.abs(t).max() and error.max() >= EPS32 * 1e-3 * np.abs(t).max():
        if np.array_equal(g.astype(np.float32).astype(np.float64), g) and e.wrong.sum() > 1:
            return Kind("precision", "it has float32 accuracy only: rounded to float32 on the way")
        if e.wrong.sum() > 1 and e.wrong.mean() > 0.5 and not patterned(g - t, t):
            return Kind(
                "precision",
                "it has float32 accuracy only: something is rounded to float32 on the way",
            )
    return None


def patterned(error: Array, true: Array) -> bool:
    """Whether the errors are proportional to the true values, as rounding never is."""
    k = float(error @ true / (true @ true))
    return bool(np.abs(error - k * true).max() <= 0.1 * np.abs(error).max())


def by_ratio(e: Evidence) -> Kind | None:
    """A factor that is one of the inputs, or constant along an axis."""
    if not e.visited.all() or e.hand.ndim == 0:
        return None
    usable = np.abs(e.true) > 1e-9 * np.abs(e.true).max()
    if usable.sum() < 3 or not e.wrong[usable].mean() > 0.5:
        return None
    for name, value in e.inputs.items():
        try:
            wide = np.broadcast_to(value, e.hand.shape)
        except ValueError:
            continue
        if np.ptp(wide) == 0:
            continue
        if alike(e.hand * wide, e.true):
            return Kind("dropped-factor", f"the factor {name} is missing")
        if alike(e.hand, e.true * wide):
            return Kind("extra-factor", f"the factor {name} is there once too often")
    for axis in range(e.hand.ndim):
        along = tuple(i for i in range(e.hand.ndim) if i != axis)
        if not along or e.hand.shape[axis] == 1 or e.hand.size == e.hand.shape[axis]:
            continue
        ratio = (e.hand * e.true).sum(along, keepdims=True) / (e.true**2).sum(along, keepdims=True)
        if alike(e.hand, ratio * e.true) and np.isfinite(ratio).all():
            return Kind("factor", f"a factor that depends on axis {axis} only")
    return None


def by_few(e: Evidence) -> Kind | None:
    count, seen = int(e.wrong.sum()), int(e.visited.sum())
    if count == 1 and seen > 1:
        return Kind("one-entry", f"only this entry is wrong (1 of {seen} compared)")
    places = np.argwhere(e.wrong)
    for axis in range(e.hand.ndim):
        if e.hand.shape[axis] > 1 and count > 1 and len(set(places[:, axis])) == 1:
            text = f"only entries with index {places[0, axis]} on axis {axis} are wrong"
            text += f" ({count} of {seen} compared)"
            return Kind("some-entries", text)
    if count <= 0.5 * seen:
        return Kind("some-entries", f"only some entries are wrong ({count} of {seen} compared)")
    return None


def by_term(e: Evidence) -> Kind | None:
    """What is missing is constant along an axis, or follows an input: a dropped term."""
    if not e.visited.all() or e.hand.size < 3:
        return None
    rest = e.true - e.hand
    size = np.abs(rest).max()
    for axis in range(e.hand.ndim):
        if e.hand.shape[axis] > 1 and np.ptp(rest, axis=axis).max() <= 1e-6 * size:
            text = f"a term constant along axis {axis} is missing or wrong (a mean or sum over it)"
            return Kind("dropped-term", text)
    for name, value in e.inputs.items():
        if value.shape != e.hand.shape or not np.any(value):
            continue
        k = float((rest * value).sum() / (value**2).sum())
        if alike(rest, k * value):
            return Kind("dropped-term", f"a term proportional to {name} is missing or wrong")
    return None


def by_small_term(e: Evidence) -> Kind | None:
    """A dropped term far smaller than the gradient: its own pattern tells it from rounding."""
    if not e.wrong.any() or e.wrong.mean() <= 0.5:
        return None
    small = np.abs(e.hand - e.true).max() <= 1e-4 * np.abs(e.true).max()
    return by_term(e) if small else None


NAMERS: tuple[Callable[[Evidence], Kind | None], ...] = (
    by_upstream,
    by_factor,
    by_transposition,
    by_swap,
    by_permutation,
    by_small_term,
    by_rounding,
    by_samples,
    by_ratio,
    by_few,
    by_term,
)


def kind_of_fault(e: Evidence) -> Kind:
    """The first pattern that fits; 'wrong' when none does."""
    with np.errstate(all="ignore"):
        small = np.abs(e.hand - e.true)[e.visited].max() <= 1e-4 * np.abs(e.true[e.visited]).max()
        if np.isfinite(e.hand).all() and np.isfinite(e.true[e.visited]).all():
            for namer in NAMERS:
                if small and namer not in (by_factor, by_small_term, by_rounding, by_few):
                    continue  # an error this small fits any pattern of the true values
                found = namer(e)
                if found is not None:
                    return found
    share = f"{int(e.wrong.sum())} of {int(e.visited.sum())} compared entries are wrong"
    return Kind("wrong", f"{share}: a term or factor is missing or wrong")

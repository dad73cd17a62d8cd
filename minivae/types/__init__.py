"""What the signatures share: arrays, and nested dicts, lists, tuples and named tuples of them,
which are walked, copied, compared, and made one vector of numbers and back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
EPS64, EPS32 = 2.0**-52, 2.0**-23


def is_branch(tree: Any) -> bool:
    """Whether `tree` is a container to walk into, not a leaf."""
    return isinstance(tree, (dict, list, tuple))


def children(tree: Any) -> list[tuple[str, Any]]:
    """The (address part, subtree) pairs of a container, in order."""
    if isinstance(tree, dict):
        return [(f".{key}" if isinstance(key, str) else f"[{key!r}]", tree[key]) for key in tree]
    if hasattr(tree, "_fields"):
        return [(f".{name}", getattr(tree, name)) for name in tree._fields]
    return [(f"[{i}]", item) for i, item in enumerate(tree)]


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every (address, leaf) of the tree, depth first."""
    if not is_branch(tree):
        yield path, tree
        return
    for part, sub in children(tree):
        yield from leaves(sub, path + part if path else part.lstrip("."))


ABSENT = object()  # in the place of a part that only one of two trees has


def pairs(tree: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Two trees walked together: (address, part of the one, part of the other), depth first.

    Parts are leaves, or whole subtrees where the other tree has a leaf or another kind of container
    there, or nothing (ABSENT). Sequences of one length match whatever their types.
    """
    matching = is_branch(tree) and is_branch(other)
    if not matching or isinstance(tree, dict) != isinstance(other, dict):
        yield path, tree, other
        return
    mine, theirs = dict(children(tree)), dict(children(other))
    if not isinstance(tree, dict) and len(mine) == len(theirs):
        theirs = dict(zip(mine, theirs.values(), strict=True))
    for part in mine | theirs:
        address = path + part if path else part.lstrip(".")
        yield from pairs(mine.get(part, ABSENT), theirs.get(part, ABSENT), address)


def transform(tree: Any, change: Callable[[Any], Any]) -> Any:
    """A tree of the same containers with `change` applied to every leaf, depth first."""
    if not is_branch(tree):
        return change(tree)
    if isinstance(tree, dict):
        items = {key: transform(sub, change) for key, sub in tree.items()}
        with contextlib.suppress(TypeError):  # a defaultdict, say, takes no mapping
            return type(tree)(items)
        return items
    values = [transform(sub, change) for _, sub in children(tree)]
    if hasattr(tree, "_fields"):
        return type(tree)(*values)
    return values if isinstance(tree, list) else tuple(values)


def replace(tree: Any, new: Sequence[Any]) -> Any:
    """The tree with its leaves replaced, in order, by `new`."""
    feed = iter(new)
    return transform(tree, lambda _: next(feed))


def copy_leaf(leaf: Any) -> Any:
    """An array copied with its memory order; anything else as it is."""
    return np.array(leaf, copy=True, order="K") if isinstance(leaf, np.ndarray) else leaf


def copy(tree: Any) -> Any:
    """A tree of the same containers with every array copied."""
    return transform(tree, copy_leaf)


# -- what a leaf is, and its numbers ---------------------------------------------------------------
def kind_of(leaf: Any) -> str:
    """'float' for NumPy arrays and scalars, 'number' for a Python float, else its kind."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        if np.issubdtype(leaf.dtype, np.floating):
            return "float"
        if np.issubdtype(leaf.dtype, np.complexfloating):
            return "complex"
        return "integer" if leaf.dtype.kind in "iub" else "other"
    if isinstance(leaf, (bool, int, str)) or leaf is None:
        return "constant"
    return "number" if isinstance(leaf, float) else "other"


def eps_of(value: Any) -> float:
    """The spacing of floats at 1 in the value's precision; float64's for anything finer."""
    return max(EPS64, float(np.finfo(np.asarray(value).dtype).eps))


def holds_float32(y: Array) -> bool:
    """Whether float64 numbers are those of float32 only: something computed in float32."""
    fractions = y[y != np.round(y)]
    short = fractions.astype(np.float32).astype(np.float64) == fractions
    dyadic = np.ldexp(fractions, 16) == np.round(np.ldexp(fractions, 16))
    return bool(fractions.size >= 4 and short.all() and not dyadic.all())


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays agree in dtype, shape and every number (NaN with NaN)."""
    a, b = np.asarray(a), np.asarray(b)
    same = a.dtype == b.dtype and a.shape == b.shape
    return same and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def share_memory(a: Any, b: Any) -> bool:
    """Whether two leaves are views of the same memory; False where that is too hard to decide."""
    with contextlib.suppress(Exception):
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    return False


def changed(before: Any, after: Any) -> str | None:
    """The address of the first array in `after` that differs from `before`, bit for bit, or of what
    was not there; None where nothing differs."""
    for address, old, new in pairs(before, after):
        if old is ABSENT or (isinstance(old, np.ndarray) and not same_bits(old, new)):
            return address
    return None


def float_parts(tree: Any) -> list[Any]:
    """The leaves that hold floats."""
    return [v for _, v in leaves(tree) if kind_of(v) in ("float", "number", "complex")]


def vector(tree: Any) -> Array:
    """All floats of a tree as one vector, of float64 or complex128."""
    parts = [np.ravel(np.asarray(part)) for part in float_parts(tree)]
    wide = [p.astype(np.complex128 if p.dtype.kind == "c" else np.float64) for p in parts]
    return np.concatenate(wide) if wide else np.zeros(0)


def in_place_of_floats(numbers: Array, tree: Any) -> Any:
    """A vector of numbers in the structure, shapes and dtypes of a tree, as `vector` read it; 0 for
    arrays of anything but floats."""
    sizes = [int(np.size(part)) for part in float_parts(tree)]
    pieces = iter(np.split(numbers, np.cumsum(sizes)[:-1]))

    def one(leaf: Any) -> Any:
        kind = kind_of(leaf)
        if kind in ("integer", "other"):
            return np.zeros(np.shape(leaf)) if isinstance(leaf, np.ndarray) else leaf
        if kind == "constant":
            return leaf
        piece = next(pieces).reshape(np.shape(leaf))
        if kind == "number":
            return float(piece)
        native = leaf.dtype.newbyteorder("=")
        return native.type(piece) if isinstance(leaf, np.generic) else piece.astype(native)

    return transform(tree, one)

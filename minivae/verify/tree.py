"""Nested dicts, lists, tuples and named tuples of arrays: to a flat list with addresses, and
back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


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


def transform(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The same tree with `change` applied to every leaf, depth first."""
    if not is_branch(tree):
        return change(tree)
    if isinstance(tree, dict):
        items = {key: transform(sub, change) for key, sub in tree.items()}
        return items if type(tree) is dict else _like_dict(tree, items)
    values = [transform(sub, change) for _, sub in children(tree)]
    if hasattr(tree, "_fields"):
        return type(tree)(*values)
    return values if isinstance(tree, list) else tuple(values)


def _like_dict(tree: Any, items: dict[Any, Any]) -> Any:
    try:
        return type(tree)(items)
    except TypeError:  # a defaultdict, say, whose first argument is no mapping
        return items


def replace(tree: Any, new: list[Any]) -> Any:
    """The tree with its leaves replaced, in order, by `new`."""
    feed = iter(new)
    return transform(tree, lambda _: next(feed))


def copy_leaf(leaf: Any) -> Any:
    """An array copied with its memory order; anything else as it is."""
    return np.array(leaf, copy=True, order="K") if isinstance(leaf, np.ndarray) else leaf


def copy(tree: Any) -> Any:
    """A tree of the same containers with every array copied."""
    return transform(tree, copy_leaf)


def kind_of(leaf: Any) -> str:
    """'float' for arrays and scalars of NumPy floats, 'number' for a Python float, else what
    it is."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        if np.issubdtype(leaf.dtype, np.floating):
            return "float"
        if np.issubdtype(leaf.dtype, np.complexfloating):
            return "complex"
        return "integer" if leaf.dtype.kind in "iub" else "other"
    if isinstance(leaf, bool) or leaf is None or isinstance(leaf, (int, str)):
        return "constant"
    return "number" if isinstance(leaf, float) else "other"

"""What the signatures share: arrays, and nested dicts, lists, tuples and named tuples of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


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

"""How a backward has to behave, whatever its numbers: it changes nothing, returns arrays of its
own, and is linear in the upstream."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import tree
from minivae.verify.contract import Faults, apart, changed, unpack
from minivae.verify.evaluate import Leaf, Pass, one_line
from minivae.verify.report import Fault, where
from minivae.verify.structure import align
from minivae.verify.tolerances import EPS32, tol


def backward_faults(job: Pass, dy: Array, allow_views: bool) -> tuple[list[Any] | None, Faults]:
    """Runs backward on the reference point; returns its gradients by leaf and every fault but
    numbers."""
    args = tree.copy(job.args)
    _, cache = unpack(job.forward(*args))
    upstream = job.upstream(dy)
    kept = tree.copy(upstream)
    before = tree.copy(args)
    try:
        grads = job.backward(upstream, cache)
    except Exception as error:
        return None, [backward_error(job, error)]
    pieces, faults = align(job, grads)
    if changed(kept, upstream) is not None:
        faults.append(Fault("mutates", "backward changes its upstream gradient dy in place", "dy"))
    at = changed(before, args)
    if at is not None:
        name = next((n for n, _ in job.flat if n.endswith(at)), at)
        faults.append(
            Fault("mutates", f"backward changes the input {named(job, at) or name} in place")
        )
    if not allow_views:
        faults += view_faults(job, pieces, args, upstream)
    faults += nan_faults(job, pieces)
    return [tree.copy_leaf(p) for p in pieces], faults


def named(job: Pass, at: str) -> str:
    """'[0].W' as the argument's name and the rest."""
    if not at.startswith("["):
        return at
    number, rest = at[1:].split("]", 1)
    return job.names[int(number)] + rest


def backward_error(job: Pass, error: BaseException) -> Fault:
    if job.y0.size == 1 and not tree.is_branch(job.y_tree) and np.ndim(job.y_tree) == 0:
        text = (
            "forward returned a scalar where backward expects an array: backward raised "
            f"{one_line(error)} for an upstream of shape ()"
        )
        return Fault("scalar", text, "y")
    return Fault("error", f"backward raised {one_line(error)}")


def overlap(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return False
    return a.size > 0 and b.size > 0 and bool(np.may_share_memory(a, b)) and shares(a, b)


def shares(a: Array, b: Array) -> bool:
    try:
        return bool(np.shares_memory(a, b, max_work=10_000))  # type: ignore[arg-type]
    except Exception:  # too hard to decide: bounds overlap, call it shared
        return True


def view_faults(job: Pass, pieces: list[Any], args: Any, upstream: Any) -> Faults:
    """Gradients that are views of inputs, of the upstream, or of one another."""
    faults: Faults = []
    owners = [(f"input {named(job, n)}", v) for n, v in tree.leaves(args)]
    owners += [("the upstream gradient dy", v) for _, v in tree.leaves(upstream)]
    seen: list[tuple[str, Any]] = []
    for leaf, grad in zip(job.leaves, pieces, strict=True):
        other = next((n for n, v in [*owners, *seen] if overlap(grad, v)), None)
        if other is not None:
            text = f"the gradient of {leaf.name} is a view of {other}: return a copy"
            faults.append(Fault("view", text, leaf.name))
        seen.append((f"the gradient of {leaf.name}", grad))
    return faults


def nan_faults(job: Pass, pieces: list[Any]) -> Faults:
    faults: Faults = []
    for leaf, grad in zip(job.leaves, pieces, strict=True):
        if grad is None or np.isfinite(np.asarray(grad, dtype=np.float64)).all():
            continue
        bad = ~np.isfinite(np.asarray(grad, dtype=np.float64))
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        value = float(np.asarray(grad)[at])
        what = "NaN" if np.isnan(value) else "inf"
        count = f"{int(bad.sum())} of {bad.size} entries"
        text = f"the gradient of {leaf.name} is {what} at {where(at)} ({count})"
        faults.append(Fault("nan", text, leaf.name, at, hand=value))
    return faults


def linearity_faults(job: Pass, dy: Array, grads: list[Array | None]) -> Faults:
    """backward(0) = 0, backward(2 dy) = 2 backward(dy), and a second call finds the same
    numbers."""
    faults: Faults = []
    try:
        again, double, zero = (job.gradient(factor * dy) for factor in (1.0, 2.0, 0.0))
    except Exception as error:
        return [Fault("error", f"backward raised {one_line(error)} when called again")]
    for i, leaf in enumerate(job.leaves):
        g = grads[i]
        if g is None or not np.isfinite(g).all():
            continue
        bad = leaf_linearity(job, leaf, g, again[i], double[i], zero[i])
        if bad is not None:
            faults.append(bad)
    return faults


def leaf_linearity(
    job: Pass, leaf: Leaf, g: Array, again: Array | None, double: Array | None, zero: Array | None
) -> Fault | None:
    if again is None or double is None or zero is None:
        return Fault(
            "structure",
            f"backward returns {leaf.name} in another shape when called again",
            leaf.name,
        )
    eps = EPS32 if np.asarray(leaf.value).dtype.itemsize < 8 else job.y_eps
    if apart(g, again, eps):
        how = (
            "it adds to what earlier calls left"
            if not apart(again, 2 * g, 1e3 * eps)
            else "it is random"
        )
        text = f"backward gives another gradient of {leaf.name} when called again: {how}"
        return Fault("random", text, leaf.name)
    if not np.any(g):
        return None
    if not apart(double, g, eps):
        text = f"the gradient of {leaf.name} ignores the upstream: it is the same for dy and 2 dy"
        return Fault("upstream-ignored", text, leaf.name)
    if np.any(zero != 0) or np.isnan(zero).any():
        at = tuple(int(i) for i in np.argwhere(~(zero == 0))[0])
        text = (
            f"the gradient of {leaf.name} at {where(at)} is {zero[at]:.6g} for a zero upstream: "
            "a term does not depend on the upstream"
        )
        return Fault("not-linear", text, leaf.name, at, hand=float(zero[at]), true=0.0)
    tiny = float(np.abs(g).max()) < (1e-30 if eps == EPS32 else 1e-290)
    if not tiny and apart(double / 2, g, tol("linear") * eps / tol("repeat")):
        text = f"the gradient of {leaf.name} is not linear in the upstream: 2 dy does not double it"
        return Fault("not-linear", text, leaf.name)
    return None

"""`check`: every vote on every tensor of a hand-written pass, and one line for each thing that
is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import contract, lint, manners, tree
from minivae.verify.arguments import arguments, by_keyword, keyword_names, select
from minivae.verify.evaluate import Pass, one_line, quiet
from minivae.verify.judge import judge
from minivae.verify.oracles import Case
from minivae.verify.report import Fault, Report, Row, where
from minivae.verify.tolerances import EPS32, EPS64, tol
from minivae.verify.votes import Probe


def check(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Any,
    *,
    name: str | None = None,
    names: Sequence[str] | None = None,
    wrt: Sequence[str] | None = None,
    seed: int = 0,
    out_shape: tuple[int, ...] | None = None,
    allow_views: bool = False,
    seconds: float = 1.0,
) -> Report:
    """Compare a backward pass with its forward, at one point, by four independent votes.

    forward(*inputs) -> (y, cache) and backward(dy, cache) -> gradients, one per float input, in the
    order of the inputs. Inputs, outputs and gradients may be nested dicts, lists, tuples and named
    tuples of arrays; integer arrays (labels, indices) need no gradient. A dict of inputs whose keys
    are forward's parameters is passed by name.

    `names` names the inputs (forward's parameter names otherwise), `wrt` limits the check to
    some of them, `out_shape` states the output's shape, `seconds` is the time for visiting entries
    per tensor.
    Never raises for what it is handed: everything wrong is in the report.
    Raises TypeError or ValueError for a wrong use of `names` and `wrt` only.
    """
    original = forward
    forward = by_keyword(forward, inputs)
    args, labels = arguments(forward, inputs, names or keyword_names(original, inputs))
    report = Report(str(name or getattr(forward, "__name__", "pass")))
    with quiet():
        job = Pass(forward, backward, args, labels)
        bad = contract.input_faults(job)
        select(job, wrt)
        if bad:
            report.faults += bad
            return report
        examine(job, report, np.random.default_rng(seed), out_shape, allow_views, seconds)
    for row in report.rows:
        row.op = report.name
    return report


def examine(
    job: Pass,
    report: Report,
    rng: np.random.Generator,
    out_shape: tuple[int, ...] | None,
    allow_views: bool,
    seconds: float,
) -> None:
    """The checks in order of what they need; stops where the next would make no sense."""
    report.faults += contract.forward_faults(job, out_shape)
    if any(f.kind not in ("mutates",) for f in report.faults):
        return
    dy = upstream(job, rng)
    pieces, faults = manners.backward_faults(job, dy, allow_views)
    report.faults += faults
    if pieces is None or any(f.kind in ("error", "scalar") for f in faults):
        return
    native = [fitting(p, leaf.value.shape) for p, leaf in zip(pieces, job.leaves, strict=True)]
    report.faults += manners.linearity_faults(job, dy, native)
    report.notes += lint.lint_point([v for _, v in job.flat], [n for n, _ in job.flat], job.y0, dy)
    wide, hands = widen(job, dy, native, report)
    vote(job, wide, dy, native, hands, report, rng, seconds)


def upstream(job: Pass, rng: np.random.Generator) -> Array:
    """An upstream gradient: random signs, no two moduli equal, none 1; float32 numbers where y
    is."""
    dy = rng.choice([-1.0, 1.0], job.y0.size) * rng.uniform(0.5, 1.5, job.y0.size)
    return np.asarray(dy.astype(np.float32).astype(np.float64))


def fitting(piece: Any, shape: tuple[int, ...]) -> Array | None:
    if piece is None or np.shape(piece) != shape:
        return None
    return np.array(piece, dtype=np.float64)


def widen(
    job: Pass, dy: Array, native: list[Array | None], report: Report
) -> tuple[Pass, list[Array | None]]:
    """The pass in float64, where its source takes float64; and its gradients there."""
    if all(np.asarray(v).dtype.itemsize >= 8 for v in job.base if tree.kind_of(v) == "float"):
        return job, native
    wide = job.widened()
    wide.leaves = [next(w for w in wide.leaves if w.name == leaf.name) for leaf in job.leaves]
    try:
        y, _ = contract.unpack(wide.run(wide.base))
        wide.adopt(tree.copy(y))
        hands = wide.gradient(dy)
    except Exception as error:
        report.notes.append(
            f"forward does not run in float64 ({one_line(error)}): checked in its own precision"
        )
        return job, native
    if wide.y0.shape != job.y0.shape or not np.isfinite(wide.y0).all():
        return job, native
    return wide, hands


def vote(
    job: Pass,
    wide: Pass,
    dy: Array,
    native: list[Array | None],
    hands: list[Array | None],
    report: Report,
    rng: np.random.Generator,
    seconds: float,
) -> None:
    """One Case per tensor whose gradient has the right shape and is finite."""
    probe = Probe(wide, dy, rng)
    eps = [working_eps(job, wide, i) for i in range(len(job.leaves))]
    noise = noises(wide, dy, hands, rng, max(eps, default=EPS64))
    truths: dict[str, Array] = {}
    waiting: list[tuple[int, Case]] = []
    for i, leaf in enumerate(wide.leaves):
        hand = hands[i]
        if hand is None or not np.isfinite(hand).all() or native[i] is None:
            verdict = "no gradient" if native[i] is None else "not finite"
            report.rows.append(
                Row(
                    "", leaf.name, leaf.value.shape, str(job.leaves[i].value.dtype), verdict=verdict
                )
            )
            if not any(f.tensor == leaf.name or not f.tensor for f in report.faults):
                report.faults.append(
                    Fault("none", f"backward gave no gradient of {leaf.name}", leaf.name)
                )
            continue
        waiting.append((i, Case(probe, leaf, i, hand, noise[i], eps[i], seconds)))
    for i, case in waiting:
        found = truths if len(job.leaves) > 1 else {}
        row, faults, notes = judge(case, {k: v for k, v in found.items() if k != case.leaf.name})
        if len(case.entries) == case.leaf.value.size:
            truths[case.leaf.name] = case.true.reshape(case.leaf.value.shape)
        row.dtype = str(job.leaves[i].value.dtype)
        report.rows.append(row)
        report.faults += faults
        report.notes += notes
        if case.reason:
            report.notes.append(f"{case.leaf.name}: judged by differences, because {case.reason}")
        if not faults and wide is not job:
            report.faults += float32_faults(job, wide, i, native, hands, noise[i], row)
    rename_swapped(report, waiting, truths)


def rename_swapped(
    report: Report, waiting: list[tuple[int, Case]], truths: dict[str, Array]
) -> None:
    """A gradient that is another tensor's true gradient, found once all are known."""
    from minivae.verify.kinds import alike

    hands = {case.leaf.name: case.hand for _, case in waiting}
    for fault in report.faults:
        if fault.true is None or fault.tensor not in hands or fault.kind in ("sign", "swapped"):
            continue
        for other, true in truths.items():
            hand = hands[fault.tensor]
            fits = other != fault.tensor and true.shape == hand.shape and true.size > 1
            if fits and alike(hand, true):
                fault.kind, fault.factor = "swapped", None
                fault.message += f"; it is the true gradient of {other}: two gradients are swapped"
                break


def working_eps(job: Pass, wide: Pass, i: int) -> float:
    """float32's where anything of this tensor is float32, float64's otherwise."""
    coarse = job.leaves[i].value.dtype.itemsize < 8 or wide.y_eps > EPS64
    return EPS32 if coarse else EPS64


def noises(
    job: Pass, dy: Array, hands: list[Array | None], rng: np.random.Generator, eps: float
) -> list[Array]:
    """How much each gradient moves when inputs and upstream are nudged by a few units in the
    last place."""
    changes: list[list[Array]] = [[np.zeros(leaf.value.shape)] * 3 for leaf in job.leaves]
    for k in range(3):
        moved = dy * (1 + 2 * eps * rng.uniform(-1, 1, dy.shape))
        try:
            grads = job.gradient(moved, job.nudged(rng, eps))
        except Exception:  # a point where nothing may move: no estimate
            break
        for i, (g, hand) in enumerate(zip(grads, hands, strict=True)):
            if g is not None and hand is not None:
                change = np.abs(g - hand)
                changes[i][k] = np.where(np.isfinite(change), change, 0.0)
    # The middle one of three: a nudge across a kink is no noise.
    return [np.median(three, axis=0) for three in changes]


def float32_faults(
    job: Pass,
    wide: Pass,
    i: int,
    native: list[Array | None],
    hands: list[Array | None],
    noise: Array,
    row: Row,
) -> list[Fault]:
    """The gradient in the caller's own float32 against the same source in float64."""
    hand, exact = native[i], hands[i]
    if hand is None or exact is None or not hand.size:
        return []
    scale = np.abs(wide.y0).max(initial=0)
    if not (np.abs(job.y0 - wide.y0).max(initial=0) <= tol("float32_match") * scale):
        return []  # the forward itself has lost its figures: no verdict on backward's rounding
    limit = tol("float32_match") * np.abs(exact).max() + 64 * noise + 64 * np.median(noise)
    floor = tol("floor") * EPS32 * float(np.abs(wide.y0).max(initial=0))
    wrong = ~(np.abs(hand - exact) <= limit + floor)
    if not wrong.any():
        return []
    at = tuple(int(n) for n in np.unravel_index(int(np.argmax(np.abs(hand - exact))), hand.shape))
    name = job.leaves[i].name
    row.verdict, row.index, row.hand, row.true = "wrong", at, float(hand[at]), float(exact[at])
    text = (
        f"the gradient of {name} is wrong in float32 only: {name}{where(at)} is {hand[at]:.8g}, "
        f"the same source in float64 gives {exact[at]:.8g}"
    )
    return [Fault("float32", text, name, at, hand=float(hand[at]), true=float(exact[at]))]

"""The figures of the verification ladder, measured: each with its limit and whether it is
reached."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from minivae import ops
from minivae.proof import corpus, fifty_digits, meaning, mutation_score, right_passes
from minivae.proof import full_size as whole
from minivae.proof.case import Case
from minivae.proof.cases import find
from minivae.proof.exact_gradients import ExactGradients
from minivae.proof.op_cases import op_cases
from minivae.proof.tolerances import tol
from minivae.types import vector
from minivae.types.analytic import complex_step
from minivae.verify.report import Report
from minivae.verify.strategies import gradients


class MeasuredFigure(NamedTuple):
    """A measured figure, and the limit that it has to keep."""

    name: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def ok(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def worst(values: Iterable[float | None]) -> float:
    """The largest of the numbers that there are; NaN wins, and so does having none."""
    taken = [v for v in values if v is not None]
    if not taken or any(math.isnan(v) for v in taken):
        return math.nan
    return max(taken)


def ladder(reports: list[Report]) -> list[MeasuredFigure]:
    """The verdicts, and the numbers beside them, over some reports.

    A slope that is exact has no remainder (inf); NaN is none of those, and fails.
    """
    rows = [row for report in reports for row in report.rows]
    slopes = [abs(r.taylor - 2) for r in rows if r.taylor is not None and not math.isinf(r.taylor)]
    wrong = sum(not report.ok for report in reports)
    return [
        MeasuredFigure(f"passes that are not right, of {len(reports)}", wrong, 0),
        MeasuredFigure(
            "complex step, of the tensor's largest entry",
            worst(r.complex_step for r in rows),
            tol("complex_step"),
        ),
        MeasuredFigure(
            "complex step, worst single entry",
            worst(r.worst_entry for r in rows),
            tol("worst_entry"),
        ),
        MeasuredFigure(
            "adjoint identity, float64", worst(r.adjoint for r in rows), tol("adjoint64")
        ),
        MeasuredFigure("Taylor slope, distance from 2", worst(slopes), tol("taylor_slope")),
    ]


def adjoint32() -> MeasuredFigure:
    """<v, J u> = <J^T v, u> with backward run in float32, against J u in float64."""
    rows = op_cases()
    gap = worst(gap for case in rows for gap in float32_gaps(case))
    name = f"adjoint identity, float32, {len(rows)} pairs of ops"
    return MeasuredFigure(name, gap, tol("adjoint32"))


def float32_gaps(case: Case) -> list[float]:
    """By tensor, the identity's gap over the terms of its larger side, in absolute sum.

    A learned scale's gradient is one number, in which the rows nearly cancel: what it can be held
    to is the size of what the rows give, dy (J u).
    """
    small = {
        n: np.asarray(v, dtype=np.float32) if isinstance(v, np.ndarray) else v
        for n, v in case.inputs.items()
    }
    wide = {n: v.astype(np.float64) if isinstance(v, np.ndarray) else v for n, v in small.items()}
    exact = ExactGradients(case._replace(inputs=wide))
    job = exact.bind(ops)
    job.base = [
        np.asarray(v, dtype=np.float32) if isinstance(v, np.ndarray) else v for v in job.base
    ]
    y = job.run(job.base)[0]
    job.adopt(y)
    gaps = []
    rng = np.random.default_rng(6)
    for leaf, grad in zip(job.leaves, gradients(job, exact.dy), strict=True):
        assert grad is not None
        u = rng.choice([-1.0, 1.0], grad.shape)
        left, right = float((grad * u).sum()), float((exact.true[leaf.name] * u).sum())
        push = complex_step(lambda *x: vector(job.run(x)[0]), exact.job.base, {leaf.place: u})
        terms = max(np.abs(grad * u).sum(), np.abs(exact.dy * push).sum())
        gaps.append(float(abs(left - right) / terms))
    return gaps


def own_cases() -> list[Case]:
    """The rows that these figures are of: parts from outside are not minivae's to promise."""
    return [case for case in find() if case.kind != "part"]


def precise() -> MeasuredFigure:
    """The worst error in fifty digits of every row that can be had within minutes."""
    rows = own_cases()
    tried = [case for case in rows if light(case)]
    errors = (fifty_digits.errors(case, entries=12).values() for case in tried)
    name = f"50 digits, {len(tried)} of {len(rows)} passes"
    return MeasuredFigure(name, worst(e for found in errors for e in found), tol("fifty_digits"))


def light(case: Case) -> bool:
    """Rows that do not take minutes in 80-digit arithmetic: every op, every layer, and the models'
    main variants."""
    heavy = (
        "vae two hidden",
        "vae four",
        "vae free bits i",
        "vae free bits a",
        "vae beta",
        "vae warm-up",
        "vae one",
    )
    return not case.name.startswith(heavy)


def full_size(plants: int) -> list[MeasuredFigure]:
    """Probes and planted errors in a 784-400-20 model."""
    model = whole.FullSize()
    start = time.process_time()
    rows = model.probe_all()
    spent = time.process_time() - start
    found = whole.score_plants(model, plants, tol("plant"))
    hits = sum(hit for hit, _ in found)
    return [
        MeasuredFigure(
            "full size, worst probe over the norm", worst(r.error for r in rows), tol("probe")
        ),
        MeasuredFigure(
            f"full size, one probe of each of {len(rows)} tensors",
            spent,
            tol("full_size_seconds"),
            "s",
        ),
        MeasuredFigure(f"planted errors located, of {plants}", hits, plants, at_least=True),
        MeasuredFigure(
            "locating one, slowest", worst(f.seconds for _, f in found), tol("locate_seconds"), "s"
        ),
    ]


def mutants() -> list[MeasuredFigure]:
    """The planted bugs' scoreboard in figures."""
    board = mutation_score.score()
    planted = len(board.outcomes)
    share = board.killed / max(1, planted - len(board.equivalent))
    return [
        MeasuredFigure("mutants planted", planted, tol("mutants"), at_least=True),
        MeasuredFigure("killed, of those that change a gradient", share, 1.0, at_least=True),
        MeasuredFigure("killing them", board.seconds, tol("mutant_seconds"), "s"),
    ]


def curated() -> list[MeasuredFigure]:
    board = corpus.run_corpus()
    return [
        MeasuredFigure("curated bugs", len(board.results), tol("corpus"), at_least=True),
        MeasuredFigure(
            "curated bugs caught, their share",
            board.caught / len(board.results),
            1.0,
            at_least=True,
        ),
        MeasuredFigure(
            "curated bugs laid to the right op, their share",
            board.attributed,
            tol("attribution"),
            at_least=True,
        ),
    ]


def meanings() -> MeasuredFigure:
    bad = sum(not m.ok for m in meaning.checks())
    return MeasuredFigure("identities of meaning that fail", bad, 0)


def alarms(examples: int) -> MeasuredFigure:
    """False alarms on right passes at random test points."""
    return MeasuredFigure(
        f"false alarms in {examples} random right passes", right_passes.false_alarms(examples), 0
    )


def measure(plants: int = 200, examples: int = 10_000) -> Iterator[MeasuredFigure]:
    """Every figure in turn, as it is measured."""
    yield from ladder([case.run() for case in own_cases()])
    yield adjoint32()
    yield precise()
    yield from full_size(plants)
    yield from mutants()
    yield from curated()
    yield meanings()
    yield alarms(examples)


Measure = Callable[..., Iterator[MeasuredFigure]]

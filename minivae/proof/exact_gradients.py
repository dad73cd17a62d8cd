"""Exact gradients of a row, computed once: what planted bugs and other backends are held
against."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae import ops
from minivae.proof.case import Case
from minivae.types import EPS64, Array, same_bits, vector
from minivae.types.foreign import quiet
from minivae.verify.derivatives import Probe, tol
from minivae.verify.oracles import Trial, by_complex_step
from minivae.verify.passes import Pass, unpack
from minivae.verify.report import Row
from minivae.verify.strategies import gradients, match
from minivae.verify.suspects import strict_tolerance


class ExactGradients:
    """The true gradient of every tensor of a row at its test point, and how far a right one
    may be off.

    They come from the forward alone, so they do not change with the backward on trial.
    """

    def __init__(self, case: Case, K: Any = ops) -> None:
        self.case = case
        self.job = self.bind(K)
        rng = np.random.default_rng(5)
        with quiet():
            self.job.adopt(unpack(self.job.run(self.job.base))[0])
            self.dy = self.job.draw_upstream(rng)
            hands = gradients(self.job, self.dy)
            noise = self.job.output_noise(rng)
            probe = Probe(self.job, self.dy, rng, hands, EPS64, noise)
            self.true: dict[str, Array] = {}
            self.allowed: dict[str, Array] = {}
            for i, leaf in enumerate(self.job.leaves):
                probe.first_push(leaf, np.ones(leaf.value.shape))
                trial = Trial(probe, i, Row("", leaf.name, leaf.value.shape, "float64"))
                trial.entries = np.arange(leaf.value.size)
                by_complex_step(trial)
                moves = tol("noise") * np.maximum(probe.noises[i], np.median(probe.noises[i]))
                self.true[leaf.name] = trial.true.reshape(leaf.value.shape)
                self.allowed[leaf.name] = strict_tolerance(trial).reshape(moves.shape) + moves

    def bind(self, K: Any) -> Pass:
        """The row's pass under a namespace of ops."""
        case = self.case
        job = Pass(
            lambda *inputs: case.forward(K, *inputs),
            lambda dy, cache: case.backward(K, dy, cache),
            list(case.inputs.values()),
            list(case.inputs),
            case.wrt,
        )
        known = getattr(self, "job", None)
        if known is not None:
            job.y_tree, job.y_shapes, job.y0 = known.y_tree, known.y_shapes, known.y0
        return job

    def wrong(self, K: Any = ops) -> str:
        """The first tensor whose gradient under K is wrong, or how it failed; '' when all is
        right."""
        job = self.bind(K)
        try:
            y, cache = job.run(job.base)
            if not same_bits(vector(y), self.job.y0):
                return "y"
            raw = job.backward(job.upstream(self.dy), cache)
            pieces, faults = match(job, raw)
        except Exception as error:
            return f"raises {type(error).__name__}"
        if faults:
            return faults[0].kind
        for leaf, piece in zip(job.leaves, pieces, strict=True):
            gap = np.abs(np.asarray(piece, dtype=np.float64) - self.true[leaf.name])
            if not (gap <= self.allowed[leaf.name]).all():
                return leaf.name
        return ""

"""Every op has a size in the model's step, its best NumPy is right, and its row says everything."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from benchmarks import ops
from minivae import ops as reference
from minivae.ops.table import FUNCTIONS
from minivae.racing import best_numpy
from minivae.racing.buffers import FreshArguments
from minivae.racing.contestant import numpy_best
from minivae.racing.gate import GateError, check
from minivae.racing.pits import Pits
from minivae.racing.problem import op_problem
from minivae.racing.statistics import StopRule


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_op_has_arguments_and_passes_its_own_gate(name: str) -> None:
    problem = op_problem(name, ops.shape_of(name, 3))
    args = problem.make(np.random.default_rng(1))
    assert len(args) == len(inspect.signature(FUNCTIONS[name].function).parameters)
    assert problem.instructions(args) > 0 and problem.flops(args) > 0
    assert check(problem, FUNCTIONS[name].function, 5) <= 1


def test_a_multiply_add_counts_as_two_and_an_addition_as_one() -> None:
    product, relu = op_problem("dense_forward", (3, 5, 7)), op_problem("relu_forward", (3, 5))
    assert product.flops(()) == 2 * 3 * 5 * 7 and product.instructions(()) == 3 * 5 * 7
    assert relu.flops(()) == relu.instructions(()) == 15


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if best_numpy.has(n)])
def test_the_best_numpy_computes_the_op(name: str) -> None:
    check(op_problem(name, ops.shape_of(name, 13)), lambda *args: numpy_best(name).bind(args)(), 3)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if best_numpy.has(n)])
def test_the_best_numpy_is_bound_once_a_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it works in is allocated before it is timed, a count that goes on or not."""
    made: list[Any] = []
    real = best_numpy.best
    monkeypatch.setattr(best_numpy, "best", lambda *given: made.append(given) or real(*given))
    bind, problem = numpy_best(name).bind, op_problem(name, ops.shape_of(name, 13))
    for number in (1, 2):
        fresh = FreshArguments(problem, number)
        for _ in range(3):
            bind(fresh.move())()
        assert len(made) == number


def test_no_name_stands_for_a_best_numpy_of_no_op() -> None:
    makers = {n for n, v in vars(best_numpy).items() if inspect.isfunction(v)}
    assert {n for n in makers if best_numpy.has(n)} <= set(FUNCTIONS)


def test_random_bits_are_compared_exactly() -> None:
    def off_by_one_bit(*args: Any) -> Any:
        u = reference.uniforms(*args)
        u[2, 5] = np.nextafter(u[2, 5], np.float32(2))
        return u

    with pytest.raises(GateError, match=r"\[2, 5\]"):
        check(op_problem("uniforms", (7, 9)), off_by_one_bit, 1)


GBS = {level: dict.fromkeys(("read", "write", "copy", "in place"), 50.0)
       for level in ("L1", "L2", "L3", "memory")}  # fmt: skip
ROOF = {"threads": 1, "gbs": GBS, "fma_gflops": 100.0}


def test_a_row_of_the_numpy_backend_has_everything() -> None:
    with ExitStack() as stack:
        pits = Pits([0], 60.0, stack)
        rule = StopRule(least=6, most=6)
        for op in ("latent_forward", "relu_forward"):  # the processes serve both
            result = ops.race_op(pits, op, 17, "numpy", rule, ("hot", "cold"))
            row = ops.row_of(op, 17, result, ROOF)
            assert row["n"] == 6 and row["error"] <= 1 and row["judged"] >= 2
            assert row["a_a"]["verdict"] and row["against"] == ops.BEST
            assert row["states"][ops.KERNEL]["cold"] > 0
        assert len(pits.kept) == 4  # the kernel, the kernel again, plain and best NumPy
    assert row["bytes"] == 2 * 17 * 400 * 4  # one read, one written
    assert row["gbs"] == pytest.approx(row["bytes"] / row["us"][ops.KERNEL]["p50"] / 1e3)
    text = ops.table([{**row, "op": "relu_forward"}, {"op": "sad", "failed": "wrong", "load": {}}])
    assert "A against A" in text and "95 % of hot" in text and "sad: OUT, wrong" in text

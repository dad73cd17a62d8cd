"""The table of ops is complete, its best NumPy is right, and its gate throws cheats out."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from benchmarks import op_numpy, ops
from benchmarks.gate import GateError, worst
from benchmarks.op_cases import CASES
from minivae import ops as reference


def test_every_op_has_a_case_with_its_arguments() -> None:
    assert set(CASES) == set(reference.OPS)
    for name, case in CASES.items():
        args = case.build(np.random.default_rng(1), 3)
        assert len(args) == len(inspect.signature(getattr(reference, name)).parameters), name
        assert case.work(3) > 0


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_reference_passes_its_own_gate(name: str) -> None:
    assert ops.gate_op(name, getattr(reference, name), 5, 11) <= ops.TOL


@pytest.mark.parametrize("name", sorted(n for n in CASES if hasattr(op_numpy, n)))
def test_the_best_numpy_computes_the_op(name: str) -> None:
    case = CASES[name]
    args = case.build(np.random.default_rng(3), 13)
    want = ops.arrays_of(getattr(reference, name)(*(a := ops.widened(args))), a, case)
    call = op_numpy.best(name, args)
    assert call is not None
    got = ops.arrays_of(call(), args, case)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        worst(name, g, w, ops.TOL)


class Spoilt:
    """An op that is right except in one way."""

    def __init__(self, how: str) -> None:
        self.how, self.first = how, None

    def __call__(self, dnll: Any, logits: Any, x: Any) -> Any:
        nll, dlogits = reference.bernoulli_nll_grad(dnll, logits, x)
        match self.how:
            case "stale":
                self.first = self.first or (nll, dlogits)
                return self.first
            case "nothing":
                return np.zeros_like(nll), np.zeros_like(dlogits)
            case "part":
                dlogits[..., -1] = 0
            case "poisoned":
                dlogits[..., 3] = np.nan
            case "one result":
                return (nll,)
            case "transposed":
                return nll, dlogits.transpose(0, 2, 1)
        return nll, dlogits


@pytest.mark.parametrize(
    "how", ["stale", "nothing", "part", "poisoned", "one result", "transposed"]
)
def test_a_cheating_kernel_is_thrown_out(how: str) -> None:
    ops.gate_op("bernoulli_nll_grad", Spoilt("honest"), 1, 7)
    with pytest.raises(GateError):
        ops.gate_op("bernoulli_nll_grad", Spoilt(how), 1, 7)


def test_random_bits_are_compared_exactly() -> None:
    def off_by_one_bit(*args: Any) -> Any:
        u = reference.uniforms(*args)
        u[2, 5] = np.nextafter(u[2, 5], np.float32(2))
        return u

    with pytest.raises(GateError, match=r"\[2, 5\]"):
        ops.gate_op("uniforms", off_by_one_bit, 1, 7)


def test_the_limit_names_what_binds() -> None:
    roof = {"threads": 2, "L2_gbs": 200.0, "L3_gbs": 100.0, "memory_gbs": 30.0, "fma_gflops": 240.0}
    big = ops.limit_seconds(10**9, 1.0, False, roof)
    assert big["binds"] == "memory bandwidth" and big["limit_us"] == pytest.approx(1e9 / 30e3)
    busy = ops.limit_seconds(1000, 10**9, True, roof)
    assert busy["binds"] == "arithmetic" and busy["limit_us"] == pytest.approx(1e9 / 120e3)


def test_a_row_of_the_numpy_backend_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.timing import StopRule
    from minivae.backend import load_backend

    monkeypatch.setattr(ops, "RULE", StopRule(least=3, most=3))
    roof = {"threads": 1, "L2_gbs": 99.0, "L3_gbs": 50.0, "memory_gbs": 9.0, "fma_gflops": 100.0}
    row = ops.time_op("latent_forward", load_backend("numpy"), 17, roof)
    assert set(row["us"]) == {"kernel", "naive", "numpy"} and row["n"] == 3
    assert row["bytes"] == 5 * 17 * 20 * 4  # three inputs, two results
    assert row["gbs"] == pytest.approx(row["bytes"] / row["us"]["kernel"]["p50"] / 1e3)
    assert "latent_forward" in ops.line(row) and row["gate_after"] < 1e-6

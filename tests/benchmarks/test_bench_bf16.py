"""The step benchmark with products in bfloat16: its gate, and what the contenders are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gate, step
from benchmarks.cases import make_rows, make_theta, parse_arch
from benchmarks.contenders.minivae_step import MinivaeStep
from minivae.backend import Backend, BackendUnavailable
from minivae.proof.product_rounding import rounded, rounding_reference

pytest.importorskip("numba")

ARCH = "96-40-8:relu"


def judged(K: object, limits: gate.Limits) -> None:
    """Put a backend's updates through the gate; raises GateError."""
    case = parse_arch(ARCH, 64)
    ours = MinivaeStep("numpy")
    ours.K = K
    ours.prepare(case, gate.shared_data(96), make_theta(case))
    ours.run(make_rows(case, 0, 40))
    gate.check_updates(case, ours.check(make_rows(case, 1, 1)), limits)
    given = gate.peer_inputs(case, 3)
    found = ours.gradient_of(given["theta"], make_rows(case, 3, 1))
    gate.check_gradient(case, given, *found, limits)


def test_the_gate_lets_bfloat16_pass_and_nothing_coarser() -> None:
    judged(rounding_reference(), gate.BF16)
    with pytest.raises(gate.GateError):
        judged(rounding_reference(), gate.FLOAT32)
    with pytest.raises(gate.GateError):
        judged(rounding_reference(bits=2), gate.BF16)
    assert gate.limits_of(bf16=True) == gate.BF16 and gate.limits_of() == gate.FLOAT32


def without_kl(K: Backend) -> None:
    K.kl_backward = lambda dkl, mu, logvar: (np.zeros_like(mu), np.zeros_like(mu))


def with_a_row_left_out(K: Backend) -> None:
    right = K.dense_backward_params

    def wrong(dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dW, db = right(dy, x)
        dW[0] = 0
        return dW, db

    K.dense_backward_params = wrong


@pytest.mark.parametrize("plant", [without_kl, with_a_row_left_out])
def test_a_wrong_gradient_is_no_rounding(plant: Callable[[Backend], None]) -> None:
    K = rounding_reference()
    plant(K)
    with pytest.raises(gate.GateError, match="Δm"):
        judged(K, gate.BF16)
    peer = MinivaeStep("numpy")  # judged by its gradient alone, which may be further off
    peer.K, case = K, parse_arch(ARCH, 64)
    peer.prepare(case, gate.shared_data(96), make_theta(case))
    given = gate.peer_inputs(case, 3)
    found = peer.gradient_of(given["theta"], make_rows(case, 3, 1))
    with pytest.raises(gate.GateError, match="gradient of"):
        gate.check_gradient(case, given, *found, gate.BF16)


@pytest.mark.parametrize("seed", [1, 5, 100_001, 100_002])
def test_units_that_rounding_carries_across_the_kink_are_no_errors(seed: int) -> None:
    case = parse_arch(ARCH, 64)
    rounds = MinivaeStep("numpy")
    rounds.K = rounding_reference()
    rounds.prepare(case, gate.shared_data(96), make_theta(case))
    given = gate.peer_inputs(case, seed)
    found = rounds.gradient_of(given["theta"], make_rows(case, seed, 1))
    gate.check_gradient(case, given, *found, gate.BF16)
    narrow = gate.BF16._replace(kink=gate.KINK, gradient=gate.BF16.gradient / 4)
    with pytest.raises(gate.GateError, match="gradient of"):
        gate.check_gradient(case, given, *found, narrow)


def test_ours_in_float32_is_judged_as_float32(tmp_path: Path) -> None:
    options = step.StepOptions(bf16=True)
    race = step.StepRace(parse_arch(ARCH, 64), options, tmp_path, tmp_path)
    assert race.limits("minivae-numba:float32") == gate.FLOAT32
    assert race.limits("minivae-numba") == race.limits("torch-eager") == gate.BF16


def test_ours_rounds_and_ours_in_float32_does_not() -> None:
    from benchmarks.contenders import create

    try:
        rounds = create("minivae-numba", threads=2, bf16=True)
    except BackendUnavailable as reason:
        pytest.skip(str(reason))
    plain = create("minivae-numba:float32", threads=2, bf16=True)
    assert rounds.versions() == {"backend": "numba, bfloat16"}
    assert plain.versions() == {"backend": "numba"}
    judged(rounds.K, gate.BF16)
    judged(plain.K, gate.FLOAT32)


@pytest.mark.parametrize(
    ("package", "file", "name", "word"),
    [("torch", "torch_step", "TorchStep", "autocast"), ("jax", "jax_step", "JaxStep", "bfloat16")],
)
def test_a_peer_rounds_too(package: str, file: str, name: str, word: str) -> None:
    pytest.importorskip(package)
    made = getattr(importlib.import_module(f"benchmarks.contenders.{file}"), name)
    case = parse_arch(ARCH, 64)
    given = gate.peer_inputs(case, 3)
    found = {}
    for bf16 in (False, True):
        peer = made(threads=1, bf16=bf16)
        peer.prepare(case, gate.shared_data(96), make_theta(case))
        found[bf16] = peer.loss_and_grad(**given)
        gate.check_gradient(case, given, *found[bf16], gate.limits_of(bf16=bf16))
        assert (word in peer.versions()["precision"]) is bf16
    assert not np.array_equal(found[True][1], found[False][1])
    with pytest.raises(gate.GateError):
        gate.check_gradient(case, given, *found[True], gate.FLOAT32)


def test_jax_multiplies_rounded_numbers_in_either_form() -> None:
    """Forward and both gradients; sums are float32's."""
    jax = pytest.importorskip("jax")
    from benchmarks.contenders.jax_step import rounded_product

    rng = np.random.default_rng(0)
    x, W, dy = (rng.standard_normal(s).astype(np.float32) for s in ((9, 7), (7, 5), (9, 5)))
    x16, W16, dy16 = (rounded(a).astype(np.float64) for a in (x, W, dy))
    for turned in (False, True):
        y, back = jax.vjp(rounded_product(turned), x, W)
        for got, want in zip((y, *back(dy)), (x16 @ W16, dy16 @ W16.T, x16.T @ dy16), strict=True):
            np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=1e-5)

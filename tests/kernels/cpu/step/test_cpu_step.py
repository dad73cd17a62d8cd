"""The fused training step against the reference step, and against itself on other threads."""

from __future__ import annotations

from typing import Any

import minivae_kernels
import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.training.plan import StepPlan, make_plan
from minivae.training.step import make_step

N = 150

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "relu": ({"data_dim": 37, "latent_dim": 5, "hidden": (19,)}, {}),
    "tanh, deep, draws, binarised, free bits": (
        {"data_dim": 70, "latent_dim": 3, "hidden": (45, 33), "activation": "tanh", "draws": 3,
         "free_bits": 0.05},
        {"binarise": "dynamic"},
    ),
    "linear, learned c": (
        {"data_dim": 50, "latent_dim": 40, "hidden": (), "likelihood": "gaussian",
         "c": "learned", "draws": 2},
        {},
    ),
    "given c, sgd": (
        {"data_dim": 64, "latent_dim": 2, "hidden": (16,), "likelihood": "gaussian", "c": 0.3},
        {"optimiser": "sgd"},
    ),
    "three layers, one of each": (
        {"data_dim": 33, "latent_dim": 1, "hidden": (1, 97, 31), "activation": "tanh"},
        {"binarise": "dynamic"},
    ),
    "importance-weighted": (
        {"data_dim": 45, "latent_dim": 35, "hidden": (33,), "activation": "gelu", "draws": 4,
         "objective": "iwae"},
        {"binarise": "dynamic"},
    ),
    "wider than a depth block": ({"data_dim": 301, "latent_dim": 33, "hidden": (261,)}, {}),
}  # fmt: skip


def problem(
    case: str, batch: int, threads: int = 2, floats: bool = False
) -> tuple[StepPlan, np.ndarray, np.ndarray, np.ndarray]:
    model, training = CASES[case]
    config = ModelConfig(**model)
    scale = 1.0 if floats else 1 / 255
    plan = make_plan(config, scale=scale, seed=2**33 + 5, max_batch=batch, threads=threads,
                     **training)  # fmt: skip
    rng = np.random.default_rng(3)
    data = rng.integers(0, 256, (N, config.data_dim)).astype(np.uint8)
    if floats:
        data = (data / np.float32(255)).astype(np.float32)
    theta = initialise(config, 11)
    return plan, theta, np.zeros((2, theta.size), dtype=np.float32), data


def schedule(batch: int, n: int = 5) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(batch)
    rows = np.stack([rng.permutation(N)[:batch] for _ in range(n)])
    return rows, 7, np.linspace(1e-3, 2e-3, n), np.linspace(0.3, 1.2, n)


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("case", list(CASES))
def test_agrees_with_the_reference(K: Any, case: str, floats: bool) -> None:
    for batch in (1, 13, 131):
        plan, theta, moments, data = problem(case, batch, floats=floats)
        fast = K.make_step(plan, theta, moments, data)
        slow = make_step(load_backend("numpy"), plan, theta, moments, data)
        fast(*schedule(batch))
        slow(*schedule(batch))
        (a, am), (b, bm) = fast.state(), slow.state()
        apart = np.abs(a - b)  # each update is about 1e-3; Adam magnifies gradients near 0
        assert np.max(apart) <= 3e-5
        assert np.sqrt(np.mean(apart**2)) <= 2e-7
        for mine, theirs in zip(am, bm, strict=True):
            assert np.max(np.abs(mine - theirs)) <= 2e-5 * max(np.max(np.abs(theirs)), 1e-12)
        assert_metrics(fast.metrics(), slow.metrics())
        assert fast.metrics()["updates"] == 0
        assert fast.bad_step == -1


def assert_metrics(mine: Any, theirs: Any) -> None:
    assert set(mine) == set(theirs)
    for key in theirs:
        np.testing.assert_allclose(mine[key], theirs[key], rtol=2e-5, atol=1e-6, err_msg=key)


def test_a_bounded_logvar_learns_nothing(K: Any) -> None:
    """Below -40 the log-variance is held, and its gradient is 0."""
    plan, theta, moments, data = problem("relu", 13)
    (start,) = (offset for name, offset, _ in plan.layout if name == "encoder.logvar.b")
    theta[start : start + 5 : 2] = -50
    fast, slow = (
        make_step(load_backend(n), plan, theta, moments, data) for n in ("numba", "numpy")
    )
    for step in (fast, slow):
        step(*schedule(13))
    (a, _), (b, _) = fast.state(), slow.state()
    assert np.max(np.abs(a - b)) <= 3e-5
    np.testing.assert_array_equal(a[start : start + 5 : 2], np.float32(-50))


def run_whole(case: str, batch: int, threads: int) -> tuple[bytes, ...]:
    plan, theta, moments, data = problem(case, batch, threads)
    step = load_backend("numba", threads=threads).make_step(plan, theta, moments, data)
    for part in range(4):
        rows, _, lr, beta = schedule(batch, 6)
        step((rows + part) % N, 6 * part, lr, beta)
    last = np.arange(batch // 2 + 1)[None] * 2 % N  # a smaller last batch
    step(last, 24, np.array([1e-3]), np.array([1.0]))
    theta, moments = step.state()
    metrics = step.metrics()
    return theta.tobytes(), moments.tobytes(), metrics["kl_j"].tobytes(), str(metrics).encode()


@pytest.mark.parametrize("case", list(CASES))
def test_threads_change_no_bit(case: str) -> None:
    try:
        for batch in (3, 20, 149):
            runs = [run_whole(case, batch, threads) for threads in (1, 2, 3, 4)]
            assert all(r == runs[0] for r in runs[1:])
    finally:
        load_backend("numba", threads=2)


def test_cut_anywhere_it_is_the_same_run(K: Any) -> None:
    """R2's ground: state and step number are all that a run needs to go on."""
    case = "tanh, deep, draws, binarised, free bits"
    plan, theta, moments, data = problem(case, 13)
    rows, t, lr, beta = schedule(13, 6)
    whole = K.make_step(plan, theta, moments, data)
    whole(rows, t, lr, beta)
    first = K.make_step(plan, theta, moments, data)
    first(rows[:2], t, lr[:2], beta[:2])
    second = K.make_step(plan, *first.state(), data)
    for i in range(2, 6):
        second(rows[i : i + 1], t + i, lr[i : i + 1], beta[i : i + 1])
    for a, b in zip(whole.state(), second.state(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_changes_nothing(K: Any) -> None:
    for threads in (1, 3):
        plan, theta, moments, data = problem("relu", 13, threads)
        theta[40] = np.nan
        step = K.make_step(plan, theta, moments, data)
        rows, t, lr, beta = schedule(13)
        step(rows, t, lr, beta)
        assert step.bad_step == t
        step(rows, t + 5, lr, beta)
        assert step.bad_step == t
        after, after_moments = step.state()
        np.testing.assert_array_equal(after, theta)
        assert not after_moments.any()
        assert step.metrics()["updates"] == 0


def test_bad_in_the_middle(K: Any) -> None:
    plan, theta, moments, data = problem("relu", 13, floats=True)
    data[5, 3] = np.inf
    rows, t, lr, beta = schedule(13)
    rows = np.where(rows == 5, 6, rows)
    rows[3, 2] = 5
    step, slow = (
        make_step(load_backend(n), plan, theta, moments, data) for n in ("numba", "numpy")
    )
    for s in (step, slow):
        s(rows, t, lr, beta)
        assert s.bad_step == t + 3
    assert step.metrics()["updates"] == 3
    np.testing.assert_allclose(step.state()[0], slow.state()[0], atol=5e-6)


def test_faults_in_the_call(K: Any) -> None:
    plan, theta, moments, data = problem("relu", 13)
    step = K.make_step(plan, theta, moments, data)
    one = np.ones(1)
    with pytest.raises(ValueError, match="batch of 1 to 13"):
        step(np.zeros((1, 14), np.int64), 0, one, one)
    with pytest.raises(IndexError, match="rows"):
        step(np.full((1, 3), N), 0, one, one)
    with pytest.raises(ValueError, match="lr and beta"):
        step(np.zeros((2, 3), np.int64), 0, one, one)
    with pytest.raises(ValueError, match="parameters"):
        K.make_step(plan, theta[:-1], moments, data)
    with pytest.raises(TypeError, match="float32"):
        K.make_step(plan, theta.astype(np.float64), moments, data)
    with pytest.raises(ValueError, match="data has shape"):
        K.make_step(plan, theta, moments, data[:, 1:])
    before = step.state()[0]
    step(np.zeros((0, 3), np.int64), 0, np.zeros(0), np.zeros(0))
    np.testing.assert_array_equal(step.state()[0], before)
    np.testing.assert_array_equal(before, theta)


def test_the_callers_arrays_are_left_alone(K: Any) -> None:
    plan, theta, moments, data = problem("relu", 13)
    kept = theta.copy()
    K.make_step(plan, theta, moments, data)(*schedule(13))
    np.testing.assert_array_equal(theta, kept)
    assert not moments.any()


def test_threads_not_named_are_those_of_load(K: Any) -> None:
    plan, theta, moments, data = problem("relu", 13, threads=0)
    try:
        step = load_backend("numba", threads=3).make_step(plan, theta, moments, data)
        assert step.threads == 3
    finally:
        load_backend("numba", threads=2)


@pytest.mark.parametrize("part", ["activation", "likelihood", "optimiser"])
def test_a_part_without_a_kernel_is_declined_by_name(K: Any, part: str) -> None:
    plan, *rest = problem("relu", 13)
    plan = plan._replace(**{part: "brand-new"})
    with pytest.raises(minivae_kernels.Unsupported, match=f"{part} 'brand-new'") as caught:
        minivae_kernels.load("numba", 2)["make_step"](plan, *rest)
    assert caught.value.asked is plan


def test_data_that_are_no_numbers_of_ours_are_refused(K: Any) -> None:
    plan, theta, moments, data = problem("relu", 13)
    with pytest.raises(TypeError, match=r"data is int64: .* takes uint8, bool or floats"):
        K.make_step(plan, theta, moments, data.astype(np.int64))
    ends = []
    for kind in (bool, np.float64):
        step = K.make_step(plan._replace(scale=1.0), theta, moments, (data > 99).astype(kind))
        step(*schedule(13))
        ends.append(step.state()[0].tobytes())
    assert ends[0] == ends[1] != theta.tobytes()


def test_rows_of_unequal_weight_are_declined(K: Any) -> None:
    plan, *rest = problem("relu", 13)
    with pytest.raises(minivae_kernels.Unsupported, match="rows of unequal weight"):
        minivae_kernels.load("numba", 2)["make_step"](plan._replace(weighted=True), *rest)


def run_on_sparse(case: str, batch: int, threads: int) -> tuple[bytes, bytes, str, int]:
    plan, theta, moments, data = problem(case, batch, threads)
    rng = np.random.default_rng(8)
    data = np.where(rng.random(data.shape) < 0.1, data, 0).astype(np.uint8)
    data[:, : data.shape[1] // 2] = 0  # features that are never anything else
    step = load_backend("numba", threads=threads).make_step(plan, theta, moments, data)
    rows, t, lr, beta = schedule(batch)
    step(rows, t, lr, beta)
    step(rows[:, : batch // 2 + 1], t + 5, lr, beta)  # a smaller batch after a larger one
    theta, moments = step.state()
    return theta.tobytes(), moments.tobytes(), str(step.metrics()), len(step.shared.masks)


@pytest.mark.parametrize("case", list(CASES))
def test_leaving_out_zeros_changes_no_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        for batch, threads in ((3, 1), (19, 2), (131, 3)):
            listed = run_on_sparse(case, batch, threads)
            assert listed[3] == batch
            with monkeypatch.context() as patch:
                patch.setattr("minivae_kernels.cpu.step.fused_step.WORTH_IT", 0.0)
                dense = run_on_sparse(case, batch, threads)
            assert dense[3] == 0
            assert listed[:3] == dense[:3]
    finally:
        load_backend("numba", threads=2)


@pytest.mark.parametrize("threads", [minivae_kernels.MOST_THREADS + 1, -1])
def test_a_number_of_threads_that_is_a_slip_is_refused(K: Any, threads: int) -> None:
    plan, theta, moments, data = problem("relu", 5, threads)
    with pytest.raises(ValueError, match=f"threads = {threads}: must be a whole number from 1"):
        K.make_step(plan, theta, moments, data)


def test_the_team_is_told_of_rows(K: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of updates: those of a short last batch would look faster than all others."""
    step = K.make_step(*problem("relu", 13))
    told: list[int] = []
    monkeypatch.setattr(step.team, "report", lambda rows, wall, busy: told.append(rows))
    step(*schedule(13, 4))
    step(*schedule(5, 1))
    assert told == [52, 5]

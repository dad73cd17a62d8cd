"""Passes at special points and after public bug reports: all judged right, whatever the seed."""

import os

import numpy as np
import pytest

from minivae.verify import check
from tests.verify.zoo_special import ZOO
from tests.verify.zoo_tools import passes

BY_NAME = {function.__name__: function for function in ZOO}
WAYS = [(np.float64, True), (np.float32, False)]


def misjudged(name, seeds, dtype, contiguous):
    """The backwards of one pass on which the verdict is not what it should be."""
    item, found = passes([BY_NAME[name]], dtype, contiguous)[name], []
    for seed in seeds:
        for mistake, backward in [(None, item.right), *item.wrong.items()]:
            report = check(item.forward, backward, item.inputs, seed=seed, **item.options)
            if report.ok != (mistake is None):
                found.append((seed, mistake, repr(report)))
    return found


@pytest.mark.parametrize(("dtype", "contiguous"), WAYS, ids=["float64", "float32 strided"])
@pytest.mark.parametrize("name", BY_NAME)
def test_right_passes_and_wrong_ones(name, dtype, contiguous):
    assert misjudged(name, [0], dtype, contiguous) == []


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "contiguous"), WAYS, ids=["float64", "float32 strided"])
@pytest.mark.parametrize("name", BY_NAME)
def test_over_many_seeds(name, dtype, contiguous):
    """MINIVAE_ZOO_SEEDS=20 is the whole run."""
    seeds = range(1, 1 + int(os.environ.get("MINIVAE_ZOO_SEEDS", "5")))
    assert misjudged(name, seeds, dtype, contiguous) == []


def test_there_are_enough_of_both():
    assert len(ZOO) >= 40 and sum(len(p.wrong) for p in passes(ZOO).values()) >= 40


def test_the_named_entry_is_the_worst():
    x = np.random.default_rng(0).normal(size=(6, 5))
    error = np.where(np.arange(30).reshape(6, 5) % 4 == 1, np.arange(30).reshape(6, 5), 0)
    report = check(lambda x: (x**2, x), lambda dy, x: 2 * x * dy + error * dy, [x])
    gap = np.abs(error * 1.0)  # |dy| differs from entry to entry, so ask for both ends
    assert report.faults[0].index is not None and gap[report.faults[0].index] > 0
    worst = report.rows[0]
    assert abs(worst.hand - worst.true) >= 0.5 * gap.max()


def test_a_float32_kernel_is_held_to_a_float64_reference():
    def kernel(x, W):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return x @ W, (x, W)

    def backward(k):
        return lambda dy, c: (np.float32(k) * (dy @ c[1].T), c[0].T @ dy)

    rng = np.random.default_rng(0)
    point = [rng.normal(size=s).astype(np.float32) for s in ((6, 5), (5, 4))]
    assert check(kernel, backward(1), point).ok
    assert any("cannot be seen" in note for note in check(kernel, backward(1), point).notes)
    assert check(kernel, backward(1), point, reference=lambda x, W: x @ W).ok
    assert not check(kernel, backward(1.001), point, reference=lambda x, W: x @ W).ok
    other = check(kernel, backward(1), point, reference=lambda x, W: x @ W + 1)
    assert [f.kind for f in other.faults] == ["reference"]


@pytest.mark.parametrize("scale", [1e-3, 1.0])
@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_a_forward_that_computes_in_float32_inside(scale, factor):
    """Inputs and outputs are float64; what differences of it show is float32."""

    def forward(x, W):
        x, W = np.float32(x), np.float32(W)
        y = np.tanh(x @ W)
        return y.astype(float), (x, W, y)

    def backward(dy, cache):
        x, W, y = cache
        d = np.float32(dy) * (1 - y * y)
        dx, dW = (d @ W.T).astype(float), (x.T @ d).astype(float)
        dx[1, 1] *= factor
        return dx, dW

    rng = np.random.default_rng(0)
    point = [scale * rng.normal(size=(5, 4)), scale * rng.normal(size=(4, 3))]
    for seed in range(3):
        assert check(forward, backward, point, seed=seed).ok == (factor == 1)


def test_half_precision_and_seventy_thousand_ties():
    x = np.full(70_000, 1.5, np.float16)
    share = lambda dy, x: (np.float32(dy) / 70_000 * (x == x.max())).astype(x.dtype)  # noqa: E731
    assert check(lambda x: (x.max(), x), share, [x]).ok
    every = check(lambda x: (x.max(), x), lambda dy, x: dy * (x == x.max()), [x])
    assert [f.kind for f in every.faults] == ["ties"]


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn"])
def test_shorter_floats_are_refused_in_one_line(kind):
    x = np.ones((3, 2)).astype(getattr(pytest.importorskip("ml_dtypes"), kind))
    text = str(check(lambda x: (x * x, x), lambda dy, x: 2 * dy * x, [x]))
    assert text == f"input x is {kind}, which is not supported: pass it as float32"


def test_kinks_are_one_note():
    x = np.maximum(np.random.default_rng(0).normal(size=(30, 50)), 0)
    report = check(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0), [x])
    assert report.ok and sum("kink" in note for note in report.notes) == 1


def test_views_and_byte_order_are_notes():
    x = np.random.default_rng(0).normal(size=(3, 2))
    view = check(lambda x: (x + 1, None), lambda dy, _: dy, [x])
    assert view.ok and "view" in view.notes[0]
    assert check(lambda x: (x + 1, None), lambda dy, _: dy, [x], allow_views=True).notes == []
    swapped = check(lambda x: (x * x, x), lambda dy, x: 2 * dy * x, [x.astype(">f8")])
    assert swapped.ok and "byte order" in swapped.notes[0]


def test_an_array_that_is_used_again():
    buffer = np.zeros((3, 2))

    def backward(dy, x):
        buffer[...] = 2 * dy * x
        return buffer

    report = check(lambda x: (x * x, x), backward, [np.random.default_rng(0).normal(size=(3, 2))])
    assert [f.kind for f in report.faults] == ["view"]


def test_the_other_argument_order_is_recognised():
    x = np.random.default_rng(0).normal(size=(3, 2))
    right = check(lambda x: (x * x, {"x": x}), lambda cache, dy: 2 * dy * cache["x"], [x])
    assert right.ok and "(cache, dy)" in right.notes[0]
    assert not check(lambda x: (x * x, {"x": x}), lambda cache, dy: dy * cache["x"], [x]).ok
    misfit = check(lambda x: (x * x, {"x": x}), lambda cache, dy: (dy * cache["x"]).sum(0), [x])
    assert [f.kind for f in misfit.faults] == ["shape"] and "(cache, dy)" in misfit.notes[0]


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1 / 4, "batch size"), (1 / (4 * 6), "4 x 6"), (2, "factor of 2"), (5 / 6, "(n - 1)/n")],
)
def test_a_factor_has_its_cause_in_words(factor, words):
    x = np.random.default_rng(0).normal(size=(4, 3, 6))
    wrong = check(lambda x: (x**2, x), lambda dy, x: factor * 2 * dy * x, [x])
    assert wrong.faults[0].kind == "factor" and words in wrong.faults[0].message


def test_a_sample_is_said_of_a_batch_only():
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(4, 3)), rng.normal(size=(3, 5))

    def backward(dy, cache):
        dW = dy @ cache[1].T
        dW[2, 1] *= 2
        return dW, cache[0].T @ dy

    report = check(lambda W, x: (W @ x, (W, x)), backward, [W, x])
    assert report.faults[0].index == (2, 1) and "sample" not in report.faults[0].message


def test_a_line_that_names_a_cause_does_not_end_in_another():
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(4, 3)), rng.normal(size=(3, 5))
    wrong = check(
        lambda x, W: (np.tanh(x @ W), (x, W, np.tanh(x @ W))),
        lambda dy, c: ((d := dy * (1 - c[2] ** 2)) @ c[1].T, c[0].T @ d / 4),
        [x, W],
    )
    assert "batch size" in wrong.faults[0].message and "sample" not in wrong.faults[0].message


@pytest.mark.parametrize("factor", [1.0, 0.9])
def test_what_is_steeper_than_differences_reach(factor):
    """The complex step is believed where no difference can follow: chaos, an eighth-order Hilbert
    matrix (condition 1.5e10)."""

    def logistic(x):
        steps = [x]
        for _ in range(40):
            steps.append(3.9 * steps[-1] * (1 - steps[-1]))
        return steps[-1], steps

    def logistic_back(dy, steps):
        for x in steps[-2::-1]:
            dy = dy * 3.9 * (1 - 2 * x)
        return factor * dy

    def solve(A, b):
        x = np.linalg.solve(A, b)
        return x, (A, x)

    def solve_back(dy, cache):
        A, x = cache
        u = np.linalg.solve(A.T, dy)
        return -factor * np.outer(u, x), u

    rng = np.random.default_rng(0)
    assert check(logistic, logistic_back, [rng.uniform(0.2, 0.8, 5)]).ok == (factor == 1)
    hilbert = 1 / (1.0 + np.arange(8) + np.arange(8)[:, None])
    assert check(solve, solve_back, [hilbert, rng.normal(size=8)]).ok == (factor == 1)

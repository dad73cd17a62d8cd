"""Points and passes at which a gradient checker is easily misled: beside the border of forward's
domain, on kinks that blind the complex step, where nothing can be learnt."""

import numpy as np
import pytest

from minivae.parts.trials import numbers
from minivae.verify import check

X = np.array([0.3, -0.5, 1.1])
FAR = np.array([0, 30, 70, 12.0])


def kinds(report):
    return [fault.kind for fault in report.faults]


# -- outside forward's domain ----------------------------------------------------------------------
ROOTS = {
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": (np.log, lambda x: 1 / x),
    "power": (lambda x: x**0.3, lambda x: 0.3 * x**-0.7),
}


@pytest.mark.parametrize("least", [1e-13, 1e-20, 1e-36, 1e-45, 1e-90])
@pytest.mark.parametrize("factor", [1, 2, -3])
@pytest.mark.parametrize("name", ROOTS)
def test_beside_a_tiny_entry_there_may_be_no_forward(name, factor, least):
    """The complex step of log and of roots at -1e-13 is no slope, and clears no gradient."""
    f, slope = ROOTS[name]

    def backward(dy, x):
        return np.where(x == least, factor, 1) * slope(x) * dy

    report = check(lambda x: (f(x), x), backward, [np.array([least, 0.3, 0.7])])
    assert report.ok == (factor == 1), report
    assert factor == 1 or report.faults[0].index == (0,)


def test_all_entries_may_be_tiny():
    x = 1e-36 * np.array([1.3, 0.3, 0.7])
    assert check(lambda x: (np.log(x), x), lambda dy, x: dy / x, [x]).ok


@pytest.mark.parametrize(
    ("f", "slope"),
    [(np.log, lambda x: 1 / x), (np.sqrt, lambda x: 0.5 / np.sqrt(x))],
    ids=["log", "sqrt"],
)
def test_a_branch_at_the_border_of_the_domain(f, slope):
    def forward(x):
        return f(x + 1e-12), x

    right = check(forward, lambda dy, x: dy * slope(x + 1e-12), [FAR])
    assert right.ok, right
    wrong = check(forward, lambda dy, x: np.where(x > 0, dy * slope(x + 1e-12), 0), [FAR])
    assert [fault.index for fault in wrong.faults] == [(0,)]


@pytest.mark.parametrize("take", [0.0, 0.5, 1.0])
def test_a_kink_at_the_border_of_the_domain(take):
    def backward(dy, x):
        return dy * (np.where(x == 0, take, x > 0) + 1 / (x + 1e-12))

    report = check(lambda x: (np.maximum(x, 0) + np.log(x + 1e-12), x), backward, [FAR])
    assert report.ok, report


# -- kinks that blind the complex step -------------------------------------------------------------
def l2_norm(h):
    return np.sqrt(np.vdot(h, h))


def l1_norm(h):
    return np.abs(np.asarray(h)).sum()


def norm_is_constant(dy, cache):
    x, _, s = cache
    return dy / s * (x > 0)


@pytest.mark.parametrize("first", [0.3, 0.0])
@pytest.mark.parametrize("norm", [l2_norm, l1_norm])
def test_a_norm_that_the_complex_step_does_not_see(norm, first):
    def forward(x):
        h = np.maximum(x, 0)
        return h / norm(h), (x, h, norm(h))

    def backward(dy, cache):
        x, h, s = cache
        slope = h / s if norm is l2_norm else np.sign(h)
        return (dy / s - slope * (h @ dy) / s**2) * (x > 0)

    x = np.array([first, 0.5, -0.7, 1.1])
    assert check(forward, backward, [x]).ok
    wrong = check(forward, norm_is_constant, [x])
    assert not wrong.ok and "not analytic" in str(wrong), wrong


# -- where nothing can be learnt -------------------------------------------------------------------
def only_there(x):
    if not np.array_equal(x, X):
        raise ValueError("another point")
    return x * x, x


def symmetric(A):
    if not np.array_equal(A, A.T):
        raise ValueError("not symmetric")
    return A @ A, A


def symmetric_backward(factor):
    def backward(dy, A):
        dA = dy @ A.T + A.T @ dy
        return np.where(np.eye(len(A)) > 0, dA, factor * dA)

    return backward


@pytest.mark.parametrize("factor", [2, -7])
def test_what_nobody_could_judge_is_not_right(factor):
    report = check(only_there, lambda dy, x: factor * x * dy, [X])
    assert kinds(report) == ["unknown"] and report.rows[0].verdict == "not checked"
    assert "move it, or leave x out by wrt=" in str(report)


@pytest.mark.parametrize("factor", [1, 10])
def test_most_of_a_tensor_could_not_be_judged(factor):
    A = np.array([[1, 0.3, 0.2], [0.3, 2, 0.5], [0.2, 0.5, 1.5]])
    assert kinds(check(symmetric, symmetric_backward(factor), [A])) == ["unknown"]


def cross_entropy(p, t):
    if not np.isin(t, (0, 1)).all():
        raise ValueError("targets are 0 or 1")
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)), (p, t)


@pytest.mark.parametrize("factor", [1, 3])
def test_targets_that_cannot_be_moved_are_not_wrong_but_unknown(factor):
    def backward(dy, cache):
        p, t = cache
        dt = np.log(1 - p) - np.log(p)
        return dy * ((1 - t) / (1 - p) - t / p), factor * dy * dt

    point = [np.array([0.3, 0.6, 0.8]), np.array([0.0, 1, 1])]
    report = check(cross_entropy, backward, point)
    assert kinds(report) == ["unknown"] and report.faults[0].tensor == "t"
    assert "nan" not in str(report.faults[0])
    assert check(cross_entropy, backward, point, wrt=["p"]).ok


@pytest.mark.parametrize("factor", [1, 3])
def test_a_single_entry_could_not_be_judged(factor):
    """Forward refuses any other x[1], and complex numbers."""

    def forward(x):
        if x[1] != -0.5 or np.iscomplexobj(x):
            raise ValueError("x[1] is -0.5")
        return x * x, x

    report = check(forward, lambda dy, x: 2 * x * dy * np.array([1, factor, 1]), [X])
    assert kinds(report) == ["unknown"] and "at 1 of 3 entries (x[1])" in str(report)


# -- beside one huge gradient, or one huge input ---------------------------------------------------
@pytest.mark.parametrize("least", [1e-12, 1e-20, 1e-80])
@pytest.mark.parametrize("share", [0, 0.999, 1])
def test_a_huge_gradient_does_not_hide_the_others(share, least):
    """-log(x / sum x): the path through the sum is 1e-12 of the largest entry, and of all others
    a good part."""

    def backward(dy, x):
        return dy * (share * len(x) / x.sum() - 1 / x)

    forward = lambda x: (-np.log(x / x.sum()).sum(), x)  # noqa: E731
    report = check(forward, backward, [np.array([least, 0.3, 0.7, 1.1])])
    assert report.ok == (share == 1), report


def test_what_is_too_small_to_be_judged_is_said():
    x = np.array([1.3, 0.7, 1e-20, 1.1])
    report = check(lambda x: (x * x, x), lambda dy, x: 2 * x * dy, [x])
    assert report.ok
    assert report.notes == [
        "x: too small beside the largest to be judged: 1 of 4 entries (x[2]); move the test point"
    ]


@pytest.mark.parametrize("factor", [1, 0])
def test_an_error_that_fades_as_x_does_is_no_rounding(factor):
    """A term of 1e-5 of the gradient is forgotten, beside another input of 1e10."""
    rng = np.random.default_rng(0)
    x, t = 2 + 0.3 * rng.normal(size=5), 1e10 * (1 + 0.3 * rng.normal(size=5))
    forward = lambda x, t: (x + 1e-5 * x * x + 1e-10 * t, x)  # noqa: E731
    backward = lambda dy, x: (dy * (1 + factor * 2e-5 * x), 1e-10 * dy)  # noqa: E731
    report = check(forward, backward, [x, t])
    assert report.ok == (factor == 1), report


# -- steep, but no kink ----------------------------------------------------------------------------
@pytest.mark.parametrize("share", [0.3, 0.1, 0.05, 0.02, 0.01])
def test_a_small_part_that_the_complex_step_loses(share):
    """The loss of an imaginary part is the same at every step, however small; steepness is not."""
    forward = lambda x: (x * x + share * np.asarray(x).real, x)  # noqa: E731
    assert check(forward, lambda dy, x: (2 * x + share) * dy, [X]).ok
    assert not check(forward, lambda dy, x: 2 * x * dy, [X]).ok


STEEP = {
    "log|x|": (lambda x: np.log(np.abs(x)), lambda x: 1 / x),
    "sqrt|x|": (lambda x: np.sqrt(np.abs(x)), lambda x: 0.5 * np.sign(x) / np.sqrt(np.abs(x))),
    "|x|**0.1": (lambda x: np.abs(x) ** 0.1, lambda x: 0.1 * np.sign(x) * np.abs(x) ** -0.9),
    "log max(x, 1e-30)": (lambda x: np.log(np.maximum(x, 1e-30)), lambda x: 1 / x),
    "log, 0 elsewhere": (lambda x: np.where(x > 0, np.log(x), 0), lambda x: 1 / x),
}


@pytest.mark.parametrize("factor", [1, 0, 2])
@pytest.mark.parametrize("name", STEEP)
def test_steepness_beside_a_kink_is_no_kink(name, factor):
    """The slopes a little aside are of both signs and far from the one at x: what lies between them
    is no subgradient."""
    f, slope = STEEP[name]

    def backward(dy, x):
        return dy * slope(x) * np.where(np.abs(x) < 1e-15, factor, 1)

    report = check(lambda x: (f(x), x), backward, [np.array([1e-20, 0.3, 0.7])])
    assert report.ok == (factor == 1), report


def test_complex_arithmetic_that_breaks_down_in_one_entry_of_many():
    x, c = np.random.default_rng(0).uniform(0.5, 2, 21_000), np.ones(21_000)
    c[7] = np.inf

    def forward(x):
        return (1 / (x * c)).reshape(100, -1).sum(1), x

    def backward(factor):
        return lambda dy, x: factor * np.repeat(dy, 210) * -1 / (x * x * c)

    assert check(forward, backward(1.0), [x]).ok
    assert not check(forward, backward(1.1), [x]).ok


def test_rounding_that_only_this_point_has():
    """The complex step of e^a / (1 + e^a) far out is rounding, the same at all points around but
    not at this one; the gradient by hand is right."""
    a = numbers(5, 7, scale=20.0)
    forward = lambda a: (np.exp(a) / (1 + np.exp(a)), a)  # noqa: E731
    for factor in (1, 1.5):
        backward = lambda dy, a, k=factor: k * dy * np.exp(a) / (1 + np.exp(a)) ** 2  # noqa: E731
        assert check(forward, backward, [a]).ok == (factor == 1)

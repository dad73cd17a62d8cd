"""The gate: right kernels pass by their accuracy, and not by the reference's luck."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.racing import gate
from minivae.racing.problem import op_problem


def shares(kernel, factor: float) -> list[float]:
    """What the gate says of a kernel's gradient of the dispersion, times a factor, in 40 draws."""
    problem = op_problem("negative_binomial_nll_backward", (1, 33, 17))
    found = []
    for seed in range(40):
        args = problem.make(np.random.default_rng(seed))
        dlogmean, dlogr = kernel(*args)
        try:
            found.append(
                gate.judge(problem, args, [dlogmean, np.asarray(np.float32(dlogr * factor))])
            )
        except gate.GateError:
            found.append(np.inf)
    return found


def test_a_sum_that_cancels_is_not_judged_by_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its terms add up to a twentieth of their sizes: the reference may be right to the last place
    in one draw, and a kernel that is nearer to the truth on average not."""
    pytest.importorskip("numba")
    import minivae_kernels

    kernel = minivae_kernels.load("numba")["negative_binomial_nll_backward"]
    assert max(shares(kernel, 1.0)) <= 1
    assert min(shares(kernel, 1.001)) == np.inf
    monkeypatch.setattr(gate, "_usual_errors", lambda problem, args, true: [0.0] * len(true))
    assert max(shares(kernel, 1.0)) == np.inf  # as it was


@pytest.mark.parametrize("op", ["negative_binomial_nll_forward", "poisson_nll_forward"])
def test_the_counts_losses_are_held_to_the_reference_in_every_draw(op: str) -> None:
    """The few values of log x! round alike wherever they stand, which a sum does not average."""
    pytest.importorskip("numba")
    import minivae_kernels

    kernel, problem = minivae_kernels.load("numba")[op], op_problem(op, (1, 33, 17))
    for seed in range(25):
        args = problem.make(np.random.default_rng(seed))
        assert gate.judge(problem, args, [kernel(*args)]) <= 1

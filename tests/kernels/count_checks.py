"""What every backend's kernels for counts are held to, from r = 0.001 to nearly a Poisson's."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae import ops

DISPERSIONS = (1e-3, 0.3, 7.0, 300.0, 5e3, 9.9e3, 1.1e4, 1e5, 1e7)
COUNTS = np.array([0, 1, 2, 5, 8, 9, 16, 40, 700, 7200, 1e5, 1e6], np.float32)
MEANS = np.log(np.array([0.2, 5.0, 800.0, 3e5], np.float32))


def one_by_one(K: Any, name: str, *more: Any) -> tuple[np.ndarray, ...]:
    """An op's answers for each pair of a mean and a count, a datum of one number each."""
    logmean, x = (a.reshape(-1, 1) for a in np.meshgrid(MEANS, COUNTS))
    up = [np.ones((1, 1), x.dtype)] if name.endswith("backward") else []
    answers = []
    for a, count in zip(logmean, x, strict=True):
        args = (*up, a[None, None], count[None], *more)
        if K is ops:  # the reference is the truth: in float64, of the same numbers
            args = tuple(np.asarray(arg, np.float64) for arg in args)
        result = getattr(K, name)(*args)
        answers.append([np.float64(np.ravel(r)[0]) for r in _tuple(result)])
    return tuple(np.array(answers).T)


def _tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def check_counts(K: Any, r: float) -> None:
    """Loss and both gradients to 1e-6 of the terms they are made of; NaN fails."""
    logr = np.float32(np.log(r))
    logmean, x = (a.ravel().astype(np.float64) for a in np.meshgrid(MEANS, COUNTS))
    terms = x * (np.log(x + r + 1) + np.abs(logmean)) + np.exp(logmean) + 1
    pulls = x + np.exp(logmean) + 1
    for name, more, sizes in (
        ("poisson_nll_forward", (), [terms]),
        ("negative_binomial_nll_forward", (logr,), [terms]),
        ("negative_binomial_nll_backward", (logr,), [pulls, pulls]),
    ):
        found, true = (one_by_one(backend, name, *more) for backend in (K, ops))
        for mine, exact, size in zip(found, true, sizes, strict=True):
            wrong = np.abs(mine - exact) / size
            at = wrong.argmax()
            assert wrong.max() <= 1e-6, (name, r, x[at], np.exp(logmean[at]))

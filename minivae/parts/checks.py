"""What a part from outside has to stand before it is registered.

Its gradient is checked by `verify` at points of different sizes. Then what training does and a
single check in float64 does not: it computes in float32, calls a function again before it uses what
the last call gave, meets zeros and large numbers, and batches of any size.
"""

from __future__ import annotations

import numpy as np

from minivae.parts.activations import Activation
from minivae.parts.likelihoods import Likelihood, Noise
from minivae.parts.objectives import Objective
from minivae.parts.optimisers import Optimiser
from minivae.parts.records import PartError
from minivae.parts.requirements import (
    CLOSE,
    called,
    refuse,
    require_float32,
    require_gradient,
    require_no_memory,
    require_numbers,
    require_shape,
)
from minivae.parts.trials import (
    activation_trial,
    groups_of,
    likelihood_trial,
    numbers,
    objective_trial,
    sample_data,
)
from minivae.types import Array

# Pre-activations that training meets: blank pixels give 0, unscaled data large ones.
FAR = np.array([[0, 1e-3, -1e-3, 1, -1, 8, -8, 30, -30, 100, -100]], np.float32).T
MAY_OVERFLOW = 30.0  # beyond it, infinity is taken for an honest answer; NaN nowhere


def check_activation(part: Activation) -> None:
    """forward(a) -> h and backward(dh, a) -> da, on numbers of both signs and all sizes."""
    a, dh = numbers(5, 7, scale=2.5), numbers(5, 7, seed=1)
    what = f"activation {part.name!r}"
    require_shape(f"{what}: forward", called(f"{what}: forward", part.forward, a), a.shape)
    require_shape(f"{what}: backward", called(f"{what}: backward", part.backward, dh, a), a.shape)
    trial, far = activation_trial(part), activation_trial(part, 20.0)
    require_gradient(what, trial)  # which tells a forward that is random, too
    require_gradient(what, far)
    require_float32(what, trial, activation_trial(part, dtype="float32"))
    require_no_memory(what, trial, far)
    _require_rows(what, part, a, dh)
    _require_everywhere(what, part)


def _require_rows(what: str, part: Activation, a: Array, dh: Array) -> None:
    """Raise PartError unless each row has its own result, in arrays of any shape."""
    results = part.forward(a), part.backward(dh, a)
    for name, function, args, whole in (
        ("forward", part.forward, (a,), results[0]),
        ("backward", part.backward, (dh, a), results[1]),
    ):
        place = f"{what}: {name}"
        alone = called(f"{place}, given one row,", function, *(each[:1] for each in args))
        many = called(f"{place}, given 300 rows,", function, *(np.tile(e, (60, 1)) for e in args))
        drawn = called(f"{place}, given an array (2, 5, 7),", function, *(
            np.stack([each, each]) for each in args))  # fmt: skip
        for found, due in ((alone, whole[:1]), (many, np.tile(whole, (60, 1))),
                           (drawn, np.stack([whole, whole]))):  # fmt: skip
            require_shape(f"{place}, given an array {due.shape},", found, due.shape)
            if not np.allclose(found, due, rtol=1e-9, atol=1e-12):
                raise PartError(f"{place} mixes the rows of a batch: each row has to be by itself")


def _require_everywhere(what: str, part: Activation) -> None:
    """Raise PartError for NaN at zero or far out, and for a slope at zero that is none beside it.

    Each number is a row by itself.
    """
    forward = called(f"{what}: forward", part.forward, FAR)
    backward = called(f"{what}: backward", part.backward, np.ones_like(FAR), FAR)
    for name, found in (("forward", forward), ("backward", backward)):
        bad = np.isnan(found) | (np.isinf(found) & (np.abs(FAR) <= MAY_OVERFLOW))
        if bad.any():
            raise refuse(what, f"{name} gives {found[bad][0]} at a = {FAR[bad][0]:g} on float32; "
                               "training meets such numbers")  # fmt: skip
    step = 1e-6
    left, middle, right = part.forward(np.array([[-step], [0.0], [step]])).flat
    least, most = sorted([(middle - left) / step, (right - middle) / step])
    slope = part.backward(np.ones((1, 1)), np.zeros((1, 1))).item()
    if not least - CLOSE <= slope <= most + CLOSE:
        between = f"{least:g}" if most - least < CLOSE else f"between {least:g} and {most:g}"
        raise refuse(what, f"backward gives the slope {slope:g} at a = 0, where it is {between}")


def check_likelihood(part: Likelihood) -> None:
    """nll (L, B) from out (L, B, D) and x (B, D), and its gradients, on data of its domain."""
    what = f"likelihood {part.name!r}"
    _require_domain(what, part)
    trial, other = likelihood_trial(part), likelihood_trial(part, 3, 5, 7)
    out, *scale = trial.inputs.values()
    nll = called(f"{what}: forward", trial.forward, out, *scale)[0]
    require_shape(f"{what}: forward", nll, out.shape[:2])
    require_gradient(what, trial)
    require_gradient(what, other)
    require_float32(what, trial, likelihood_trial(part, dtype="float32"))
    require_no_memory(what, trial, other)
    _require_own_data(what, part, out, nll, tuple(scale))
    _require_draws(what, part, out[0], tuple(scale))


def _require_domain(what: str, part: Likelihood) -> None:
    """Raise PartError unless the domain tells of every entry whether it can be."""
    x = numbers(4, 6)
    mask = called(f"{what}: domain.bad", part.domain.bad, x, *(groups_of(part, 6) or ((),)))
    require_shape(f"{what}: domain.bad", mask, x.shape)
    if mask.dtype != bool:
        raise PartError(f"{what}: domain.bad must return True or False, not {mask.dtype}")
    try:
        sample_data(part, 4, 6)
    except LookupError:
        raise PartError(f"{what}: its domain takes none of the usual kinds of data") from None


def _require_own_data(
    what: str, part: Likelihood, out: Array, nll: Array, scale: tuple[Array, ...]
) -> None:
    """Raise PartError where a datum's nll depends on others, or the passes change the data."""
    x, tail = sample_data(part, *out.shape[1:]), groups_of(part, out.shape[2])
    kept = x.copy()
    part.forward(out, x, *scale, *tail)
    part.backward(np.ones_like(nll), out, x, *scale, *tail)
    if not np.array_equal(x, kept):
        raise refuse(what, "its passes change the data x in place")
    fewer = called(f"{what}: forward", part.forward, out[:1, :2], x[:2], *scale, *tail)
    require_shape(f"{what}: forward", fewer, (1, 2))
    if not np.allclose(fewer, nll[:1, :2], rtol=1e-9, atol=1e-12):
        raise PartError(f"{what}: forward mixes the rows of a batch: each row has to be by itself")


def _require_draws(what: str, part: Likelihood, out: Array, scale: tuple[Array, ...]) -> None:
    """Raise PartError unless mean and draw give numbers, and all chance comes from the noise."""
    from minivae import ops

    extra, kept = (*scale, *groups_of(part, out.shape[1])), out.copy()
    mean = called(f"{what}: mean", part.mean, ops, out, *extra)
    require_numbers(f"{what}: mean", mean, out.shape)
    draws = []
    for _ in range(2):
        rng = np.random.default_rng(7)
        draws.append(called(f"{what}: draw", part.draw, mean, out, _noise(rng, out.shape), *extra))
        require_numbers(f"{what}: draw", draws[-1], out.shape)
    if not np.array_equal(out, kept):
        raise PartError(f"{what}: mean or draw changes the decoder's output in place")
    if not np.array_equal(*draws):
        raise PartError(f"{what}: draw has chance of its own: take it from noise.uniforms() or "
                        "noise.normals(), so that a seed says what is drawn")  # fmt: skip
    if part.output_of is not None:
        start = called(f"{what}: output_of", part.output_of, np.asarray(mean[0], np.float64))
        require_numbers(f"{what}: output_of", start, mean[0].shape)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Noise:
    return Noise(lambda: rng.random(shape), lambda: rng.normal(size=shape))


def check_optimiser(part: Optimiser) -> None:
    """An update has to change all of theta, by its gradient alone, and bring a loss down."""
    what = f"optimiser {part.name!r}"
    start, end, moments = descent(what, part, 9)
    losses = [float(((theta - 2 * start)[1:] ** 2).sum()) for theta in (start, end)]
    if np.isnan(end[0]):
        raise refuse(what, "an update makes NaN of a number whose gradient is 0")
    if not losses[1] < losses[0]:
        still = " (it has to change theta in place)" if np.array_equal(start, end) else ""
        raise refuse(what, f"200 updates took a bowl from {losses[0]:.3g} to {losses[1]:.3g}; "
                           f"it has to go down{still}")  # fmt: skip
    if (start == end)[1:].any():
        raise refuse(what, f"200 updates leave theta[{1 + int((start == end)[1:].argmax())}] where "
                           "it was: every number has to follow its gradient")  # fmt: skip
    if not np.isfinite(moments).all():
        raise refuse(what, "its moments are not finite after 200 updates")
    if not np.array_equal(end, descent(what, part, 9)[1]):
        raise refuse(what, "the same updates end elsewhere a second time: what it remembers has "
                           "to be in its moments, and no run that draws could resume")  # fmt: skip
    descent(what, part, 14)
    narrow = descent(f"{what}, on float32", part, 9, "float32")[1]
    if not np.abs(narrow - end).max() <= 0.05 * np.abs(end - start).max() + 1e-5:
        raise refuse(what, "on float32, in which models train, its updates end elsewhere than on "
                           "float64")  # fmt: skip


def descent(
    what: str, part: Optimiser, size: int, dtype: str = "float64"
) -> tuple[Array, Array, Array]:
    """theta before and after 200 updates in a bowl about twice theta, and the moments.

    The first number's gradient is 0 always, as is that of a weight of a blank pixel.
    """
    from minivae import ops

    start = numbers(size).astype(dtype)
    theta, settings = start.copy(), part.settled({})
    moments = np.zeros((part.moments, size), dtype)
    for t in range(200):
        grad = 2 * (theta - 2 * start)
        grad[0] = 0
        kept = grad.copy()
        called(f"{what}: update", part.descend, ops, theta, grad, moments, 0.01, settings, t + 1)
        if not np.array_equal(grad, kept, equal_nan=True):
            raise PartError(f"{what}: update changes the gradient: only theta and the moments may")
    return start, theta, moments


FLOOR = 0.85  # nats: two of the trial's three dimensions lie below it, one above


def check_objective(part: Objective) -> None:
    """The loss () of a batch's terms, and its gradients in nll, mu and logvar; with a floor too."""
    what = f"objective {part.name!r}"
    losses = {}
    for floor in (0.0, FLOOR) if part.free_bits else (0.0,):
        trial = objective_trial(part, floor)
        losses[floor] = called(f"{what}: forward", trial.forward, *trial.inputs.values())[0]
        require_shape(f"{what}: forward", np.asarray(losses[floor]), ())
        require_gradient(what if not floor else f"{what} with free_bits = {floor}", trial)
    if part.free_bits and losses[0.0] == losses[FLOOR]:
        raise refuse(what, "its loss is the same with a floor for the KL: say free_bits=False")
    trial, other = objective_trial(part), objective_trial(part, L=3, B=5, J=2, beta=0.5)
    require_gradient(what, other)
    require_float32(what, trial, objective_trial(part, dtype="float32"))
    require_no_memory(what, trial, other)
    plain = objective_trial(part, weighed=False)
    if part.weighs and plain.forward(*plain.inputs.values())[0] == losses[0.0]:
        raise refuse(what, "its loss is the same for data of unequal weight: say weighs=False")

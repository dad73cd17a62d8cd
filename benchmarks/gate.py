"""The gate: no contender is timed, and no time is kept, unless its numbers are right.

Everything is compared with the float64 NumPy reference, in the parent's process, from arrays a
contender handed over. Every comparison is written so that NaN fails.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from minivae.backend import Backend, load_backend
from minivae.models.vae import elbo_backward, elbo_forward
from minivae.params import Entry, Layout
from minivae.parts import ACTIVATIONS
from minivae.proof.product_rounding import rounding_reference
from minivae.racing.gate import GateError, one_blas_thread, worst_entry
from minivae.training.step import ReferenceStep

from .cases import LR, SEED, StepCase, make_data, make_rows, make_theta, published

# A float32 sum of n rounded products errs by about sqrt(n) half-ulps: n is some thousands of
# terms, ten products deep. 1e-4 of a tensor's largest entry leaves room for that alone.
GRADIENT_TOL = 1e-4
LOSS_TOL = 1e-5  # the loss is a mean of thousands of terms, and errors cancel
BLOCK_TOL = 2e-3  # rounding grows along a block of up to a thousand updates
# Of a layer's largest pre-activation: nearer to 0, float32 may see the other side of relu's kink.
# Rounding reaches 1e-6 of it.
KINK = 1e-5
NOISE_TOL = 4e-2  # a peer draws its own noise: its block's mean loss moves by about 1 %


class Limits(NamedTuple):
    """How far a contender's numbers may be off, relative to the largest entry of a tensor."""

    gradient: float
    moments: float  # after two updates
    loss: float
    block: float
    firm: float  # entries whose sqrt(v) is at least this share of the largest one's ...
    move: float  # ... have moved as the reference's, up to this share of the largest move
    bits: int = 0  # of mantissa that the reference replaying updates keeps of a product's inputs
    kink: float = KINK  # how near to it the exact reference leaves open who is on which side


FLOAT32 = Limits(GRADIENT_TOL, GRADIENT_TOL * 10, LOSS_TOL, BLOCK_TOL, 3e-2, 2e-2)
# TF32 keeps 10 bits of a product's inputs: off by 2^-10 at most, each of the two. A gradient is
# ten products deep, the loss four, the second moment a square; Adam divides an entry's error by
# its share of the largest.
_INPUT = 2.0**-10
TF32 = Limits(20 * _INPUT, 40 * _INPUT, 8 * _INPUT, 8 * _INPUT, 0.3, 20 * _INPUT / 0.3)
# bfloat16 has 8 bits of significand and is rounded to the nearest: 2^-8 at most. A bound like
# TF32's would let anything pass; what rounding does to a sum grows as the root of its terms.
# At a trained point rounding alone moves a gradient by up to 9 % of its largest entry, so our own
# updates are replayed by a reference that rounds alike: ours is within 0.05 % of it. At a fresh
# point, where everybody's gradient is held to the exact one, most of what rounding does is to carry
# units across the kink: 20 % of an entry at batch 20, and 5 % with those so near left open; without
# the KL's term it is 70 % off, without one row of a weight 30 %.
_HALF = 2.0**-8
BF16 = Limits(20 * _HALF, 1e-2, 2 * _HALF, 4 * _HALF, 0.3, 10 * _HALF / 0.3, bits=7, kink=_HALF / 2)


def limits_of(*, tf32: bool = False, bf16: bool = False) -> Limits:
    """How far contenders may be off whose products' inputs are rounded, or are not."""
    return TF32 if tf32 else BF16 if bf16 else FLOAT32


def worst(name: str, got: Any, want: Any, tol: float, slack: Any = 0.0) -> float:
    """The largest error relative to the largest entry; raises GateError above tol or on NaN.

    slack: what each entry may be off besides, in the entries' own unit.
    """
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        raise GateError(f"{name}: shape {got.shape}, expected {want.shape}")
    if want.size == 0:
        return 0.0
    scale = np.max(np.abs(want)) or 1.0
    errors = np.maximum(np.abs(got - want) - slack, 0.0) / scale
    if not (errors <= tol).all():
        at, place = worst_entry(errors)
        raise GateError(
            f"{name}{place} is {got[at]:.9g}, the reference {want[at]:.9g} "
            f"(relative error {errors[at]:.2g}, allowed {tol:.0e})"
        )
    return float(errors.max())


def by_tensor(
    case: StepCase, got: np.ndarray, want: np.ndarray, what: str, tol: float, slack: np.ndarray
) -> float:
    """`worst` of every named tensor of a flat buffer, so that a small tensor cannot hide."""
    if got.shape != want.shape:
        raise GateError(f"{what}: shape {got.shape}, expected {want.shape}")
    spans = [(n, slice(o, o + int(np.prod(s)))) for n, o, s in case.parameters()]
    return max(worst(f"{what} {n}", got[s], want[s], tol, slack[s]) for n, s in spans)


def reference(bits: int = 0) -> Backend:
    """The float64 reference; bits: of mantissa that its products' inputs keep, 0 for all."""
    return rounding_reference(bits) if bits else load_backend("numpy")


def beside_the_kink(case: StepCase, bits: int = 0, kink: float = KINK) -> list[Backend]:
    """The reference, and twice more with the activation's argument a little to either side.

    A unit within rounding of relu's kink has a gradient in one precision and none in the other, and
    both are right. At batch 512 some unit of 400,000 is, one update in ten. So all that are so near
    are counted in, then all out, and the difference that makes to an entry is no error. Where there
    is no kink, the difference is far below what is allowed.
    """
    references = [reference(bits)]
    backward = ACTIVATIONS[case.activation].backward
    for side in (-kink, kink):
        K = reference(bits)
        setattr(K, backward.__name__, partial(_shifted, backward, side))
        references.append(K)
    return references


def apart(exact: np.ndarray, *shifted: np.ndarray) -> np.ndarray:
    """How far shifted kinks move each entry, both sides together."""
    return np.sum([np.zeros_like(exact)] + [np.abs(s - exact) for s in shifted], axis=0)


def _shifted(
    backward: Callable[..., np.ndarray], side: float, dy: np.ndarray, x: np.ndarray
) -> np.ndarray:
    return backward(dy, x + side * np.abs(x).max())


@lru_cache(maxsize=2)
def shared_data(data_dim: int, name: str = "") -> np.ndarray:
    """The data set of a case: published pixels, or synthetic ones (cached: it is large)."""
    return published(name) if name else make_data(data_dim)


def reference_step(
    case: StepCase, K: Backend, theta: np.ndarray, moments: np.ndarray
) -> ReferenceStep:
    """The readable step in float64, with the very noise bits the kernels use."""
    from .contenders.minivae_step import plan_of

    state = theta.astype(np.float64), moments.astype(np.float64)
    return ReferenceStep(K, plan_of(case), *state, shared_data(case.data_dim, case.data))


def replay(
    case: StepCase, K: Backend, seen: dict[str, np.ndarray]
) -> tuple[float, list[np.ndarray]]:
    """The updates seen, by the reference: their mean loss, and how Δtheta, Δm and Δv come out."""
    rows, n = seen["rows"], len(seen["rows"])
    step = reference_step(case, K, seen["theta"], seen["moments"])
    step(rows, int(seen["t"]), np.full(n, LR), np.ones(n))
    sums, (theta, moments) = step.metrics(), step.state()
    moved = moments - seen["moments"].astype(np.float64)
    return sums["loss"] / sums["samples"], [theta - seen["theta"], moved[0], moved[1], moments[1]]


@one_blas_thread
def check_updates(
    case: StepCase, seen: dict[str, np.ndarray], limits: Limits = FLOAT32
) -> dict[str, float]:
    """Judge a few consecutive updates: their loss, Adam's moments and the parameters.

    By a reference that rounds its products' inputs as `limits.bits` says.
    """
    (loss, want), *others = (replay(case, K, seen) for K in beside_the_kink(case, limits.bits))
    slack = [apart(w, *shifted) for w, *shifted in zip(want, *(moves for _, moves in others))]
    m, v = (seen["moments_after"] - seen["moments"]).astype(np.float64)
    return {
        "loss": worst("loss", seen["loss"], loss, limits.loss),
        "first moment": by_tensor(case, m, want[1], "Δm", limits.moments, slack[1]),
        "second moment": by_tensor(case, v, want[2], "Δv", limits.moments, slack[2]),
        "theta": check_move(case, seen, want, slack[0], limits),
    }


def check_move(
    case: StepCase,
    seen: dict[str, np.ndarray],
    want: list[np.ndarray],
    slack: np.ndarray,
    limits: Limits = FLOAT32,
) -> float:
    """The parameters' move, where Adam's division does not amplify rounding without bound.

    Adam moves by m / sqrt(v): where a gradient is near zero, its rounding decides the move's
    sign. Entries whose sqrt(v) is below a share (3 % in float32) of their tensor's largest are
    only held to the most that Adam can move.
    """
    moved = seen["theta_after"].astype(np.float64) - seen["theta"]
    if not (np.abs(moved) <= 10 * LR).all():
        raise GateError("theta: an entry moved by more than Adam can, or is not a number")
    errors = [0.0]
    for name, o, shape in case.parameters():
        span = slice(o, o + int(np.prod(shape)))
        root = np.sqrt(want[3][span])
        firm = root > limits.firm * root.max()
        got, exact, free = moved[span][firm], want[0][span][firm], slack[span][firm]
        errors.append(worst(f"Δtheta {name}", got, exact, limits.move, free))
    return max(errors)


def peer_inputs(case: StepCase, seed: int) -> dict[str, np.ndarray]:
    """Fresh parameters, with the minibatch and the noise of our own update 0 of these rows."""
    rng = np.random.default_rng((SEED, seed))
    theta = make_theta(case)
    theta *= rng.uniform(0.8, 1.2, theta.size).astype(np.float32)
    rows = make_rows(case, seed, steps=1)[0]
    step = reference_step(case, reference(), theta, np.zeros((2, theta.size), np.float32))
    x, eps = (given.astype(np.float32) for given in step.batch(rows, 0))
    return {"theta": theta, "x": x, "eps": eps[0]}


@one_blas_thread
def check_gradient(
    case: StepCase, given: dict[str, np.ndarray], loss: Any, grad: Any, limits: Limits = FLOAT32
) -> dict[str, float]:
    """Judge a contender's loss and gradient at `peer_inputs`, by the exact reference."""
    layout = Layout(tuple(Entry(*e) for e in case.parameters()))
    p = layout.views(given["theta"].astype(np.float64))
    config, grads = case.model(), []
    x, eps = given["x"].astype(np.float64), given["eps"].astype(np.float64)[None]
    for K in beside_the_kink(case, kink=limits.kink):
        want, cache = elbo_forward(K, p, x, eps, 1.0, config)
        grads.append(np.zeros(layout.size))
        layout.flatten(elbo_backward(K, np.ones_like(want), cache, p, config), grads[-1])
    slack, got, tol = apart(*grads), np.asarray(grad), limits.gradient
    return {
        "loss": worst("loss", loss, want, limits.loss),
        "gradient": by_tensor(case, got, grads[0], "gradient of", tol, slack),
    }


@one_blas_thread
def reference_block_loss(case: StepCase, steps: int) -> float:
    """The mean loss of the first block of updates from the common start, in float64."""
    theta = make_theta(case)
    moments = np.zeros((2, theta.size), np.float32)
    step = reference_step(case, reference(), theta, moments)
    rows = make_rows(case, 0, steps)
    step(rows, 0, np.full(len(rows), LR), np.ones(len(rows)))
    sums = step.metrics()
    return float(sums["loss"]) / int(sums["samples"])


def check_block(
    loss: float, want: float, exact_noise: bool, limits: Limits = FLOAT32
) -> dict[str, float]:
    """Judge the first block's mean loss: did the training really happen?"""
    tol = limits.block if exact_noise else NOISE_TOL
    return {"block loss": worst("mean loss of the first block", loss, want, tol)}


def idle(losses: dict[str, tuple[float, float]]) -> dict[str, str]:
    """Who has not trained while it was timed, and why one thinks so: name -> words.

    losses: of the first timed block and of the last one, over the same rows for everybody. Where
    somebody's fell beyond what noise does, everybody's has to by half as much: of 225 contenders of
    races that are kept, all honest, the least did by 0.76.
    """
    falls = {name: first - last for name, (first, last) in losses.items()}
    most = max(falls.values(), default=0.0)
    told = {}
    for name, (first, last) in losses.items():
        if most > 3 * NOISE_TOL * abs(first) and not falls[name] >= most / 2:
            told[name] = (
                f"its loss went from {first:.6g} to {last:.6g} while it was timed, another's fell "
                f"by {most:.3g}: it does not train in the timed blocks"
            )
    return told

"""Parts from outside: checked on the spot, and then as good as any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minivae.parts.activations import ACTIVATIONS, Activation
from minivae.parts.likelihoods import LIKELIHOODS, Likelihood, Noise
from minivae.parts.objectives import OBJECTIVES, Objective, Terms
from minivae.parts.optimisers import OPTIMISERS, Optimiser
from minivae.parts.records import Part, PartError, require_record
from minivae.types import Array

PARTS_FILES: list[str] = []  # those that `load_parts` has run


def register(part: Part) -> Part:
    """Add a part to its table, after its forward and backward have been checked against each other.

    From then on its name works wherever a setting takes one, in every command and estimator. A
    backend has no fused kernel for it: updates then run op by op on that backend's kernels, and
    it is said. Returns the part. Raises PartError in one line where the name is taken or no
    word, a function returns the wrong shape, or the gradient is wrong (the checker's line).
    """
    table, check = _table_of(part)
    require_record(part, table)
    check(part)
    table.add(part)
    return part


def unregister(part: Part) -> None:
    """Take a part out of its table again."""
    _table_of(part)[0].remove(part.name)


def _table_of(part: Part) -> tuple[Any, Callable[[Any], None]]:
    if isinstance(part, Activation):
        return ACTIVATIONS, check_activation
    if isinstance(part, Likelihood):
        return LIKELIHOODS, check_likelihood
    if isinstance(part, Optimiser):
        return OPTIMISERS, check_optimiser
    if isinstance(part, Objective):
        return OBJECTIVES, check_objective
    raise PartError(
        f"{type(part).__name__} is no part: give parts.Activation, parts.Likelihood, "
        "parts.Optimiser or parts.Objective"
    )


def _numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale)


class PartTrial(NamedTuple):
    """A part as a pass to be checked: forward(*inputs) -> (y, cache), backward(dy, cache)."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: dict[str, Any]


def _require_gradient(what: str, trial: PartTrial) -> None:
    """Raise PartError with the checker's first line unless backward is forward's gradient."""
    from minivae.verify import check

    inputs = trial.inputs
    report = check(
        trial.forward,
        trial.backward,
        list(inputs.values()),
        name=what,
        names=list(inputs),
        seconds=3.0,
    )
    if not report.ok:
        said = [str(fault) for fault in report.faults] or [str(report)]
        first = said[0].splitlines()[0]
        raise PartError(f"{what} was not registered: {first}")


def _require_shape(what: str, value: Any, shape: tuple[int, ...]) -> None:
    found = getattr(value, "shape", None)
    if found != shape:
        got = f"an array of shape {found}" if found is not None else type(value).__name__
        raise PartError(f"{what} must return an array of shape {shape}, not {got}")


def _called(what: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except (Exception, SystemExit) as error:
        raise PartError(f"{what} raises {type(error).__name__}: {error}") from error


def check_activation(part: Activation) -> None:
    """forward(a) -> h and backward(dh, a) -> da, tried on numbers of both signs and sizes."""
    a, dh = _numbers(5, 7, scale=2.5), _numbers(5, 7, seed=1)
    what = f"activation {part.name!r}"
    _require_shape(f"{what}: forward", _called(f"{what}: forward", part.forward, a), a.shape)
    _require_shape(f"{what}: backward", _called(f"{what}: backward", part.backward, dh, a), a.shape)
    _require_gradient(what, activation_trial(part))  # which tells a forward that is random, too
    if not np.allclose(part.forward(a)[:2], part.forward(a[:2])):
        raise PartError(f"{what}: forward mixes the rows of a batch: each row has to be by itself")


def activation_trial(part: Activation) -> PartTrial:
    """The activation h (5, 7) of a (5, 7)."""
    inputs = {"a": _numbers(5, 7, scale=2.5)}
    return PartTrial(lambda a: (part.forward(a), a), part.backward, inputs)


def check_likelihood(part: Likelihood) -> None:
    """nll (L, B) from out (L, B, D) and x (B, D), and its gradients, on data of its domain."""
    what, trial = f"likelihood {part.name!r}", likelihood_trial(part)
    out, *scale = trial.inputs.values()
    nll = _called(f"{what}: forward", trial.forward, out, *scale)[0]
    _require_shape(f"{what}: forward", nll, out.shape[:2])
    _require_gradient(what, trial)
    from minivae import ops

    tail = (GROUPS,) if part.grouped else ()
    mean = _called(f"{what}: mean", part.mean, ops, out[0], *scale, *tail)
    _require_shape(f"{what}: mean", mean, out.shape[1:])
    rng = np.random.default_rng(7)
    noise = Noise(lambda: rng.random(mean.shape), lambda: rng.normal(size=mean.shape))
    drawn = _called(f"{what}: draw", part.draw, mean, out[0], noise, *scale, *tail)
    _require_shape(f"{what}: draw", drawn, mean.shape)


GROUPS = (2, 4)  # the columns of a part that is told how they hang together


def likelihood_trial(part: Likelihood) -> PartTrial:
    """The nll (2, 4) of six columns, in the decoder's outputs and in the scale if it has one."""
    L, B, D = 2, 4, 6
    x, inputs = sample_data(part, B, D), {"out": _numbers(L, B, D)}
    if part.scale is not None:
        inputs["log_scale"] = _numbers(*part.scale.shape(D), seed=2, scale=0.3)
    tail = (GROUPS,) if part.grouped else ()
    return PartTrial(
        lambda out, *scale: (part.forward(out, x, *scale, *tail), (out, *scale)),
        lambda dnll, cache: part.backward(dnll, cache[0], x, *cache[1:], *tail),
        inputs,
    )


def sample_data(part: Likelihood, B: int, D: int) -> Array:
    """Data (B, D) that the likelihood accepts: the first kind of numbers that its domain takes."""
    rng = np.random.default_rng(3)
    shares = np.zeros((B, D))
    shares[:, 0] = shares[:, -1] = 1.0
    kinds = (rng.normal(size=(B, D)), rng.uniform(0.05, 0.95, (B, D)),
             rng.integers(0, 6, (B, D)).astype(np.float64), shares)  # fmt: skip
    for x in kinds:
        if part.domain.fault(x, (2, D - 2) if part.grouped else ()) is None:
            return x
    raise PartError(f"likelihood {part.name!r}: its domain takes none of the usual kinds of data")


def check_optimiser(part: Optimiser) -> None:
    """An update has to change theta, keep shapes, and bring the loss of a bowl down."""
    what = f"optimiser {part.name!r}"
    theta, settings = _numbers(9), part.settled({})
    start = float((theta * theta).sum())
    moments = np.zeros((part.moments, 9))
    for t in range(200):
        grad, before = 2 * theta, theta.copy()
        _called(f"{what}: update", part.descend, None, theta, grad, moments, 0.01, settings, t + 1)
        if not np.array_equal(grad, 2 * before):
            raise PartError(f"{what}: update changes the gradient: only theta and the moments may")
    end = float((theta * theta).sum())
    if not end < start:
        still = " (it has to change theta in place)" if end == start else ""
        raise PartError(f"{what} was not registered: 200 updates took a bowl from {start:.3g} "
                        f"to {end:.3g}; it has to go down{still}")  # fmt: skip


def check_objective(part: Objective) -> None:
    """The loss () of a batch's terms, and its gradients in nll, mu and logvar; with a floor too."""
    what = f"objective {part.name!r}"
    for floor in (0.0, FLOOR) if part.free_bits else (0.0,):
        trial = objective_trial(part, floor)
        loss = _called(f"{what}: forward", trial.forward, *trial.inputs.values())[0]
        _require_shape(f"{what}: forward", np.asarray(loss), ())
        _require_gradient(what if not floor else f"{what} with free_bits = {floor}", trial)


FLOOR = 0.85  # nats: two of the trial's three dimensions lie below it, one above


def objective_trial(part: Objective, free_bits: float = 0.0) -> PartTrial:
    """The loss of four data, three latents and as many draws as the objective needs."""
    from minivae import ops

    L, B, J = max(2, part.least_draws), 4, 3
    eps = _numbers(L, B, J, seed=4)
    weight = np.array([0.5, 2.0, 0.25, 1.25]) if part.weighs else None

    def forward(nll: Array, mu: Array, logvar: Array) -> tuple[Array, Terms]:
        z = ops.reparameterise_forward(mu, logvar, eps)
        terms = Terms(nll, ops.kl_forward(mu, logvar), mu, logvar, z, eps, weight)
        return part.forward(ops, terms, 0.8, free_bits), terms

    def backward(dloss: Array, terms: Terms) -> tuple[Array, ...]:
        return tuple(part.backward(ops, dloss, terms, 0.8, free_bits))

    inputs = {"nll": _numbers(L, B), "mu": _numbers(B, J, seed=5),
              "logvar": _numbers(B, J, seed=6)}  # fmt: skip
    return PartTrial(forward, backward, inputs)


def load_parts(path: Path | str) -> list[str]:
    """Run a file of Python that registers parts; returns "activation mish", … for what it added.

    Raises PartError in one line where it cannot be read, raises, or registers nothing.
    """
    path = Path(path)
    before = _all_names()
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PartError(f"--parts {path}: cannot be read ({error})") from None
    try:
        exec(compile(source, str(path), "exec"), {"__name__": "parts", "__file__": str(path)})
    except PartError as error:
        raise PartError(f"--parts {path}: {error}") from None
    except (Exception, SystemExit) as error:
        raise PartError(f"--parts {path}: {type(error).__name__}: {error}") from error
    added = [name for name in _all_names() if name not in before]
    if not added:
        raise PartError(f"--parts {path}: registers no part (minivae.parts.register adds one)")
    PARTS_FILES.append(str(path))
    return added


def _all_names() -> list[str]:
    tables: tuple[Any, ...] = (ACTIVATIONS, LIKELIHOODS, OPTIMISERS, OBJECTIVES)
    return [f"{table.kind} {name}" for table in tables for name in table]

"""What is required of any function of a part, each in a line of its own where it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.parts.records import PartError
from minivae.parts.trials import PartTrial
from minivae.types import Array

CLOSE = 1e-3  # float32 against float64, relative to the largest number of a result


def refuse(what: str, why: str) -> PartError:
    """The error that says why a part is not registered."""
    return PartError(f"{what} was not registered: {why}")


def called(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """What the function gives; PartError, one line, with what it raises."""
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except (Exception, SystemExit) as error:
        raise PartError(f"{what} raises {type(error).__name__}: {error}") from error


def require_shape(what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise PartError unless the value is an array of that shape."""
    found = getattr(value, "shape", None)
    if found != shape:
        got = f"an array of shape {found}" if found is not None else type(value).__name__
        raise PartError(f"{what} must return an array of shape {shape}, not {got}")


def require_numbers(what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise PartError unless the value is an array of that shape of finite real numbers."""
    require_shape(what, value, shape)
    if value.dtype.kind not in "fiu":
        raise PartError(f"{what} must return real numbers, not {value.dtype}")
    if not np.isfinite(value).all():
        raise PartError(f"{what} gives {value[~np.isfinite(value)].flat[0]} where a number is due")


def require_gradient(what: str, trial: PartTrial) -> None:
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
        raise refuse(what, said[0].splitlines()[0])


def both_passes(what: str, trial: PartTrial) -> list[Array]:
    """Copies of the forward pass's result and of the gradients."""
    y, cache = called(f"{what}: forward", trial.forward, *trial.inputs.values())
    return [np.array(a) for a in (y, *gradients_of(what, trial, y, cache))]


def gradients_of(what: str, trial: PartTrial, y: Any, cache: Any) -> tuple[Array, ...]:
    """The gradients by a trial's backward pass, for an upstream gradient of ones."""
    found = called(f"{what}: backward", trial.backward, np.ones_like(y), cache)
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def require_float32(what: str, wide: PartTrial, narrow: PartTrial) -> None:
    """Raise PartError unless a part gives in float32 what it gives in float64, if less exactly."""
    expected = both_passes(what, wide)
    found = both_passes(f"{what}, on float32", narrow)
    for name, right, mine in zip(("forward", *wide.inputs), expected, found, strict=True):
        size = max(1.0, float(np.abs(right).max(initial=0)))
        if mine.dtype.kind != "f" or not np.abs(mine - right).max(initial=0) <= CLOSE * size:
            place = "forward" if name == "forward" else f"the gradient of {name}"
            raise refuse(what, f"on float32, in which models train, {place} is another than on "
                               "float64")  # fmt: skip


def require_no_memory(what: str, trial: PartTrial, other: PartTrial) -> None:
    """Raise PartError where what a call gives depends on, or is changed by, another call."""
    expected = both_passes(what, trial)
    y, cache = trial.forward(*trial.inputs.values())
    for between in (other, trial):
        called(f"{what}: forward", between.forward, *(a + 0.5 for a in between.inputs.values()))
    found = np.array(y), *gradients_of(what, trial, y, cache)
    for right, mine in zip(expected, found, strict=True):
        if not np.array_equal(right, mine):
            raise refuse(what, "a second call of forward changes what belongs to the first; a part "
                               "must keep nothing between calls")  # fmt: skip

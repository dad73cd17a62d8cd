"""One update run op by op with a check after each: the first op that gives a NaN is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.backend import Observed, load_backend
from minivae.models.vae import elbo_backward, elbo_forward, layout_of
from minivae.ops.table import FUNCTIONS
from minivae.parts import LIKELIHOODS, OPTIMISERS
from minivae.runs.state import State
from minivae.training.job import Job
from minivae.training.step import ReferenceStep
from minivae.types import Array


def place_of(op: str) -> str | None:
    """Where an op that belongs to no dense layer stands in the model; None for all others."""
    if any(op in (part.forward.__name__, part.backward.__name__) for part in LIKELIHOODS.values()):
        return "the reconstruction"
    record = FUNCTIONS.get(op)
    return (record.op.place or None) if record else None


def output_dims(op: str) -> list[str]:
    """The dimensions of an op's first output by letter, "L B J" for example."""
    record = FUNCTIONS.get(op)
    if record is None:
        return []
    if record.backward is None:
        return next(iter(record.op.gives.values()), "").split()
    name = record.backward.gives.split()[:1]
    return record.op.args[name[0]].shape.split() if name else ["B"]


class NanOrigin(NamedTuple):
    """The first op whose output was not finite, its place, and the data rows that made it."""

    op: str
    place: str
    what: str  # "NaN" or "infinity"
    rows: tuple[int, ...]


class FaultFound(Exception):
    """Stops the traced step at its first bad number."""

    def __init__(self, fault: NanOrigin) -> None:
        super().__init__(fault)
        self.fault = fault


class TracingBackend(Observed):
    """The NumPy reference with a check after every op; raises FaultFound at the first bad output.

    It learns which layer an op serves from the weights it is handed (forward), and from the
    inputs seen in forward (a layer's parameter gradients), since ops know no names.
    """

    def __init__(self, parameters: dict[str, Array], rows: Array) -> None:
        super().__init__(load_backend("numpy"))
        self.rows = rows
        self.place = "the data"
        self._weights = {address(W): name[:-2] for name, W in parameters.items() if W.ndim == 2}
        self._inputs: list[tuple[int, str]] = []  # newest last

    def called(self, name: str, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """The op's result, if it is finite. Raises FaultFound."""
        self._locate(name, args)
        with np.errstate(all="ignore"):
            output = op(*args)
        self._check(name, output, args)
        return output

    def _locate(self, op: str, args: tuple[Any, ...]) -> None:
        place = place_of(op)
        if op == "dense_backward_params":
            for i in reversed(range(len(self._inputs))):
                if self._inputs[i][0] == id(args[1]):
                    self.place = self._inputs.pop(i)[1]
                    return
        elif op in ("dense_forward", "dense_backward_input"):
            self.place = self._weights.get(address(args[1]), self.place)
            if op == "dense_forward":
                self._inputs.append((id(args[0]), self.place))
        elif place is not None:
            self.place = place

    def _check(self, op: str, output: Any, args: tuple[Any, ...]) -> None:
        for part in output if isinstance(output, tuple) else (output,):
            part = np.asarray(part)
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                rows = self._culprits(op, part, args)
                raise FaultFound(NanOrigin(op, self.place, kind(part), rows))

    def _culprits(self, op: str, bad: Array, args: tuple[Any, ...]) -> tuple[int, ...]:
        """The data rows of the bad entries; for a sum over the batch, of its largest term."""
        dims = output_dims(op)
        axis = 1 if dims[:1] == ["L"] else 0
        if "B" not in dims or bad.ndim <= axis:
            return largest_rows(self.rows, np.asarray(args[0]))
        flags = ~np.isfinite(bad)
        hit = flags.any(axis=tuple(a for a in range(bad.ndim) if a != axis))
        # the decoder's axis 0 runs over draws and batch together, the batch fastest
        places = np.unique(np.flatnonzero(hit) % len(self.rows))
        return tuple(int(row) for row in self.rows[places])


def address(array: Array) -> int:
    """Where an array's first element lies: two views of one tensor share it."""
    return int(array.__array_interface__["data"][0])


def kind(values: Array) -> str:
    """The worse of what is in `values`, in a word."""
    return "NaN" if np.isnan(values).any() else "infinity"


def largest_rows(rows: Array, terms: Array) -> tuple[int, ...]:
    """The rows whose terms are largest: axis 0 of `terms` runs over the batch (L times)."""
    if terms.ndim == 0 or len(terms) % len(rows):
        return ()
    size = np.abs(terms.astype(np.float64)).reshape(len(terms), -1).max(axis=1)
    size = size.reshape(-1, len(rows)).max(axis=0)
    return tuple(int(r) for r in rows[np.argsort(-size, kind="stable")[:1]])


def trace_update(job: Job, state: State, rows: Array) -> NanOrigin | None:
    """Run update `state.progress.t` on these rows with the reference, checking every op.

    Returns its first fault, or None where the reference finds none (then the backend made it).
    """
    t = state.progress.t
    parameters = layout_of(job.model).views(state.theta)
    K = TracingBackend(parameters, rows)
    given = state.theta, state.moments, job.data.train, job.data.weight
    step = ReferenceStep(K, job.plan, *given)
    beta = job.schedule.beta_at(t)
    with np.errstate(all="ignore"):
        try:
            x, eps = step.batch(rows, t)
            weight = step.weight_of(rows)
            loss, cache = elbo_forward(K, parameters, x, eps, beta, job.model, weight)
            if not np.isfinite(loss):
                worst = largest_rows(rows, cache.nll.T)
                return NanOrigin("sum", "the loss (a sum over the batch)", kind(loss), worst)
            gradients = elbo_backward(K, np.ones_like(loss), cache, parameters, job.model)
        except FaultFound as found:
            return found.fault
        return _trace_descent(job, step, gradients, rows, cache.nll.T, t)


def _trace_descent(
    job: Job, step: ReferenceStep, gradients: dict[str, Array], rows: Array, nll: Array, t: int
) -> NanOrigin | None:
    step.K = load_backend("numpy")
    step.layout.flatten(gradients, step.grad)
    step._descend(job.schedule.lr(t), t)
    for buffer in (*step.moments, step.theta):
        for name, view in step.layout.views(buffer).items():
            if not np.isfinite(view).all():
                op = OPTIMISERS[job.plan.optimiser].update.__name__
                return NanOrigin(op, name, kind(view), largest_rows(rows, nll))
    return None

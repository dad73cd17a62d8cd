"""The checker's own score: every planted bug in every backward pass has to be killed."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from minivae import ops, parts
from minivae.ops.table import FUNCTIONS
from minivae.proof.case import Case
from minivae.proof.cases import find
from minivae.proof.equivalent_mutants import reason_for
from minivae.proof.exact_gradients import ExactGradients
from minivae.proof.mutate import Mutant, build, mutants
from minivae.proof.op_cases import op_cases
from minivae.types.foreign import quiet

# Rows that execute each pass outside ops/; several where one variant does not reach every line.
ROWS = {
    "layers.linear_backward": ["layer linear"],
    "layers.activate_backward": ["layer mlp relu", "layer mlp tanh"],
    "layers.mlp_backward": ["layer mlp tanh", "vae bounded logvar"],
    "parts.objectives.elbo_objective_backward": ["objective elbo", "vae free bits mixed"],
    "parts.objectives.iwae_objective_backward": ["objective iwae", "vae weighted iwae"],
    "parts.objectives.sampled_elbo_objective_backward": ["objective sampled-elbo"],
    "parts.objectives._log_weights_backward": ["objective iwae", "vae weighted iwae"],
    "models.vae.elbo_backward": ["vae free bits mixed", "vae bounded logvar"],
    "models.vae.nll_backward": ["vae learned c", "vae bernoulli tanh"],
    "models.autoencoder.autoencoder_backward": ["autoencoder tanh", "autoencoder tanh weighted"],
    "models.linear_vae.linear_vae_backward": ["linear vae"],
    "models.inference.inference_backward": ["inference"],
}


RAISES = "raises "  # how the verdict on a pass begins that did not return


class WrongAlready(ValueError):
    """A pass is wrong before any bug is planted: it would get full marks for any."""

    def __init__(self, what: str, found: str) -> None:
        super().__init__(f"{what} is wrong before any bug is planted ({found}): mend that first")


class MutantResult(NamedTuple):
    """What became of one mutant."""

    mutant: Mutant
    killed_by: str  # '' for a survivor
    reason: str  # why a survivor is equivalent; '' if nobody knows

    @property
    def alive(self) -> bool:
        return not self.killed_by and not self.reason


class MutationScore(NamedTuple):
    """What became of all mutants, and the processor time it took."""

    outcomes: list[MutantResult]
    seconds: float  # of processor time

    @property
    def killed(self) -> int:
        return sum(bool(o.killed_by) for o in self.outcomes)

    @property
    def raised(self) -> int:
        """How many of the killed did not even return."""
        return sum(o.killed_by.startswith(RAISES) for o in self.outcomes)

    @property
    def equivalent(self) -> list[MutantResult]:
        return [o for o in self.outcomes if not o.killed_by and o.reason]

    @property
    def survivors(self) -> list[MutantResult]:
        return [o for o in self.outcomes if o.alive]

    @property
    def ok(self) -> bool:
        return not self.survivors and self.killed > 0

    def by(self, field: str) -> list[tuple[str, int, int]]:
        """(name, killed, planted without the equivalent ones) by 'kind' or 'function'."""
        planted: Counter[str] = Counter()
        dead: Counter[str] = Counter()
        for o in self.outcomes:
            key = str(getattr(o.mutant, field))
            planted[key] += not (o.reason and not o.killed_by)
            dead[key] += bool(o.killed_by)
        return [(name, dead[name], planted[name]) for name in planted]


def derivative_ops() -> list[str]:
    """The ops that compute gradients: what the table's rows cover beyond the forwards."""
    covered = {n for case in op_cases() for n in case.covers}
    return [op for op in ops.OPS if op in covered and not op.endswith("_forward")]


Target = tuple[str, Callable[..., Any], list[str]]


def targets(names: list[str] | None = None) -> list[Target]:
    """(place, function, rows) for every backward pass there is, or for those that are meant.

    Raises KeyError for a name that means none of them.
    """
    every = all_targets()
    meant = []
    for name in names or []:
        rows = rows_called(name)
        found = [target for target in every if asked(name, target, rows)]
        if not found:
            raise KeyError(f"no bugs are planted in {name}")
        meant += found
    return [target for target in every if target in meant] if names else every


def all_targets() -> list[Target]:
    """Every op's backward functions from the table, then those of ROWS."""
    found = []
    for op in derivative_ops():
        rows = [case.name for case in op_cases() if op in case.covers]
        found.append((f"ops.{op}", getattr(ops, op), rows))
    for place, rows in ROWS.items():
        module, name = place.rsplit(".", 1)
        found.append((place, getattr(importlib.import_module(f"minivae.{module}"), name), rows))
    return found


@contextmanager
def planted(place: str, function: Callable[..., Any]) -> Iterator[None]:
    """The function put in place of the one called `place`, for everyone who looks it up there."""
    module_name, name = place.rsplit(".", 1)
    module = importlib.import_module(f"minivae.{module_name}")
    old = getattr(module, name)
    mine = [m for key, m in list(sys.modules.items()) if key.startswith("minivae.")]
    users = [m for m in mine if m is module or vars(m).get(name) is old]
    records = list(records_with(old))
    for user in users:
        setattr(user, name, function)
    for part, field in records:
        object.__setattr__(part, field, function)
    try:
        yield
    finally:
        for user in users:
            setattr(user, name, old)
        for part, field in records:
            object.__setattr__(part, field, old)


def records_with(function: Callable[..., Any]) -> Iterator[tuple[Any, str]]:
    """The records of parts that hold the function, and the field that does."""
    for table in (parts.ACTIVATIONS, parts.LIKELIHOODS, parts.OPTIMISERS, parts.OBJECTIVES):
        for part in table.values():
            for field in dataclasses.fields(part):
                if getattr(part, field.name) is function:
                    yield part, field.name


def rows_called(name: str) -> set[str]:
    """The rows of the proof that a name means; none where it means none."""
    try:
        return {case.name for case in find([name])}
    except KeyError:
        return set()


def asked(name: str, target: Target, rows: set[str]) -> bool:
    """Is a function meant by a name: its own, its pair's, or that of a row it is tried on?"""
    function = target[0].rsplit(".", 1)[1]
    record = FUNCTIONS.get(function)
    own = {function, function.removesuffix("_backward"), record.op.name if record else function}
    return name in own or not rows.isdisjoint(target[2])


def exact_row(case: Case) -> ExactGradients:
    """The true gradients of a row, which the pass as it is has to give; WrongAlready if not."""
    try:
        exact = ExactGradients(case)
        found = exact.wrong()
    except Exception as error:
        found = f"{RAISES}{type(error).__name__}"
    if found:
        raise WrongAlready(case.name, found)
    return exact


def score(names: list[str] | None = None) -> MutationScore:
    """Plant every mutant of every backward pass (or of those named) and try to kill it.

    Raises KeyError for a name in which nothing is planted, WrongAlready for a pass that is wrong
    as it is.
    """
    start = time.process_time()
    exact_rows: dict[str, ExactGradients] = {}
    outcomes = []
    with quiet():
        for place, function, rows in targets(names):
            for row in rows:
                if row not in exact_rows:
                    exact_rows[row] = exact_row(find([row])[0])
            for mutant in mutants(function):
                killed = trial(place, function, mutant, [exact_rows[row] for row in rows])
                outcomes.append(MutantResult(mutant, killed, "" if killed else reason_for(mutant)))
    return MutationScore(outcomes, time.process_time() - start)


def trial(
    place: str, function: Callable[..., Any], mutant: Mutant, rows: list[ExactGradients]
) -> str:
    """What kills the mutant: a tensor, a fault's kind, or an exception; '' if nothing does."""
    with planted(place, build(mutant, function)):
        for exact in rows:
            found = exact.wrong()
            if found:
                return found
    return ""

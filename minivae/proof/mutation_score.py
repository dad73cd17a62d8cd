"""The checker's own score: every planted bug in every backward pass has to be killed."""

# ruff: noqa: E501

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
from minivae.proof.cases import find
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
    "models.vae.elbo_backward": ["vae free bits mixed", "vae bounded logvar"],
    "models.vae.nll_backward": ["vae learned c", "vae bernoulli tanh"],
    "models.autoencoder.autoencoder_backward": ["autoencoder tanh", "autoencoder tanh weighted"],
    "models.linear_vae.linear_vae_backward": ["linear vae"],
    "models.inference.inference_backward": ["inference"],
}

# Mutants that compute the same gradients: the beginning of their label, and why they do.
KINK = "differs at the kink itself only, where any value between the two sides is a subgradient"
PRICE = "the price enters a comparison with the floor and nothing else; no price is that near it"
SHAPE = "0 * x (or r, or logits) lends its shape and precision, not its values"
SIZES = "the groups' sizes are whole numbers, which no factor changes"
EQUIVALENT: dict[str, str] = {
    "leaky_relu_backward: x.real <= 0 -> x.real < 0": KINK,
    "elu_backward: x.real <= 0 -> x.real < 0": "both branches are dy at the kink",
    "elu_backward: np.where(x.real <= 0, dy * np.exp(_below_zero(x)), dy) -> dy * np.exp(_below_zero(x))": "exp(min(x, 0)) is 1 where x > 0",
    "laplace_nll_backward: r.real > 0 -> r.real >= 0": KINK,
    "laplace_nll_backward: r.real < 0 -> r.real <= 0": KINK,
    "laplace_nll_backward: np.where(r.real < 0, -1, 0 * r) -> -1": KINK,
    "laplace_nll_backward: 0 * r -> ": SHAPE,
    "laplace_nll_backward: r -> ": SHAPE,
    "laplace_nll_backward: rate * side -> rate / side": "a sign is its own inverse",
    "categorical_nll_backward: 0 * logits -> ": SHAPE,
    "categorical_nll_backward: logits -> ": SHAPE,
    "categorical_nll_backward: groups -> _scaled": SIZES,
    "categorical_nll_backward: x[..., columns].sum(axis=-1) -> x[..., columns].sum(axis=1)": "x has two axes, and 1 is the last",
    "categorical_nll_backward: weights * softmax(logits, groups) -> softmax(logits, groups)": "x adds up to 1 in each group, as a category must",
    "relu_backward: x.real <= 0 -> x.real < 0": KINK,
    "bound_logvar_backward: logvar.real > LOGVAR_BOUND -> logvar.real >= LOGVAR_BOUND": KINK,
    "bound_logvar_backward: logvar.real < -LOGVAR_BOUND -> logvar.real <= -LOGVAR_BOUND": KINK,
    "free_bits_backward: kl_mean.real < floor -> kl_mean.real <= floor": KINK,
    "gaussian_kl_backward: dkl -> 0 * dkl + np.mean(dkl)": "the upstream is a scalar, its own mean",
    "gaussian_kl_backward: (precision1 + precision1.T) @ d -> d @ (precision1 + precision1.T)": "a matrix plus its transpose is symmetric",
    "mlp_backward: i > 0 -> i >= 0": "works out a gradient of the data that nobody reads",
    "elbo_objective_backward: terms.weigh(terms.kl.T).T.sum(axis=0) / B -> 1.0": PRICE,
    "elbo_objective_backward: kl_mean -> _scaled": PRICE,
    "elbo_objective_backward: free_bits -> _scaled": PRICE,
    "elbo_backward: raw_logvar -> _scaled": "the bound's backward compares it with 40, nothing else",
    "nll_backward: dnll -> 0 * dnll + np.mean(dnll)": "inside the loss all of dnll is one number (E28)",
    "nll_backward: x -> _scaled": "log_c takes x's precision and shape, not its values",
    "linear_vae_backward: (variance * norms).sum() -> (variance * norms).sum(axis=": "it has one axis",
}


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


def targets() -> list[tuple[str, Callable[..., Any], list[str]]]:
    """(place, function, rows) for every backward pass there is."""
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


def reason_for(mutant: Mutant) -> str:
    """Why a surviving mutant is no bug."""
    return next((why for change, why in EQUIVALENT.items() if mutant.label.startswith(change)), "")


def asked(function: str, names: list[str]) -> bool:
    """Is a function meant: by its own name, or as the forward or backward of `kl`, say?"""
    row = function.removesuffix("_forward").removesuffix("_backward")
    return function in names or row in names


def score(names: list[str] | None = None) -> MutationScore:
    """Plant every mutant of every backward pass (or of the functions named) and try to kill it."""
    start = time.process_time()
    exact_rows: dict[str, ExactGradients] = {}
    outcomes = []
    with quiet():
        for place, function, rows in targets():
            if names and not asked(function.__name__, names):
                continue
            for row in rows:
                if row not in exact_rows:
                    exact_rows[row] = ExactGradients(find([row])[0])
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

"""What a part's record must be before its functions are tried: names, numbers and records."""

from __future__ import annotations

import keyword
from typing import Any

from minivae.parts.activations import Activation
from minivae.parts.domains import Domain
from minivae.parts.likelihoods import Likelihood, Scale
from minivae.parts.objectives import Objective
from minivae.parts.optimisers import Optimiser
from minivae.settings import ConfigError, require_int

Part = Activation | Likelihood | Optimiser | Objective


class PartError(ConfigError):
    """A part that cannot be used: the message says what is wrong with it, in one line."""


def require_record(part: Part, table: Any) -> None:
    """Raise PartError, one line, where the name or another field of a part cannot be."""
    require_name(part.name, table)
    what = f"{table.kind} {part.name!r}"
    if not isinstance(part.words, str):
        raise PartError(f"{what}: words must be a sentence, not {type(part.words).__name__}")
    try:
        if isinstance(part, Likelihood):
            _require_likelihood(what, part)
        elif isinstance(part, Optimiser):
            _require_optimiser(what, part)
        elif isinstance(part, Objective):
            require_int("least_draws", part.least_draws, 1)
            _require_formula(what, part.formula, 3, "", "KL")
    except PartError:
        raise
    except ConfigError as error:
        raise PartError(f"{what}: {error}") from None


def require_name(name: object, table: Any) -> None:
    """A word that a command line can take, and that no other part of the table has."""
    word = isinstance(name, str) and name.replace("-", "_").isidentifier()
    if not word or keyword.iskeyword(str(name)) or str(name).startswith("-"):
        raise PartError(f"{name!r} is no name for a part: use letters, digits, - and _")
    taken = {other.lower(): other for other in table}.get(str(name).lower())
    if taken is not None:
        raise PartError(f"{taken!r} is the name of another {table.kind} already: choose another")


def _require_likelihood(what: str, part: Likelihood) -> None:
    if part.scale is not None and not isinstance(part.scale, Scale):
        raise PartError(f"{what}: scale must be a parts.Scale(tensor, symbol, words), or None")
    if not isinstance(part.domain, Domain):
        raise PartError(f"{what}: domain must be a parts.Domain(words, bad, fix)")
    _require_formula(what, part.formula, 3, None if part.scale is None else 0.5)


def _require_optimiser(what: str, part: Optimiser) -> None:
    require_int("moments", part.moments, 0)
    for name in part.settings:
        if not str(name).isidentifier() or name in ("lr", "t", "theta", "grad"):
            raise PartError(f"{what}: {name!r} is no name for a setting: choose another")
    part.settled(part.settings)


def _require_formula(what: str, formula: Any, *args: Any) -> None:
    try:
        text = formula(*args)
    except Exception as error:
        raise PartError(f"{what}: formula raises {type(error).__name__}: {error}") from None
    if not isinstance(text, str):
        raise PartError(f"{what}: formula must return text, not {type(text).__name__}")

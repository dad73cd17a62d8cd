"""What a part's record must be before its functions are tried: names, numbers and records."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from minivae.messages import shown
from minivae.parts.activations import Activation
from minivae.parts.domains import Domain
from minivae.parts.likelihoods import Likelihood, Scale
from minivae.parts.objectives import Objective
from minivae.parts.optimisers import Optimiser
from minivae.settings import ConfigError, require_int

LONGEST = 60  # letters of a name
MOST = 1000  # moments, or draws, that a check can hold

Part = Activation | Likelihood | Optimiser | Objective


class PartError(ConfigError):
    """A part that cannot be used: the message says what is wrong with it, in one line."""


def require_record(part: Part, table: Any) -> None:
    """Raise PartError, one line, where the name or another field of a part cannot be."""
    require_name(part.name, table)
    what = f"{table.kind} {part.name!r}"
    for field in fields(part):
        _require_kind(f"{what}: {field.name}", str(field.type), getattr(part, field.name))
    try:
        if isinstance(part, Likelihood):
            _require_likelihood(what, part)
        elif isinstance(part, Optimiser):
            _require_optimiser(what, part)
        elif isinstance(part, Objective):
            _require_count("least_draws", part.least_draws, 1)
            _require_formula(what, part.formula, 3, "", "KL")
    except PartError:
        raise
    except ConfigError as error:
        raise PartError(f"{what}: {error}") from None


def require_name(name: object, table: Any) -> None:
    """A word that a command line can take, and that no other part of the table has."""
    word = isinstance(name, str) and name.replace("-", "_").isidentifier()
    if not word or keyword.iskeyword(str(name)) or str(name).startswith("-"):
        raise PartError(f"{shown(name)} is no name for a part: use letters, digits, - and _")
    if len(str(name)) > LONGEST:
        raise PartError(f"{shown(name)} is too long for a name: {LONGEST} letters at most")
    taken = {other.lower(): other for other in table}.get(str(name).lower())
    if taken is not None:
        raise PartError(f"{taken!r} is the name of another {table.kind} already: choose another")


def _require_kind(what: str, kind: str, value: Any) -> None:
    """A field of a record is what it is declared to be: a text of one line, a function, a bool."""
    if kind == "str" and not (isinstance(value, str) and value.isprintable()):
        got = "more than one line" if isinstance(value, str) else type(value).__name__
        raise PartError(f"{what} must be a sentence, not {got}")
    if kind == "bool" and not isinstance(value, bool):
        raise PartError(f"{what} must be True or False, not {type(value).__name__}")
    optional = kind.endswith("None") and value is None
    if kind.startswith("Callable") and not (callable(value) or optional):
        raise PartError(f"{what} must be a function, not {type(value).__name__}")
    if kind.startswith("tuple[str") and not (
        isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    ):
        raise PartError(f"{what} must be a tuple of sentences")


def _require_count(key: str, value: Any, least: int) -> None:
    require_int(key, value, least)
    if value > MOST:
        raise ConfigError(f"{key} = {value}: must be at most {MOST}")


def _require_likelihood(what: str, part: Likelihood) -> None:
    if part.scale is not None and not isinstance(part.scale, Scale):
        raise PartError(f"{what}: scale must be a parts.Scale(tensor, symbol, words), or None")
    if part.scale is not None:
        _require_scale(f"{what}: scale", part.scale)
    if not isinstance(part.domain, Domain):
        raise PartError(f"{what}: domain must be a parts.Domain(words, bad, fix)")
    for field in fields(part.domain):
        _require_kind(f"{what}: domain.{field.name}", str(field.type),
                      getattr(part.domain, field.name))  # fmt: skip
    _require_formula(what, part.formula, 3, None if part.scale is None else 0.5)


def _require_scale(what: str, scale: Scale) -> None:
    _require_kind(f"{what}.symbol", "str", scale.symbol)
    _require_kind(f"{what}.words", "str", scale.words)
    place, _, name = str(scale.tensor).partition(".")
    if place != "decoder" or not name.isidentifier():
        raise PartError(
            f'{what}.tensor must be the name of its logarithm, such as "decoder.logs", '
            f"not {shown(scale.tensor)}"
        )


def _require_optimiser(what: str, part: Optimiser) -> None:
    _require_count("moments", part.moments, 0)
    if not isinstance(part.settings, Mapping):
        raise PartError(f"{what}: settings must be names with numbers, {{'beta': 0.9}}")
    for name in part.settings:
        if not str(name).isidentifier() or name in ("lr", "t", "theta", "grad"):
            raise PartError(f"{what}: {name!r} is no name for a setting: choose another")
    _require_bounds(what, part)
    part.settled(part.settings)


def _require_bounds(what: str, part: Optimiser) -> None:
    if not isinstance(part.bounds, Mapping):
        raise PartError(f"{what}: bounds must be names with two numbers, {{'beta': (0, 1)}}")
    for name, pair in part.bounds.items():
        if name not in part.settings:
            raise PartError(f"{what}: bounds of {name!r}, which is no setting of it")
        numbers = isinstance(pair, tuple) and all(isinstance(n, int | float) for n in pair)
        if not (numbers and len(pair) == 2 and pair[0] < pair[1]):
            raise PartError(
                f"{what}: the bounds of {name} must be (least, below), two numbers, "
                f"not {shown(pair)}"
            )


def _require_formula(what: str, formula: Any, *args: Any) -> None:
    try:
        text = formula(*args)
    except Exception as error:
        raise PartError(f"{what}: formula raises {type(error).__name__}: {error}") from None
    if not isinstance(text, str):
        raise PartError(f"{what}: formula must return text, not {type(text).__name__}")
    if not text.isprintable():
        raise PartError(f"{what}: formula must return one line")

"""Parts from outside: checked on the spot, and then as good as any other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from minivae.parts.activations import ACTIVATIONS, Activation
from minivae.parts.checks import (
    check_activation,
    check_likelihood,
    check_objective,
    check_optimiser,
)
from minivae.parts.likelihoods import LIKELIHOODS, Likelihood
from minivae.parts.objectives import OBJECTIVES, Objective
from minivae.parts.optimisers import OPTIMISERS, Optimiser
from minivae.parts.records import Part, PartError, require_record

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
    """Take a part out of its table again. Raises PartError unless it was registered."""
    table = _table_of(part)[0]
    if part not in table.registered():
        raise PartError(f"{table.kind} {part.name!r} was not registered: it cannot be taken out")
    table.remove(part.name)


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


def load_parts(path: Path | str) -> list[str]:
    """Run a file of Python that registers parts; returns "activation mish", … for what it added.

    Raises PartError in one line where it cannot be read, raises, or registers nothing.
    """
    path = Path(path)
    before = _registered()
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PartError(f"--parts {path}: cannot be read ({error})") from None
    module = ModuleType("parts_of_" + "".join(c if c.isalnum() else "_" for c in path.stem))
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where a dataclass looks for what its fields are
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
        added = [part for part in _registered() if part not in before]
        if not added:
            raise PartError("registers no part (minivae.parts.register adds one)")
    except (Exception, SystemExit) as error:
        for part in _registered():  # a file that fails leaves nothing behind
            if part not in before:
                unregister(part)
        sys.modules.pop(module.__name__, None)
        kind = "" if isinstance(error, PartError) else f"{type(error).__name__}: "
        raise PartError(f"--parts {path}: {kind}{error}") from error
    PARTS_FILES.append(str(path))
    return [f"{_table_of(part)[0].kind} {part.name}" for part in added]


def _registered() -> list[Part]:
    tables: tuple[Any, ...] = (ACTIVATIONS, LIKELIHOODS, OPTIMISERS, OBJECTIVES)
    return [part for table in tables for part in table.registered()]

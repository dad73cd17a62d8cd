"""Parts from outside: checked on the spot, and then as good as any other."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

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


class PartsFile(NamedTuple):
    """A file that was run: its text, and what that registered."""

    source: str
    parts: tuple[Part, ...]


PARTS_FILES: dict[str, PartsFile] = {}  # those that `load_parts` has run, by their whole paths
_SHARING = threading.Lock()  # a worker's threads may be given the same file at once


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
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PartError(f"--parts {path}: cannot be read ({error})") from None
    return [f"{_table_of(part)[0].kind} {part.name}" for part in _run(path, source)]


def share_parts(sources: Mapping[str, str]) -> None:
    """Run the files of parts, each by its path and text, that this process has not run yet.

    Raises PartError in one line where one cannot be used, or was run with another text: a worker
    that outlives its work would train with what the file was then.
    """
    with _SHARING:
        for file, source in sources.items():
            if file not in PARTS_FILES:
                _run(Path(file), source)
            elif PARTS_FILES[file].source != source:
                raise PartError(f"--parts {file}: this worker ran it before it changed; restart it")


def parts_of_no_file() -> list[tuple[str, str]]:
    """Kind and name of each registered part that is in none of PARTS_FILES."""
    known = [part for ran in PARTS_FILES.values() for part in ran.parts]
    return [(_table_of(p)[0].kind, p.name) for p in _registered() if p not in known]


def _run(path: Path, source: str) -> list[Part]:
    """Run a file's text; the parts that it registers."""
    before = _registered()
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
    PARTS_FILES[os.path.abspath(path)] = PartsFile(source, tuple(added))
    return added


def _registered() -> list[Part]:
    tables: tuple[Any, ...] = (ACTIVATIONS, LIKELIHOODS, OPTIMISERS, OBJECTIVES)
    return [part for table in tables for part in table.registered()]

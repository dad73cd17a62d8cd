"""Every case of the proof: tests, the command line, kernels' checks and planted bugs read it here.

Ops get theirs from the table of ops; one without a gradient says there why. Parts that others have
registered come last. `uncovered()` finds what was forgotten.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from minivae import layers, models, ops
from minivae.ops.table import TABLE
from minivae.proof.case import Case
from minivae.proof.model_cases import model_cases
from minivae.proof.op_cases import op_cases
from minivae.proof.part_cases import part_cases

NO_GRADIENT = {op.forward.__name__: op.why for op in TABLE if op.why}


def find(names: list[str] | None = None) -> list[Case]:
    """All cases, or those whose name is or begins with one of `names`; KeyError names the
    unknown."""
    found = [*op_cases(), *model_cases(), *part_cases()]
    if not names:
        return found
    for name in names:
        if not any(matches(case, name) for case in found):
            raise KeyError(f"no row called {name!r}; there are {', '.join(c.name for c in found)}")
    return [case for case in found if any(matches(case, name) for name in names)]


def matches(case: Case, name: str) -> bool:
    return case.name == name or case.name.startswith(name + " ") or case.kind == name


def uncovered() -> list[str]:
    """Ops and models that no case covers: empty, or a test fails."""
    covered = {name for case in find() for name in case.covers}
    missing = [op for op in ops.OPS if op not in covered and op not in NO_GRADIENT]
    missing += [name for name in model_passes() if name not in covered]
    return missing


def model_passes() -> list[str]:
    """Every `…_forward` of minivae.models and minivae.layers that has a `…_backward` beside it."""
    modules = [layers]
    for info in pkgutil.iter_modules(models.__path__):
        if "estimator" not in info.name:  # those need scikit-learn, and hold no passes
            modules.append(importlib.import_module(f"minivae.models.{info.name}"))
    found = []
    for module in modules:
        for name, value in vars(module).items():
            own = inspect.isfunction(value) and value.__module__ == module.__name__
            partner = name.removesuffix("_forward") + "_backward"
            if own and name.endswith("_forward") and hasattr(module, partner):
                found += [name, partner]
    return found

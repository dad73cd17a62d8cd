"""Who races: minivae's kernels, plain and best NumPy, a function of a file, any callable.

A contestant is named by a recipe, "module:factory" and its arguments, so that the process it runs
in can build it for itself.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from minivae.ops.table import FUNCTIONS
from minivae.racing import best_numpy
from minivae.racing.problem import Args, ProblemError, counter_of, function_of

Thunk = Callable[[], Any]


class FileFault(ValueError):
    """A kernel file that cannot be used; the message says why, in one line."""


def as_it_is(result: Any, args: Args) -> Any:
    """What a call returned is its results."""
    return result


@dataclass
class Contestant:
    """bind(args) -> the call to be timed, made anew (untimed) before every call.

    finish(result, args) turns what the call returned into the op's results. reuses: it writes
    into the same arrays in every call, and says so.
    """

    bind: Callable[[Args], Thunk]
    finish: Callable[[Any, Args], Any] = as_it_is
    reuses: bool = False


@dataclass(frozen=True)
class Recipe:
    """What builds a problem or a contestant in whatever process: "module:factory", arguments."""

    factory: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """Import the module and call its factory."""
        module, _, name = self.factory.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)


def plain(function: Callable[..., Any]) -> Contestant:
    """A function of the op's own arguments."""
    return Contestant(lambda args: lambda: function(*args))


def kernel(op: str, backend: str = "numba", threads: int | None = None) -> Contestant:
    """minivae's own kernel of an op, looked up once."""
    from minivae.backend import load_backend

    return plain(getattr(load_backend(backend, threads), op))


def load_kernel_name() -> str:
    """The backend of this processor's kernels; the reference where they cannot run."""
    from minivae.backend import BackendUnavailable, load_backend

    try:
        return load_backend("numba").name
    except (BackendUnavailable, ImportError):
        return "numpy"


def reference(op: str) -> Contestant:
    """The op as it is written in minivae/ops."""
    return plain(function_of(op).function)


def numpy_best(op: str) -> Contestant:
    """The best that NumPy can do: outputs allocated beforehand, every pass with out=."""
    at = counter_of(op)  # it differs in every call, and binds nothing anew
    bound: list[tuple[Args, Callable[..., Any]]] = []  # of the buffers of this round

    def bind(args: Args) -> Thunk:
        others = args if at is None else (*args[:at], *args[at + 1 :])
        if not bound or any(a is not b for a, b in zip(bound[0][0], others)):
            made = best_numpy.best(op, args)
            assert made is not None
            bound[:] = [(others, made)]
        made = bound[0][1]
        return made if at is None else functools.partial(made, args[at])

    return Contestant(bind, reuses=True)


def from_file(path: str, function: str, op: str = "") -> Contestant:
    """A function of a Python file, checked to take the op's arguments."""
    found = getattr(load_file(Path(path)), function)
    if op:
        check_arguments(found, function, op)
    return plain(found)


def load_file(path: Path) -> Any:
    """The file as a module; FileFault with its own error where it does not import."""
    if not path.is_file():
        raise FileFault(f"{path}: no such file")
    compiled = path.name.endswith(tuple(EXTENSION_SUFFIXES))  # by Cython, say: it has its own name
    name = path.name.partition(".")[0] if compiled else f"raced_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileFault(
            f"{path}: not a Python file: its name should end in .py (or {EXTENSION_SUFFIXES[-1]})"
        )
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = " ".join(str(error).split())
        raise FileFault(f"{path} does not import: {type(error).__name__}: {line}") from None
    return module


def functions_of(path: Path, op: str) -> list[str]:
    """The names in a file that are kernels of an op: `op`, `op_anything` or `anything_op`.

    A name that belongs to another op (dense_relu_forward for relu_forward) is not one of them.
    """
    module = load_file(path)
    own = [name for name, value in vars(module).items() if callable(value)
           and not name.startswith("_") and not inspect.isclass(value)]  # fmt: skip
    found = [name for name in own if _names(name, op)]
    if not found:
        listed = ", ".join(own[:12]) or "none"
        raise FileFault(
            f"{path}: no function called {op}, {op}_… or …_{op} (functions there: {listed}); "
            "rename one, or say --function NAME"
        )
    return found


def _names(name: str, op: str) -> bool:
    if not (name == op or name.startswith(f"{op}_") or name.endswith(f"_{op}")):
        return False
    longer = (other for other in FUNCTIONS if op in other and other != op)
    return not any(other in name for other in longer)


def check_arguments(function: Callable[..., Any], name: str, op: str) -> None:
    """ProblemError unless the function can be called with as many arguments as the op has."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C: its signature is not known
        return
    wanted = list(inspect.signature(function_of(op).function).parameters)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = sum(p.default is p.empty for p in positional)
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if least > len(wanted) or (len(positional) < len(wanted) and not any_number):
        raise ProblemError(
            f"{name}({', '.join(p.name for p in parameters)}) should take the arguments of {op}: "
            f"({', '.join(wanted)})"
        )

"""What a ladder is: its versions in order, the inputs they run on, and the op they must equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Version:
    """One rung. `part`: a slow one is timed on 1 / part of the rows and its time scaled up.
    rough: how many times what rounding allows it may be off, where it loses digits by design.

    prepare lays the op's arguments out beforehand, untimed; finish turns the result back. What a
    version needs that way, the training step has for nothing, and its docstring says so.
    """

    number: int
    call: Callable[..., Any]
    idea: str
    part: int
    prepare: Callable[..., Args]
    finish: Callable[[Any, Args], Any]
    rough: float = 1.0
    kernel: str = ""  # the op, where the rung is the kernel that the product runs
    moves: Callable[..., int] | None = None  # bytes asked of memory, where arrays are read again

    def bound(self, threads: int | None = None) -> Callable[..., Any]:
        """What is timed: the function, or the chosen kernel itself, looked up once."""
        return chosen(self.kernel, threads) if self.kernel else self.call

    def __call__(self, *args: Any) -> Any:
        """The op's result on the op's arguments."""
        return self.finish(self.call(*self.prepare(*args)), args)


def _as_is(*args: Any) -> Args:
    return args


def _keep(result: Any, args: Args) -> Any:
    return result


@dataclass
class Ladder:
    """op: the reference's name (or NumPy's, for exp). inputs(rng, rows) -> the op's arguments.

    work(args) counts what `unit` names, so that times can be compared across sizes. `mutates`
    are the arguments that the op changes in place: they are its results.
    """

    op: str
    unit: str
    rows: int
    inputs: Callable[[np.random.Generator, int], Args]
    work: Callable[[Args], float]
    mutates: tuple[int, ...] = ()
    versions: list[Version] = field(default_factory=list)

    def version(
        self, part: int = 1, *, rough: float = 1.0, chosen: bool = False,
        prepare: Callable[..., Args] = _as_is,
        finish: Callable[[Any, Args], Any] = _keep,
        moves: Callable[..., int] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # fmt: skip
        """Put a function on the next rung; its docstring's first line is the idea.

        chosen: it only calls the kernel that the product runs, which is then timed itself.
        """

        def add(call: Callable[..., Any]) -> Callable[..., Any]:
            number, name = len(self.versions), call.__name__
            if not name.endswith(f"_v{number}"):
                raise ValueError(f"{name} stands on rung {number}: call it …_v{number}")
            idea = (call.__doc__ or "").strip().split("\n")[0].rstrip(".")
            if not idea:
                raise ValueError(f"{name} needs a docstring: one line on what it changes")
            kernel = self.op if chosen else ""
            self.versions.append(
                Version(number, call, idea, part, prepare, finish, rough, kernel, moves)
            )
            return call

        return add

    def topped(self, kernel: Callable[..., Any], idea: str) -> Ladder:
        """The ladder with the product's own kernel on the last rung."""
        self.versions.append(Version(len(self.versions), kernel, idea, 1, _as_is, _keep))
        return self


def chosen(op: str, threads: int | None = None) -> Callable[..., Any]:
    """The kernel that the product runs for an op: bound here, so that it is never a copy.

    threads: for all kernels of this process from now on, those bound before among them.
    """
    import minivae_kernels

    kernel: Callable[..., Any] = minivae_kernels.load("numba", threads)[op]
    return kernel

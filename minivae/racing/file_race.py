"""`race FILE --op …`: the functions of a file against minivae's kernel, NumPy's best and the roof.

Every function runs in a process of its own, so one that crashes or hangs costs its own row.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing import best_numpy
from minivae.racing.contestant import FileFault, Recipe
from minivae.racing.conversation import StandError
from minivae.racing.load import cores
from minivae.racing.pits import PATIENCE, Pits
from minivae.racing.problem import (
    Problem,
    ProblemError,
    function_of,
    op_problem,
    outputs_of,
    traffic,
)
from minivae.racing.result import Result
from minivae.racing.rounds import Options, run_race
from minivae.racing.stand import Stand

OURS = "minivae"
STANDING = (OURS, "NumPy")
HERE = "minivae.racing"


@dataclass
class Request:
    """What is raced: a file's functions, an op, its size, and how long.

    functions: names in the file; none: all that are called after the op. limit: seconds for one
    answer of one contestant. pair: (forward, backward), whose gradient is checked first.
    """

    file: Path
    op: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    threads: int = 1
    functions: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None
    limit: float = 60.0
    options: Options = field(default_factory=Options)


def cores_for(threads: int | None) -> list[int]:
    """The cores that a contestant may use; ProblemError where there are fewer."""
    mine = cores()
    if threads is None:
        return mine
    if threads < 1 or threads > len(mine):
        raise ProblemError(f"--threads is {threads}; this machine has 1 to {len(mine)}")
    return mine[:threads]


def op_recipe(op: str, shape: tuple[int, ...], dtype: str = "float32") -> Recipe:
    """The recipe of an op's problem."""
    return Recipe(f"{HERE}.problem:op_problem", {"op": op, "shape": list(shape), "dtype": dtype})


def race_file(request: Request) -> Result:
    """The whole race; raises ProblemError or FileFault, one line each, before anything is timed."""
    problem = op_problem(request.op, request.shape, request.dtype)
    cores = cores_for(request.threads)
    with ExitStack() as stack:
        pits = Pits(cores, request.limit, stack)
        names = functions_to_race(pits, request)
        recipe = op_recipe(request.op, request.shape, request.dtype)
        makers = {
            name: pits.opener(name, recipe, Recipe(f"{HERE}.contestant:from_file", {
                "path": str(request.file), "function": name, "op": request.op}))
            for name in names
        }  # fmt: skip
        refused = check_pair(pits, request) if request.pair else ""
        if refused and request.pair:
            makers.pop(request.pair[0], None)
        makers |= standing(pits, request, recipe)
        options = request.options
        rivals = tuple(name for name in makers if name not in names)
        result = run_race(problem, makers, baseline=OURS, options=options, against=rivals)
        if refused and request.pair:
            result.rows.insert(0, {"name": request.pair[0], "failed": refused})
        add_roof(pits, problem, result, len(cores))
    return result


def functions_to_race(pits: Pits, request: Request) -> list[str]:
    """The file's functions, found in a process of their own: importing runs the file."""
    file = str(request.file)
    try:
        found = pits.ask(f"{HERE}.file_race:listing", path=file, op=request.op)
    except StandError as error:
        text = str(error).replace("'call'", "its import")
        raise FileFault(text if file in text else f"{file}: {text}") from None
    wanted = request.functions or (request.pair[:1] if request.pair else ())
    for name in (*wanted, *(request.pair or ())):
        if name in STANDING:
            raise FileFault(f"{file}: {name} is the name of one who always races: rename yours")
        if name not in found["all"]:
            known = ", ".join(found["all"]) or "none"
            raise FileFault(f"{file}: no function called {name}; functions there: {known}")
    if not wanted and not found["op"]:
        raise FileFault(found["none"])
    return list(wanted or found["op"])


def listing(path: str, op: str) -> dict[str, Any]:
    """The functions of a file, and those of them that are kernels of an op."""
    from minivae.racing.contestant import functions_of, load_file

    module = load_file(Path(path))
    every = [name for name, value in vars(module).items()
             if callable(value) and not name.startswith("_")]  # fmt: skip
    try:
        return {"all": every, "op": functions_of(Path(path), op), "none": ""}
    except FileFault as error:
        return {"all": every, "op": [], "none": str(error)}


def standing(pits: Pits, request: Request, recipe: Recipe) -> dict[str, Callable[[], Stand]]:
    """Who always races: minivae's kernel and NumPy."""
    from minivae.racing.contestant import load_kernel_name

    op, threads = request.op, request.threads
    kernel = {"op": op, "backend": load_kernel_name(), "threads": threads}
    best = best_numpy.has(op) and request.dtype == "float32"
    numpy = ("NumPy's best", "numpy_best") if best else ("NumPy", "reference")
    return {
        OURS: pits.opener(OURS, recipe, Recipe(f"{HERE}.contestant:kernel", kernel), PATIENCE),
        numpy[0]: pits.opener(numpy[0], recipe, Recipe(f"{HERE}.contestant:{numpy[1]}",
                                                       {"op": op})),
    }  # fmt: skip


def check_pair(pits: Pits, request: Request) -> str:
    """Why the pair's gradient is wrong, in one line, or '' where all votes agree."""
    assert request.pair is not None
    forward, backward = request.pair
    try:
        where, file = f"{HERE}.file_race:gradient_faults", str(request.file)
        answer = pits.ask(where, path=file, op=request.op, forward=forward, backward=backward)
    except StandError as error:
        return f"its gradient could not be checked: {error}"
    return str(answer["fault"])


def gradient_faults(path: str, op: str, forward: str, backward: str) -> dict[str, str]:
    """The checker's first line on a pair, at a small size; '' where it is right.

    forward is an op's, or returns (y, cache); backward takes (dy, cache) then, and forward's
    arguments after dy otherwise.
    """
    from minivae.racing.contestant import load_file
    from minivae.racing.problem import letters_of
    from minivae.verify import check

    module, function = load_file(Path(path)), function_of(op)
    f, g = getattr(module, forward), getattr(module, backward)
    letters = letters_of(function).replace("L", "").replace("N", "")
    args = op_problem(op, tuple(range(5, 5 + len(letters)))).make(np.random.default_rng(3))
    expected = outputs_of(function.function(*args), args, ())
    with_cache = len(outputs_of(f(*args), args, ())) == len(expected) + 1

    def run(*given: Any) -> Any:
        return f(*given) if with_cache else (f(*given), given)

    def back(dy: Any, cache: Any) -> Any:
        return g(dy, cache) if with_cache else g(dy, *cache)

    names = list(function.args)
    report = check(run, back, args, name=forward, names=names)
    lines = [f"its gradient is wrong: {fault}" for fault in report.faults]
    return {"fault": " ".join(lines[0].split()) if lines else ""}


def add_roof(pits: Pits, problem: Problem, result: Result, threads: int) -> None:
    """A row for the least time that this machine's memory and arithmetic allow."""
    from minivae.racing.roofs import level_of, limit

    args = problem.make(np.random.default_rng(0))
    outputs = list(map(np.asarray, outputs_of(problem.reference(*args), args, problem.mutates)))
    nbytes, pattern = traffic(problem, args, outputs)
    try:
        roof = pits.ask(f"{HERE}.roofs:roofs", PATIENCE, threads=threads,
                        levels=[level_of(nbytes, threads)], patterns=[pattern])  # fmt: skip
    except StandError as error:
        result.rows.append({"name": "the roof", "failed": f"not measured: {error}"})
        return
    wide = max((a.itemsize for a in outputs if a.dtype.kind == "f"), default=4) / 4
    seconds, binds = limit(nbytes, wide * problem.instructions(args), pattern, roof)
    result.roof = {"us": 1e6 * seconds, "binds": binds, "bytes": nbytes, "roofs": roof,
                   "flops": problem.flops(args)}  # fmt: skip
    for row in result.rows:
        if "us" in row:
            row["roof_share"] = 1e6 * seconds / row["us"]["hot"]["p50"]

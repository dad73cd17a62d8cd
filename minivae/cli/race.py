"""`minivae race`: the kernels of a file against minivae's, NumPy's best and the measured roof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import command


@command(short_help="Race kernels of yours against minivae's.")
def race(
    file: Path = typer.Argument(..., help="A Python file with kernels: functions of an op's name."),
    op: str = typer.Option(..., help="The op they compute, as in dense_relu_forward."),
    shape: str = typer.Option(..., help="Its sizes, as in 128x784x400."),
    dtype: str = typer.Option("float32", help="float32 or float64."),
    threads: int = typer.Option(1, help="Cores that every contestant may use."),
    function: list[str] = typer.Option(None, help="Race this function; may be repeated."),
    forward: str = typer.Option(None, help="With --backward: check this pair's gradient first."),
    backward: str = typer.Option(None, help="The pair's backward function."),
    states: str = typer.Option("hot,woken,cold", help="hot, woken (after a sleep), cold (caches)."),
    seconds: float = typer.Option(20.0, help="Time limit of the rounds."),
    limit: float = typer.Option(60.0, help="Seconds after which a contestant that hangs is out."),
    as_json: bool = options.JSON,
) -> None:
    """Race every function of FILE that is named after the op (OP, OP_anything, anything_OP).

    Each runs in a process of its own; answers are judged at this very size, in calls that are
    timed. Exit status 1 if anybody was out.
    """
    from minivae.cli.console import Console
    from minivae.racing.file_race import Request, race_file
    from minivae.racing.rounds import Options
    from minivae.racing.statistics import StopRule

    if (forward is None) != (backward is None):
        raise options.UsageError("--forward and --backward belong together: give both or neither")
    if not (seconds > 0 and limit > 0):
        raise options.UsageError("--seconds and --limit must be positive")
    console = Console(as_json=as_json)
    chosen = Options(StopRule(seconds=seconds), parse_states(states), repeats=1)
    pair = None if forward is None else (forward, backward)
    request = Request(file, op, parse_shape(shape), dtype, threads, tuple(function or ()), pair,
                      limit, chosen)  # fmt: skip
    result = race_file(request)
    out = any("failed" in row for row in result.rows)
    console.result(public(result), str(result))
    if out:
        raise typer.Exit(1)


def parse_shape(text: str) -> tuple[int, ...]:
    """ "128x784x400" -> (128, 784, 400); commas serve as well."""
    try:
        return tuple(int(part) for part in text.lower().replace(",", "x").split("x"))
    except ValueError:
        message = f"--shape {text!r} is no list of sizes; write it like 128x784x400"
        raise options.UsageError(message) from None


def parse_states(text: str) -> tuple[str, ...]:
    """The states that are asked for; hot is always among them."""
    from minivae.racing.lane import STATES

    asked = [word.strip() for word in text.split(",") if word.strip()]
    for word in asked:
        options.choose("--states", word, STATES)
    return tuple(s for s in STATES if s == "hot" or s in asked)


def public(result: Any) -> dict[str, Any]:
    """The result as plain values."""
    from dataclasses import asdict

    return asdict(result)

"""`minivae check`: a backward pass of your own, from its file, without writing any code."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minivae.cli import options
from minivae.cli.command import command

if TYPE_CHECKING:
    from minivae.verify.report import Report


@command(short_help="Check a backward pass of your own.")
def check(
    target: str = typer.Argument(..., metavar="FILE:FORWARD,BACKWARD", help="Two functions."),
    shapes: str = typer.Option(..., help='Shapes in words of dims, as in "x: B D, W: D K".'),
    wrt: str = typer.Option(None, help="Only these inputs, with commas between them."),
    dtype: str = typer.Option("float64", help="float64, float32 or float16."),
    scale: float = typer.Option(1.0, help="Size of the numbers in the test point."),
    seconds: float = typer.Option(5.0, help="Time for the whole check."),
    seed: int = typer.Option(0, min=0, help="Of the test point and of the check."),
    as_json: bool = options.JSON,
) -> None:
    """Run FILE and check BACKWARD(dy, cache) against FORWARD(...) -> (y, cache) at a random point.

    Names are FORWARD's parameters, in any order; other names go by place. Every dim gets a size of
    its own, a number is its own size; "labels: int B < K" draws whole numbers below K's size. Exit
    status 1 if a gradient is wrong.
    """
    import numpy as np

    from minivae.cli.options import choose
    from minivae.verify import check as run_check
    from minivae.verify.strategies import draw_point, parameters

    choose("--dtype", dtype, ("float64", "float32", "float16"))
    for option, value in (("--seconds", seconds), ("--scale", scale)):
        if not 0 < value < math.inf:
            raise typer.BadParameter(f"{option} {value:g}: give a number above 0")
    only = None if wrt is None else [item.strip() for item in wrt.split(",")]
    words, rng = read_shapes(shapes), np.random.default_rng(seed)
    try:
        # what FILE prints is no part of the report
        with contextlib.redirect_stdout(sys.stderr):
            forward, backward, name = load_pair(target)
            point = draw_point(words, rng, scale, np.dtype(dtype))
            own = {parameter.name for parameter in parameters(forward)}
            inputs, names = (point, None) if point.keys() <= own else ([*point.values()], [*point])
            report = run_check(
                forward, backward, inputs, name=name, names=names, wrt=only,
                seconds=seconds, seed=seed,
            )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except SystemExit:
        raise typer.BadParameter(f"{target} ended Python while it was checked") from None
    say(report, as_json)
    if not report.ok:
        raise typer.Exit(1)


def say(report: Report, as_json: bool) -> None:
    """Print what was found, for people or as JSON."""
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
        return
    typer.echo(str(report))
    if report.rows:
        text, colour = ("all right", "green") if report.ok else ("WRONG: see above", "red")
        typer.secho(text, fg=colour)


def load_pair(target: str) -> tuple[Any, Any, str]:
    """(forward, backward, a name) of FILE:FORWARD,BACKWARD. Raises BadParameter."""
    from minivae.racing.contestant import FileFault, load_file

    path, _, names = target.rpartition(":")
    pair = [name.strip() for name in names.split(",")]
    if not path or len(pair) != 2 or not all(pair):
        raise typer.BadParameter(f"{target}: write it as my_pass.py:forward,backward")
    try:
        module = load_file(Path(path))
    except FileFault as fault:
        raise typer.BadParameter(str(fault)) from None
    for name in pair:
        if not callable(getattr(module, name, None)):
            own = vars(module).items()
            known = sorted(k for k, v in own if callable(v) and not k.startswith("_"))
            raise typer.BadParameter(
                f"{path} has no function {name}; it has {', '.join(known) or 'none'}"
            )
    return getattr(module, pair[0]), getattr(module, pair[1]), pair[0]


def read_shapes(text: str) -> dict[str, str]:
    """{"x": "B D"} of "x: B D, W: D K"; whole numbers as "labels: int B < K"."""
    shapes: dict[str, str] = {}
    for part in text.split(","):
        name, colon, words = (piece.strip() for piece in part.partition(":"))
        if not colon or not name.isidentifier():
            raise typer.BadParameter(f"--shapes {part.strip()!r}: write it as 'name: B D'")
        if name in shapes:
            raise typer.BadParameter(f"--shapes names {name} twice")
        whole = words.startswith(("int ", "int:"))
        if whole != ("<" in words):
            raise typer.BadParameter(f"--shapes {part.strip()!r}: write it as 'name: int B < K'")
        shapes[name] = f"int:{words[4:]}" if whole else words
    return shapes

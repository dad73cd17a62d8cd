"""`minivae reproduce`: published results, each by one command, beside the papers' own figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minivae.cli import options
from minivae.cli.command import command

if TYPE_CHECKING:
    from minivae.cli.console import Console
    from minivae.published.order import Order

KEPT = Path("benchmarks/results/published")


@command(short_help="Published results, each by one command.")
def reproduce(
    name: str = typer.Argument(None, help="Which result; without it, they are listed."),
    budget: float = typer.Option(None, metavar="MINUTES", help="Train no longer than that."),
    resume: bool = typer.Option(False, "--resume", help="Go on with what was begun."),
    small: bool = typer.Option(False, "--small", help="The small version, on built-in data."),
    seed: int = typer.Option(0, help="Added to every run's seed."),
    data_dir: Path = typer.Option(
        None, "--data-dir", "--data", help="Folder with copies of the published data."
    ),
    backend: str = typer.Option("auto", help=options.BACKENDS),
    threads: int = options.THREADS,
    out: Path = typer.Option(
        None, "--out", "-o", help=f"Where runs, result and picture go; {KEPT}/NAME in a checkout."
    ),
    as_json: bool = options.JSON,
    quiet: bool = options.QUIET,
) -> None:
    """Train what a paper trained, and put the result beside the paper's."""
    from minivae.cli.console import Console

    console = Console(as_json=as_json, quiet=quiet)
    if name is None:
        facts = listed()
        console.result({"experiments": facts}, list_text(facts))
        return
    if budget is not None and not (0 < budget < math.inf):
        raise options.UsageError(f"--budget {budget:g}: give minutes, a number above 0")
    options.check_seed(seed)
    from minivae.cli.backends import choose_backend
    from minivae.cli.train_progress import reporter_for
    from minivae.published import experiment
    from minivae.published.order import Order
    from minivae.runs.errors import Interrupted

    chosen = experiment(name)
    order = Order(
        experiment=chosen,
        folder=out or default_folder(name, small=small, seed=seed),
        K=choose_backend(backend, threads, console),
        small=small, seed=seed, minutes=budget, resume=resume, data_dir=data_dir, threads=threads,
        backend=None if backend == "auto" else backend,
        say=console.say,
        reporter=lambda: reporter_for(console),
    )  # fmt: skip
    try:
        carry_through(order, console)
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped by Ctrl-C; what was trained and measured so far is kept. Go on with: "
            f"{order.command}",
            130,
        ) from None


def carry_through(order: Order, console: Console) -> None:
    """Train, measure, keep and print."""
    import time

    from minivae.published.carry_out import carry_out
    from minivae.published.results import (
        as_text,
        keep,
        kept_line,
        measure,
        require_replaceable,
        result_of,
    )
    from minivae.racing.load import LoadWatch

    require_replaceable(order)
    watch, began = LoadWatch(), time.process_time()
    bench = carry_out(order)
    console.say("measuring")
    measured = time.monotonic()
    outcome = measure(order, bench)
    seconds = time.monotonic() - measured + bench.measured.seconds_before
    meanwhile = watch.report(time.process_time() - began)
    result = result_of(order, bench, outcome, meanwhile, seconds)
    files = keep(order.folder, order.experiment, result)
    text = "\n".join([as_text(result), *map(kept_line, files)])
    facts = {**result, "files": [str(path) for path in files]}
    if not result["part"]["complete"]:
        text += f"\n\nnext\n  {order.command}"
        facts["next"] = order.command
    console.result(facts, text)


def default_folder(name: str, *, small: bool, seed: int) -> Path:
    """Where a checkout keeps its results, or `published/` elsewhere; small ones and seeds apart."""
    base = KEPT if KEPT.parent.is_dir() and not small else Path("published")
    return base / (name + ("-small" if small else "") + (f"-seed-{seed}" if seed else ""))


def listed() -> list[dict[str, Any]]:
    """Every experiment: what it is, what the paper says, what it costs."""
    from minivae.published import EXPERIMENTS

    return [
        {"name": e.name, "what": e.paper.what, "paper": e.paper.cited, "says": e.paper.says,
         "cost": e.full.cost, "small": e.small.cost, "runs": len(e.full.runs)}
        for e in EXPERIMENTS.values()
    ]  # fmt: skip


def list_text(facts: list[dict[str, Any]]) -> str:
    """The experiments as lines."""
    lines = ["published results; times are for two quiet cores", ""]
    for e in facts:
        runs = f" ({e['runs']} runs)" if e["runs"] else ""
        lines += [
            e["name"],
            f"  {e['what']}",
            f"  paper  {e['paper']}: {e['says']}",
            f"  cost   {e['cost']}{runs}; --small {e['small']}",
        ]
    words = "minivae reproduce NAME [--budget MINUTES] [--resume] [--small] [--seed N]"
    return "\n".join([*lines, "", words])

"""`minivae sweep`: many ordinary runs over a grid of settings, one table, and its pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minivae.cli import options
from minivae.cli.command import command

if TYPE_CHECKING:
    from minivae.cli.console import Console
    from minivae.sweeps.grid import Point

OWN = ("out", "resume", "config", "data", "pictures", "as_json", "quiet", "parts", "seed",
       "rank_timeout")  # fmt: skip


@command(
    short_help="Train a grid of settings; a table of all.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def sweep(
    ctx: typer.Context,
    dataset: str = typer.Argument("digits", help="A name (see minivae data) or a file."),
    grid: list[str] = typer.Option(
        None, metavar="KEY=A,B,C", help="A setting of minivae train and its values; again for more."
    ),
    seeds: int = typer.Option(1, help="Seeds 0, 1, … of every setting."),
    jobs: int = typer.Option(1, help="Runs at once; the cores are divided among them."),
    out: Path = typer.Option(..., help="The sweep's directory; the same one goes on with it."),
    random: int = typer.Option(None, help="So many settings, drawn from the grid."),
    engine: str = typer.Option("local", help="local, or dask:ADDRESS of a scheduler."),
    only: str = typer.Option(None, metavar="K/N", help="The K-th of N shares, for array jobs."),
    config: Path = typer.Option(None, help="A JSON file: dataset, grid, seeds, options."),
    as_json: bool = options.JSON,
    quiet: bool = options.QUIET,
) -> None:
    """Train every combination of the grid's values with every seed, and compare them.

    Other options go to every run as they are: minivae sweep digits --grid beta=0.5,1,2 --epochs 20
    --out sweeps/beta. Stopped or killed, the same command goes on; finished runs are never
    computed again, and values may be added.
    """
    from minivae.cli.console import Console

    console = Console(as_json=as_json, quiet=quiet)
    asked = read_config(config) if config is not None else {}
    grid = [*asked.get("grid", []), *(grid or [])]
    shared = [*asked.get("options", []), *ctx.args]
    facts = run_sweep(
        asked.get("dataset", dataset) if dataset == "digits" else dataset, grid,
        asked.get("seeds", seeds) if seeds == 1 else seeds, shared, out,
        jobs=jobs, sample=random, engine=engine, only=only, console=console,
    )  # fmt: skip
    console.result(facts, as_text(facts))
    if facts["failed"]:
        raise typer.Exit(1)


def read_config(path: Path) -> dict[str, Any]:
    """A sweep's settings in a JSON file: {"dataset": …, "grid": {key: […]}, "seeds": …,
    "options": […]}. Raises UsageError where it cannot be read."""
    import json

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        grid = [f"{key}={';'.join(map(str, v))}" for key, v in values.get("grid", {}).items()]
    except (OSError, ValueError, AttributeError, TypeError) as fault:
        raise options.UsageError(f"--config {path}: cannot be read as a sweep ({fault})") from None
    known = {"dataset", "grid", "seeds", "options"}
    for key in values:
        if key not in known:
            raise options.UsageError(
                f"--config {path}: unknown key {key!r}{options.suggestion(key, known)}"
            )
    return {**values, "grid": grid, "options": [str(o) for o in values.get("options", [])]}


def run_sweep(
    dataset: str,
    grid: list[str],
    seeds: int,
    shared: list[str],
    out: Path,
    *,
    jobs: int = 1,
    sample: int | None = None,
    engine: str = "local",
    only: str | None = None,
    console: Console,
) -> dict[str, Any]:
    """Train what is not yet done, then gather the table and draw it.

    Raises ConfigError or UsageError, one line, before anything runs.
    """
    from minivae.sweeps import plan
    from minivae.sweeps.engines import choose_engine
    from minivae.sweeps.grid import parse_axes, points_of, share

    options.check_least("--seeds", seeds, 1)
    options.check_least("--jobs", jobs, 1)
    axes = parse_axes(grid, settings_of_train())
    points = points_of(axes, seeds, sample)
    mine = share(points, only)
    work_with = choose_engine(engine, jobs)
    threads = [] if "--threads" in shared or "threads" in axes else threads_of(jobs, engine)
    require_sound(dataset, shared, points)
    plan.open_sweep(out, {"dataset": dataset, "options": shared, "grid": axes, "seeds": seeds})
    waiting = [point for point in mine if plan.finished(out, point) is None]
    console.say(f"{len(points)} runs, {len(mine) - len(waiting)} done, {len(waiting)} to train")
    todo = [(p.name, plan.command_of(out, p, dataset, [*shared, *threads])) for p in waiting]
    failures: dict[str, str] = {}
    for number, outcome in enumerate(work_with(train_one, todo), 1):
        if "error" in outcome:
            failures[outcome["name"]] = outcome["error"]
            said = outcome["error"]
        else:
            plan.write_json(plan.runs_of(out) / outcome["name"] / plan.RESULT, outcome)
            measured = outcome["facts"][outcome["facts"]["measured_on"]]
            said = f"-ELBO {-measured['elbo']:.3f}"
        console.say(f"{number}/{len(waiting)}  {outcome['name']}  {said}")
    plan.write_json(out / plan.FAILURES, failures)
    return gather(out, points, list(axes), failures)


def settings_of_train() -> list[str]:
    """The settings of minivae train that an axis may vary."""
    import inspect

    from minivae.cli.train import train

    return [name for name in inspect.signature(train).parameters if name not in (*OWN, "dataset")]


def threads_of(jobs: int, engine: str) -> list[str]:
    """The threads of each of so many runs on this machine, so that no core is asked for twice."""
    if jobs == 1 or engine != "local":
        return []
    return ["--threads", str(max(1, len(os.sched_getaffinity(0)) // jobs))]


def require_sound(dataset: str, shared: list[str], points: list[Point]) -> None:
    """Settle every setting's configuration without training it: what cannot be is said first."""
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_settings import record_name, settle
    from minivae.data.load import load_as

    loaded = None
    for point in points:
        if point.seed > 0:
            continue  # a seed cannot make settings wrong
        given = parse(["train", dataset, *shared, *point.options])
        asked = TrainOptions.of(given)
        if loaded is None:
            loaded = load_as(record_name(dataset), asked.reading, asked.data_dir)
        settle(loaded, dataset, asked.settings, "numpy")


def parse(argv: list[str]) -> dict[str, Any]:
    """The arguments of `minivae train` by name, as its command line reads them."""
    from minivae.cli.main import build_app

    group: Any = typer.main.get_command(build_app())
    command = group.commands["train"]
    with command.make_context("train", list(argv[1:])) as context:
        return dict(context.params)


def train_one(job: tuple[str, list[str]]) -> dict[str, Any]:
    """Train one run of a sweep in this process: {"name", "facts"}, or {"name", "error"}."""
    from minivae.cli.console import Console
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_run import run_training
    from minivae.cli.train_settings import settle_request
    from minivae.sweeps.plan import begun

    name, argv = job
    console = Console(as_json=True, quiet=True)
    try:
        request = settle_request(TrainOptions.of(parse(begun(argv))), console)
        facts, _ = run_training(request, console)
    except Exception as error:  # a run that fails is the sweep's result, not its end
        return {"name": name, "error": f"{type(error).__name__}: {error}".splitlines()[0]}
    keep = ("run", "epochs", "measured_on", facts["measured_on"], "active_units", "seconds")
    return {"name": name, "facts": {key: facts[key] for key in keep}}


def gather(
    out: Path, points: list[Point], axes: list[str], failures: dict[str, str]
) -> dict[str, Any]:
    """The table of all that is done, in results.csv and means.csv, and its pictures."""
    from minivae.sweeps import plan, table

    rows = []
    for point in points:
        outcome = plan.finished(out, point)
        if outcome is not None:
            rows.append(table.row_of(dict(point.settings), point.seed, outcome))
    table.write_csv(out / "results.csv", rows)
    means = table.over_seeds(rows, axes)
    table.write_csv(out / "means.csv", means)
    pictures: dict[str, str] = {}
    if len(means) > 1:
        from minivae.sweeps.pictures import draw

        pictures = draw(out / "pictures", means, axes)
    return {
        "out": str(out), "runs": len(points), "done": len(rows), "failed": failures,
        "results": str(out / "results.csv"), "rows": rows, "best": means[0] if means else None,
        "means": means, "pictures": pictures,
    }  # fmt: skip


def as_text(facts: dict[str, Any]) -> str:
    """The settings with their mean figures, best first, and where everything lies."""
    lines = [f"{facts['done']} of {facts['runs']} runs done; nats per datum on held-out data", ""]
    columns = list(facts["best"] or {})
    axes = columns[: columns.index("seeds")] if columns else []
    for row in facts["means"]:
        words = ", ".join(f"{key} {row[key]}" for key in axes) or "as given"
        error = "" if row["elbo_se"] is None else f" ± {row['elbo_se']:.3f}"
        lines.append(
            f"{words:<32} -ELBO {-row['elbo']:.3f}{error}   reconstruction "
            f"{row['reconstruction']:.3f} + KL {row['kl']:.3f}   seeds {row['seeds']}"
        )
    lines += [f"failed  {name}: {why}" for name, why in facts["failed"].items()]
    lines += ["", f"table    {facts['results']}"]
    lines += [f"picture  {path}" for path in facts["pictures"].values()]
    return "\n".join(lines)

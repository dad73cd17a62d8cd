"""`minivae sweep`: many ordinary runs over a grid of settings, one table, and its pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minivae.cli import options
from minivae.cli.command import command

if TYPE_CHECKING:
    from minivae.cli.console import Console

OWN = ("out", "resume", "config", "data", "pictures", "as_json", "quiet", "parts", "seed",
       "rank_timeout")  # fmt: skip


@command(
    short_help="Train a grid of settings; a table of all.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def sweep(
    ctx: typer.Context,
    dataset: str = typer.Argument(
        None, help="A name (see minivae data) or a file; digits by default."
    ),
    grid: list[str] = typer.Option(
        None, metavar="KEY=A,B,C", help="A setting of minivae train and its values; again for more."
    ),
    seeds: int = typer.Option(None, help="How many seeds of every setting: 0, 1, …; 1 by default."),
    jobs: int = typer.Option(1, help="Runs at once; the cores are divided among them."),
    out: Path = typer.Option(
        ..., "--out", "-o", help="The sweep's directory; the same one goes on with it."
    ),
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
    from minivae.cli.sweep_words import read_config

    require_own_share(only)
    console = Console(as_json=as_json, quiet=quiet)
    asked = read_config(config) if config is not None else {}
    words, named = list(ctx.args), asked.get("dataset", "digits")
    if dataset is not None and dataset.startswith("--"):  # an option of every run, and no data set
        words = [dataset, *words]
    elif dataset is not None:
        named = dataset
    grid = [*asked.get("grid", []), *(grid or [])]
    shared = [*asked.get("options", []), *words]
    facts = run_sweep(
        named, grid, asked.get("seeds", 1) if seeds is None else seeds, shared, out,
        jobs=jobs, sample=random, engine=engine, only=only, console=console,
    )  # fmt: skip
    console.result(facts, as_text(facts))
    if facts["failed"]:
        raise typer.Exit(1)


def require_own_share(only: str | None) -> None:
    """Stop in one line where several processes would each train every run."""
    from minivae.processes import launcher, started

    rank, size = started
    if size == 1 or only is not None:
        return
    if rank > 0:
        raise typer.Exit(2)
    raise options.UsageError(
        f"{launcher()} started {size} sweeps, each of which would train every run: start one with "
        "--jobs, or give each its own share by --only K/N"
    )


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

    Raises ConfigError or UsageError, one line, before anything runs, and Interrupted where the
    runs were saved and stopped by a signal.
    """
    from minivae.cli.sweep_runs import SweepWatch, settle_points, work_of
    from minivae.sweeps import plan
    from minivae.sweeps.engines import choose_engine
    from minivae.sweeps.grid import parse_axes, points_of, share
    from minivae.sweeps.identity import identity_of

    options.check_least("--seeds", seeds, 1)
    options.check_least("--jobs", jobs, 1)
    axes = parse_axes(grid, settings_of_train())
    require_shared(shared, axes)
    points = points_of(axes, seeds, sample)
    mine = share(points, only)
    settled = settle_points(dataset, shared, points, console)
    chosen = choose_engine(engine, jobs)
    work = work_of(chosen, settled)
    free = chosen.threads is not None and not plan.threads_in(shared) and "threads" not in axes
    threads = ["--threads", str(chosen.threads)] if free else []
    spec = {"dataset": dataset, "options": shared, "grid": axes, "seeds": seeds}
    plan.open_sweep(out, spec, console.warn, settled.values())
    ids = {name: identity_of(settings) for name, settings in settled.items()}
    done = plan.results_of(out, console.warn, settled.values())
    once = {ids[point.name]: point for point in reversed(mine)}  # settings may be told in two ways
    waiting = [point for point in mine
               if ids[point.name] not in done and once[ids[point.name]] is point]  # fmt: skip
    there = sum(ids[point.name] in done for point in mine)
    console.say(f"{len(points)} runs, {there} done, {len(waiting)} to train")
    todo = [(p.name, plan.command_of(out, p, dataset, [*shared, *threads])) for p in waiting]
    told = {
        p.name: {"settings": dict(p.settings), "seed": p.seed, "identity": ids[p.name],
                 "settled": settled[p.name]}
        for p in waiting
    }  # fmt: skip
    with SweepWatch(out, list(told), console), said_when_stopped():
        keep_all(out, chosen.run(work, todo), told, console)
    return gather(out, list(axes), settled, dataset, shared)


def keep_all(
    out: Path,
    outcomes: Iterable[dict[str, Any]],
    told: Mapping[str, dict[str, Any]],
    console: Console,
) -> None:
    """Write down and say what each run came to, as it ends. told: what its result says of it."""
    from minivae.sweeps import plan

    for number, outcome in enumerate(outcomes, 1):
        name = outcome["name"]
        said = keep(plan.runs_of(out) / name, outcome, told[name])
        console.say(f"{number}/{len(told)}  {name}  {said}")


@contextlib.contextmanager
def said_when_stopped() -> Iterator[None]:
    """Ctrl-C while others train is one line: they save their runs and stop."""
    from minivae.runs.errors import Interrupted

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped by Ctrl-C; the same sweep goes on with each run from its last checkpoint", 130
        ) from None


def keep(run: Path, outcome: dict[str, Any], extra: dict[str, Any]) -> str:
    """Write down what a run came to, and say it; Interrupted where it was stopped by a signal."""
    from minivae.runs.errors import Interrupted
    from minivae.sweeps import plan

    if "stopped" in outcome:
        raise Interrupted(f"{run.name}: {outcome['stopped']}; the same sweep goes on with it", 130)
    if "error" in outcome:
        plan.keep_failure(run, outcome["error"])
        return str(outcome["error"])
    plan.keep_result(run, {**outcome, **extra})
    measured = outcome["facts"][outcome["facts"]["measured_on"]]
    return f"-ELBO {-measured['elbo']:.3f}"


def settings_of_train() -> list[str]:
    """The settings of minivae train that an axis may vary, by their options' names; no switches."""
    from minivae.cli.sweep_runs import options_of_train

    return [name for name, param in options_of_train().items()
            if param.name not in OWN and not param.is_flag]  # fmt: skip


def require_shared(shared: list[str], axes: Mapping[str, Any]) -> None:
    """Raise UsageError where an option of every run is the sweep's own matter, or an axis."""
    from minivae.cli.sweep_runs import options_of_train

    known = options_of_train()
    for word in shared:
        key = word.partition("=")[0].removeprefix("--").replace("-", "_")
        if not word.startswith("--") or key not in known:
            continue
        if key in axes:
            raise options.UsageError(f"{word}: --grid {key} varies it already; leave one out")
        if key == "seed":
            raise options.UsageError("--seed: give the number of seeds by --seeds")
        if key == "resume":
            raise options.UsageError("--resume: the same sweep with the same --out goes on")


def gather(
    out: Path, axes: list[str], asked: Mapping[str, Mapping[str, Any]], dataset: str,
    shared: list[str],
) -> dict[str, Any]:  # fmt: skip
    """The table of all that is done in the directory, and its pictures.

    results.csv has a row a run, means.csv means and standard errors over seeds; both as Parquet
    too where pyarrow is. asked: this command's runs' settled settings by their names; those that
    differ in their threads, say, share a row. Over c, linear.csv has the exact optimum of linear
    decoders, unless how the data are read is an axis.
    """
    from minivae.cli.train_options import READING_KEYS
    from minivae.sweeps import plan, results_table
    from minivae.sweeps.identity import identity_of
    from minivae.sweeps.pictures import draw

    done = plan.results_of(out, asked=asked.values())
    axes = list(dict.fromkeys([*axes, *(key for one in done.values() for key in one["settings"])]))
    rows = [results_table.row_of(axes, one) for one in done.values()]
    rows.sort(key=lambda row: [results_table.order_of(row[key]) for key in (*axes, "seed")])
    means = results_table.over_seeds(rows, axes)
    files = results_table.write(out, "results", rows) | results_table.write(out, "means", means)
    one_reading = not {*READING_KEYS, "data_dir"} & set(axes)
    linear = linear_optimum(dataset, shared, means) if "c" in axes and one_reading else []
    files |= results_table.write(out, "linear", linear) if linear else {}
    pictures = draw(out / "pictures", means, axes, linear) if len(means) > 1 else {}
    return {
        "out": str(out), "runs": len(asked),
        "done": sum(identity_of(one) in done for one in asked.values()),
        "failed": plan.failures_of(out, asked),
        "results": files["results.csv"], "tables": files, "rows": rows,
        "best": means[0] if means else None, "means": means, "pictures": pictures,
    }  # fmt: skip


def linear_optimum(
    dataset: str, shared: list[str], means: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rate and distortion of the best linear decoder for every c and latent dimension   (E44).

    Nothing for data on disk, whose covariance would take another look through all of them.
    """
    import numpy as np

    from minivae.cli.sweep_runs import parse
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_settings import load_asked, record_name
    from minivae.metrics.rate_distortion import linear_rate_and_distortion
    from minivae.sweeps.pictures import number

    asked = TrainOptions.of(parse(["train", dataset, *shared]))
    loaded = load_asked(record_name(dataset), asked)
    levels = {(number(row["c"]), int(row["latent_dim"])) for row in means}
    if not isinstance(loaded.train, np.ndarray) or any(c is None for c, _ in levels):
        return []
    x = loaded.train.astype(np.float32) * np.float32(loaded.scale)
    x -= x.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh((x.T @ x).astype(np.float64) / len(x))[::-1]
    rows = []
    for c, J in sorted(levels, key=str):
        rate, distortion = linear_rate_and_distortion(eigenvalues, float(c or 0.0), J)
        rows.append({"c": c, "latent_dim": J, "kl": rate, "squared_error": distortion})
    return rows


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
    lines += ["", *(f"table    {path}" for path in facts["tables"].values())]
    lines += [f"picture  {path}" for path in facts["pictures"].values()]
    return "\n".join(lines)

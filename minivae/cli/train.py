"""`minivae train`: train on a data set, and leave a run directory with pictures behind."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, ObjectiveOptions, ReadingOptions, command, flat


class TrainingOptions(NamedTuple):
    """The network, and how it is trained."""

    hidden: str | None = typer.Option(None, help="Hidden layers, such as 400,200, or none.")
    activation: str | None = options.ACTIVATION
    epochs: int | None = typer.Option(None, help="Passes over the data.")
    batch_size: int | None = typer.Option(None, help="Data per update.")
    lr: float | None = typer.Option(None, help="Learning rate.")
    lr_steps: str | None = typer.Option(
        None, metavar="EPOCH:FACTOR,…", help="From the end of that epoch, the rate is lr x FACTOR."
    )
    optimiser: str | None = options.OPTIMISER
    optimiser_settings: list[str] = options.SETTINGS
    momentum: float | None = typer.Option(None, help="Of sgd.")
    initialisation: str | None = typer.Option(
        None, help="glorot, fan-in (PyTorch's), normal or normal-0.01."
    )
    output_bias: str | None = typer.Option(None, help="zero, or mean: start at the data's mean.")
    seed: int | None = typer.Option(None, help="The same seed gives the same run.")
    patience: int | None = typer.Option(None, help="Stop after so many epochs without improvement.")
    validation: float | None = typer.Option(None, help="Share of the training data held out.")
    keep: int | None = typer.Option(None, help="Checkpoints kept besides the best.")
    checkpoint_every: int | None = typer.Option(None, help="Epochs between checkpoints.")
    backend: str | None = typer.Option(None, help=options.BACKENDS)
    threads: int | None = options.THREADS
    shards: int | None = typer.Option(
        None, help="Fixed parts of each batch: the same bits on any number of processes (mpiexec)."
    )
    tf32: bool | None = typer.Option(
        None, "--tf32/--no-tf32", help="cupy: round the products' inputs to TF32."
    )
    bf16: bool = typer.Option(
        None, "--bf16/--no-bf16", help="numba: round them to bfloat16 (AVX512-BF16)."
    )


class RunOptions(NamedTuple):
    """Where the run is kept, and what is said of it."""

    out: Path | None = typer.Option(
        None, "--out", "-o", help="The run's directory; runs/DATASET-N by default."
    )
    resume: Path | None = typer.Option(None, help="Continue the run in this directory.")
    config: Path | None = typer.Option(None, help="A JSON file of settings; options win.")
    parts: str | None = options.PARTS
    pictures: bool = typer.Option(True, help="Draw pictures at the end.")
    rank_timeout: float | None = options.RANK_TIMEOUT
    as_json: bool = options.JSON
    quiet: bool = options.QUIET


@command(short_help="Train a model, on digits by default.")
def train(
    objective: ObjectiveOptions,
    training: TrainingOptions,
    reading: ReadingOptions,
    place: DataPlace,
    running: RunOptions,
    dataset: str = typer.Argument(
        None, help="A name (see minivae data), a file or a folder; digits by default."
    ),
) -> None:
    """Train a variational autoencoder; without options, on handwritten digits."""
    given = flat(locals())

    from minivae.cli import train_processes as ranks
    from minivae.cli.console import Console
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_run import run_training
    from minivae.cli.train_settings import settle_request
    from minivae.processes import own_rank

    console = Console(as_json=running.as_json, quiet=running.quiet or own_rank() > 0)
    asked = TrainOptions.of(given)
    wanted = asked._replace(settings=ranks.own_threads(asked.settings))
    world = ranks.world_here(running.rank_timeout)
    with ranks.together(world):
        request = ranks.settled_by_all(world, lambda: settle_request(wanted, console))
        ranks.settled_by_all(world, lambda: ranks.require_alike(request, world))
        job = ranks.settled_by_all(world, lambda: ranks.job_of(request, world))
        ranks.tell_processes(world, request.path, console)
        if job is not None and world is not None and world.rank > 0:
            ranks.serve_request(request, job, world)
        else:
            console.result(*run_training(request, console, world))

"""`minivae train`: train on a data set, and leave a run directory with pictures behind."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "train", cls=options.PartsCommand, short_help="Train a model, on digits by default."
    )(train)


def train(
    dataset: str = typer.Argument(
        None, help="A name (see minivae data), a file or a folder; digits."
    ),
    latent: int = options.LATENT,
    hidden: str = typer.Option(None, help="Hidden layers, such as 400,200, or none."),
    activation: str = options.ACTIVATION,
    likelihood: str = options.LIKELIHOOD,
    c: str = options.C,
    beta: float = options.BETA,
    free_bits: float = options.FREE_BITS,
    draws: int = options.DRAWS,
    objective: str = options.OBJECTIVE,
    epochs: int = typer.Option(None, help="Passes over the data."),
    batch_size: int = typer.Option(None, help="Data per update."),
    lr: float = typer.Option(None, help="Learning rate."),
    optimiser: str = options.OPTIMISER,
    optimiser_settings: list[str] = options.SETTINGS,
    momentum: float = typer.Option(None, help="Of sgd."),
    warmup: float = options.WARMUP,
    binarise: str = options.BINARISE,
    seed: int = typer.Option(None, help="The same seed gives the same run."),
    patience: int = typer.Option(None, help="Stop after so many epochs without improvement."),
    validation: float = typer.Option(None, help="Share of the training data held out."),
    keep: int = typer.Option(None, help="Checkpoints kept besides the best."),
    checkpoint_every: int = typer.Option(None, help="Epochs between checkpoints."),
    backend: str = typer.Option(None, help=options.BACKENDS),
    threads: int = options.THREADS,
    shards: int = typer.Option(
        None, help="Fixed parts of each batch: the same bits on any number of processes (mpiexec)."
    ),
    rank_timeout: float = options.RANK_TIMEOUT,
    tf32: bool = typer.Option(
        None, "--tf32/--no-tf32", help="cupy: round the products' inputs to TF32."
    ),
    out: Path = typer.Option(None, help="The run's directory; runs/DATASET-N by default."),
    resume: Path = typer.Option(None, help="Continue the run in this directory."),
    config: Path = typer.Option(None, help="A JSON file of settings; options win."),
    parts: str = options.PARTS,
    data: str = options.DATA,
    label: str = typer.Option(None, help="The column (or array) that holds the labels."),
    standardise: bool = typer.Option(
        False, "--standardise", help="Train on columns of mean 0 and deviation 1."
    ),
    shape: str = typer.Option(None, help="H,W or H,W,3 of a row seen as a picture."),
    resize: str = typer.Option(None, help="HxW to bring a folder's pictures to."),
    one_hot: bool = typer.Option(
        False, "--one-hot", help="Spread text columns over columns of 0 and 1."
    ),
    data_dir: Path = options.DATA_DIR,
    pictures: bool = typer.Option(True, help="Draw pictures at the end."),
    as_json: bool = options.JSON,
    quiet: bool = options.QUIET,
) -> None:
    """Train a variational autoencoder; without options, on handwritten digits."""
    given = dict(locals())

    from minivae.cli.console import Console
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_processes import (
        own_threads,
        require_alike,
        serve_request,
        settled_by_all,
        tell_processes,
        together,
        world_here,
    )
    from minivae.cli.train_run import run_training
    from minivae.cli.train_settings import settle_request
    from minivae.processes import own_rank

    console = Console(as_json=as_json, quiet=quiet or own_rank() > 0)
    asked = TrainOptions.of(given)
    asked = asked._replace(settings=own_threads(asked.settings))
    world = world_here(rank_timeout)
    with together(world):
        request = settled_by_all(world, lambda: settle_request(asked, console))
        settled_by_all(world, lambda: require_alike(request, world))
        tell_processes(world, console)
        if world is not None and world.rank > 0:
            serve_request(request, world)
        else:
            console.result(*run_training(request, console, world))

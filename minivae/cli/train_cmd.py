"""`minivae train`: train on a data set, and leave a run directory with pictures behind."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("train", short_help="Train a model, on digits by default.")(train)


def train(
    dataset: str = typer.Argument(None, help="A name (see minivae data) or a file; digits."),
    latent: int = typer.Option(None, help="Latent dimensions."),
    hidden: str = typer.Option(None, help="Hidden layers, such as 400,200, or none."),
    activation: str = typer.Option(None, help="relu or tanh."),
    likelihood: str = typer.Option(None, help="bernoulli or gaussian."),
    c: str = typer.Option(None, help="Variance of the Gaussian likelihood, or learned."),
    beta: float = typer.Option(None, help="Weight of the KL."),
    free_bits: float = typer.Option(None, help="Nats per latent dimension that cost nothing."),
    draws: int = typer.Option(None, help="Monte-Carlo draws per datum."),
    epochs: int = typer.Option(None, help="Passes over the data."),
    batch_size: int = typer.Option(None, help="Data per update."),
    lr: float = typer.Option(None, help="Learning rate."),
    optimiser: str = typer.Option(None, help="adam or sgd."),
    momentum: float = typer.Option(None, help="Of sgd."),
    warmup: float = typer.Option(None, help="Epochs over which beta rises from 0."),
    binarise: str = typer.Option(None, help="none, dynamic or fixed."),
    seed: int = typer.Option(None, help="The same seed gives the same run."),
    patience: int = typer.Option(None, help="Stop after so many epochs without improvement."),
    validation: float = typer.Option(None, help="Share of the training data held out."),
    keep: int = typer.Option(None, help="Checkpoints kept besides the best."),
    checkpoint_every: int = typer.Option(None, help="Epochs between checkpoints."),
    backend: str = typer.Option(None, help="auto, numpy, numba or cupy."),
    threads: int = typer.Option(None, help="Threads of the backend's kernels."),
    tf32: bool = typer.Option(
        None, "--tf32/--no-tf32", help="cupy: round the products' inputs to TF32."
    ),
    out: Path = typer.Option(None, help="The run's directory; runs/DATASET-N by default."),
    resume: Path = typer.Option(None, help="Continue the run in this directory."),
    config: Path = typer.Option(None, help="A JSON file of settings; options win."),
    data_dir: Path = typer.Option(None, help="Folder with copies of the published data."),
    pictures: bool = typer.Option(True, help="Draw pictures at the end."),
    as_json: bool = typer.Option(False, "--json", help="Print one final JSON object."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing but the result."),
) -> None:
    """Train a variational autoencoder; without options, on handwritten digits."""
    options = dict(locals())
    own = ("dataset", "out", "resume", "config", "data_dir", "pictures", "as_json", "quiet")
    place = {name: options.pop(name) for name in own}

    from minivae.cli.common import Speaker
    from minivae.cli.training import run_training

    speaker = Speaker(as_json=as_json, quiet=quiet)
    result, text = run_training(options, place, speaker)
    speaker.result(result, text)

"""The options that several commands share, worded once.

Typer reads them as defaults in a command's signature: `run: Path = shared.RUN`.
"""

from __future__ import annotations

import typer

# A trained run, and what of it is shown.
RUN = typer.Argument(..., help="A run's directory.")
SPLIT = typer.Option(None, help="train, valid or test; test by default.")
DATA_DIR = typer.Option(None, help="Folder with copies of the published data.")
CHECKPOINT = typer.Option(None, help="best or last.")

# The objective. None leaves it to the data's defaults.
LATENT = typer.Option(None, help="Latent dimensions.")
LIKELIHOOD = typer.Option(None, help="bernoulli or gaussian.")
C = typer.Option(None, help="Variance of the Gaussian likelihood, or learned.")
BETA = typer.Option(None, help="Weight of the KL.")
WARMUP = typer.Option(None, help="Epochs over which beta rises from 0.")
FREE_BITS = typer.Option(None, help="Nats per latent dimension that cost nothing.")
DRAWS = typer.Option(None, help="Monte-Carlo draws per datum.")
BINARISE = typer.Option(None, help="none, dynamic or fixed.")

# Who computes, and how the result is said.
BACKENDS = "auto, numpy, numba or cupy."
THREADS = typer.Option(None, help="Threads of the backend's kernels.")
TF32 = typer.Option(False, "--tf32", help="cupy: products' inputs as TF32.")
JSON = typer.Option(False, "--json", help="Print one JSON object.")
QUIET = typer.Option(False, "--quiet", "-q", help="Say nothing but the result.")

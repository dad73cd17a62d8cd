"""`minivae export`: a trained model for other tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minivae.cli import options
from minivae.cli.command import command

if TYPE_CHECKING:
    from minivae.cli.trained_run import TrainedRun
    from minivae.data.standard import Standard

FORMS = ("onnx", "torch", "npz")


@command(short_help="Write a model for ONNX, PyTorch or NumPy.")
def export(
    run: Path = options.RUN,
    to: str = typer.Option(..., "--to", help="onnx, torch or npz."),
    out: Path = typer.Option(..., "--out", "-o", help="The folder for the files."),
    opset: int = typer.Option(None, help="onnx: the version of its operators; 17."),
    checkpoint: str = options.CHECKPOINT,
    as_json: bool = options.JSON,
) -> None:
    """Write a trained model for other tools: ONNX, PyTorch, or plain arrays."""
    import numpy as np

    from minivae.cli.console import Console
    from minivae.cli.options import UsageError, choose
    from minivae.cli.trained_run import open_run
    from minivae.exports.files import write_all
    from minivae.exports.network import network_of
    from minivae.exports.npz_files import npz_files
    from minivae.exports.onnx_files import OPSET, onnx_files
    from minivae.exports.torch_files import torch_files
    from minivae.models.units import in_user_units
    from minivae.models.vae import layout_of

    choose("--to", to, FORMS)
    if opset is not None and to != "onnx":
        raise UsageError(f"--opset belongs to --to onnx; leave it out with --to {to}")
    opened = open_run(run, checkpoint)
    p = layout_of(opened.model).views(opened.theta)
    standard = opened.standard
    near = None if standard is None else standard.without_origin()
    p = in_user_units(p, opened.model, near)
    theta = layout_of(opened.model).flatten(p, np.empty_like(opened.theta))
    network = network_of(opened.model, theta, None if standard is None else standard.origin)
    if to == "onnx":
        files = onnx_files(network, OPSET if opset is None else opset)
    elif to == "torch":
        files = torch_files(network)
    else:
        files = npz_files(opened.model, theta, standard)
    paths = write_all(out, files)
    if standard is not None:
        for line in _told_of_units(opened, standard, to):
            Console().warn(line)
    facts = {"run": str(run), "checkpoint": opened.which, "to": to, "paths": paths}
    Console(as_json=as_json).result(facts, "\n".join(str(path) for path in paths))


def _told_of_units(opened: TrainedRun, standard: Standard, to: str) -> Iterator[str]:
    """What to know of the units of what is exported of standardised data."""
    from minivae.parts import LIKELIHOODS

    if standard.origin is not None:
        yield _subtract_first(standard.origin, opened.columns, to)
    scale = LIKELIHOODS[opened.model.likelihood].scale
    if to == "npz" and scale is not None:  # the other forms hold no scale
        yield _divide_first(scale)


def _divide_first(scale: Any) -> str:
    """What the scale of a model of standardised data belongs to."""
    return (
        f"the weights are in the data's own units, {scale.symbol} ({scale.words}) is that of the "
        "standardised columns: divide x - decoded by `deviation`, which is in the file, and add "
        "the sum of log deviation to -log p"
    )


def _subtract_first(origin: Any, columns: Sequence[str] | None, to: str) -> str:
    """What to do with columns far from 0 before a model that computes in float32 takes them."""
    far = [
        f"{origin[j]:.17g} out of " + (f"column {j}" if columns is None else repr(columns[j]))
        for j in origin.nonzero()[0]
    ]
    where = "the file" if to == "npz" else "the files' metadata"
    return (
        "so far from 0 float32, in which the exported model computes, loses the differences: take "
        f"{', '.join(far[:3])}{f' and {len(far) - 3} more' if far[3:] else ''} before you give it "
        f"rows, and add it to what it decodes: `origin` in {where} holds it for every column"
    )

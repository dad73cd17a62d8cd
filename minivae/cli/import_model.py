"""`minivae import`: a state_dict of PyTorch's VAE example becomes a model of ours."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.command import command


@command(name="import", short_help="Take over the PyTorch example's state_dict.")
def import_model(
    source: Path = typer.Argument(..., metavar="STATE_DICT", help="A .safetensors file."),
    out: Path = typer.Option(..., "--out", "-o", help="The model to write, a .safetensors."),
    as_json: bool = options.JSON,
) -> None:
    """Take over the state_dict of PyTorch's VAE example: fc1, fc21, fc22, fc3, fc4."""
    from minivae.cli.console import Console
    from minivae.cli.options import UsageError, check_file
    from minivae.exports.from_torch import import_state_dict
    from minivae.runs.hints import command_line

    check_file("--out", out)
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: the name must end in .safetensors")
    if out.exists():
        raise UsageError(f"--out {out} exists already: choose another name")
    config = import_state_dict(source, out)
    sizes = "-".join(str(n) for n in (config.data_dim, *config.hidden, config.latent_dim))
    text = f"{out}: {sizes}\nnext: {command_line('generate', out, '--out', 'generated.png')}"
    facts = {"path": str(out), "model": config.to_dict()}
    Console(as_json=as_json).result(facts, text)

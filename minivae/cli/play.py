"""`minivae play`: one HTML page in which a small VAE trains, with no server behind it."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.command import command


@command(short_help="Write a page in which a VAE trains.")
def play(
    out: Path = typer.Option(Path("play.html"), "--out", "-o", help="The page to write."),
    as_json: bool = options.JSON,
) -> None:
    """Write a page in which a VAE trains: turn its knobs, drag its noise, check its gradients."""
    from minivae import play as player
    from minivae.cli.console import Console
    from minivae.cli.options import picture_path
    from minivae.cli.run_view import save_text

    path = picture_path(out, out, (".html", ".htm"))
    size = save_text(path, player.page())
    console = Console(as_json=as_json)
    console.result(
        {"path": str(path), "bytes": size},
        f"{path}  ({size / 1e6:.1f} MB): open it in a browser and press Train",
    )

"""`minivae manifold`: a grid over two latent dimensions, decoded."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.command import AS_RECORDED, OpenedRun, command
from minivae.cli.run_view import RunView, no_pictures


@command()
def manifold(
    opened: OpenedRun,
    n: int = typer.Option(20, "--n", "-n", help="Pictures a side."),
    dims: str = typer.Option(None, help="Two latent dimensions, such as 0,3; the most active."),
    out: Path = options.PICTURE_OUT,
    backend: str = options.PICTURE_BACKEND,
) -> None:
    """Decode a grid over two latent dimensions."""
    from minivae.cli.options import UsageError, check_least, picture_path
    from minivae.cli.pictures import draw_manifold

    check_least("-n", n)
    view = RunView(opened, AS_RECORDED, backend)
    if view.scene.shape is None:
        raise UsageError(no_pictures(view, "there is no grid to draw"))
    if dims is None:
        pair = view.active_dims()
    else:
        pair = options.parse_pair(dims, view.run.model.latent_dim)
    path = picture_path(out, view.default("manifold.png"))
    draw_manifold(view.scene, path, pair, n, chosen=dims is not None)
    view.done(path, {"n": n, "dims": list(pair)})

"""`minivae reconstruct`: data beside what the model makes of them."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, OpenedRun, command
from minivae.cli.run_view import RunView, save_array


@command()
def reconstruct(
    opened: OpenedRun,
    place: DataPlace,
    n: int = typer.Option(24, "--n", "-n", help="How many."),
    rows: str = typer.Option(None, help="These rows of the split, such as 0,5,7."),
    split: str = options.SPLIT,
    out: Path = typer.Option(
        None, "--out", "-o", help="A .png, or a .npy of all the split's (N, D)."
    ),
    backend: str = options.PICTURE_BACKEND,
) -> None:
    """Encode data, decode the codes, and show both."""
    from minivae.cli.options import check_least, picture_path
    from minivae.cli.pictures import draw_reconstructions, spread_rows

    check_least("-n", n)
    view = RunView(opened, place, backend, split)
    scene, shown = view.scene, view.shown
    chosen = spread_rows(shown.labels, len(shown.x), n)
    if rows is not None:
        chosen = options.parse_numbers(
            "--rows", rows, len(shown.x), f"rows of the {shown.split} split"
        )
    path = picture_path(out, view.default("reconstructed.png"), (".png", ".npy"))
    mu, _ = scene.encode(shown.x)
    if path.suffix.lower() == ".npy":
        save_array(path, scene.decode(mu))
    else:
        draw_reconstructions(scene, shown, path, mu, chosen)
    error = float(((scene.decode(mu) - shown.x) ** 2).sum(axis=1).mean())
    facts = {"split": shown.split, "rows": chosen, "reconstruction_error": error}
    view.done(path, facts, f"mean squared error {error:.4f} per datum, whole {shown.split} split")

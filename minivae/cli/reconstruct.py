"""`minivae reconstruct`: data beside what the model makes of them."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.run_view import RunView, save_array


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("reconstruct")(reconstruct)


def reconstruct(
    run: Path = options.RUN,
    n: int = typer.Option(24, "--n", "-n", help="How many."),
    rows: str = typer.Option(None, help="These rows of the split, such as 0,5,7."),
    split: str = options.SPLIT,
    out: Path = typer.Option(None, help="A .png, or a .npy of all the split's (N, D)."),
    data_dir: Path = options.DATA_DIR,
    checkpoint: str = options.CHECKPOINT,
    backend: str = options.PICTURE_BACKEND,
    as_json: bool = options.JSON,
) -> None:
    """Encode data, decode the codes, and show both."""
    from minivae.cli.options import check_least, picture_path
    from minivae.cli.pictures import draw_reconstructions, spread_rows

    check_least("-n", n)
    show = RunView(run, checkpoint, split, data_dir, backend, as_json)
    scene = show.scene
    chosen = spread_rows(scene.labels, len(scene.x), n)
    if rows is not None:
        chosen = options.parse_numbers(
            "--rows", rows, len(scene.x), f"rows of the {scene.split} split"
        )
    path = picture_path(out, show.default("reconstructed.png"), (".png", ".npy"))
    mu, _ = scene.encode(scene.x)
    if path.suffix == ".npy":
        save_array(path, scene.decode(mu))
    else:
        draw_reconstructions(scene, path, mu, chosen)
    error = float(((scene.decode(mu) - scene.x) ** 2).sum(axis=1).mean())
    facts = {"split": scene.split, "rows": chosen, "reconstruction_error": error}
    show.done(path, facts, f"mean squared error {error:.4f} per datum, whole {scene.split} split")

"""`minivae interpolate`: a walk between the codes of two data."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.run_view import RunView, choose_pair, nearest_distance


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("interpolate")(interpolate)


def interpolate(
    run: Path = options.RUN,
    first: int = typer.Option(None, "--from", help="A row of the split."),
    last: int = typer.Option(None, "--to", help="Another row."),
    steps: int = typer.Option(11, help="Pictures in a row."),
    split: str = options.SPLIT,
    out: Path = options.PICTURE_OUT,
    data_dir: Path = options.DATA_DIR,
    checkpoint: str = options.CHECKPOINT,
    backend: str = options.PICTURE_BACKEND,
    as_json: bool = options.JSON,
) -> None:
    """Walk between the codes of two data."""
    import numpy as np

    from minivae import plots
    from minivae.cli.options import check_least, picture_path
    from minivae.plots.images import look_of
    from minivae.sampling import linear_path, spherical_path

    check_least("--steps", steps, 3)  # fewer have no middle
    show = RunView(run, checkpoint, split, data_dir, backend, as_json)
    scene = show.scene
    for name, row in (("--from", first), ("--to", last)):
        if row is not None:
            options.check_number(name, row, len(scene.x), f"rows of the {scene.split} split")
    a, b = choose_pair(scene.labels, len(scene.x), first, last)
    path = picture_path(out, show.default("interpolation.png"))
    (z_a, z_b), _ = scene.encode(scene.x[[a, b]])
    walks = {"straight": linear_path(z_a, z_b, steps), "arc": spherical_path(z_a, z_b, steps)}
    pictures = {name: scene.decode(codes) for name, codes in walks.items()}
    t = np.linspace(0, 1, steps)[:, None]
    faded = (1 - t) * scene.x[a] + t * scene.x[b]
    middle = {
        name: nearest_distance(x[steps // 2], show.dataset.values("train"))
        for name, x in {**pictures, "pixels": faded}.items()
    }
    caption = (
        f"{scene.name}, {scene.split} rows {a} and {b}. Decoded codes on a straight line and on an "
        f"arc, and the pixels merely faded. Distance of the middle picture to the nearest training "
        f"datum: straight {middle['straight']:.2f}, arc {middle['arc']:.2f}, "
        f"faded {middle['pixels']:.2f}."
    )
    strips = [*pictures.items(), ("pixels", faded)]
    plots.interpolations(path, strips, scene.shape, look_of(scene.x), caption)
    facts = {"from": a, "to": b, "steps": steps, "middle_distance": middle,
             "distance": float(np.linalg.norm(z_a - z_b))}  # fmt: skip
    show.done(path, facts, caption.split(". ", 1)[1])

"""`minivae generate`, `reconstruct`, `interpolate` and `manifold`: pictures from a trained run."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import shared
from minivae.cli.showing import (
    Showing,
    check_number,
    choose_pair,
    nearest_distance,
    parse_numbers,
    parse_pair,
    save_array,
)

OUT = typer.Option(None, help="The file to write; by default in the run's pictures.")
BACKEND = typer.Option("numpy", help=shared.BACKENDS)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (generate, reconstruct, interpolate, manifold):
        app.command(command.__name__)(command)


def generate(
    run: Path = shared.RUN,
    n: int = typer.Option(100, "--n", "-n", help="How many."),
    sampler: str = typer.Option("prior", help="prior, aggregate or mixture."),
    draw: bool = typer.Option(False, "--draw", help="Draw x from p(x|z); else show its mean."),
    seed: int = typer.Option(0, help="Another seed, other samples."),
    out: Path = typer.Option(None, help="A .png for people or a .npy (N, D) for programs."),
    data_dir: Path = shared.DATA_DIR,
    checkpoint: str = shared.CHECKPOINT,
    backend: str = BACKEND,
    as_json: bool = shared.JSON,
) -> None:
    """Generate new data: draw codes and decode them."""
    from minivae import sampling
    from minivae.cli.common import check_least, check_seed, choose, picture_path
    from minivae.cli.pictures import draw_samples

    choose("--sampler", sampler, sampling.SAMPLERS)
    check_least("-n", n)
    check_seed(seed)
    show = Showing(run, checkpoint, None, data_dir, backend, as_json)
    path = picture_path(out, show.default("generated.png"), (".png", ".npy"))
    J = show.run.model.latent_dim
    if sampler == "prior":
        codes = sampling.prior_codes(n, J, seed)
    else:
        mu, logvar = show.scene.encode(show.dataset.values("train"))
        codes = (
            sampling.aggregate_codes(mu, logvar, n, seed)
            if sampler == "aggregate"
            else sampling.mixture_codes(mu, n, seed)
        )
    x = show.scene.decode(codes)
    if draw:
        x = sampling.draw_data(x, show.run.model, show.run.c, seed)
    if path.suffix == ".npy":
        save_array(path, x)
    else:
        draw_samples(show.scene, path, codes, sampler, x, drawn=draw)
    show.done(path, {"n": n, "sampler": sampler, "seed": seed, "drawn": draw})


def reconstruct(
    run: Path = shared.RUN,
    n: int = typer.Option(24, "--n", "-n", help="How many."),
    rows: str = typer.Option(None, help="These rows of the split, such as 0,5,7."),
    split: str = shared.SPLIT,
    out: Path = typer.Option(None, help="A .png, or a .npy of all the split's (N, D)."),
    data_dir: Path = shared.DATA_DIR,
    checkpoint: str = shared.CHECKPOINT,
    backend: str = BACKEND,
    as_json: bool = shared.JSON,
) -> None:
    """Encode data, decode the codes, and show both."""
    from minivae.cli.common import check_least, picture_path
    from minivae.cli.pictures import draw_reconstructions, spread_rows

    check_least("-n", n)
    show = Showing(run, checkpoint, split, data_dir, backend, as_json)
    scene = show.scene
    chosen = spread_rows(scene.labels, len(scene.x), n)
    if rows is not None:
        chosen = parse_numbers("--rows", rows, len(scene.x), f"rows of the {scene.split} split")
    path = picture_path(out, show.default("reconstructed.png"), (".png", ".npy"))
    mu, _ = scene.encode(scene.x)
    if path.suffix == ".npy":
        save_array(path, scene.decode(mu))
    else:
        draw_reconstructions(scene, path, mu, chosen)
    error = float(((scene.decode(mu) - scene.x) ** 2).sum(axis=1).mean())
    facts = {"split": scene.split, "rows": chosen, "reconstruction_error": error}
    show.done(path, facts, f"mean squared error {error:.4f} per datum, whole {scene.split} split")


def interpolate(
    run: Path = shared.RUN,
    first: int = typer.Option(None, "--from", help="A row of the split."),
    last: int = typer.Option(None, "--to", help="Another row."),
    steps: int = typer.Option(11, help="Pictures in a row."),
    split: str = shared.SPLIT,
    out: Path = OUT,
    data_dir: Path = shared.DATA_DIR,
    checkpoint: str = shared.CHECKPOINT,
    backend: str = BACKEND,
    as_json: bool = shared.JSON,
) -> None:
    """Walk between the codes of two data."""
    import numpy as np

    from minivae import plots
    from minivae.cli.common import check_least, picture_path
    from minivae.plots.images import look_of
    from minivae.sampling import linear_path, spherical_path

    check_least("--steps", steps, 3)  # fewer have no middle
    show = Showing(run, checkpoint, split, data_dir, backend, as_json)
    scene = show.scene
    for name, row in (("--from", first), ("--to", last)):
        if row is not None:
            check_number(name, row, len(scene.x), f"rows of the {scene.split} split")
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


def manifold(
    run: Path = shared.RUN,
    n: int = typer.Option(20, "--n", "-n", help="Pictures a side."),
    dims: str = typer.Option(None, help="Two latent dimensions, such as 0,3; the most active."),
    out: Path = OUT,
    data_dir: Path = shared.DATA_DIR,
    checkpoint: str = shared.CHECKPOINT,
    backend: str = BACKEND,
    as_json: bool = shared.JSON,
) -> None:
    """Decode a grid over two latent dimensions."""
    from minivae.cli.common import UsageFault, check_least, picture_path
    from minivae.cli.pictures import draw_manifold, shown_dims

    check_least("-n", n)
    show = Showing(run, checkpoint, None, data_dir, backend, as_json)
    if show.scene.shape is None:
        raise UsageFault(f"{show.scene.name} has no height and width: there is no grid to draw")
    if dims is None:
        pair = shown_dims(show.scene.encode(show.scene.x)[0])
    else:
        pair = parse_pair(dims, show.run.model.latent_dim)
    path = picture_path(out, show.default("manifold.png"))
    draw_manifold(show.scene, path, pair, n, chosen=dims is not None)
    show.done(path, {"n": n, "dims": list(pair)})

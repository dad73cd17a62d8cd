"""`minivae generate`: new data, drawn and decoded."""

from __future__ import annotations

from pathlib import Path

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, OpenedRun, command
from minivae.cli.run_view import RunView, save_array


@command()
def generate(
    opened: OpenedRun,
    place: DataPlace,
    n: int = typer.Option(100, "--n", "-n", help="How many."),
    sampler: str = typer.Option("prior", help="prior, aggregate or mixture."),
    draw: bool = typer.Option(False, "--draw", help="Draw x from p(x|z); else show its mean."),
    seed: int = typer.Option(0, help="Another seed, other samples."),
    out: Path = typer.Option(
        None, "--out", "-o", help="A .png for people or a .npy (N, D) for programs."
    ),
    backend: str = options.PICTURE_BACKEND,
) -> None:
    """Generate new data: draw codes and decode them."""
    from minivae import sampling
    from minivae.cli.options import check_least, check_seed, choose, picture_path
    from minivae.cli.pictures import draw_samples

    choose("--sampler", sampler, sampling.SAMPLERS)
    check_least("-n", n)
    check_seed(seed)
    view = RunView(opened, place, backend)
    path = picture_path(out, view.default("generated.png"), (".png", ".npy"))
    J = view.run.model.latent_dim
    if sampler == "prior":
        codes = sampling.prior_codes(n, J, seed)
    else:
        mu, logvar = view.scene.encode(view.dataset.user_values("train"))
        codes = (
            sampling.aggregate_codes(mu, logvar, n, seed)
            if sampler == "aggregate"
            else sampling.mixture_codes(mu, n, seed)
        )
    scene = view.scene
    x = (
        scene.to_user(sampling.draw_all(scene.K, scene.p, codes, scene.model, seed))
        if draw
        else scene.decode(codes)
    )
    if path.suffix.lower() == ".npy":
        save_array(path, x)
    else:
        draw_samples(scene, path, codes, sampler, x, drawn=draw, data=view.data_beside())
    what = "draws from p(x|z)" if draw else "decoded means E[x|z]; --draw draws from p(x|z)"
    facts = {"n": n, "sampler": sampler, "seed": seed, "drawn": draw}
    view.done(path, facts, f"{n} {what}")

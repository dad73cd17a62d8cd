"""`minivae explore`: a run's latent plane as one HTML file that needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import DataPlace, OpenedRun, command

OWN_SAMPLES = "own samples"  # in place of a split's name


@command(short_help="Write the latent plane as one page.")
def explore(
    opened: OpenedRun,
    place: DataPlace,
    out: Path = typer.Option(None, "--out", "-o", help="The page; by default RUN/explorer.html."),
    dims: str = typer.Option(
        None, help="Two latent dimensions, such as 0,3, or auto for the two most active."
    ),
    rows: int = typer.Option(2000, help="At most this many data are shown."),
    beside: bool = typer.Option(
        True, help="Train a plain autoencoder of the same sizes and show it beside."
    ),
    against: Path = typer.Option(
        None, help="A run trained already on the same data, to show beside instead."
    ),
    split: str = options.SPLIT,
) -> None:
    """Write the latent explorer: move over the plane and see what each code decodes to."""
    import numpy as np

    from minivae import explore as explorer
    from minivae.cli.options import UsageError, check_least, picture_path
    from minivae.cli.run_view import RunView, no_pictures, save_text
    from minivae.explore.panels import vae_panel

    check_least("--rows", rows, 10)
    view = RunView(opened, place, "numpy", split)
    scene, model = view.scene, view.run.model
    if scene.shape is None:
        raise UsageError(no_pictures(view, "there is no picture to decode"))
    shown = view.shown_if_found()
    if shown is None:
        shown, beside = own_samples(scene, rows), False
    require_neighbours(shown)
    other = None if against is None else open_other(against, model)
    some = np.unique(np.linspace(0, len(shown.x) - 1, min(rows, len(shown.x))).astype(int))
    x = shown.x[some]
    pair = plane(dims, model.latent_dim, scene.encode(x)[0])
    path = picture_path(out, opened.run / "explorer.html", (".html", ".htm"))
    name = "Variational autoencoder"
    models = [vae_panel(scene.K, scene.p, model, scene.standard, x, pair, name)]
    if other is not None:
        models.append(vae_panel(scene.K, *other, x, pair, f"{against.name}, beside"))
    elif beside:
        models.append(train_autoencoder(view, x, pair))
    text = explorer.page(
        f"The latent space of {scene.name}",
        models,
        x,
        scene.shape,
        rows=some,
        labels=None if shown.labels is None else shown.labels[some],
        names=shown.label_names,
        look=scene.look,
        note=note_of(model.latent_dim, shown, len(some)),
    )
    size = save_text(path, text)
    result = {"path": str(path), "bytes": size, "dims": list(pair), "data": len(some)}
    view.console.result(result, f"{path}  ({size / 1e6:.1f} MB): open it in a browser")


def require_neighbours(shown: Any) -> None:
    """UsageError where a single datum is shown, which has none to be near to."""
    from minivae.cli.options import UsageError

    if len(shown.x) < 2:
        fix = "give more with --data" if shown.split == "train" else "--split train"
        raise UsageError(
            f"the {shown.split} split has {len(shown.x)} datum, and nearness needs 2: {fix}"
        )


def plane(dims: str | None, latent_dim: int, mu: Any) -> tuple[int, int]:
    """The two dimensions shown. Raises UsageError where they must be chosen and were not."""
    from minivae.cli.options import UsageError, parse_pair
    from minivae.metrics.latent import most_active

    if latent_dim < 2:
        raise UsageError("the model has 1 latent dimension, and a plane needs 2: --latent 2")
    if dims is None and latent_dim > 2:
        a, b = most_active(mu, 2)
        raise UsageError(
            f"the model has {latent_dim} latent dimensions: show the two most active with "
            f"--dims auto (here {a},{b}), or train with --latent 2"
        )
    if dims is not None and dims != "auto":
        return parse_pair(dims, latent_dim)
    a, b = (0, 1) if latent_dim == 2 else most_active(mu, 2)
    return a, b


def open_other(run: Path, model: Any) -> tuple[Any, Any, Any]:
    """Another run's tensors by name, its model and what standardised its data, or None.

    Raises UsageError where its sizes differ.
    """
    from minivae.cli.options import UsageError
    from minivae.cli.trained_run import open_run
    from minivae.models.vae import layout_of

    other = open_run(run)
    sizes = [(m.data_dim, m.latent_dim) for m in (model, other.model)]
    if sizes[0] != sizes[1]:
        raise UsageError(
            f"--against {run}: its data and latent dimensions are {sizes[1]}, this run's "
            f"{sizes[0]}; give a run of the same data with the same --latent"
        )
    return layout_of(other.model).views(other.theta), other.model, other.standard


def train_autoencoder(view: Any, x: Any, pair: tuple[int, int]) -> Any:
    """The panel beside, its training shown as it goes."""
    from minivae.cli.console import counting
    from minivae.explore.panels import autoencoder_panel, updates_for

    model = view.run.model
    updates = updates_for(model)
    view.console.say(f"training a plain autoencoder of the same sizes, {updates} updates …")
    with counting("updates", updates, view.console) as count:
        watch = None if count is None else (lambda t: count(t, updates))
        return autoencoder_panel(model, view.dataset.user_values("train"), x, pair, watch)


def own_samples(scene: Any, count: int) -> Any:
    """Decoded codes from the prior, to stand where the data would."""
    from minivae.cli.pictures import DataSplit
    from minivae.sampling import prior_codes

    x = scene.decode(prior_codes(count, scene.model.latent_dim, seed=0))
    return DataSplit(scene.name, OWN_SAMPLES, x, None, None)


def note_of(latent_dim: int, shown: Any, count: int) -> str:
    """What is shown, what the shading means, and what the other dimensions do."""
    from minivae.explore import NEIGHBOURS

    what = f"data of the {shown.split} split"
    if shown.split == OWN_SAMPLES:
        what = "samples of the model itself, as its data were not found"
    rest = (
        " All other latent dimensions rest at 0, or at the chosen datum's mean: the shading is for "
        "0, and while a datum is chosen nothing is said to lie near the data or off them."
    )
    these = "these" if count <= NEIGHBOURS else f"the first {NEIGHBOURS} of these"
    return (
        f"{count} {what}. Shaded: the decoded picture lies farther from every one of {these} than "
        "that one's third nearest neighbour does (k-nearest-neighbour precision, Kynkäänniemi et "
        f"al. 2019).{rest if latent_dim > 2 else ''}"
    )

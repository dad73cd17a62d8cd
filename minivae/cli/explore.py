"""`minivae explore`: a run's latent plane as one HTML file that needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options

AE_STEPS = 3000  # updates of the autoencoder beside; about 15 s at 784-400-2 on two cores

OWN_SAMPLES = "own samples"  # in place of a split's name


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("explore")(explore)


def explore(
    run: Path = options.RUN,
    out: Path = typer.Option(None, "--out", "-o", help="The page; by default RUN/explorer.html."),
    dims: str = typer.Option(
        None, help="Two latent dimensions, such as 0,3, or auto for the two most active."
    ),
    rows: int = typer.Option(2000, help="At most this many data are shown."),
    beside: bool = typer.Option(
        True, help="Train a plain autoencoder of the same sizes and show it beside."
    ),
    split: str = options.SPLIT,
    data: str = options.DATA,
    data_dir: Path = options.DATA_DIR,
    checkpoint: str = options.CHECKPOINT,
    as_json: bool = options.JSON,
) -> None:
    """Write the latent explorer: move over the plane and see what each code decodes to."""
    import numpy as np

    from minivae import explore as explorer
    from minivae.cli.options import UsageError, check_least, picture_path
    from minivae.cli.run_view import RunView
    from minivae.plots.style import LABEL_COLOURS

    check_least("--rows", rows, 10)
    view = RunView(run, checkpoint, "numpy", as_json, data=data, data_dir=data_dir, split=split)
    scene, model = view.scene, view.run.model
    if scene.shape is None:
        raise UsageError(f"{scene.name} has no height and width: there is no picture to decode")
    shown = view.shown_if_found()
    if shown is None:
        shown, beside = own_samples(scene, rows), False
    some = np.unique(np.linspace(0, len(shown.x) - 1, min(rows, len(shown.x))).astype(int))
    x = shown.x[some]
    pair = plane(dims, model.latent_dim, scene.encode(x)[0])
    path = picture_path(out, run / "explorer.html", (".html", ".htm"))
    models = [vae_panel(scene, x, pair)]
    if beside:
        view.console.say(f"training a plain autoencoder of the same sizes, {AE_STEPS} updates …")
        models.append(autoencoder_panel(model, view.dataset.user_values("train"), x, pair))
    text = explorer.page(
        f"The latent space of {scene.name}",
        models,
        x,
        scene.shape,
        rows=some,
        labels=None if shown.labels is None else shown.labels[some],
        colours=LABEL_COLOURS,
        names=shown.label_names,
        limits=(scene.look.low, scene.look.high),
        note=note_of(model.latent_dim, shown, len(some)),
    )
    path.write_text(text, encoding="utf-8")
    size = len(text.encode())
    result = {"path": str(path), "bytes": size, "dims": list(pair), "data": len(some)}
    view.console.result(result, f"{path}  ({size / 1e6:.1f} MB): open it in a browser")


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


def vae_panel(scene: Any, x: Any, dims: tuple[int, int]) -> Any:
    """The run's own model."""
    import numpy as np

    from minivae.explore import Explored
    from minivae.parts import LIKELIHOODS

    model = scene.model
    mu, logvar = scene.encode(x)
    return Explored(
        title="Variational autoencoder",
        about=f"{sizes(model)}, {model.activation}, {model.likelihood} likelihood",
        decode=scene.decode,
        parameters=in_user_units(scene),
        depth=len(model.hidden),
        activation=model.activation,
        output=LIKELIHOODS[model.likelihood].link,
        mu=mu,
        sd=np.exp(0.5 * logvar),
        dims=dims,
    )


def in_user_units(scene: Any) -> dict[str, Any]:
    """The parameters, with what standardising took out of the data put into the last layer."""
    p = dict(scene.p)
    if scene.standard is not None:
        mean, deviation = scene.standard
        p["decoder.out.W"] = p["decoder.out.W"] * deviation
        p["decoder.out.b"] = p["decoder.out.b"] * deviation + mean
    return p


def autoencoder_panel(model: Any, train: Any, x: Any, dims: tuple[int, int]) -> Any:
    """A plain autoencoder of the same sizes, trained here; its mean goes into the last bias."""
    from minivae.estimators.autoencoder import Autoencoder
    from minivae.explore import Explored

    ae = Autoencoder(model.latent_dim, model.hidden, model.activation, steps=AE_STEPS).fit(train)
    p = dict(ae.params_)
    p["decoder.out.b"] = p["decoder.out.b"] + ae.mean_
    return Explored(
        title="Autoencoder",
        about=f"{sizes(model)}, squared error, no KL: nothing orders its codes",
        decode=lambda z: ae.decoder(z.astype("float64")),
        parameters=p,
        depth=len(model.hidden),
        activation=model.activation,
        output="linear",
        mu=ae.transform(x),
        sd=None,
        dims=dims,
    )


def sizes(model: Any) -> str:
    """ "64-256-2"."""
    return "-".join(str(n) for n in (model.data_dim, *model.hidden, model.latent_dim))


def own_samples(scene: Any, count: int) -> Any:
    """Decoded codes from the prior, to stand where the data would."""
    from minivae.cli.pictures import Shown
    from minivae.sampling import prior_codes

    x = scene.decode(prior_codes(count, scene.model.latent_dim, seed=0))
    return Shown(scene.name, OWN_SAMPLES, x, None, None)


def note_of(latent_dim: int, shown: Any, count: int) -> str:
    """What is shown, what the shading means, and what the other dimensions do."""
    what = f"data of the {shown.split} split"
    if shown.split == OWN_SAMPLES:
        what = "samples of the model itself, as its data were not found"
    rest = "" if latent_dim == 2 else " All other latent dimensions rest at 0."
    return (
        f"{count} {what}. Grey: the decoded picture lies farther from every one of these than that "
        "one's third nearest neighbour does (k-nearest-neighbour precision, Kynkäänniemi et al. "
        f"2019).{rest}"
    )

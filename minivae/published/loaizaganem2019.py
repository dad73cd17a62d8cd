"""Loaiza-Ganem & Cunningham 2019: grey pixels are no coin flips, but a density on [0, 1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minivae.metrics.likelihood import evaluate
from minivae.models.vae import layout_of
from minivae.plots.style import new_figure, save, styled
from minivae.published.bench import Bench, Trained
from minivae.published.findings import Claim, Figure, Findings
from minivae.published.record import Experiment, Paper, Protocol
from minivae.published.run import Run
from minivae.sampling import prior_codes
from minivae.types import Array

PAPER = Paper(
    name="loaizaganem2019",
    cited="Loaiza-Ganem & Cunningham 2019, The continuous Bernoulli",
    what="continuous Bernoulli against Bernoulli on grey MNIST",
    says="the continuous Bernoulli has the higher density and the sharper samples",
)
SOURCE = (
    "Loaiza-Ganem & Cunningham 2019, section 5.1: on MNIST the continuous Bernoulli has the higher "
    "ELBO as a density of grey values, and sharper samples"
)
RIGHT, WRONG = "continuous-bernoulli", "bernoulli"
SETTINGS = {
    "latent_dim": 20,
    "hidden": (400,),
    "activation": "relu",
    "batch_size": 100,
    "lr": 1e-3,
    "epochs": 10,
}
SMALL = {**SETTINGS, "latent_dim": 6, "hidden": (128,), "batch_size": 50, "epochs": 30}
SHOWN = 20  # samples of each in the picture
COUNTED = 2000  # samples that sharpness is measured on


def runs_of(dataset: str, settings: dict[str, object]) -> tuple[Run, ...]:
    """One model with the right likelihood and with the wrong one."""
    return tuple(Run(name, dataset, {**settings, "likelihood": name}) for name in (RIGHT, WRONG))


def density(run: Trained) -> float:
    """The run's test ELBO with its logits read as the continuous Bernoulli's, nats per picture.

    For the Bernoulli's run that is the density which its parameters would give.
    """
    model = type(run.model).from_dict({**run.model.to_dict(), "likelihood": RIGHT})
    p = layout_of(run.model).views(run.K.to_device(run.theta))
    found = evaluate(run.K, p, run.dataset.test, model, seed=run.config.seed,
                     scale=run.dataset.scale)  # fmt: skip
    return float(found.elbo.mean())


def greyness(pictures: Array) -> float:
    """The mean of 4 x (1 - x) over all pixels: 0 for black and white alone, 1 for mid-grey."""
    return float(np.mean(4.0 * pictures * (1.0 - pictures)))


def as_hexadecimal(pictures: Array) -> str:
    """Pictures of values from 0 to 1 as bytes, one after another, for a kept result."""
    return (255 * pictures).round().astype(np.uint8).tobytes().hex()


def measure(bench: Bench) -> Findings:
    """Densities, and how grey what is decoded from prior samples is, beside the data."""
    if not {RIGHT, WRONG} <= set(bench.runs):
        return Findings(())
    right, wrong = bench.runs[RIGHT], bench.runs[WRONG]
    ours, theirs = density(right), density(wrong)
    codes = prior_codes(COUNTED, right.model.latent_dim, bench.seed)
    shades = {name: bench.runs[name].decode(codes, WRONG) for name in (RIGHT, WRONG)}
    grey = {name: greyness(pictures) for name, pictures in shades.items()}
    mean = greyness(right.decode(codes, RIGHT))
    data = greyness(right.dataset.values("test", COUNTED))
    figures = (
        Figure("test ELBO as a density, trained with it", ours),
        Figure("test ELBO as a density, trained as coin flips", theirs),
        Figure("greyness of λ, continuous Bernoulli", grey[RIGHT], unit="of 1"),
        Figure("greyness of λ, Bernoulli", grey[WRONG], unit="of 1"),
        Figure("greyness of the test data", data, unit="of 1"),
    )
    claims = (
        Claim("the continuous Bernoulli has the higher ELBO as a density", bool(ours > theirs),
              f"{ours:.1f} against {theirs:.1f} nats", SOURCE),
        Claim("its samples are sharper: their parameter λ is less grey",
              bool(grey[RIGHT] < grey[WRONG]),
              f"of λ {grey[RIGHT]:.3f} and {grey[WRONG]:.3f}, of the data {data:.3f}; the mean of "
              f"the continuous Bernoulli itself is never near 0 or 1: {mean:.3f}", SOURCE),
    )  # fmt: skip
    shape = right.dataset.shape
    shown = {name: as_hexadecimal(pictures[:SHOWN]) for name, pictures in shades.items()}
    series = {"samples": shown, "shape": list(shape or ())}
    return Findings(figures, claims, series).judged_if(bench.complete)


def draw(path: Path, findings: Findings) -> None:
    """Samples of either model, side by side."""
    with styled():
        figure = new_figure(6.4, 3.6)
        for axes, name in zip(figure.subplots(1, 2), (RIGHT, WRONG), strict=True):
            axes.set_axis_off()
            axes.set_title(name)
            if findings.series:
                height, width = findings.series["shape"][:2]
                shown = bytes.fromhex(findings.series["samples"][name])
                tiles = np.frombuffer(shown, dtype=np.uint8).reshape(4, -1, height, width)
                sheet = tiles.transpose(0, 2, 1, 3).reshape(4 * height, -1)
                axes.imshow(255 - sheet, cmap="gray", vmin=0, vmax=255)
        caption = "The parameter λ of p(x|z) at the same draws of z from the prior"
        save(figure, path, caption, "Grey pixels as a density, and as coin flips")


SHARED = (
    "pixels that are exactly 0 let the density grow without bound as the logits do: its height "
    "says how long was trained, and is not the paper's, whose authors keep λ within [0.0001, "
    "0.9999] (their code, cunningham-lab/cb_and_cc)",
    "sharpness is measured by how grey the decoder's parameter λ = sigmoid(output) is, where the "
    "paper shows pictures and reports inception scores",
    "that samples are sharper stands in the paper's abstract; its section on MNIST is told from "
    "memory",
)
DIFFERS = (
    *SHARED,
    "the codes grow as the density does, to some 200 nats a picture where the Bernoulli's carry "
    "25: draws from the prior are sharper, but less often digits",
    "784-400-20, batches of 100, ten passes, no dropout; their code has 784-500-500-20, batches of "
    "50 and dropout, and the same ReLU and Adam at 0.001",
)

LOAIZAGANEM2019 = Experiment(
    PAPER,
    full=Protocol(runs_of("mnist", SETTINGS), measure, "1 minute", DIFFERS),
    small=Protocol(
        runs_of("digits", SMALL),
        lambda bench: measure(bench).beside((122.4, 49.7), 10.0).judged_if(bench.complete),
        "4 seconds",
        SHARED,
    ),
    draw=draw,
)

"""Kingma & Welling 2014, figure 3: the marginal likelihood against training samples seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.plots.style import BLUE, ORANGE, new_figure, save, styled
from minivae.published.bench import Bench, Trained
from minivae.published.findings import Claim, Figure, Findings
from minivae.published.record import Experiment, Paper, Protocol
from minivae.published.run import Run

PAPER = Paper(
    name="kingma2014-figure3",
    cited="Kingma & Welling 2014, Auto-Encoding Variational Bayes, figure 3",
    what="estimated marginal likelihood, N = 1,000 and 50,000, J = 3, 100 hidden units",
    says="the VAE converges for small and large data sets alike (curves, no table)",
)
SOURCE = "Kingma & Welling 2014, section 5 and figure 3"
SETTINGS: dict[str, Any] = {
    "latent_dim": 3,
    "hidden": (100,),
    "activation": "tanh",
    "likelihood": "bernoulli",
    "batch_size": 100,
    "optimiser": "adagrad",
    "lr": 0.01,
    "initialisation": "normal",
}
SIZES = {1_000: (30, 100, 300, 1000, 3000, 10000), 50_000: (1, 2, 6, 20, 60, 200)}
SMALL_SIZES = {100: (10, 40, 160), 1_500: (1, 4, 12)}
DRAWS, ROWS = 500, 1_000  # importance samples, and the test rows they are drawn for


def runs_of(dataset: str, sizes: Mapping[int, tuple[int, ...]]) -> tuple[Run, ...]:
    """For each N a run to each number of epochs: the same run, each a stretch of the next."""
    longest = max(len(epochs) for epochs in sizes.values())
    return tuple(
        Run(f"N={N},epochs={epochs[k]}", dataset, {**SETTINGS, "epochs": epochs[k]}, rows=N)
        for k in range(longest)
        for N, epochs in sizes.items()
    )


def measure(bench: Bench, sizes: Mapping[int, tuple[int, ...]]) -> Findings:
    """Importance-sampled log p of test rows at the end of every run that is complete."""
    curves: dict[str, list[list[float]]] = {}
    for N, lengths in sizes.items():
        runs = [bench.runs.get(f"N={N},epochs={epochs}") for epochs in lengths]
        curves[str(N)] = [point_of(run) for run in runs if run is not None and run.complete]
    figures = tuple(
        Figure(f"N = {N}: log p, test, after {points[-1][0]:.2g} samples", points[-1][1])
        for N, points in curves.items()
        if points
    )
    claims = claims_of(curves) if all(curves.values()) else ()
    return Findings(figures, claims, {"curves": curves})


def point_of(run: Trained) -> list[float]:
    """[samples seen, log p(x), the test bound], nats per picture on the first test rows."""
    found = run.evaluate(DRAWS, ROWS)
    return [float(run.samples[-1]), float(found.log_p.mean()), float(found.elbo.mean())]


def claims_of(curves: dict[str, list[list[float]]]) -> tuple[Claim, ...]:
    """More data end higher, by points after alike many samples; the likelihood is above the bound.

    The first is left out where a part was run in which no two points are alike.
    """
    claims = []
    seen = min(points[-1][0] for points in curves.values())
    near = {N: [p for p in points if p[0] <= 1.25 * seen] for N, points in curves.items()}
    if all(near.values()):
        (few, a), (many, b) = ((N, points[-1]) for N, points in near.items())
        found = f"log p {b[1]:.1f} after {b[0]:.2g} samples, {a[1]:.1f} after {a[0]:.2g}"
        what = f"trained on {many} pictures it explains new ones better than on {few}"
        claims.append(Claim(what, bool(b[1] > a[1]), found, SOURCE))
    gaps = [p[1] - p[2] for points in curves.values() for p in points]
    found = f"by {min(gaps):.2f} to {max(gaps):.2f} nats"
    what = "the marginal likelihood lies above the lower bound throughout"
    return (*claims, Claim(what, all(gap >= 0 for gap in gaps), found, SOURCE))


def draw(path: Path, findings: Findings) -> None:
    """log p of test pictures against samples seen, and the bound below it."""
    with styled():
        figure = new_figure(5.0, 3.4)
        axes = figure.subplots()
        for (N, points), colour in zip(
            findings.series["curves"].items(), (ORANGE, BLUE), strict=False
        ):
            samples = [p[0] for p in points]
            axes.plot(samples, [p[1] for p in points], "o-", color=colour, ms=4, lw=1.2,
                      label=f"N = {N}")  # fmt: skip
            axes.plot(samples, [p[2] for p in points], "--", color=colour, lw=0.8)
        axes.set_xscale("log")
        axes.set_xlabel("training samples seen")
        axes.set_ylabel("test log p(x), nats per picture")
        axes.legend(fontsize=7.5)
        caption = f"Importance-sampled ({DRAWS} draws); dashes: the lower bound"
        save(figure, path, caption, "Marginal likelihood")


SHARED = (
    f"log p by importance sampling with {DRAWS} draws from q(z|x); the paper's estimator draws "
    "from the posterior by Hybrid Monte Carlo",
    "test pictures alone, and no Monte-Carlo EM or wake-sleep beside the VAE",
    "each point is the end of a run of its own, which begins as the longer ones do",
    "no weight decay; the rate is 0.01 for both, where the paper chose it by the first few "
    "iterations; N(0, 0.01) is read as a variance, where the first author's own code has a "
    "standard deviation of 0.01, as figure 2 has it here",
    "the first N rows are files that the experiment makes when it begins, data/*.npz beside its "
    "result; the kept train commands name them from there",
)
DIFFERS = (
    *SHARED,
    f"{ROWS} test pictures, and to 10^7 samples, where the paper's curves go to 6 x 10^7",
)

KINGMA2014_FIGURE3 = Experiment(
    PAPER,
    full=Protocol(
        runs_of("mnist", SIZES), lambda bench: measure(bench, SIZES), "15 minutes", DIFFERS
    ),
    small=Protocol(
        runs_of("digits", SMALL_SIZES),
        lambda bench: (
            measure(bench, SMALL_SIZES).beside((-27.45, -26.99), 0.5).judged_if(bench.complete)
        ),
        "4 seconds",
        SHARED,
    ),
    draw=draw,
)

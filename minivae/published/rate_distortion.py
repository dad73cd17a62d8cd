"""Alemi et al. 2018: the plane of rate and distortion, crossed by models that differ in β alone."""

from __future__ import annotations

import itertools
from pathlib import Path

from minivae.plots.style import BLUE, GREY, ORANGE, new_figure, save, styled
from minivae.published.bench import Bench
from minivae.published.findings import Claim, Figure, Findings
from minivae.published.record import Experiment, Paper, Protocol
from minivae.published.run import Run

PAPER = Paper(
    name="rate-distortion",
    cited="Alemi et al. 2018, Fixing a Broken ELBO, figure 3",
    what="β from 0.1 to 4 on binarised MNIST: the plane of rate and distortion",
    says="a convex frontier, whose slope is -β; models of equal ELBO differ along it",
)
SOURCE = "Alemi et al. 2018, section 3 and figure 3: rate + distortion bounds -log p(x) from above"
BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
SETTINGS = {
    "latent_dim": 20,
    "hidden": (200, 200),
    "activation": "relu",
    "likelihood": "bernoulli",
    "batch_size": 100,
    "lr": 1e-3,
    "epochs": 10,
}
SMALL = {**SETTINGS, "epochs": 20, "latent_dim": 4, "hidden": (64,), "batch_size": 50, "lr": 3e-3}
SLACK = 0.1  # nats by which seeds and one draw per datum move D + β R


def runs_of(dataset: str, settings: dict[str, object]) -> tuple[Run, ...]:
    """A run for each β."""
    return tuple(Run(f"beta={beta}", dataset, {**settings, "beta": beta}) for beta in BETAS)


def measure(bench: Bench) -> Findings:
    """Rate and distortion on held-out data after the last epoch of each run."""
    points = []
    for run in bench.runs.values():
        last = run.history[-1]["held_out"]
        points.append((float(run.model.beta), float(last["kl"]), float(last["reconstruction"])))
    figures = tuple(
        Figure(
            f"β = {beta:g}: rate {rate:.2f}, distortion {distortion:.2f}, sum", rate + distortion
        )
        for beta, rate, distortion in points
    )
    claims = claims_of(points) if len(points) > 2 else ()
    return Findings(figures, claims, {"points": points}).judged_if(bench.complete)


def claims_of(points: list[tuple[float, float, float]]) -> tuple[Claim, ...]:
    """Rate falls and distortion rises with β; every point is the best of all for its own β.

    The second is convexity itself: each lies where a line of slope -β supports the set of them.
    """
    points = sorted(points)
    rates, distortions = [p[1] for p in points], [p[2] for p in points]
    falls = all(a > b for a, b in itertools.pairwise(rates))
    rises = all(a < b for a, b in itertools.pairwise(distortions))
    worst = max(
        (d + beta * r) - min(d2 + beta * r2 for _, r2, d2 in points) for beta, r, d in points
    )
    slopes = [
        (d2 - d) / (r - r2) for (_, r, d), (_, r2, d2) in itertools.pairwise(points) if r != r2
    ]
    turns = all(a <= b for a, b in itertools.pairwise(slopes))
    best = min(points, key=lambda p: p[1] + p[2])
    return (
        Claim("rate falls and distortion rises as β grows", falls and rises, f"{len(points)} βs",
              SOURCE),
        Claim("the frontier is convex: between neighbours it steepens as rate falls", turns,
              "slopes " + ", ".join(f"-{s:.2f}" for s in slopes), SOURCE),
        Claim("each model is the best of all by its own D + β R", bool(worst <= SLACK),
              f"at most {worst:.3f} nats above the best", SOURCE),
        Claim("rate + distortion, -ELBO, is least at β = 1", best[0] == 1.0,
              f"least at β = {best[0]:g}, {best[1] + best[2]:.2f} nats", SOURCE),
    )  # fmt: skip


def draw(path: Path, findings: Findings) -> None:
    """The plane, with the line of the least -ELBO found."""
    points = sorted(findings.series["points"])
    with styled():
        figure = new_figure(5.0, 3.8)
        axes = figure.subplots()
        rates, distortions = [p[1] for p in points], [p[2] for p in points]
        axes.plot(rates, distortions, "o-", color=BLUE, lw=1.1, ms=4)
        for beta, rate, distortion in points:
            axes.annotate(f"β = {beta:g}", (rate, distortion), fontsize=7,
                          xytext=(5, 4), textcoords="offset points")  # fmt: skip
        least = min(r + d for r, d in zip(rates, distortions, strict=True))
        ends = [min(rates), max(rates)]
        axes.plot(ends, [least - r for r in ends], "--", color=ORANGE, lw=1,
                  label=f"R + D = {least:.1f}")  # fmt: skip
        axes.plot(ends, [least - r + 10 for r in ends], ":", color=GREY, lw=0.8, label="10 nats up")
        axes.set_xlabel("rate R: KL, nats per picture")
        axes.set_ylabel("distortion D: reconstruction, nats per picture")
        axes.legend(fontsize=7.5)
        save(figure, path, "Held-out data; a point is a model", "Rate and distortion")


def measure_small(bench: Bench) -> Findings:
    """The small version, beside what this program gave before."""
    before = (28.46, 26.22, 25.11, 24.76, 25.78, 27.18)
    return measure(bench).beside(before, 0.5).judged_if(bench.complete)


DIFFERS = (
    "the paper's models are convolutional, with autoregressive and VampPrior variants; here the "
    "plain fully connected VAE, so only the shape of the frontier is compared, not its height",
    "one seed",
    "of the paper its abstract was read again (the curve of rate and distortion; models of equal "
    "ELBO that differ along it), the rest is told from memory",
)

RATE_DISTORTION = Experiment(
    PAPER,
    full=Protocol(runs_of("binarized-mnist", SETTINGS), measure, "2 minutes", DIFFERS),
    small=Protocol(runs_of("digits", SMALL), measure_small, "4 seconds", DIFFERS),
    draw=draw,
)

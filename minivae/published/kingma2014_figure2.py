"""Kingma & Welling 2014, figure 2: the lower bound against the number of training samples seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minivae.plots.style import LABEL_COLOURS, new_figure, save, styled
from minivae.published.bench import Bench, Trained
from minivae.published.findings import Claim, Figure, Findings
from minivae.published.record import Experiment, Paper, Protocol
from minivae.published.run import Run

PAPER = Paper(
    name="kingma2014-figure2",
    cited="Kingma & Welling 2014, Auto-Encoding Variational Bayes, figure 2",
    what="the lower bound against training samples, MNIST J = 3 to 200 and Frey J = 2 to 20",
    says="higher curves with more latent dimensions, and no overfitting with superfluous ones",
)
SOURCE = (
    "Kingma & Welling 2014, section 5 and figure 2 (no table): MNIST's values at 10^7 samples are "
    "from memory of the printed curves, to ± 5 nats; for Frey's none are given"
)
# J -> test lower bound at 10^7 samples, read to ± READ_TO nats.
READ = {3: -136.0, 5: -124.0, 10: -109.0, 20: -104.0, 200: -104.0}
READ_TO, BAND = 5.0, 3.0
SMALL_MEANS, SMALL_BAND = (-26.4, -25.4, -25.4), 1.2  # over eight seeds, and three deviations
SAMPLES = 10_000_000
SETTINGS: dict[str, Any] = {
    "activation": "tanh",
    "batch_size": 100,
    "optimiser": "adagrad",
    "initialisation": "normal-0.01",
}
# The paper chose each rate from these "based on performance on the training set in the first few
# iterations". So here: the best mean training bound over the epoch that ends by Series.trial
# samples, seed 0.
RATES = (0.01, 0.02, 0.1)
JUDGED = 0.1  # share of the samples from which on a claim about the curves is judged
FALLEN = 1.0  # nats below its own best from which on a test curve has overfitted
# Curves are averaged over so large a part before their best is sought: one draw on the 196 test
# pictures of Frey moves the bound by up to 1.8 nats (standard deviation) from pass to pass, and
# the highest of 5,653 such values tells of their noise.
AVERAGED = 1 / 50


class Series(NamedTuple):
    """One data set of the figure, and its curves.

    trials: by latent dimensions, the training bounds of the curve's own command at each of RATES.
    """

    dataset: str
    rows: int
    hidden: int
    likelihood: dict[str, Any]
    trials: dict[int, tuple[float, float, float]]
    samples: int = SAMPLES
    trial: int = 120_000  # samples that a rate is chosen by: two epochs of MNIST

    def name(self, J: int) -> str:
        """The run with J latent dimensions."""
        return f"{self.dataset},J={J}"

    def rate(self, J: int) -> float:
        """The rate with the highest training bound in the curve's trials."""
        return max(zip(self.trials[J], RATES, strict=True))[1]

    def runs(self, **more: Any) -> tuple[Run, ...]:
        """A run for each number of latent dimensions, at the rate its trials chose."""
        epochs = math.ceil(self.samples / self.rows)
        shared = {**SETTINGS, "hidden": (self.hidden,), "epochs": epochs, **self.likelihood, **more}
        return tuple(
            Run(self.name(J), self.dataset, {**shared, "latent_dim": J, "lr": self.rate(J)})
            for J in self.trials
        )


BERNOULLI = {"likelihood": "bernoulli"}
GAUSSIAN = {"likelihood": "gaussian", "c": "learned", "warmup": 0.0}
MNIST_TRIALS = {
    3: (-171.90, -171.15, -198.51),
    5: (-163.53, -160.48, -210.20),
    10: (-158.71, -161.43, -180.47),
    20: (-166.15, -166.13, -256.06),
    200: (-182.57, -177.53, -187148669.66),
}
FREY_TRIALS = {
    2: (-326.29, -148.79, -460.50),
    5: (-325.61, -145.37, -1945.29),
    10: (-326.65, -173.67, -456.14),
    20: (-326.14, -200.81, -560.91),
}
DIGITS_TRIALS = {
    1: (-29.59, -28.21, -27.26),
    5: (-29.85, -28.89, -27.45),
    32: (-30.14, -29.48, -28.46),
}
MNIST = Series("mnist", 60_000, 500, BERNOULLI, MNIST_TRIALS)
FREY = Series("frey", 1769, 200, GAUSSIAN, FREY_TRIALS)
DIGITS = Series("digits", 1500, 64, BERNOULLI, DIGITS_TRIALS, 150_000, 6_000)


def measure(bench: Bench, series: tuple[Series, ...], read: dict[int, float]) -> Findings:
    """The bound at the end of every curve, and what the figure says about them."""
    figures: list[Figure] = []
    claims: list[Claim] = []
    for each in series:
        found = {J: bench.runs[each.name(J)] for J in each.trials if each.name(J) in bench.runs}
        figures += [figure_of(each, J, run, read.get(J)) for J, run in found.items()]
        if len(found) > 1:
            claims += claims_of(each, found)
    curves = {}
    for name, run in bench.runs.items():
        columns: dict[str, list[Any]] = {
            "samples": run.samples,
            **{part: run.curve(part, "elbo") for part in PARTS},
        }
        kept = epochs_drawn(len(run.samples))
        curves[name] = {key: [values[k] for k in kept] for key, values in columns.items()}
    return Findings(tuple(figures), tuple(claims), {"curves": curves, "read": list(read.items())})


PARTS = ("train", "held_out")
DRAWN = 400  # epochs of a curve, evenly spread on the picture's logarithmic axis


def epochs_drawn(epochs: int) -> list[int]:
    """The epochs, from 0, that a picture needs of a curve of so many: the first and last always."""
    if epochs <= DRAWN:
        return list(range(epochs))
    return [int(k) - 1 for k in np.unique(np.geomspace(1, epochs, DRAWN).round())]


def figure_of(series: Series, J: int, run: Trained, read: float | None) -> Figure:
    """The test bound at the last epoch, beside what was read off where the curve goes so far."""
    seen = run.samples[-1]
    paper = read if series is MNIST else None
    return Figure(
        f"{series.dataset} J = {J}, test bound at {seen:.2g} samples",
        run.curve("held_out", "elbo")[-1],
        paper,
        BAND if seen >= SAMPLES else None,
        None if paper is None else READ_TO,
        None,
        "" if paper is None else SOURCE,
    )


def claims_of(series: Series, found: dict[int, Trained]) -> list[Claim]:
    """The order of the curves, and that surplus dimensions cost nothing on test data.

    Neither is judged by the first tenth of the curves, which the figure hardly shows.
    """
    seen = min(run.samples[-1] for run in found.values())
    at = {J: run.curve("held_out", "elbo")[run.samples.index(seen)] for J, run in found.items()}
    useful = [J for J in at if J <= 20]
    rising = all(at[a] < at[b] for a, b in itertools.pairwise(useful))
    fallen = {J: below_its_best(run.curve("held_out", "elbo")) for J, run in found.items()}
    order = ", ".join(f"J = {J}: {value:.1f}" for J, value in at.items())
    below = ", ".join(f"J = {J}: {value:.2f}" for J, value in fallen.items())
    name, early = series.dataset, seen < JUDGED * series.samples
    return [
        Claim(f"{name}: the more latent dimensions (up to 20), the higher the curve",
              None if early else rising, f"at {seen:.2g} samples {order}", SOURCE),
        Claim(f"{name}: superfluous latent dimensions do not overfit",
              None if early else all(value <= FALLEN for value in fallen.values()),
              f"nats by which the test bound, averaged over a fiftieth of its passes, ends below "
              f"its own best {below}", SOURCE),
    ]  # fmt: skip


def below_its_best(bound: Sequence[float]) -> float:
    """Nats by which a curve's last average lies below its highest one."""
    wide = max(1, int(AVERAGED * len(bound)))
    means = np.convolve(bound, np.full(wide, 1 / wide), "valid")
    return float(means.max() - means[-1])


def draw(path: Path, findings: Findings) -> None:
    """Train and test bound against samples seen, a panel for each data set."""
    curves = findings.series["curves"]
    names = list(dict.fromkeys(key.split(",")[0] for key in curves)) or ["nothing run yet"]
    with styled():
        figure = new_figure(3.6 * len(names) + 0.6, 3.6)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            axes.set_title(name)
            if name == MNIST.dataset:
                for (_, value), colour in zip(findings.series["read"], LABEL_COLOURS, strict=False):
                    axes.errorbar([SAMPLES], [value], [READ_TO], fmt="x", color=colour, ms=5)
            panel(axes, {key.split(",")[1]: c for key, c in curves.items() if key.startswith(name)})
        figure.axes[0].set_ylabel("lower bound, nats per picture")
        crosses = ". Crosses: the paper's, from memory of its curves"
        caption = f"Lines: test; dashes: training{crosses if MNIST.dataset in names else ''}"
        save(figure, path, caption, "Lower bound against training samples")


def panel(axes: Any, curves: dict[str, Any]) -> None:
    """One data set's curves; the axes begin where the lowest is after a tenth of its samples."""
    for (label, c), colour in zip(curves.items(), LABEL_COLOURS, strict=False):
        axes.plot(c["samples"], c["held_out"], color=colour, lw=1.2, label=label)
        axes.plot(c["samples"], c["train"], "--", color=colour, lw=0.8)
    pairs = [list(zip(c["samples"], c["held_out"], strict=True)) for c in curves.values()]
    early = [next(v for n, v in pair if n >= pair[-1][0] / 10) for pair in pairs if pair]
    if early:
        axes.set_ylim(bottom=min(early))
        axes.set_xlim(left=min(n for pair in pairs for n, v in pair if v >= min(early)))
        axes.legend(fontsize=7)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(lambda value, place: "")
    axes.set_xlabel("training samples seen")


def rates_in_words(series: Series) -> str:
    """How the rates were chosen: the bounds of each curve's trials, and its rate."""
    curves = (
        f"J = {J} {', '.join(f'{bound:.2f}' for bound in bounds)}: {series.rate(J):g}"
        for J, bounds in series.trials.items()
    )
    tried = ", ".join(f"{rate:g}" for rate in RATES)
    return (
        f"{series.dataset}: rates by the training bound after {series.trial:,} samples at {tried} "
        f"({'; '.join(curves)}); the paper says only: in the first few iterations"
    )


DIFFERS = (
    "no weight decay (the paper's prior N(0, I) over weights counts 1/N of a datum's gradient)",
    "training bounds are means over the epoch, as each batch saw its own parameters; no wake-sleep",
    "the first weights and biases have standard deviation 0.01, as in the first author's code "
    "(github.com/dpkingma/anglepy, init_w(std=1e-2)), where the paper writes N(0, 0.01)",
    "that code also begins the weights of log-variances at 0, and sums Adagrad's squares over 100 "
    "minibatches before it takes the first step; the paper tells of neither, and neither is done",
)
FREY_DIFFERS = (
    "Frey: one learned variance for all pixels and no sigmoid on the means, where the paper's "
    "decoder gives each pixel a variance; so its heights do not compare, and none are given"
)

KINGMA2014_FIGURE2 = Experiment(
    PAPER,
    full=Protocol(
        (*MNIST.runs(), *FREY.runs(checkpoint_every=100)),
        lambda bench: measure(bench, (MNIST, FREY), READ),
        "40 minutes",
        (*DIFFERS, rates_in_words(MNIST), rates_in_words(FREY), FREY_DIFFERS),
    ),
    small=Protocol(
        DIGITS.runs(),
        lambda bench: (
            measure(bench, (DIGITS,), {}).beside(SMALL_MEANS, SMALL_BAND).judged_if(bench.complete)
        ),
        "3 seconds",
        (*DIFFERS, rates_in_words(DIGITS)),
    ),
    draw=draw,
)

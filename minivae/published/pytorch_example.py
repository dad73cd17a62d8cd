"""The VAE of PyTorch's examples: the most copied one, and what its initialisation does to it."""

from __future__ import annotations

from pathlib import Path

from minivae.plots.style import BLUE, GREEN, GREY, ORANGE, new_figure, save, styled
from minivae.published.bench import Bench, Trained
from minivae.published.findings import Claim, Figure, Findings, mean_and_spread
from minivae.published.record import Experiment, Paper, Protocol
from minivae.published.run import Run

PAPER = Paper(
    name="pytorch-example",
    cited="the VAE of pytorch/examples (after Kingma & Welling 2014)",
    what="784-400-20 on grey MNIST, ten epochs, five seeds, two initialisations",
    says="test loss 105.6 after ten epochs",
)
SOURCE = (
    "pytorch/examples, vae/main.py; two independent logs of its test loss: 127.30 after epoch 1, "
    "112.22 after 3, 108.54 after 5, 105.56 and 105.59 after 10"
)
PAPER_LOSS, BAND = 105.6, 0.4
LOGGED = {1: 127.30, 3: 112.22, 5: 108.54, 10: 105.575}
RULES = {"fan-in": "the example's own initialisation", "glorot": "minivae's, Glorot's"}
COMMON = {
    "latent_dim": 20,
    "hidden": (400,),
    "activation": "relu",
    "likelihood": "bernoulli",
    "batch_size": 128,
    "lr": 1e-3,
    "epochs": 10,
}
SMALL = {**COMMON, "latent_dim": 5, "hidden": (64,), "batch_size": 32, "epochs": 12}


def runs_of(dataset: str, settings: dict[str, object], seeds: int) -> tuple[Run, ...]:
    """Each rule with seeds 0, 1, …, seed by seed."""
    return tuple(
        Run(f"{rule},seed={seed}", dataset, {**settings, "initialisation": rule, "seed": seed})
        for seed in range(seeds)
        for rule in RULES
    )


def by_rule(bench: Bench, rule: str) -> list[Trained]:
    """The runs of a rule: those that are complete, or where none is, those that are begun."""
    runs = [run for name, run in bench.runs.items() if name.startswith(rule)]
    return [run for run in runs if run.complete] or runs


def measure(bench: Bench, paper: float, band: float, source: str, by: str = "paper") -> Findings:
    """The test loss after the last epoch, mean over seeds, for each rule.

    Of a rule with no complete run: at the last epoch that all that are begun have, not judged.
    """
    figures, means = [], {}
    for rule, words in RULES.items():
        runs = by_rule(bench, rule)
        curves = [run.curve("held_out", "loss") for run in runs]
        epochs = min(map(len, curves), default=0)
        mean, spread = mean_and_spread([curve[epochs - 1] for curve in curves])
        figure = Figure(f"test loss, {words}", mean, None, None, None, spread, source, by=by)
        if all(run.complete for run in runs):
            means[rule] = mean
            figures.append(figure._replace(paper=paper, band=band))
        else:
            figures.append(figure._replace(what=f"{figure.what}, at epoch {epochs}"))
    claims = []
    if len(means) == len(RULES) and None not in means.values():
        gap = means["glorot"] - means["fan-in"]  # type: ignore[operator]
        claims.append(
            Claim(
                "what initialisation does to it: less than the band",
                bool(abs(gap) <= band),
                f"Glorot's ends {gap:+.2f} nats beside the example's own",
            )
        )
    series = {name: run.curve("held_out", "loss") for name, run in bench.runs.items()}
    return Findings(tuple(figures), tuple(claims), series)


def draw(path: Path, findings: Findings) -> None:
    """The test loss of every seed over the epochs, with the logged values where there are any."""
    with styled():
        figure = new_figure(5.4, 3.4)
        axes = figure.subplots()
        for rule, colour in zip(RULES, (BLUE, ORANGE), strict=True):
            label: str | None = RULES[rule]
            for name, curve in findings.series.items():
                if name.startswith(rule):
                    axes.plot(range(1, len(curve) + 1), curve, color=colour, lw=1, label=label)
                    label = None
        caption = "Test loss of every seed"
        if any(figure.source == SOURCE for figure in findings.figures):
            axes.plot(*zip(*LOGGED.items(), strict=True), "x", color=GREY, ms=7, label="logged")
            axes.axhspan(PAPER_LOSS - BAND, PAPER_LOSS + BAND, color=GREEN, alpha=0.15, lw=0)
            caption += f"; shaded: the band, {PAPER_LOSS:g} ± {BAND:g}"
        axes.set_xlabel("epoch")
        axes.set_ylabel("test loss, nats per picture")
        axes.legend(fontsize=7.5)
        save(figure, path, caption, "PyTorch's VAE")


DIFFERS = (
    "the test loss is taken over all rows at once, with one draw a row that is the same after "
    "every epoch; the example draws anew",
    "epochs are shuffled by this project's own generator",
)

PYTORCH_EXAMPLE = Experiment(
    PAPER,
    full=Protocol(
        runs_of("mnist", COMMON, 5),
        lambda bench: measure(bench, PAPER_LOSS, BAND, SOURCE),
        cost="3 minutes",
        differs=DIFFERS,
    ),
    small=Protocol(
        runs_of("digits", SMALL, 2),
        lambda bench: measure(bench, 25.65, 0.5, "digits, earlier runs of this program", "before"),
        cost="3 seconds",
        differs=DIFFERS,
    ),
    draw=draw,
)

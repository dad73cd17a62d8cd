"""Lucas et al. 2019: the linear VAE's optimum is probabilistic PCA's, and where it collapses.

The ELBO of a linear VAE is exact (E19), so nothing is drawn and no run directory is needed: whole-
batch ascent, from random starts and from the stationary points that are no maxima. Each ascent that
is done is kept, so that a resumed call makes only the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minivae.backend import load_backend
from minivae.models.descend import descend
from minivae.models.initialise import glorot
from minivae.models.linear_gaussian import log_marginal, ppca_solution
from minivae.models.linear_vae import linear_vae_backward, linear_vae_forward, linear_vae_layout
from minivae.models.moments import moment_rows
from minivae.models.pca import PrincipalAxes, principal_axes
from minivae.plots.style import BLUE, GREY, ORANGE, new_figure, save, styled
from minivae.published.bench import Bench
from minivae.published.findings import Claim, Figure, Findings, mean_and_spread
from minivae.published.record import Experiment, Paper, Protocol
from minivae.runs.checkpoint import tensor_digest
from minivae.types import Array

PAPER = Paper(
    name="lucas2019-linear",
    cited="Lucas, Tucker, Grosse & Norouzi 2019, Don't Blame the ELBO!",
    what="linear VAE at the exact pPCA optimum, from any start; collapse as c passes an eigenvalue",
    says="the optimum is pPCA's, there are no spurious local maxima, collapse where c > eigenvalue",
)
SOURCE = (
    "Lucas et al. 2019, theorems 1 and 2 and corollary 1; the optimum itself in closed form, "
    "Tipping & Bishop 1999"
)
LR = 0.03
SHRUNK = 0.1  # Glorot's weights, as the weights of a linear decoder fade slowly where none belong
USED = 0.01  # nats, above which a dimension carries something


class Setting(NamedTuple):
    """The data and how much is tried on them."""

    dataset: str
    rows: int
    latent_dim: int
    steps: int
    starts: int
    kept: tuple[int, ...]  # dimensions that fixed values of c leave in use

    @property
    def stated(self) -> dict[str, Any]:
        """All that decides what is found, by name, for a kept result."""
        return {"lr": LR, "shrunk": SHRUNK, "tried": self._asdict()}


class Fit(NamedTuple):
    """A linear VAE after its ascent: the exact ELBO, c, and the mean KL of each dimension (J,)."""

    elbo: float
    c: float
    kl: Array


def ascend(
    rows: Array,
    setting: Setting,
    theta: Array,
    c: float | None = None,
    look: Callable[[], None] = lambda: None,
) -> Fit:
    """The exact ELBO followed upwards from theta, with c learned or held at a value.

    look: called before every step; what it raises ends the ascent.
    """
    K = load_backend("numpy")
    layout = linear_vae_layout(rows.shape[1], setting.latent_dim)
    p, flat = layout.views(theta), np.empty_like(theta)
    p["decoder.logc"][...] = np.log(np.mean(rows * rows) if c is None else c)

    def loss_and_gradient(t: int) -> tuple[float, Array]:
        look()
        loss, cache = linear_vae_forward(K, p, rows)
        gradient = linear_vae_backward(K, np.ones(()), cache, p)
        if c is not None:
            gradient["decoder.logc"] = np.zeros(())
        return float(loss), layout.flatten(gradient, flat)

    descend(K, theta, loss_and_gradient, setting.steps, LR)
    loss, cache = linear_vae_forward(K, p, rows)
    logvar = p["encoder.logvar.b"] + 0 * cache.mu
    kl = K.kl_forward(cache.mu, logvar).mean(axis=0)
    return Fit(-float(loss), float(np.exp(p["decoder.logc"])), kl)


def random_start(rows: Array, setting: Setting, seed: int) -> Array:
    """Random weights, a tenth of Glorot's."""
    return SHRUNK * glorot(linear_vae_layout(rows.shape[1], setting.latent_dim), seed, "float64")


def saddle_start(
    rows: Array, setting: Setting, axes: PrincipalAxes, swapped: int, seed: int
) -> Array:
    """The stationary point of the axes 1 … J with one left out for the next, shaken a little."""
    J = setting.latent_dim
    theta = 0.01 * random_start(rows, setting, seed)
    p = linear_vae_layout(rows.shape[1], J).views(theta)
    chosen = [j for j in range(J + 1) if j != swapped]
    values, vectors = axes.eigenvalues[chosen], axes.axes[:, chosen]
    left = axes.eigenvalues.sum() - values.sum()
    c = left / (rows.shape[1] - J)
    scale = np.sqrt(np.maximum(values - c, 0.0))
    p["decoder.out.W"] += (vectors * scale).T
    p["encoder.mu.W"] += vectors * scale / values
    p["encoder.logvar.b"] += np.log(c / values)
    return theta


def measure(bench: Bench, setting: Setting) -> Findings:
    """The optimum from every start, and which dimensions each fixed c leaves in use."""
    x = bench.load(setting.dataset).values("train", setting.rows).astype(np.float64)
    exact = ppca_solution(x, setting.latent_dim)
    best = float(log_marginal(x, exact).mean())
    axes = principal_axes(x, setting.latent_dim + 1)
    rows = moment_rows(x, axes.mean)
    n, held = setting.starts, held_values(setting, axes.eigenvalues)
    bench.say(f"{n} random starts, {n} saddles, c held at {len(held)} values")
    of = {"x": tensor_digest(x), "seed": bench.seed, **setting.stated}
    take, look = bench.measured.take, bench.look  # one that is kept is not made again
    ascents = [
        partial(take, Fit, name, of, partial(ascend, rows, setting, theta, c, look))
        for name, (theta, c) in tries(rows, setting, axes, held, bench.seed).items()
    ]
    found = bench.within_budget("ascents", ascents)
    fits, swept = found[: 2 * n], list(zip(held, found[2 * n :], strict=False))
    series = {
        "optimum": best,
        "starts": [fit.elbo for fit in fits[:n]],
        "saddles": [fit.elbo for fit in fits[n:]],
        "sweep": [[c, sorted(fit.kl.tolist(), reverse=True)] for c, fit in swept],
        "eigenvalues": axes.eigenvalues[: setting.latent_dim].tolist(),
    }
    figures = figures_of(fits[:n], best, 1e3 * float(exact.c))
    return Findings(figures, claims_of(setting, best, fits, swept), series)


def tries(
    rows: Array, setting: Setting, axes: PrincipalAxes, held: list[float], seed: int
) -> dict[str, tuple[Array, float | None]]:
    """Where each ascent begins, by a name for it, and the value that c is held at, if at one."""
    seeds = range(seed, seed + setting.starts)
    random = [random_start(rows, setting, each) for each in seeds]
    J = setting.latent_dim
    saddles = [saddle_start(rows, setting, axes, k % J, each) for k, each in enumerate(seeds)]
    return {
        **{f"start-{k}": (theta, None) for k, theta in enumerate(random)},
        **{f"saddle-{k}": (theta, None) for k, theta in enumerate(saddles)},
        **{f"held-{k}": (random[0].copy(), c) for k, c in enumerate(held)},
    }


def held_values(setting: Setting, eigenvalues: Array) -> list[float]:
    """Values of c, each halfway (geometrically) between two neighbouring eigenvalues."""
    above = [eigenvalues[kept - 1] if kept else 4 * eigenvalues[0] for kept in setting.kept]
    return [float(np.sqrt(a * eigenvalues[k])) for a, k in zip(above, setting.kept, strict=True)]


def figures_of(fits: list[Fit], best: float, thousandths: float) -> tuple[Figure, ...]:
    """ELBO and c of the random starts, mean and spread, beside pPCA's."""
    elbo, spread = mean_and_spread([fit.elbo for fit in fits])
    c, c_spread = mean_and_spread([1e3 * fit.c for fit in fits])
    return (
        Figure("ELBO, random starts", elbo, best, 0.2, None, spread, SOURCE, by="pPCA"),
        Figure("c they end at, × 1000", c, thousandths, 0.01 * thousandths, None, c_spread,
               SOURCE, unit="", by="pPCA"),
    )  # fmt: skip


def claims_of(
    setting: Setting, best: float, fits: list[Fit], swept: list[tuple[float, Fit]]
) -> tuple[Claim, ...]:
    """No spurious local maxima; collapse exactly where an eigenvalue falls below c.

    What a budget left out leaves a claim open, unless what was run denies it already.
    """
    worst = max(abs(fit.elbo - best) for fit in fits)
    used = [int((fit.kl > USED).sum()) for _, fit in swept]
    words = ", ".join(f"c = {c:.3g}: {n}" for (c, _), n in zip(swept, used, strict=True))
    near, alike = bool(worst <= 0.2), used == list(setting.kept)[: len(used)]
    every_start, every_c = len(fits) == 2 * setting.starts, len(used) == len(setting.kept)
    return (
        Claim(
            "no start ends in a local maximum, neither random nor at a saddle",
            near if every_start or not near else None,
            f"{len(fits)} starts, the worst {worst:.4f} nats from the optimum",
            SOURCE,
        ),
        Claim(
            "a dimension collapses exactly where c grows past its eigenvalue",
            alike if every_c or not alike else None,
            f"in use {words or 'nothing tried'}; eigenvalues above c {list(setting.kept)}",
            SOURCE,
        ),
    )


def draw(path: Path, findings: Findings) -> None:
    """KL of each dimension against c, beside ½ log(λ/c)."""
    s = findings.series
    with styled():
        figure = new_figure(5.4, 3.4)
        axes = figure.subplots()
        values = [c for c, _ in s["sweep"]] or s["eigenvalues"]
        low, high = min(values) / 2, 2 * max(*values, *s["eigenvalues"])
        for j, value in enumerate(s["eigenvalues"]):  # straight on a logarithmic axis
            theory = [0.5 * np.log(value / low), 0.0, 0.0]
            label = None if j else "theory: ½ log(λ/c)"
            axes.plot([low, value, high], theory, color=GREY, lw=0.9, label=label)
        for k, (c, kl) in enumerate(s["sweep"]):
            label = None if k else "linear VAE, trained"
            axes.plot([c] * len(kl), kl, "o", color=ORANGE, ms=3.5, label=label)
        axes.axhline(0, color=BLUE, lw=0.5)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(lambda value, place: "")
        axes.set_xlabel("c, held fixed")
        axes.set_ylabel("KL of each dimension, nats")
        axes.legend(fontsize=7.5)
        save(figure, path, "Collapse: a dimension's KL is 0 from its eigenvalue on", "Linear VAE")


FULL = Setting("mnist", 500, 10, 2000, 3, (10, 6, 2, 0))
SMALL = Setting("digits", 1000, 5, 1300, 2, (5, 3, 0))
SHARED = (
    "the paper trains by Adam on draws or on the exact ELBO; here the exact ELBO alone, on all "
    "rows at once, with Adam's rate falling along a cosine",
    "of the paper its abstract and the words of theorem 1 were read again, the rest is told from "
    "memory",
)
DIFFERS = (
    *SHARED,
    "the first 500 training pictures, values from 0 to 1, ten latent dimensions",
    "three random starts and three saddles, each with a seed of its own, from the run's seed on",
)


def protocol(setting: Setting, cost: str, differs: tuple[str, ...]) -> Protocol:
    """What is tried in one of the versions: no run, but ascents."""
    return Protocol(
        (),
        lambda bench: measure(bench, setting),
        cost,
        differs,
        setting.stated,
        (setting.dataset,),
        setting.starts,
    )


LUCAS2019 = Experiment(
    PAPER,
    full=protocol(FULL, "4 minutes", DIFFERS),
    small=protocol(SMALL, "2 seconds", SHARED),
    draw=draw,
)

"""The pictures of a run, each with a caption of measured figures, drawn from one loaded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from minivae import plots, sampling
from minivae.data.dataset import Dataset
from minivae.data.standard import Standard
from minivae.metrics.latent import LatentReport, latent_report, most_active
from minivae.models.config import ModelConfig
from minivae.plots.images import Look, Shape, manifold_codes
from minivae.types import Array

SHOWN = 24  # reconstructions, in pairs of rows of 12
SHEET = 100  # samples
TABLE_SHEET = 500  # rows of a table, as points and in histograms
GRID = 20  # manifold, a side
PRIOR_SEED = 0


class Scene(NamedTuple):
    """A trained model, ready to decode, and how its pictures look."""

    K: Any
    p: dict[str, Any]
    model: ModelConfig
    name: str
    shape: Shape
    look: Look
    columns: tuple[str, ...] | None = None
    standard: Standard | None = None

    def decode(self, z: Array) -> Array:
        """E[x|z] (N, D), in the user's units."""
        return self.to_user(sampling.decode_all(self.K, self.p, z, self.model))

    def encode(self, x: Array) -> tuple[Array, Array]:
        """Posterior means and log-variances (N, J) of x (N, D) in the user's units."""
        return sampling.encode_all(self.K, self.p, self.to_model(x), self.model)

    def to_user(self, x: Array) -> Array:
        """Values as the model has them (N, D) in the user's units."""
        return x if self.standard is None else self.standard.invert(x)

    def to_model(self, x: Array) -> Array:
        """Values in the user's units (N, D) as the model has them."""
        return x if self.standard is None else self.standard.apply(x).astype(np.float32)

    def kl(self, mu: Array, logvar: Array) -> Array:
        """KL of each posterior and dimension (N, J), nats (E15)."""
        K = self.K
        return np.asarray(K.to_host(K.kl_forward(K.to_device(mu), K.to_device(logvar))))


class DataSplit(NamedTuple):
    """One split of the data, x (N, D), to show the model with."""

    name: str
    split: str
    x: Array
    labels: Array | None
    label_names: tuple[str, ...] | None

    @classmethod
    def of(cls, dataset: Dataset, split: str) -> Self:
        """A data set's split in the user's units; of rows on disk the first ones."""
        x, labels = dataset.user_values(split), getattr(dataset, f"{split}_labels")
        return cls(dataset.name, split, x, labels, dataset.label_names)


def draw_all(
    scene: Scene, shown: DataSplit, folder: Path, records: list[dict[str, Any]]
) -> tuple[dict[str, Path], LatentReport]:
    """Every picture of a finished run into `folder`: name -> path, and the latent report."""
    folder.mkdir(parents=True, exist_ok=True)
    mu, logvar = scene.encode(shown.x)
    kl = scene.kl(mu, logvar)
    report = latent_report(mu, kl)
    dims = shown_dims(mu)
    sheet = SHEET if scene.columns is None else TABLE_SHEET
    jobs: dict[str, Callable[[Path], Path]] = {
        "reconstructions": lambda path: draw_reconstructions(scene, shown, path, mu),
        "samples": lambda path: draw_samples(
            scene,
            path,
            sampling.prior_codes(sheet, scene.model.latent_dim, PRIOR_SEED),
            "prior",
            data=shown.x,
        ),
        "latent": lambda path: draw_latent(scene, shown, path, mu, report, dims),
        "curves": lambda path: draw_curves(path, records),
    }
    if scene.shape is not None:
        jobs["manifold"] = lambda path: draw_manifold(scene, path, dims)
    if scene.model.latent_dim > 2:
        jobs["kl"] = lambda path: draw_kl(path, report)
    drawn = {}
    for name, job in jobs.items():
        if name == "curves" and not records:
            continue
        drawn[name] = job(folder / f"{name}.png")
    return drawn, report


def shown_dims(mu: Array) -> tuple[int, int]:
    """The two dimensions that pictures show: the most active (the same twice where J = 1)."""
    dims = most_active(mu, 2)
    return dims[0], dims[-1]


def of_how_many(scene: Scene, more: str = "", chosen: tuple[int, int] | None = None) -> str:
    """A caption's sentence on the two dimensions shown, where the model has others."""
    J = scene.model.latent_dim
    which = f"Dimensions {chosen[0]} and {chosen[1]}" if chosen else "The two most active"
    return f" {which} of {J}{'' if chosen else ' dimensions'}{more}." if J > 2 else ""


def draw_reconstructions(
    scene: Scene, shown: DataSplit, path: Path, mu: Array, rows: Array | None = None
) -> Path:
    """Data and their reconstructions from the posterior mean."""
    everything = scene.decode(mu)
    error = float(((everything - shown.x) ** 2).sum(axis=1).mean())
    if rows is None:
        count = SHOWN if scene.columns is None else TABLE_SHEET
        rows = spread_rows(shown.labels, len(shown.x), count)
    caption = (
        f"{shown.name}, {shown.split} split: {len(rows)} of {len(shown.x)} data. Decoded from the "
        f"posterior mean, {scene.model.latent_dim} latent dimensions; mean squared error "
        f"{error:.3f} per datum (sum over {scene.model.data_dim} features)."
    )
    x, rebuilt = shown.x[rows], everything[rows]
    return plots.reconstructions(path, x, rebuilt, scene.shape, caption, scene.columns)


def spread_rows(labels: Array | None, n: int, count: int) -> Array:
    """Up to `count` rows: in turn from each label where there are any, else the first ones."""
    count = min(count, n)
    if labels is None or len(np.unique(labels)) > count:
        return np.arange(count)
    rank = np.zeros(n, dtype=np.int64)
    for kind in np.unique(labels):
        mine = np.flatnonzero(labels == kind)
        rank[mine] = np.arange(len(mine))
    return np.lexsort((labels, rank))[:count]


def draw_samples(
    scene: Scene,
    path: Path,
    codes: Array,
    source: str,
    x: Array | None = None,
    drawn: bool = False,
    data: Array | None = None,
) -> Path:
    """Decoded codes (N, J) as a sheet; x (N, D) where they are decoded already.

    A table's samples are drawn beside its `data` (M, D), where these are given.
    """
    words = {
        "prior": "z from the prior N(0, I)",
        "aggregate": "z from the aggregated posterior of the training data",
        "mixture": "z from a Gaussian mixture fitted to the training data's codes",
    }[source]
    shown = "draws from p(x|z)" if drawn else "the decoded means E[x|z]"
    caption = f"{scene.name}: {len(codes)} samples, {words}; {shown}. None was picked."
    x = scene.decode(codes) if x is None else x
    return plots.samples(path, x, scene.shape, scene.look, caption, scene.columns, data)


def draw_manifold(
    scene: Scene, path: Path, dims: tuple[int, int], n: int = GRID, *, chosen: bool = False
) -> Path:
    """The decoded grid over two latent dimensions, chosen by the user or the most active."""
    codes = manifold_codes(n, scene.model.latent_dim, dims)
    which = of_how_many(scene, "; the others stay at 0", dims if chosen else None)
    caption = (
        f"{scene.name}: E[x|z] on a {n} x {n} grid, spaced so that each cell holds 1/{n * n} of "
        f"the prior N(0, I).{which}"
    )
    return plots.manifold(path, scene.decode(codes), scene.shape, scene.look, dims, caption)


def draw_latent(
    scene: Scene,
    shown: DataSplit,
    path: Path,
    mu: Array,
    report: LatentReport,
    dims: tuple[int, int],
) -> Path:
    """The latent scatter of the shown split."""
    spread = ", ".join(
        f"z[{j}] {mu[:, j].mean():+.2f} ± {mu[:, j].std():.2f}" for j in dict.fromkeys(dims)
    )
    caption = (
        f"{shown.name}, {shown.split} split, {len(mu)} data: posterior means, {spread}; mean KL "
        f"{report.kl_per_dimension.sum():.2f} nats. Dashed: 1 and 2 standard deviations of the "
        f"prior.{of_how_many(scene)}"
    )
    return plots.latent_scatter(
        path, mu[:, list(dims)], shown.labels, dims, caption, shown.label_names
    )


def draw_curves(path: Path, records: list[dict[str, Any]]) -> Path:
    """The training curves, the best epoch named."""
    part = "held_out" if records[-1].get("held_out") else "train"
    best = max(records, key=lambda r: (r.get(part) or r["train"])["elbo"])
    last = records[-1]
    name = "held-out" if part == "held_out" else "training"
    at_best, at_end = -best[part]["elbo"], -last[part]["elbo"]
    caption = (
        f"{len(records)} epochs. Best {name} -ELBO {at_best:.2f} nats per datum, at epoch "
        f"{best['epoch']}; at the end {at_end:.2f} (training {-last['train']['elbo']:.2f}). "
        "Training figures are means over the epoch, while the parameters moved."
    )
    return plots.training_curves(path, records, caption)


def draw_kl(path: Path, report: LatentReport) -> Path:
    """KL per dimension, with the diagnosis as caption."""
    return plots.kl_bars(path, report.kl_per_dimension, report.active, report.diagnosis)

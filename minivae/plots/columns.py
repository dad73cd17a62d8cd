"""Tables drawn column by column, each on an axis of its own under its name, in the user's units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minivae.plots.style import BLUE, GREY, ORANGE, new_figure, of_which, plain, save, styled
from minivae.types import Array

MOST = 12  # columns in a figure
ACROSS = 4
POINTS = 500
LONGEST = 18  # characters of a name


def explained(data: Array, rebuilt: Array) -> Array:
    """R² of each column (D,): the share of its variance that is rebuilt; NaN where it has none."""
    data, rebuilt = np.asarray(data, np.float64), np.asarray(rebuilt, np.float64)
    variance = data.var(axis=0)
    missed = ((data - rebuilt) ** 2).mean(axis=0)
    return np.where(variance > 0, 1.0 - missed / np.where(variance > 0, variance, 1.0), np.nan)


def columns_rebuilt(
    path: Path | str, data: Array, rebuilt: Array, columns: Sequence[str], caption: str
) -> Path:
    """Each column's decoded values against the data (N, D); the worst where there are many."""
    r2 = explained(data, rebuilt)
    shown = np.argsort(np.nan_to_num(r2, nan=np.inf), kind="stable")[:MOST]
    shown = np.sort(shown) if len(columns) <= MOST else shown
    title = "Reconstructions (across: data, up: decoded)"
    if len(columns) > MOST:
        title += f": the {MOST} worst of {len(columns)} columns"
    with styled():
        figure = new_figure(6.4, 1.6 * math.ceil(len(shown) / ACROSS))
        for j, axes in panels(figure, shown):
            x, y = data[:POINTS, j], rebuilt[:POINTS, j]
            low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
            axes.plot([low, high], [low, high], lw=0.8, color=GREY)
            axes.plot(x, y, ".", ms=2.5, color=BLUE, alpha=0.6)
            share = "constant" if np.isnan(r2[j]) else f"R² {r2[j]:.2f}"
            name_panel(axes, columns[j], share)
        return save(figure, path, of_which(caption, POINTS, len(data)), title)


def columns_sampled(
    path: Path | str, drawn: Array, data: Array, columns: Sequence[str], caption: str
) -> Path:
    """How each column is spread in the data (N, D) and in the samples (M, D); the first columns."""
    shown = np.arange(min(MOST, len(columns)))
    with styled():
        figure = new_figure(6.4, 1.6 * math.ceil(len(shown) / ACROSS))
        for j, axes in panels(figure, shown):
            both = np.concatenate([data[:, j], drawn[:, j]])
            low, high = float(both.min()), float(both.max())
            edges = np.linspace(low, high if high > low else low + 1.0, 25)
            for values, colour, name in ((data, GREY, "data"), (drawn, ORANGE, "samples")):
                weights = np.full(len(values), 1.0 / len(values))
                axes.hist(values[:, j], edges, weights=weights, histtype="step", color=colour,
                          lw=1.2, label=name)  # fmt: skip
            name_panel(axes, columns[j], "")
            axes.set_yticks([])
        figure.axes[0].legend(fontsize=6.5, handlelength=1.2)
        more = "" if len(columns) <= MOST else f", the first {MOST} of {len(columns)} columns"
        return save(figure, path, caption, f"Samples{more}")


def columns_walked(
    path: Path | str, walks: Sequence[tuple[str, Array]], columns: Sequence[str], caption: str
) -> Path:
    """Each column along named walks (steps, D) through the latent space; those that change most."""
    first = walks[0][1]
    spread = np.concatenate([rows for _, rows in walks]).std(axis=0)
    moved = np.abs(first[-1] - first[0]) / np.where(spread > 0, spread, 1.0)
    shown = np.sort(np.argsort(-moved, kind="stable")[:MOST])
    colours = (BLUE, ORANGE, GREY)
    with styled():
        figure = new_figure(6.4, 1.5 * math.ceil(len(shown) / ACROSS))
        for j, axes in panels(figure, shown):
            for (name, rows), colour in zip(walks, colours, strict=False):
                axes.plot(np.linspace(0, 1, len(rows)), rows[:, j], lw=1.2, color=colour,
                          label=name)  # fmt: skip
            name_panel(axes, columns[j], "")
        figure.axes[0].legend(fontsize=6.5, handlelength=1.2)
        title = "Interpolation between two data"
        if len(columns) > MOST:
            title += f": of {len(columns)} columns the {MOST} that change most"
        return save(figure, path, caption, title)


def panels(figure: Any, shown: Array) -> Iterator[tuple[int, Any]]:
    """A small axis for each column's number, the unused ones hidden."""
    rows = math.ceil(len(shown) / ACROSS)
    grid = figure.subplots(rows, ACROSS, squeeze=False).flat
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    for j, axes in zip(shown.tolist(), grid, strict=False):
        axes.tick_params(labelsize=6, length=2)
        axes.locator_params(nbins=4)
        yield j, axes


def name_panel(axes: Any, name: str, more: str) -> None:
    """The column's name, shortened where it is long, and a figure."""
    short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    axes.set_title(f"{plain(short)}  {more}".strip(), fontsize=6.5, pad=3)

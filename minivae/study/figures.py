"""The chapters' pictures, all in the project's one style; each returns a Matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minivae.plots.images import look_of, show, tile
from minivae.plots.latent import labelled, prior_circles
from minivae.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, new_figure, styled
from minivae.types import Array

LINES = ((BLUE, "o-"), (ORANGE, "s--"), (GREEN, "^-."), (PURPLE, "D:"), (GREY, "v-"))
Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
NAMES = 1.1  # inches, for the name of a row of pictures


def picture_rows(rows: Mapping[str, Array], shape: tuple[int, int], width: float = 6.4) -> Any:
    """Named rows of pictures, each (n, D), one under another with the name in front."""
    count = max(len(r) for r in rows.values())
    look = look_of(np.concatenate([np.clip(r, 0, 1) for r in rows.values()]))
    gap = max(1, min(shape) // 9)
    strip = (width - NAMES - 0.2) * shape[0] / (shape[1] * count)
    with styled():
        figure = new_figure(width, (strip + 0.08) * len(rows))
        # the names in a column of their own: beside fixed pictures no layout keeps room for them
        columns = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(NAMES, width - NAMES))
        for (left, axes), (name, pictures) in zip(columns, rows.items(), strict=True):
            left.set_axis_off()
            left.text(1.0, 0.5, name, transform=left.transAxes, ha="right", va="center", fontsize=8)
            show(axes, tile(np.clip(pictures, 0, 1), shape, count, look.paper, gap), look)
    return figure


def picture_sheets(
    sheets: Mapping[str, Array], shape: tuple[int, int], columns: int = 8, width: float = 6.4
) -> Any:
    """Named sheets of pictures side by side, each (n, D)."""
    look = look_of(np.concatenate([np.clip(s, 0, 1) for s in sheets.values()]))
    with styled():
        rows = -(-max(len(s) for s in sheets.values()) // columns)
        height = width / len(sheets) * rows / columns * shape[0] / shape[1] + 0.3
        figure = new_figure(width, height)
        for axes, (name, pictures) in zip(
            figure.subplots(1, len(sheets), squeeze=False)[0], sheets.items(), strict=True
        ):
            show(axes, tile(np.clip(pictures, 0, 1), shape, columns, look.paper), look)
            axes.set_title(name)
    return figure


def curves(series: Series, xlabel: str, ylabel: str, logx: bool = False, logy: bool = False) -> Any:
    """Named lines, told apart by colour, marker and dash; series: name -> (x, y)."""
    with styled():
        figure = new_figure(6.4, 3.0)
        axes = figure.subplots()
        for (name, (x, y)), (colour, style) in zip(series.items(), LINES, strict=False):
            mark = style if len(x) <= 40 else style[1:]  # a long curve drowns in its markers
            axes.plot(x, y, mark, color=colour, ms=4, lw=1.4, label=name)
        if logx:
            axes.set_xscale("log")
        if logy:
            axes.set_yscale("log")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        if len(series) > 1:
            axes.legend(fontsize=8)
    return figure


def scatters(
    panels: Mapping[str, tuple[Array, Array]], prior: bool = True, width: float = 6.4
) -> Any:
    """Two-dimensional codes (N, 2) coloured and named by label (N,), one panel each."""
    with styled():
        figure = new_figure(width, width / len(panels) + 0.2)
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, (codes, labels)) in zip(grid, panels.items(), strict=True):
            labelled(axes, codes, labels, None, 4.0)
            if prior:
                prior_circles(axes)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_title(name)
            axes.set_xlabel("z[0]")
        grid[0].set_ylabel("z[1]")
    return figure


def ellipses(panels: Mapping[str, tuple[Array, Array]], width: float = 6.4) -> Any:
    """Posteriors as ellipses of one standard deviation: name -> (mu (N, 2), sigma (N, 2))."""
    from matplotlib.collections import EllipseCollection

    with styled():
        figure = new_figure(width, width / len(panels) + 0.2)
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, (mu, sigma)) in zip(grid, panels.items(), strict=True):
            axes.scatter(*mu.T, s=1.5, color=BLUE)
            axes.add_collection(
                EllipseCollection(2 * sigma[:, 0], 2 * sigma[:, 1], np.zeros(len(mu)), units="xy",
                                  offsets=mu, transOffset=axes.transData, facecolors="none",
                                  edgecolors=ORANGE, linewidths=0.7)
            )  # fmt: skip
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_title(name)
            axes.set_xlabel("z[0]")
        grid[0].set_ylabel("z[1]")
    return figure


def bars(groups: Mapping[str, Mapping[str, float]], ylabel: str, logy: bool = False) -> Any:
    """Grouped bars: group -> {name: value}; names told apart by colour and hatch."""
    names = list(next(iter(groups.values())))
    hatches = ("", "////", "....", "xxxx")
    with styled():
        figure = new_figure(6.4, 2.8)
        axes = figure.subplots()
        width = 0.8 / len(names)
        for i, name in enumerate(names):
            places = np.arange(len(groups)) + (i - (len(names) - 1) / 2) * width
            values = [group[name] for group in groups.values()]
            axes.bar(places, values, width * 0.92, label=name, color=LINES[i][0],
                     hatch=hatches[i % 4], edgecolor="white")  # fmt: skip
        axes.set_xticks(range(len(groups)), list(groups))
        if logy:
            axes.set_yscale("log")
        axes.grid(axis="x", visible=False)
        axes.set_ylabel(ylabel)
        axes.legend(fontsize=8)
    return figure


def density(nodes: Array, values: Array, contours: Mapping[str, tuple[Array, Array]]) -> Any:
    """A density on a square grid (G, 2), with Gaussians (mean, covariance) drawn over it."""
    side = round(np.sqrt(len(nodes)))
    x = nodes[:, 0].reshape(side, side)
    y = nodes[:, 1].reshape(side, side)
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    with styled():
        figure = new_figure(4.6, 4.0)
        axes = figure.subplots()
        axes.contourf(x, y, values.reshape(side, side), levels=12, cmap="Greys")
        for (name, (mean, covariance)), (colour, style) in zip(
            contours.items(), LINES, strict=False
        ):
            path = mean[:, None] + np.linalg.cholesky(covariance) @ circle
            axes.plot(*path, style[1:], color=colour, lw=1.5, label=name)
        axes.set_aspect("equal")
        axes.grid(False)
        seen = nodes[values > 1e-3 * values.max()]  # the rest of the plane is empty
        seen = np.vstack([seen, *(mean[None] for mean, _ in contours.values())])
        middle, reach = (seen.min(0) + seen.max(0)) / 2, 0.75 * np.ptp(seen, axis=0).max()
        axes.set_xlim(middle[0] - reach, middle[0] + reach)
        axes.set_ylim(middle[1] - reach, middle[1] + reach)
        axes.set_xlabel("z[0]")
        axes.set_ylabel("z[1]")
        axes.legend(fontsize=8)
    return figure

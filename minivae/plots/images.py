"""Pictures made of data: reconstructions, samples, interpolations and the latent manifold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from minivae.plots.columns import columns_rebuilt, columns_sampled, columns_walked
from minivae.plots.style import BLUE, GREY, new_figure, of_which, save, styled
from minivae.types import Array

MOST_PROFILES = 8  # data drawn as lines
Shape = tuple[int, ...] | None  # (height, width) or (height, width, 3) in colour


class Look(NamedTuple):
    """How values become grey or colour: the range shown, and dark ink on white paper or not."""

    low: float
    high: float
    ink: bool

    @property
    def paper(self) -> float:
        """The value that shows as white, for the gaps between pictures."""
        return self.low if self.ink else self.high

    def of_shape(self, shape: tuple[int, ...]) -> Look:
        """This look for pictures of a shape: those with colours are never turned into ink."""
        return self._replace(ink=self.ink and len(shape) == 2)


def look_of(data: Array) -> Look:
    """The look for data (N, D): [0, 1] where it fits, else its own range.

    Strokes on an empty ground (most values near the bottom) print as ink on paper.
    """
    return look_from(float(np.min(data)), float(np.median(data)), float(np.max(data)))


def look_from(low: float, median: float, high: float) -> Look:
    """The look for data whose least, middle and largest values are these."""
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    if not high > low:
        high = low + 1.0
    return Look(low, high, median < low + 0.2 * (high - low))


def tile(
    pictures: Array, shape: tuple[int, ...], columns: int, paper: float, gap: int = 1
) -> Array:
    """Lay pictures (N, D) out in a sheet of `columns`, row by row, with `gap` pixels between.

    The sheet is (height, width), or (height, width, 3) for pictures in colour.
    """
    h, w, *channels = shape
    rows = math.ceil(len(pictures) / columns)
    size = (rows * (h + gap) - gap, columns * (w + gap) - gap, *channels)
    sheet = np.full(size, paper, dtype=np.float64)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = np.reshape(picture, shape)
    return sheet


def show(axes: Any, sheet: Array, look: Look) -> None:
    """Draw a sheet of pictures without axes."""
    if sheet.ndim == 3:
        sheet = np.clip((sheet - look.low) / (look.high - look.low), 0.0, 1.0)
    colours = "gray_r" if look.ink else "gray"
    axes.imshow(sheet, cmap=colours, vmin=look.low, vmax=look.high, interpolation="nearest")
    axes.set_axis_off()


def reconstructions(
    path: Path | str,
    originals: Array,
    rebuilt: Array,
    shape: Shape,
    caption: str,
    names: Sequence[str] | None = None,
) -> Path:
    """Originals (N, D) above their reconstructions (N, D), in pairs of rows.

    Data without a shape are drawn column by column where `names` names them, else as lines.
    """
    title = "Reconstructions (above: data, below: decoded from their codes)"
    if shape is None and names is not None:
        return columns_rebuilt(path, originals, rebuilt, names, caption)
    if shape is None:
        return profiles(path, rebuilt, caption, "Reconstructions", originals)
    look = look_of(originals).of_shape(shape)
    sheet = pairs_of_rows(originals, rebuilt, shape, look.paper)
    return save_sheet(path, sheet, look, caption, title)


def pairs_of_rows(originals: Array, rebuilt: Array, shape: tuple[int, ...], paper: float) -> Array:
    """A sheet of pictures (N, D), twelve in a row, above those (N, D) that they have become."""
    columns, gap = min(12, len(originals)), gap_of(shape)
    blocks = []
    for start in range(0, len(originals), columns):
        rows = [pictures[start : start + columns] for pictures in (originals, rebuilt)]
        empty = np.full((columns - len(rows[0]), originals.shape[1]), paper)  # of the last row
        pair = np.concatenate([rows[0], empty, rows[1]])
        blocks.append(tile(pair, shape, columns, paper, gap))
        blocks.append(np.full((gap * 3, *blocks[0].shape[1:]), paper))
    return np.concatenate(blocks[:-1])


def gap_of(shape: tuple[int, ...]) -> int:
    """Pixels between pictures of this shape on a sheet."""
    return max(1, round(min(shape[:2]) / 9))


def samples(
    path: Path | str,
    pictures: Array,
    shape: Shape,
    look: Look,
    caption: str,
    names: Sequence[str] | None = None,
    data: Array | None = None,
) -> Path:
    """Generated data (N, D) as a sheet as square as N allows.

    A table's columns (`names`) are drawn as histograms beside those of the `data` (M, D).
    """
    if shape is None and names is not None and data is not None:
        return columns_sampled(path, pictures, data, names, caption)
    if shape is None:
        return profiles(path, pictures, caption, "Samples")
    columns = math.ceil(math.sqrt(len(pictures)))
    look = look.of_shape(shape)
    sheet = tile(pictures, shape, columns, look.paper, gap_of(shape))
    return save_sheet(path, sheet, look, caption, "Samples")


def interpolations(
    path: Path | str,
    rows: list[tuple[str, Array]],
    shape: Shape,
    look: Look,
    caption: str,
    names: Sequence[str] | None = None,
) -> Path:
    """Named rows of pictures (steps, D), each a walk through the latent space.

    Of a table, named by `names`, each column is drawn along the walks.
    """
    if shape is None and names is not None:
        return columns_walked(path, rows, names, caption)
    if shape is None:
        name, walk = rows[0]
        some = np.linspace(0, len(walk) - 1, min(MOST_PROFILES, len(walk))).round().astype(int)
        caption = f"{caption} Drawn: {name}, {len(some)} of {len(walk)} steps."
        return profiles(path, walk[some], caption, "Interpolation")
    look, gap = look.of_shape(shape), gap_of(shape)
    steps = len(rows[0][1])
    width = 6.4
    strip_height = (width - 0.9) * shape[0] / (shape[1] * steps)
    with styled():
        figure = new_figure(width, (strip_height + 0.04) * len(rows))
        grid = figure.subplots(len(rows), 1, squeeze=False)
        for axes, (name, pictures) in zip(grid[:, 0], rows, strict=True):
            show(axes, tile(pictures, shape, steps, look.paper, gap), look)
            axes.text(-0.01, 0.5, name, transform=axes.transAxes, ha="right", va="center",
                      fontsize=8)  # fmt: skip
        return save(figure, path, caption, "Interpolation between two data")


def manifold_codes(n: int, latent_dim: int, dims: tuple[int, int]) -> Array:
    """Codes (n * n, J) on a grid of equal prior probability in two dimensions, 0 in the others.

    Row by row from the top left: the second dimension falls, the first rises.
    """
    quantiles = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    codes = np.zeros((n * n, latent_dim), dtype=np.float32)
    codes[:, dims[0]] = np.tile(quantiles, n)
    if dims[1] != dims[0]:
        codes[:, dims[1]] = np.repeat(quantiles[::-1], n)
    return codes


def manifold(
    path: Path | str, decoded: Array, shape: Shape, look: Look, dims: tuple[int, int], caption: str
) -> Path:
    """The decoded grid of `manifold_codes` (n * n, D), with the codes on its edges."""
    if shape is None:
        raise ValueError("a manifold grid needs pictures; this data has no height and width")
    n = math.isqrt(len(decoded))
    gap = 1 if min(shape[:2]) <= 16 else 0  # small pictures would run into each other
    look = look.of_shape(shape)
    sheet = tile(decoded, shape, n, look.paper, gap)
    with styled():
        figure = new_figure(6.4, 6.2 * sheet.shape[0] / sheet.shape[1])
        axes = figure.subplots()
        show(axes, sheet, look)
        axes.set_axis_on()
        axes.grid(False)
        ticks = sorted({round(i * (n - 1) / 5) for i in range(6)})
        values = [f"{NormalDist().inv_cdf((i + 0.5) / n):.1f}" for i in ticks]
        height, width = shape[0] + gap, shape[1] + gap
        axes.set_xticks([i * width + shape[1] / 2 for i in ticks], values)
        axes.set_yticks([i * height + shape[0] / 2 for i in ticks], values[::-1])
        axes.tick_params(length=0, labelsize=7.5, colors=GREY)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(f"z[{dims[0]}]")
        axes.set_ylabel(f"z[{dims[1]}]")
        return save(figure, path, caption, "The latent space, decoded")


def save_sheet(path: Path | str, sheet: Array, look: Look, caption: str, title: str) -> Path:
    """A sheet on its own, as wide as the page."""
    height, width = sheet.shape[:2]
    with styled():
        figure = new_figure(6.4, min(9.0, 6.3 * height / width))
        show(figure.subplots(), sheet, look)
        return save(figure, path, caption, title)


def profiles(
    path: Path | str, rows: Array, caption: str, title: str, originals: Array | None = None
) -> Path:
    """Data that are no pictures, as lines over the features, at most `MOST_PROFILES` of them."""
    count = min(MOST_PROFILES, len(rows))
    caption = of_which(caption, count, len(rows))
    with styled():
        figure = new_figure(6.4, 1.1 * math.ceil(count / 2))
        grid = figure.subplots(math.ceil(count / 2), 2, squeeze=False, sharex=True, sharey=True)
        features = np.arange(rows.shape[1])
        for i, axes in enumerate(grid.flat):
            axes.set_visible(i < count)
            if i >= count:
                continue
            if originals is not None:
                axes.plot(features, originals[i], ".", ms=3, color=GREY, label="data")
            axes.plot(features, rows[i], lw=1.1, color=BLUE, label="decoded")
            if i == 0 and originals is not None:
                axes.legend(fontsize=7, ncols=2)
        grid[-1, 0].set_xlabel("feature")
        return save(figure, path, caption, title)

"""The latent scatter: where the encoder puts the data, coloured and named by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minivae.plots.style import BLUE, GREY, LABEL_COLOURS, new_figure, save, styled

Array = npt.NDArray[Any]
MAX_POINTS = 10_000  # more would only paint over each other


def latent_scatter(
    path: Path | str,
    codes: Array,
    labels: Array | None,
    dims: tuple[int, int],
    caption: str,
    label_names: Sequence[str] | None = None,
) -> Path:
    """Codes (N, 2) of the data in the dimensions `dims`; labels (N,) or None.

    Each label's name stands at the median of its points, so that colour is not needed to tell
    them apart; the circles hold 39 % and 86 % of the prior (1 and 2 standard deviations).
    """
    codes, labels = codes[:MAX_POINTS], None if labels is None else labels[:MAX_POINTS]
    with styled():
        figure = new_figure(6.4, 5.6)
        axes = figure.subplots()
        size = float(np.clip(20_000 / len(codes), 3, 18))
        if labels is None:
            axes.scatter(*codes.T, s=size, color=BLUE, alpha=0.6, linewidths=0)
        else:
            labelled(axes, codes, labels, label_names, size)
        prior_circles(axes)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(f"z[{dims[0]}] (posterior mean)")
        axes.set_ylabel(f"z[{dims[1]}] (posterior mean)")
        return save(figure, path, caption, "Where the encoder puts the data")


def labelled(
    axes: Any, codes: Array, labels: Array, names: Sequence[str] | None, size: float
) -> None:
    """One colour per label, and its name at its median."""
    order = np.random.default_rng(0).permutation(len(codes))  # no label is always on top
    kinds = np.unique(labels)
    colour_of = {k: LABEL_COLOURS[i % len(LABEL_COLOURS)] for i, k in enumerate(kinds)}
    colours = [colour_of[k] for k in labels[order]]
    axes.scatter(*codes[order].T, s=size, c=colours, alpha=0.75, linewidths=0)
    for kind in kinds:
        centre = np.median(codes[labels == kind], axis=0)
        name = str(kind) if names is None else names[int(kind)]
        box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour_of[kind], "lw": 1.6}
        axes.text(*centre, name, weight="bold", fontsize=9, ha="center", va="center", bbox=box)


def prior_circles(axes: Any) -> None:
    """The prior's circles of one and two standard deviations."""
    from matplotlib.patches import Circle

    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, ls=(0, (4, 3)), lw=0.9, ec=GREY))
        axes.text(0, -radius, f"{radius}σ", color=GREY, fontsize=7.5, ha="center", va="center",
                  bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"})  # fmt: skip

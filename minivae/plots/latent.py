"""The latent scatter: where the encoder puts the data, coloured and named by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minivae.plots.style import BLUE, GREY, LABEL_COLOURS, new_figure, of_which, plain, save, styled
from minivae.types import Array

MARKS = "os^Dv<>phX"
MOST_KINDS = 20
LONGEST = 40  # letters of a label in the legend
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

    Names at the medians, or marks, tell the labels apart where colour does not; the circles
    hold 39 % and 86 % of the prior (1 and 2 standard deviations).
    """
    count = min(MAX_POINTS, len(codes))
    caption = of_which(caption, count, len(codes))
    codes, labels = codes[:count], None if labels is None else labels[:count]
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
    """A colour and a mark per label; short names stand at their medians, long ones in a legend.

    Of more than `MOST_KINDS` labels each is a colour of a scale.
    """
    kinds = [int(kind) for kind in np.unique(labels)]
    if len(kinds) > MOST_KINDS:  # counts, years; so many names would be a page of their own
        shown = axes.scatter(*codes.T, s=size, c=labels, cmap="viridis", alpha=0.75, linewidths=0)
        axes.figure.colorbar(shown, ax=axes, label="label", shrink=0.7, pad=0.01)
        return
    words = [plain(str(kind) if names is None else names[kind])[:LONGEST] for kind in kinds]
    short = max(map(len, words)) <= 2
    for i, (kind, word) in enumerate(zip(kinds, words, strict=True)):
        mine = codes[labels == kind]
        colour = LABEL_COLOURS[i % len(LABEL_COLOURS)]
        mark = "o" if short else MARKS[i % len(MARKS)]
        axes.scatter(*mine.T, s=size, color=colour, marker=mark, alpha=0.75, linewidths=0,
                     label=word)  # fmt: skip
        if short:
            box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour, "lw": 1.6}
            axes.text(*np.median(mine, axis=0), word, weight="bold", fontsize=9, ha="center",
                      va="center", bbox=box)  # fmt: skip
    if not short:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, markerscale=1.6)


def prior_circles(axes: Any) -> None:
    """The prior's circles of one and two standard deviations."""
    from matplotlib.patches import Circle

    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, ls=(0, (4, 3)), lw=0.9, ec=GREY))
        axes.text(0, -radius, f"{radius}σ", color=GREY, fontsize=7.5, ha="center", va="center",
                  bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"})  # fmt: skip

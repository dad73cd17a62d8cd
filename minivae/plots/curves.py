"""Training curves and the KL of each latent dimension."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minivae.plots.style import BLUE, GREY, ORANGE, new_figure, save, styled
from minivae.types import Array

# Figure, title, and the sign it is drawn with.
PANELS = (("elbo", "-ELBO", -1), ("reconstruction", "reconstruction", 1), ("kl", "KL", 1))


def training_curves(
    path: Path | str, records: Sequence[dict[str, Any]], caption: str, held_out: str = "held out"
) -> Path:
    """Losses over the epochs, nats per datum, from a run's metrics.jsonl records.

    A record has `epoch`, `train` and, where some data were held out, `held_out`, each a
    dictionary with `elbo`, `reconstruction` and `kl`. The panels' axes start where the later
    epochs matter: the first epochs' heights would flatten everything after them.
    """
    with styled():
        figure = new_figure(6.4, 2.3)
        for axes, (key, title, sign) in zip(figure.subplots(1, 3), PANELS, strict=True):
            shown = []
            for part, name, colour, line in (
                ("train", "training", BLUE, "-"),
                ("held_out", held_out, ORANGE, "--"),
            ):
                points = [(r["epoch"], r[part][key]) for r in records if r.get(part)]
                if not points:
                    continue
                epochs, values = np.array(points, dtype=float).T
                values = sign * values
                marker = "." if len(points) == 1 else None
                axes.plot(epochs, values, line, color=colour, lw=1.4, marker=marker, label=name)
                shown.append(values)
            axes.set_title(title)
            axes.set_xlabel("epoch")
            zoom(axes, shown)
        figure.axes[0].set_ylabel("nats per datum")
        figure.axes[0].legend(fontsize=7.5)
        return save(figure, path, caption, "Training")


def zoom(axes: Any, shown: list[Array]) -> None:
    """Cut the axis so that all but the first epochs' values fill it."""
    if not shown or len(shown[0]) < 4:
        return
    later = np.concatenate([v[max(1, len(v) // 20) :] for v in shown])
    low, high = float(later.min()), float(later.max())
    margin = 0.06 * (high - low) or 0.5
    axes.set_ylim(low - margin, high + margin)


def kl_bars(path: Path | str, kl: Array, active: Array, caption: str) -> Path:
    """Mean KL of each latent dimension (J,), largest first; idle ones hollow and hatched."""
    order = np.argsort(-kl, kind="stable")
    with styled():
        figure = new_figure(6.4, 2.4)
        axes = figure.subplots()
        for place, j in enumerate(order):
            style = {"color": BLUE} if active[j] else {"fc": "white", "ec": GREY, "hatch": "////"}
            axes.bar(place, kl[j], **style)
        axes.set_xticks(
            range(len(order)), [str(j) for j in order], fontsize=7 if len(kl) < 40 else 4
        )
        axes.set_xlabel("latent dimension")
        axes.set_ylabel("KL, nats")
        axes.grid(axis="x", visible=False)
        return save(figure, path, caption, "What each latent dimension carries")

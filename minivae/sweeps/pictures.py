"""A sweep's pictures: rate against distortion, and the loss along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minivae.plots.style import new_figure, of_which, save, styled
from minivae.sweeps.results_table import order_of

Row = dict[str, Any]


def number(text: Any) -> float | None:
    """The value as a number, where it is one."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


# The settings that move a model along its curve of rate against distortion.
WEIGHTS = ("beta", "c", "free_bits")


def rate_distortion(
    path: Path, means: Sequence[Row], axes: Sequence[str], linear: Sequence[Row] = ()
) -> Path:
    """Rate (KL) against distortion of every setting  (E44).

    The distortion is the reconstruction in nats, or, where c is an axis, the squared error, which
    means the same for every c. Settings that differ in nothing but how they weigh the two are
    joined. linear: the exact optimum over linear decoders, rows with "kl" and "squared_error".
    """
    y = "squared_error" if "c" in axes else "reconstruction"
    others = [key for key in axes if key not in WEIGHTS]
    with styled():
        figure = new_figure(5.2, 3.8)
        axis = figure.subplots()
        said: set[str] = set()  # of lines that lie near each other one says what its points are
        for key, rows in list(grouped(means, others).items())[::-1]:
            rows = sorted(rows, key=lambda row: row["kl"])
            columns = [[row[name] or 0.0 for row in rows] for name in
                       ("kl", y, f"{y}_se", "kl_se")]  # fmt: skip
            style = "o-" if len(others) < len(axes) else "o"
            axis.errorbar(*columns, fmt=style, lw=1.1, ms=4, label=words_of(others, key) or None)
            for row in rows:
                weighed = words_of(axes, [row[k] for k in axes], WEIGHTS) or words_of(others, key)
                if weighed not in said:
                    axis.annotate(weighed, (row["kl"], row[y]), fontsize=6.5,
                                  xytext=(4, 4), textcoords="offset points")  # fmt: skip
                said.add(weighed)
        axis.margins(x=0.12, y=0.1)
        for (J,), rows in grouped(linear, ["latent_dim"]).items():
            rows = sorted(rows, key=lambda row: row["kl"])
            axis.plot([row["kl"] for row in rows], [row[y] for row in rows], "s--", color="0.45",
                      lw=1, ms=3, label=f"best linear model, J = {J}, exactly")  # fmt: skip
        axis.set_xlabel("rate: KL, nats per datum")
        unit = "squared error" if "c" in axes else "reconstruction, nats per datum"
        axis.set_ylabel(f"distortion: {unit}")
        if linear or (others and len(others) < len(axes)):
            axis.legend(fontsize=7)
        caption = "Held-out data; bars are standard errors over seeds"
        return save(figure, path, caption, "Rate and distortion")


def words_of(keys: Sequence[str], values: Sequence[Any], only: Sequence[str] = ()) -> str:
    """ "beta 2, latent 5"."""
    pairs = zip(keys, values, strict=True)
    return ", ".join(f"{k} {v}" for k, v in pairs if not only or k in only)


def grouped(means: Sequence[Row], keys: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """The rows by their values of these keys, numbers by size."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(means, key=lambda row: [order_of(row[key]) for key in keys]):
        groups.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
    return groups


def along(path: Path, means: Sequence[Row], axis_name: str, others: Sequence[str]) -> Path:
    """-ELBO along one axis, a line for each setting of the others."""
    numeric = all(number(row[axis_name]) is not None for row in means)
    places = sorted({str(row[axis_name]) for row in means}, key=lambda v: (number(v) or 0.0, v))
    with styled():
        figure = new_figure(4.6, 3.2)
        axis = figure.subplots()
        for key, rows in grouped(means, others).items():
            rows = sorted(rows, key=lambda row: places.index(str(row[axis_name])))
            x = [number(r[axis_name]) if numeric else places.index(str(r[axis_name])) for r in rows]
            errors = [row["elbo_se"] or 0.0 for row in rows]
            label = words_of(others, key)
            axis.errorbar(x, [-row["elbo"] for row in rows], yerr=errors, fmt="o-", lw=1.2, ms=4,
                          label=label or None)  # fmt: skip
        if numeric:
            values = [float(place) for place in places]
            if min(values) > 0 and max(values) >= 8 * min(values):
                axis.set_xscale("log")
                axis.set_xticks(values, places)
                axis.minorticks_off()
        else:
            axis.set_xticks(range(len(places)), places)
        axis.set_xlabel(axis_name)
        axis.set_ylabel("-ELBO on held-out data, nats per datum")
        if others:
            axis.legend(fontsize=7)
        return save(figure, path, "Bars are standard errors over seeds", "Sweep")


MOST = 15  # settings in the picture of the best


def best(path: Path, means: Sequence[Row], axes: Sequence[str]) -> Path:
    """The settings with the largest ELBO, the best on top."""
    shown = list(means[:MOST])[::-1]
    with styled():
        figure = new_figure(5.6, 0.9 + 0.24 * len(shown))
        axis = figure.subplots()
        errors = [row["elbo_se"] or 0.0 for row in shown]
        places = range(len(shown))
        axis.errorbar([-row["elbo"] for row in shown], places, xerr=errors, fmt="o", ms=4)
        names = [words_of(axes, [row[key] for key in axes]) or "as given" for row in shown]
        axis.set_yticks(places, names, fontsize=7)
        axis.set_ylim(-0.6, len(shown) - 0.4)
        axis.set_xlabel("-ELBO on held-out data, nats per datum")
        caption = "The best settings first; bars are standard errors over seeds."
        return save(figure, path, of_which(caption, len(shown), len(means)), "Best settings")


def draw(
    folder: Path, means: Sequence[Row], axes: Sequence[str], linear: Sequence[Row] = ()
) -> dict[str, str]:
    """All pictures that the sweep allows, by name; linear as for `rate_distortion`."""
    folder.mkdir(parents=True, exist_ok=True)
    curve = rate_distortion(folder / "rate-distortion.png", means, axes, linear)
    drawn = {"rate-distortion": curve,
             "best": best(folder / "best.png", means, axes)}  # fmt: skip
    for name in axes:
        if len({row[name] for row in means}) > 1:
            others = [other for other in axes if other != name]
            drawn[f"elbo-{name}"] = along(folder / f"elbo-{name}.png", means, name, others)
    return {name: str(path) for name, path in drawn.items()}

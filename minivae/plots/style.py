"""The one style of every picture: colours that colour-blind readers and printers keep apart."""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from pathlib import Path
from typing import Any

# Okabe and Ito's palette for lines; Tol's "muted" scheme for up to ten labels.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#666666"
LABEL_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#DDCC77",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#AA4499",
    "#999933",
    "#555555",
)
DPI = 150
CAPTION_INCHES = 0.16  # height of a caption's line

RC = {
    "font.size": 9,
    "font.family": "DejaVu Sans",  # ships with Matplotlib, so pictures are the same everywhere
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def new_figure(width: float, height: float) -> Any:
    """An empty figure of width x height inches, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def styled() -> Any:
    """A context in which figures are made and saved in this style."""
    import matplotlib

    return matplotlib.rc_context(RC)


def plain(text: str) -> str:
    """A user's words on one line, as they stand: $ begins no formula."""
    return " ".join(text.split()).replace("$", r"\$")


def of_which(caption: str, drawn: int, given: int, which: str = "The first") -> str:
    """The caption, and which of the data that it speaks of are drawn where not all of them are."""
    return caption if drawn >= given else f"{caption} {which} {drawn:,} are drawn."


def save(figure: Any, path: Path | str, caption: str, title: str = "") -> Path:
    """Lay the figure out above its caption and write it as PNG; returns the path.

    The file is named in place only when it is whole, so a stop leaves no half picture.
    """
    path = Path(path)
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(plain(caption), max(20, int(width * 18)))
    bottom = CAPTION_INCHES * len(lines) + 0.12
    top = 0.28 if title else 0.04
    figure.set_size_inches(width, height + bottom + top)
    whole = height + bottom + top
    engine_rect = (0.0, bottom / whole, 1.0, height / whole)
    figure.set_layout_engine("constrained", rect=engine_rect)
    if title:
        figure.text(0.012, 1 - 0.09 / whole, title, va="top", fontsize=10.5, weight="bold")
    figure.text(0.012, 0.07 / whole, "\n".join(lines), va="bottom", fontsize=7.5, color="#333333")
    temporary = path.with_name(path.name + ".tmp")
    try:
        # no software or date in the file: the same picture is the same bytes
        with warnings.catch_warnings():  # a letter that the font lacks is drawn as a box
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk is told without one
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path

"""How a chapter puts sources, pictures, tables and stated figures on the page.

The same calls work in a notebook (and so in the built book), under `minivae study NAME`, which
records them, and in a plain Python session.
"""

from __future__ import annotations

import base64
import html
import inspect
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minivae.study.index import PACKAGE
from minivae.types import Array

RESULTS = Path(__file__).resolve().parent / "results"


class ClaimFailed(AssertionError):
    """A figure that the chapter states did not come out."""


@dataclass
class Recorder:
    """What a run of a chapter left behind: its pictures and the figures it stated."""

    folder: Path
    pictures: list[tuple[Path, str]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


current: ContextVar[Recorder | None] = ContextVar("current", default=None)


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this, and not one of our own runs."""
    if current.get() is not None:
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def _markdown(text: str) -> None:
    from IPython.display import Markdown, display

    display(Markdown(text))  # type: ignore[no-untyped-call]


def _html(text: str) -> None:
    from IPython.display import HTML, display

    display(HTML(text))  # type: ignore[no-untyped-call]


def show_source(*functions: Any) -> None:
    """Print the very source of the functions that compute the equations, and where it stands."""
    for function in functions:
        path = Path(inspect.getsourcefile(function) or "").resolve()
        where = path.relative_to(PACKAGE.parent) if PACKAGE in path.parents else path.name
        source = inspect.getsource(function).rstrip()
        if in_notebook():
            _markdown(f"`{where}`\n\n```python\n{source}\n```")
        else:
            print(f"# {where}\n{source}\n")


def state(
    what: str,
    value: float | Sequence[float] | Array,
    at_most: float | None = None,
    at_least: float | None = None,
    near: tuple[float, float] | None = None,
) -> None:
    """State a measured figure and, where a bound is given, check the claim.

    A sequence is one figure for each of several seeds: stated as mean ± standard deviation, and a
    bound must hold for every one of them. near is (target, tolerance). Raises ClaimFailed where
    a figure misses its bound or is NaN.
    """
    values = np.atleast_1d(np.asarray(value, dtype=np.float64))
    checks = []
    if at_most is not None:
        checks.append((f"at most {at_most:.4g}", values <= at_most))
    if at_least is not None:
        checks.append((f"at least {at_least:.4g}", values >= at_least))
    if near is not None:
        checks.append((f"{near[0]:g} ± {near[1]:g}", np.abs(values - near[0]) <= near[1]))
    bound = ", ".join(text for text, _ in checks)
    holds = bool(all(good.all() for _, good in checks) and not np.isnan(values).any())
    said = number(values[0]) if len(values) == 1 else spread(values)
    each = f" for each of {len(values)}" if len(values) > 1 else ""
    mark = (" ✓" if holds else " ✗") if checks else ""
    print(f"{what}: {said}" + (f"  (claim: {bound}{each}{mark})" if bound else ""))
    recorder = current.get()
    if recorder is not None:
        figure = {"what": what, "value": float(values.mean()), "claim": bound, "holds": holds}
        recorder.figures.append(figure)
    if not holds:
        worst = said if len(values) == 1 else ", ".join(map(number, values))
        raise ClaimFailed(f"{what} is {worst}; the chapter claims {bound or 'a number'}{each}")


def number(value: float) -> str:
    """Four digits; what counts something is written out: 16576, not 1.658e+04."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def spread(values: Iterable[float]) -> str:
    """Mean ± standard deviation over seeds, as a table shows it."""
    found = np.asarray(list(values), dtype=np.float64)
    return f"{_plain(found.mean(), 3)} ± {_plain(found.std(ddof=1), 1)}"


def _plain(value: float, digits: int) -> str:
    """So many digits, and a large number written out: 60, not 6e+01."""
    short = f"{value:.{digits}g}"
    return f"{float(short):.0f}" if "e+0" in short else short


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> None:
    """Show a table, numbers to four digits."""
    cells = [[c if isinstance(c, str) else number(c) for c in row] for row in rows]
    if in_notebook():
        _html(table_html(headers, cells, caption))
        return
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    if caption:
        print(caption)
    for row in [list(headers), *cells]:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


def table_html(headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table in HTML, in a frame that scrolls where the page is narrower; its caption does not."""
    words = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(caption))  # Markdown's code
    said = f"<figcaption>{words}</figcaption>" if caption else ""
    head = "".join(f"<th>{html.escape(word)}</th>" for word in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<figure class="measured-figure">{said}<div class="measured-frame">'
        f'<table class="measured"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></figure>"
    )


def picture(figure: Any, name: str, caption: str) -> None:
    """Show a Matplotlib figure above its caption, which says what was measured."""
    from minivae.plots.style import save, styled

    recorder = current.get()
    if not in_notebook():
        folder = recorder.folder if recorder is not None else Path.cwd()
        with styled():
            path = save(figure, folder / f"{name}.png", caption)
        print(f"[picture {path}]\n  {caption}")
        if recorder is not None:
            recorder.pictures.append((path, caption))
        return
    with tempfile.TemporaryDirectory() as folder_name, styled():
        figure.set_layout_engine("constrained")
        path = Path(folder_name) / "picture.png"
        figure.savefig(path, metadata={"Software": None})
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = html.escape(caption)
    _html(
        f'<figure style="--inches:{figure.get_figwidth():.3g}"><div class="picture-frame">'
        f'<img alt="{text}" style="max-width:100%" '
        f'src="data:image/png;base64,{data}"></div><figcaption>{text}</figcaption></figure>'
    )


def recorded(name: str) -> dict[str, Any]:
    """The figures of a long run, kept with how they were made: results/NAME.json."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

"""Reads a chapter (MyST Markdown) and runs its code cells, one after another, in one namespace."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from minivae.estimators.vae import UnscaledData
from minivae.study.display import Recorder, current

CHAPTERS = Path(__file__).resolve().parent / "chapters"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?P<code>.*?)^```\s*$", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"^:\w[^\n]*\n", re.MULTILINE)


class StudyError(ValueError):
    """A chapter that is not there, or whose code stopped: one line that says what and where."""


@dataclass(frozen=True)
class Cell:
    """One code cell: the line of the chapter on which its code starts, and the code."""

    line: int
    code: str


@dataclass(frozen=True)
class Chapter:
    """A chapter's short name, its title, its file and its code cells."""

    name: str
    title: str
    path: Path
    text: str

    @property
    def cells(self) -> list[Cell]:
        """The code cells in order."""
        found = []
        for match in CELL.finditer(self.text):
            line = self.text.count("\n", 0, match.start("code")) + 1
            found.append(Cell(line, match["code"]))
        return found


def chapters(folder: Path = CHAPTERS) -> list[Chapter]:
    """Every chapter, in the order of the numbers in their file names."""
    found = []
    for path in sorted(folder.glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        title = next(line[2:] for line in text.splitlines() if line.startswith("# "))
        found.append(Chapter(path.stem.split("_", 1)[1].replace("_", "-"), title, path, text))
    return found


def chapter(name: str) -> Chapter:
    """The chapter of that name or number. Raises StudyError that names the nearest."""
    known = chapters()
    for i, each in enumerate(known, 1):
        if name in (each.name, str(i), each.path.stem):
            return each
    names = [c.name for c in known]
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f": choose {', '.join(names)}"
    raise StudyError(f"no chapter is called {name!r}{hint}")


def run(each: Chapter, folder: Path, say: Callable[[str], None] = print) -> Recorder:
    """Run a chapter's cells; its pictures go to `folder`. Returns what it showed and stated.

    Raises StudyError naming the chapter's line where a cell fails, a missed claim included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(folder)
    token = current.set(recorder)
    names: dict[str, Any] = {"__name__": f"minivae_study_{each.path.stem}"}
    start = time.perf_counter()
    try:
        # The matrices are small: a second BLAS thread would only wait for the first, and on a busy
        # machine make everything many times slower.
        with threadpool_limits(1), warnings.catch_warnings():
            # Pixels at a picture's border hardly vary: known, and nothing for a reader to mend.
            warnings.simplefilter("ignore", UnscaledData)
            for cell in each.cells:
                _run_cell(cell, each.path, names)
    finally:
        current.reset(token)
    recorder.seconds = time.perf_counter() - start
    say(f"{each.name}: {len(recorder.figures)} figures, {len(recorder.pictures)} pictures in "
        f"{folder}, {recorder.seconds:.1f} s")  # fmt: skip
    return recorder


def _run_cell(cell: Cell, path: Path, names: dict[str, Any]) -> None:
    # Blank lines in front make the interpreter's line numbers those of the chapter.
    source = "\n" * (cell.line - 1) + OPTION.sub("\n", cell.code)
    try:
        exec(compile(source, str(path), "exec"), names)
    except Exception as error:
        line = _line_of(error, path)
        raise StudyError(f"{path.name}, line {line}: {type(error).__name__}: {error}") from error


def summary(records: list[Recorder]) -> str:
    """One line: chapters run, figures stated, claims checked, pictures, seconds."""
    figures = [figure for record in records for figure in record.figures]
    claims = sum(bool(figure["claim"]) for figure in figures)
    pictures = sum(len(record.pictures) for record in records)
    seconds = sum(record.seconds for record in records)
    return (
        f"{len(records)} chapter{'s' * (len(records) != 1)}, {len(figures)} figures, "
        f"{claims} claims checked and held, {pictures} pictures, {seconds:.0f} s"
    )


def _line_of(error: BaseException, path: Path) -> int:
    """The chapter's line on which the error surfaced."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

"""How a table in text is written, found out from its beginning: separator, decimals, header.

Excel alone writes commas, semicolons or tabs, and points or commas in its numbers.
"""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections import Counter
from typing import Any, NamedTuple

from minivae.data.columns import UNNAMED

SEPARATORS = ("\t", ";", "|", ",")  # in the order preferred: a comma may stand within a number
SPACES = r"\s+"  # as pandas writes a separator of any number of blanks
LOOKED_AT_LINES = 200
MISSING = ("", "?", "-", "na", "n/a", "nan", "null", "none")
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")

Cells = list[list[str]]


class Dialect(NamedTuple):
    """How a table is written. The header's names are None where it has none."""

    separator: str
    decimal: str
    header: list[str] | None
    skipped: int = 0  # lines before the table: a comment, a title, or Excel's `sep=;`
    title: str = ""


def dialect_of(text: str, *, whole: bool = True, known: tuple[str, ...] | None = None) -> Dialect:
    """How the table is written whose text begins so; ``whole`` where the text is all of it.

    known: the columns of a run that was trained on it, () where it took no line for their names.
    """
    every = re.split(r"\r\n?|\n", text)
    every = every if whole or len(every) < 2 else every[:-1]  # the last one may be cut
    numbers = [number for number, line in enumerate(every) if line.strip()]
    lines = [every[number] for number in numbers]
    told = re.fullmatch(r"\"?sep=(.)\"?", lines[0].strip()) if lines else None
    if told:
        rows = _cells(lines[1:], told[1])
        decimal = _decimal(rows, told[1])
        header = _header(rows, decimal, known)
        return Dialect(told[1], decimal, header, numbers[0] + 1)
    above = next((i for i, line in enumerate(lines) if not _is_comment(line)), 0)
    lines = lines[: above + LOOKED_AT_LINES]
    separator, width = _separator(lines)
    above = _comments(lines, separator, width, known)
    rows = _cells(lines[above:], separator)
    titles = _title(rows, width)
    title = " ".join(rows[0]).strip() if titles else ""
    above += _lines_of(lines[above:], separator, titles)
    rows = rows[titles:]
    decimal = _decimal(rows, separator)
    skipped = numbers[above - 1] + 1 if above else 0
    return Dialect(separator, decimal, _header(rows, decimal, known), skipped, title)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _comments(lines: list[str], separator: str, width: int, known: tuple[str, ...] | None) -> int:
    """How many lines of comments stand above a table's first, which may be the last of them: NumPy
    writes the names so. It is where its width fits and no line of names follows it."""
    above = next((i for i, line in enumerate(lines) if not _is_comment(line)), 0)
    if above == 0:  # none, or nothing else
        rows = _cells(lines, separator)
        comments = next((i for i, row in enumerate(rows)
                         if not (row and _is_comment(row[0])) or len(row) == width), 0)  # fmt: skip
        return _lines_of(lines, separator, comments)
    last = lines[above - 1]
    names, rows = _cells([last], separator)[0], _cells(lines[above:], separator)
    if len(names) != width or last.count('"') % 2:  # prose
        return above
    return above if _has_names(rows, width, known, last, names) else above - 1


def _has_names(
    rows: Cells, width: int, known: tuple[str, ...] | None, comment: str, cells: list[str]
) -> bool:
    """Whether a table's first line holds its names, and not the ``cells`` of the comment above.

    Over numbers they tell themselves from values. Over words alone, of which none need stand twice,
    the comment has them unless it is prose, with blanks between its words.
    """
    if known and set(known) <= set(cells):
        return False
    first, body = rows[0], rows[1:]
    values = any(_is_value(cell) or cell.lower() in MISSING[1:] for cell in first)
    if len(first) != width or values or _header(rows, ".", known) is None:
        return False
    measured = any(_is_value(cell) for row in body for cell in row)
    return measured or (" " in comment.lstrip("# ").rstrip() and "\t" not in comment)


def _cells(lines: list[str], separator: str) -> Cells:
    if separator == SPACES:
        return [line.split() for line in lines]
    try:
        return [[cell.strip() for cell in row] for row in _reader(lines, separator)]
    except csv.Error:  # a cell that is too long, as of a quote that never ends: pandas will tell
        return [line.split(separator) for line in lines]


def _lines_of(lines: list[str], separator: str, rows: int) -> int:
    """Over how many of the lines the first ``rows`` of `_cells` go."""
    if separator == SPACES:
        return rows
    reader = _reader(lines, separator)
    try:
        for _ in range(rows):
            next(reader)
    except csv.Error:
        return rows
    return reader.line_num


def _reader(lines: list[str], separator: str) -> Any:
    """Of the csv module; a quoted cell may go on over several lines."""
    whole = (f"{line}\n" for line in lines)
    return csv.reader(whole, delimiter=separator, skipinitialspace=True)


def _separator(lines: list[str]) -> tuple[str, int]:
    """The sign that cuts most lines into one number of values, above one; and that number.

    Comments have no say where there are other lines.
    """
    several = len(lines) > 1
    lines = [line for line in lines if not _is_comment(line)] or lines
    best, agreeing, width = ",", 0, 1
    for sign in SEPARATORS:
        widths = Counter(len(row) for row in _cells(lines, sign))
        common, count = max(widths.items(), key=lambda item: item[1], default=(1, 0))
        if common > 1 and count > agreeing:
            best, agreeing, width = sign, count, common
    if agreeing == 0 and several:
        rows = _cells(lines, SPACES)
        common = len(rows[-1])
        if common > 1 and all(_is_number(cell) for row in rows[1:] or rows for cell in row):
            return SPACES, common
    return best, width


def _title(rows: Cells, width: int) -> int:
    """How many lines stand above a table's header with one cell in words, or none: 0 as a rule."""
    full = [sum(bool(cell) for cell in row) for row in rows]
    above = next((i for i, count in enumerate(full) if count > 1), 0)
    words = [row[0] for row in rows[:above] if row and row[0]]
    return above if width > 2 and words and not any(map(_is_number, words)) else 0


def _decimal(rows: Cells, separator: str) -> str:
    """The sign before the fractions: what more cells are written with."""
    if separator == ",":
        return "."
    cells = [cell for row in rows for cell in row]
    commas, points = (sum(bool(form.fullmatch(c)) for c in cells) for form in (_COMMA, _POINT))
    return "," if commas > points else "."


def _header(rows: Cells, decimal: str, known: tuple[str, ...] | None) -> list[str] | None:
    """The first line's names; None where it holds values as the lines below it do.

    Values are numbers, or words that all stand again in their columns below: the kind of a flower.
    The numbers from 0 on are the names that pandas gives to columns that have none.
    """
    if not rows:
        return None
    first, body = rows[0], rows[1:]
    if known and set(known) <= {name or f"{UNNAMED}{j}" for j, name in enumerate(first)}:
        return first
    counted = first[1:] if first[0] == "" else first
    if known != () and len(counted) > 2 and counted == [str(j) for j in range(len(counted))]:
        return first
    words = [
        j for j, cell in enumerate(first)
        if not _is_value(cell.replace(decimal, ".")) and cell.lower() not in MISSING
    ]  # fmt: skip
    again = all(any(j < len(row) and row[j] == first[j] for row in body) for j in words)
    return None if again else first


def _is_value(text: str) -> bool:
    """Whether this is no name but a number, though an infinite one, which is refused later on."""
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False

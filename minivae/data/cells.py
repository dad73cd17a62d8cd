"""Cells of a table that are no numbers as they stand: which are after all, and what others are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from minivae.data.errors import DataError
from minivae.data.names import listed

MINUS = "\u2212"  # what typesetters write for it
_NUMBER = r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"
_GROUPED = r"[+-]?\d{1,3}([.,'\u2019\s]\d{3})+([.,]\d+)?"
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|\d{1,2}:\d\d(:\d\d.*)?"
)
# What most cells of a text column may look like, and what to do with them.
_FORMS = (
    (re.compile(_GROUPED), "has numbers whose thousands are set apart", "without that sign"),
    (re.compile(rf"{_NUMBER}\s?%"), "has per cent", "without the sign"),
    (
        re.compile(rf"[€$£¥]\s?({_NUMBER}|{_GROUPED})|({_NUMBER}|{_GROUPED})\s?[€$£¥]"),
        "has sums of money",
        "without the currency",
    ),
    (re.compile(r"[+-]?0[xX][0-9a-fA-F]+"), "has hexadecimal numbers", "in tens"),
    (re.compile(r"[+-]?[\d.]+[dD][+-]?\d+"), "has Fortran's numbers", "with e for D"),
)


def numbers_from_objects(frame: Any) -> Any:
    """The pandas frame with its columns of numbers in Python objects (decimals, large whole
    numbers) as float64."""
    found = {}
    for column in frame.columns[[dtype == np.dtype(object) for dtype in frame.dtypes]]:
        cells = frame[column]
        if all(isinstance(c, (Real, Decimal)) for c in cells):
            found[column] = cells.astype(float)
    return _with_columns(frame, found)


def numbers_from_text(frame: Any) -> Any:
    """A frame from a text file with columns that pandas left as text though all are numbers: those
    with more digits than 64 bits hold, or a printed minus."""
    found = {}
    for column in frame.columns[[getattr(d, "kind", "O") == "O" for d in frame.dtypes]]:
        cells = [_plain(cell) for cell in frame[column]]
        if all(map(_reads_as_number, cells)):
            found[column] = [float(cell) for cell in cells]
    return _with_columns(frame, found)


def _with_columns(frame: Any, found: dict[Any, Any]) -> Any:
    """The frame with others in the place of those columns, whose names need not be texts; itself
    unchanged."""
    changed = frame.copy(deep=False) if found else frame
    for column, values in found.items():
        changed[column] = values
    return changed


def _plain(cell: Any) -> str:
    return str(cell).replace(MINUS, "-")


def refuse_dates(frame: Any, texts: Sequence[Any], name: str) -> None:
    """DataError, by name, for columns of dates, times or periods, though written as text."""
    dates = [column for column in texts if _are_dates(frame[column])]
    if dates:
        raise DataError(
            f"{name}: column {dates[0]!r} holds dates; make numbers of them, such as days since "
            "the first, or leave the column out"
        )


def _are_dates(column: Any) -> bool:
    temporal = getattr(column.dtype, "is_temporal", None)  # Polars
    if temporal is not None and temporal():
        return True
    if getattr(column.dtype, "kind", "O") in "mM" or str(column.dtype).startswith("period"):
        return True
    cells = [cell for cell in column if isinstance(cell, str)]
    return 2 * sum(bool(_DATE.fullmatch(cell.strip())) for cell in cells) > len(column)


def refuse_a_slip(column: Any, label: str, name: str) -> None:
    """DataError for a column of numbers that a few cells made text: no kinds, but a slip."""
    cells = [str(cell) for cell in column]
    wrong = [row for row, cell in enumerate(cells) if not _reads_as_number(cell)]
    if 0 < len(wrong) < 0.2 * len(cells):
        raise DataError(
            f"{name}: column {label!r} holds numbers but for {len(wrong)} of {len(cells)} cells, "
            f"the first in row {wrong[0]} (from 0): {cells[wrong[0]]!r}; mend them, or leave the "
            "column out"
        )


def _reads_as_number(text: str) -> bool:
    if "_" in text:  # a slip, or a code; only programs write 1_000
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def text_refused(frame: Any, texts: Sequence[str], name: str, *, own: bool) -> DataError:
    """The error for columns that are no numbers: a mixed one by its cell, others by name.

    own: whether the options of reading can be given; other data of a run have only the run's.
    """
    column = frame[texts[0]]
    values = column.tolist()
    cells = [str(value) for value in values]
    bad = [i for i, cell in enumerate(cells) if not _reads_as_number(cell)]
    if bad and len(bad) * 2 < len(cells):
        return DataError(
            f"{name}: column {texts[0]!r} holds numbers, but row {bad[0]} (from 0) is "
            f"{cells[bad[0]]!r}; mend or remove that row"
        )
    for form, what, how in _FORMS:
        like = [cell for cell in cells if form.fullmatch(cell.strip())]
        if len(like) * 2 > len(cells):
            return DataError(
                f"{name}: column {texts[0]!r} {what} (such as {like[0]!r}); write the numbers {how}"
            )
    if isinstance(values[0], complex) or (
        hasattr(values[0], "__len__") and not isinstance(values[0], (str, bytes))
    ):
        kind = "complex numbers" if isinstance(values[0], complex) else "lists"
        return DataError(
            f"{name}: column {texts[0]!r} holds {kind} (such as {cells[0][:40]!r}); give each of "
            "their numbers a column of its own"
        )
    several = len(texts) > 1
    which = f"{'columns' if several else 'column'} {listed(map(repr, texts))}"
    what = "kinds" if str(column.dtype) == "category" else "text"
    fix = (
        f"name the labels' column with --label COLUMN, spread {what} over columns of 0 and 1 with "
        "--one-hot, or remove it"
        if own
        else "which the run was not trained on; remove it"
    )
    return DataError(
        f"{name}: {which} hold{'' if several else 's'} {what} (such as {cells[0]!r})"
        f"{'; ' if own else ', '}{fix}"
    )

"""Tables in text (CSV, TSV and their kin): how a file is written is found out from its beginning.

Excel alone writes commas, semicolons or tabs, points or commas in its numbers, and three encodings.
"""

from __future__ import annotations

import csv
import math
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from minivae.data.cells import numbers_from_text
from minivae.data.columns import UNNAMED
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import file_errors
from minivae.data.names import one_spelling
from minivae.data.reading import MOST_IN_MEMORY, Reading
from minivae.data.tables import load_frame, pandas_for

SEPARATORS = ("\t", ";", "|", ",")  # in the order preferred: a comma may stand within a number
SPACES = r"\s+"  # as pandas writes a separator of any number of blanks
WINDOWS = "cp1252"  # what Excel writes in Western Europe
UTF16 = (b"\xff\xfe", b"\xfe\xff")
LOOKED_AT = 1 << 20  # bytes
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


def load_csv(path: Path, reading: Reading) -> Dataset:
    """A table in text: values apart by comma, semicolon, tab, | or blanks, with a header or none.

    Raises:
        DataError: rows of different lengths, text that is no number, missing values, no rows.
    """
    pandas = pandas_for(path)
    with file_errors(path), path.open("rb") as stream:
        start = stream.read(LOOKED_AT)
        size = stream.seek(0, 2)
    if size > MOST_IN_MEMORY:
        raise DataError(
            f"{path}: {size / 1e9:.1f} GB of text are too much to be read at once; "
            "save the numbers with numpy.save, and the .npy is read piece by piece"
        )
    whole = size <= LOOKED_AT
    frame, dialect, encoding = _read_as_written(pandas, path, start, whole, reading.columns)
    _refuse_twice(dialect.header, path)
    windows = f"{path}: is not in UTF-8; its letters are read as those of Windows ({WINDOWS})"
    notes = [windows] if encoding == WINDOWS else []
    named = dialect.header is not None
    frame = numbers_from_text(frame)
    if dialect.title:
        notes.append(
            f"{path}: the lines above its header ({dialect.title[:40]!r}, …) are passed over"
        )
    dataset = load_frame(frame, reading, str(path), named=named)
    return dataset.with_parts(notes=(*notes, *dataset.notes))


def _read_as_written(
    pandas: Any, path: Path, start: bytes, whole: bool, known: tuple[str, ...] | None
) -> tuple[Any, Dialect, str]:
    """The frame, how it is written, and in which encoding, by which its header is judged too.

    Raises DataError where no encoding will do.
    """
    for encoding in ("utf-16",) if start.startswith(UTF16) else ("utf-8-sig", WINDOWS):
        dialect = dialect_of(start.decode(encoding, "replace"), whole=whole, known=known)
        try:
            return _read(pandas, path, dialect, encoding), dialect, encoding
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path}: its letters are of no encoding that is read; save it as UTF-8")


def _read(pandas: Any, path: Path, dialect: Dialect, encoding: str) -> Any:
    """The frame; UnicodeDecodeError where the letters are of another encoding."""
    with file_errors(path), warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas drops what is too long with a warning only
        try:
            return pandas.read_csv(
                path,
                sep=dialect.separator,
                decimal=dialect.decimal,
                header="infer" if dialect.header is not None else None,
                index_col=False,
                skiprows=dialect.skipped,
                skipinitialspace=True,
                encoding=encoding,
                low_memory=False,
            )
        except (OSError, UnicodeDecodeError):
            raise
        except Exception as error:  # pandas raises many kinds for a bad file
            raise DataError(f"{path}: {_fault(str(error), dialect.skipped)}") from None


def _fault(said: str, skipped: int) -> str:
    """What pandas says of a bad table, in words about the file."""
    ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", said)
    if ragged:
        expected, line, found = ragged.groups()
        return f"line {line} has {found} values where {expected} are expected; mend that line"
    if "Length of header" in said:
        return "its lines have more values than its header has names; mend the header"
    if "No columns to parse" in said:
        return "has no table in it; give a file with rows"
    return f"is no table that can be read ({' '.join(said.split())[:160]})"


def dialect_of(text: str, *, whole: bool = True, known: tuple[str, ...] | None = None) -> Dialect:
    """How the table is written whose text begins so; ``whole`` where the text is all of it.

    known: the columns of a run that was trained on it, () where it took no line for their names.
    """
    every = re.split(r"\r\n?|\n", text)  # the lines that pandas counts
    every = every if whole or len(every) < 2 else every[:-1]  # the last one may be cut
    places = [number for number, line in enumerate(every) if line.strip()]
    lines = [every[number] for number in places]
    told = re.fullmatch(r"\"?sep=(.)\"?", lines[0].strip()) if lines else None
    if told:
        rows = _cells(lines[1:], told[1])
        decimal = _decimal(rows, told[1])
        header = _header(rows, decimal, known)
        return Dialect(told[1], decimal, header, places[0] + 1)
    lines = lines[:LOOKED_AT_LINES]
    separator, width = _separator(lines)
    comments = 0
    while lines[comments:] and lines[comments].lstrip().startswith("#") and (
        len(_cells(lines[comments : comments + 1], separator)[0]) != width
    ):  # fmt: skip
        comments += 1
    rows = _cells(lines[comments:], separator)
    above = _title(rows, width)
    title = " ".join(rows[0]).strip() if above else ""
    rows, comments = rows[above:], comments + above
    decimal = _decimal(rows, separator)
    skipped = places[comments - 1] + 1 if comments else 0
    return Dialect(separator, decimal, _header(rows, decimal, known), skipped, title)


def _cells(lines: list[str], separator: str) -> Cells:
    if separator == SPACES:
        return [line.split() for line in lines]
    try:
        rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        return [[cell.strip() for cell in row] for row in rows]
    except csv.Error:  # a quote that never ends, say: pandas will tell
        return [line.split(separator) for line in lines]


def _separator(lines: list[str]) -> tuple[str, int]:
    """The sign that cuts most lines into one number of values, above one; and that number."""
    best, agreeing, width = ",", 0, 1
    for sign in SEPARATORS:
        widths = Counter(len(row) for row in _cells(lines, sign))
        common, count = max(widths.items(), key=lambda item: item[1], default=(1, 0))
        if common > 1 and count > agreeing:
            best, agreeing, width = sign, count, common
    if agreeing == 0 and len(lines) > 1:
        rows = _cells(lines, SPACES)
        common = len(rows[-1])
        if common > 1 and all(_is_number(cell) for row in rows[1:] for cell in row):
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
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _refuse_twice(header: list[str] | None, path: Path) -> None:
    """DataError where two columns have one name: which of them is meant could not be said."""
    counts = Counter(one_spelling(name) for name in header or () if name)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise DataError(f"{path}: its header names {twice[0]!r} twice; rename one of the columns")

"""Tables in text (CSV, TSV and their kin), read as they are written."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from minivae.data.cells import numbers_from_text
from minivae.data.dataset import Dataset
from minivae.data.dialect import Dialect, dialect_of
from minivae.data.errors import DataError
from minivae.data.idx import file_errors
from minivae.data.names import refuse_twice
from minivae.data.reading import MOST_IN_MEMORY, Reading
from minivae.data.tables import load_frame, pandas_for

WINDOWS = "cp1252"  # what Excel writes in Western Europe, beside UTF-8 and UTF-16
UTF16 = (b"\xff\xfe", b"\xfe\xff")
LOOKED_AT = 1 << 20  # bytes


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
    refuse_twice(filter(None, dialect.header or ()), path)
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
    with (
        file_errors(path),
        warnings.catch_warnings(),
        path.open(encoding=encoding, newline="") as stream,
    ):
        warnings.simplefilter("error")  # pandas drops what is too long with a warning only
        try:
            # pandas would count the lines to skip by its own reading of their quotes
            for _ in range(dialect.skipped):
                stream.readline()
            return pandas.read_csv(
                stream,
                sep=dialect.separator,
                decimal=dialect.decimal,
                header="infer" if dialect.header is not None else None,
                index_col=False,
                skipinitialspace=True,
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
        expected, line, found = map(int, ragged.groups())
        line += skipped
        return f"line {line} has {found} values where {expected} are expected; mend that line"
    if "Length of header" in said:
        return "its lines have more values than its header has names; mend the header"
    if "No columns to parse" in said:
        return "has no table in it; give a file with rows"
    return f"is no table that can be read ({' '.join(said.split())[:160]})"

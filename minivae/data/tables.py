"""Tables: Parquet files, pandas and Polars frames, as rows with named columns."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.arrays import from_file_arrays
from minivae.data.cells import numbers_from_objects, refuse_a_slip, refuse_dates, text_refused
from minivae.data.columns import without_leavings
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import file_errors
from minivae.data.labels import MOST_KINDS
from minivae.data.names import nearest_words, one_spelling, refuse_twice
from minivae.data.reading import MOST_IN_MEMORY, Reading, column_number

PARQUET_MAGIC = b"PAR1"
FEW_ROWS = 20  # in which a text may well stand once


class _Numbers(NamedTuple):
    """A table as numbers (N, D) float64 with the columns' names and the one-hot groups."""

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    groups: tuple[tuple[int, int], ...]


def load_parquet(path: Path, reading: Reading) -> Dataset:
    """A table in a Parquet file. Raises DataError as :func:`load_csv` does."""
    pandas = pandas_for(path)
    with file_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that damage made: the values are checked
        try:
            from pyarrow.parquet import ParquetFile

            with ParquetFile(path) as file:
                rows, width = file.metadata.num_rows, file.metadata.num_columns
            _require_room(path, rows, width)
            frame = pandas.read_parquet(path, engine="pyarrow", page_checksum_verification=True)
        except DataError:
            raise
        except Exception as error:  # pyarrow raises many kinds for a bad file
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(f"{path}: is no whole Parquet file ({_brief(error)})") from None
    return load_frame(frame, reading, str(path))


def load_frame(
    frame: Any, reading: Reading, name: str = "the frame", *, named: bool = True
) -> Dataset:
    """A pandas or Polars frame; text columns are refused by name, or spread by ``one_hot``.

    Raises:
        DataError: text, missing values, no rows, no such label.
    """
    reading.refuse(name, "a table", "resize")
    if hasattr(frame, "to_pandas"):
        frame = frame.to_pandas()
    if len(frame) == 0:
        raise DataError(f"{name}: has no rows below its header; at least one is needed")
    frame = _with_names(frame, name) if named else frame.set_axis(
        [str(j) for j in range(frame.shape[1])], axis=1)  # fmt: skip
    kept = () if reading.label is None else (reading.label,)
    frame, left_out = without_leavings(frame, name, kept, reading.columns) if named else (frame, [])
    labels, column = None, None
    if reading.label is not None and (reading.own or reading.label in frame.columns):
        column = _column(frame, reading.label, name)
        labels = {"train": _label_column(frame[column])}
        frame = frame.drop(columns=column)
    with np.errstate(all="ignore"):  # damage makes odd numbers: they are looked for below
        table = _numbers(frame, reading, name)
    dataset = from_file_arrays(
        name,
        reading,
        table.values,
        labels=labels,
        label_places={"train": f"{name}, column {column!r}"},
        columns=table.columns if named or reading.one_hot else None,
        groups=table.groups or None,
    )
    return dataset.with_parts(
        reading=Reading(label=column if named else reading.label),
        notes=(*left_out, *dataset.notes),
    )


def _with_names(frame: Any, name: str) -> Any:
    """The frame with its columns' names as texts; DataError where they are not one name each."""
    levels = getattr(frame.columns, "nlevels", 1)
    if levels > 1:
        raise DataError(
            f"{name}: its columns have names of {levels} levels; give each one name, "
            "frame.columns = ['_'.join(map(str, name)) for name in frame.columns]"
        )
    refuse_twice(map(str, frame.columns), name)
    return frame.rename(columns=str)


def pandas_for(path: Path) -> Any:
    """pandas, to read a file; DataError that names the extra where it is not installed."""
    try:
        import pandas
    except ImportError:
        raise DataError(
            f'{path}: tables are read with pandas; pip install "minivae[tables]"'
        ) from None
    return pandas


def _require_room(path: Path, rows: int, width: int) -> None:
    size = 8 * rows * width
    if size > MOST_IN_MEMORY:
        raise DataError(
            f"{path}: {rows} rows of {width} columns take {size / 1e9:.1f} GB; save the numbers "
            "with numpy.save as float32, and the .npy is read piece by piece"
        )


def _column(frame: Any, label: str, name: str) -> str:
    """The column called ``label``, or with that number; DataError naming a near one."""
    known = list(frame.columns)
    spelt = {one_spelling(column): column for column in known}
    if one_spelling(label) in spelt:
        return str(spelt[one_spelling(label)])
    number = column_number(label)
    if number is not None and -len(known) <= number < len(known):
        return str(known[number])
    raise DataError(
        f"{name}: has no column {label!r}{nearest_words(label, known)}; it has "
        f"{', '.join(known[:8])}{', …' if len(known) > 8 else ''}"
    )


def _label_column(column: Any) -> NDArray[Any]:
    if column.dtype.kind in "biuf":
        return np.asarray(column)
    return np.fromiter(column.tolist(), dtype=object, count=len(column))  # lists too, one a row


def _numbers(frame: Any, reading: Reading, name: str) -> _Numbers:
    if frame.shape[1] == 0:
        raise DataError(f"{name}: has no column but the label's; at least one is needed")
    frame = numbers_from_objects(frame)
    whole = _plain_numbers(frame)
    if whole is not None:
        return _Numbers(whole, tuple(frame.columns), ())
    texts = text_columns(frame)
    refuse_dates(frame, texts, name)
    if texts and not reading.one_hot:
        raise text_refused(frame, texts, name, own=reading.own)
    values: list[NDArray[np.float64]] = []
    columns: list[str] = []
    groups: list[tuple[int, int]] = []
    in_words = frozenset(texts)
    for column in frame.columns:
        if column in in_words:
            refuse_a_slip(frame[column], column, name)
            kinds, hot = _spread(frame[column], column, name)
            groups.append((len(columns), len(columns) + len(kinds)))
            columns += [f"{column}={kind}" for kind in kinds]
            values.append(hot)
        else:
            columns.append(column)
            values.append(_numeric(frame[column], column, name)[:, None])
    return _Numbers(np.concatenate(values, axis=1), tuple(columns), tuple(groups))


def _plain_numbers(frame: Any) -> NDArray[np.float64] | None:
    """All of a frame whose columns are NumPy's numbers, none missing, at once: of many columns
    each would take pandas as long as thousands of its cells."""
    if not all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in frame.dtypes):
        return None
    found = np.ascontiguousarray(frame.to_numpy(dtype=np.float64))
    return None if np.isnan(found).any() else found


def text_columns(frame: Any) -> list[Any]:
    """The names of a frame's columns that hold no numbers."""
    return [column for column in frame.columns if not _is_numeric(frame[column])]


def _is_numeric(column: Any) -> bool:
    asked = getattr(column.dtype, "is_numeric", None)  # Polars
    if asked is not None:
        return bool(asked())
    # pandas' own types (Int64, boolean, decimals of Arrow) have a kind as NumPy's have
    return getattr(column.dtype, "kind", "O") in "biuf"


def _numeric(column: Any, label: str, name: str) -> NDArray[np.float64]:
    found = column.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.flatnonzero(np.isnan(found))
    if missing.size:
        raise DataError(
            f"{name}: row {missing[0]} (from 0), column {label!r} is missing (nan), "
            f"{missing.size} of {len(found)} in this column; remove such rows or fill them in "
            "before training"
        )
    return np.asarray(found)


def _spread(column: Any, label: str, name: str) -> tuple[list[str], NDArray[np.float64]]:
    """A text column's kinds and its 0s and 1s (N, kinds)."""
    missing = np.flatnonzero(np.asarray(column.isna()))
    if missing.size:
        raise DataError(
            f"{name}: row {missing[0]} (from 0), column {label!r} is missing; remove such rows or "
            "fill them in before training"
        )
    words = np.array([str(value) for value in column.tolist()])
    kinds, numbers = np.unique(words, return_inverse=True)
    if len(kinds) > MOST_KINDS or len(kinds) == len(words) > FEW_ROWS:
        each = ", another one in each row" if len(kinds) == len(words) else ""
        raise DataError(
            f"{name}: column {label!r} has {len(kinds)} different texts{each}, too many for "
            f"--one-hot; leave it out with --label {shlex.quote(label)}"
        )
    return [str(kind) for kind in kinds], np.eye(len(kinds))[numbers.ravel()]


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__

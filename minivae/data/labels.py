"""Labels of any kind: whole numbers for colouring pictures, or a note on why they are not used.

A missing label is noted as well; among words it is a kind of its own. An infinite one is no label
of any kind, in digits or in words: the file that holds it is damaged, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.cells import MINUS
from minivae.data.errors import DataError
from minivae.messages import shown

LIMIT = 2**63  # what int64 holds
EXACT = 2**53  # up to here float64 tells every whole number from the next
MISSING = "(missing)"
MOST_KINDS = 1000  # different words; more are names of rows, not labels


class Labels(NamedTuple):
    """Labels of each part, int64, one a row; their names; what to tell the user, or nothing."""

    parts: dict[str, NDArray[np.int64]]
    names: tuple[str, ...] | None = None
    note: str = ""


def usable_labels(
    labels: Mapping[str, Any],
    rows: Mapping[str, int],
    where: str,
    places: Mapping[str, str] | None = None,
) -> Labels:
    """Labels of each part as whole numbers; what cannot be used is no error: no training needs it.

    Words become the numbers of their sorted kinds, one-hot rows the number of their column.
    Fractions, the wrong number of labels and the like are noted and left out.

    labels: by part, arrays of anything; rows: by part, how many rows it has; places: by part, what
    messages call its labels (a file's column or array), else `where`.
    Raises DataError for an infinite label, naming its place and row.
    """
    at = {part: f"{where} ({part})" if len(labels) > 1 else where for part in labels}
    at |= places or {}
    for part, y in labels.items():
        _refuse_infinite(np.asarray(y), at[part])
    given = {p: _one_a_row(np.asarray(y), rows[p]) for p, y in labels.items() if p in rows}
    for part, y in given.items():
        why = _unusable(y, rows[part])
        if why:
            return Labels({}, None, f"{at[part]}: {why}: the labels are not used")
    given = {part: _own_numbers(y) for part, y in given.items()}
    if any(y.dtype.kind in "OUS" for y in given.values()):
        return _from_words(given, where)
    return Labels({part: y.astype(np.int64) for part, y in given.items()})


def _refuse_infinite(labels: NDArray[Any], where: str) -> None:
    if labels.dtype.kind in "fc":
        infinite = np.isinf(labels)
    elif labels.dtype.kind in "OUS":
        infinite = np.array(_infinite(labels.ravel().tolist()), dtype=bool).reshape(labels.shape)
    else:
        return
    if infinite.any():
        at = tuple(np.argwhere(infinite)[0])
        row = at[-1] if labels.shape[:1] == (1,) else at[0] if at else 0  # MATLAB's are one row
        raise DataError(
            f"{where}: the label of row {row} (from 0) is {_shown(labels[at])}, so the file "
            "is damaged: mend or remove that row, or leave the labels out"
        )


def _infinite(labels: Sequence[Any]) -> list[bool]:
    """Which are infinite: numbers, and words where the others are numbers in words.

    Among other words "inf" is a word: of a verb's forms, say.
    """
    numbers = [_float(label) for label in labels]
    words = [isinstance(label, (str, bytes)) for label in labels]
    kinds = [n is not None for n, label in zip(numbers, labels, strict=True) if not _missing(label)]
    in_words = all(kinds)
    return [
        number is not None and math.isinf(number) and (in_words or not word)
        for number, word in zip(numbers, words, strict=True)
    ]


def _float(label: Any) -> float | None:
    """The number that this is, or is written as, however large; None for all else."""
    if isinstance(label, complex):
        return max(abs(label.real), abs(label.imag))
    if isinstance(label, str):  # as a typesetter writes it
        label = label.replace(MINUS, "-").replace("∞", "inf")
    try:
        return float(label)
    except OverflowError:  # a whole number of many digits
        return 0.0
    except (TypeError, ValueError):
        return None


def _shown(label: Any) -> str:
    """A label for a message: numbers without their type, words in quotes, both cut where long."""
    return shown(label.item() if isinstance(label, np.generic) else label)


def _one_a_row(labels: NDArray[Any], rows: int) -> NDArray[Any]:
    """A single column, or MATLAB's single row of `rows` values, as a vector.

    One-hot rows become the number of their 1; others come back as they are.
    """
    if labels.ndim != 2:
        return labels
    if labels.shape[1] == 1 or labels.shape == (1, rows):
        return labels.ravel()
    if labels.dtype.kind not in "buif" or labels.size == 0:
        return labels
    hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
    return labels.argmax(axis=1) if hot else labels


def _unusable(labels: NDArray[Any], rows: int) -> str:
    """Why these labels cannot be used, or nothing."""
    if labels.ndim != 1:
        return f"an array of shape {labels.shape} is not one label a row"
    if len(labels) != rows:
        return f"{len(labels)} labels for {rows} rows"
    if labels.dtype.kind == "O" and _are_numbers(labels):
        return next((why for row, y in enumerate(labels) if (why := _no_label(row, y))), "")
    if labels.dtype.kind in "OUS":
        return ""
    if labels.dtype.kind not in "buif":
        return f"labels of dtype {labels.dtype}"
    if labels.dtype.kind == "f":
        whole = (labels == np.trunc(labels)) & np.isfinite(labels)
        if not whole.all():
            first = int(np.flatnonzero(~whole)[0])
            return f"the label of row {first} (from 0) is {labels[first]}, no whole number"
    if not labels.size or labels.dtype.kind == "b":
        return ""
    low, high = labels.min(), labels.max()
    if not -LIMIT <= int(low) <= int(high) < LIMIT:
        return f"labels from {low} to {high} do not fit int64"
    if labels.dtype.kind == "f" and not max(abs(low), abs(high)) <= EXACT:
        return f"labels from {low} to {high} were rounded, as all beyond 2^53 are"
    return ""


def _are_numbers(labels: NDArray[Any]) -> bool:
    """Whether all are numbers; True and False beside others are words, or both would be 1."""
    return labels.size > 0 and all(
        isinstance(y, Number) and not isinstance(y, (bool, np.bool_)) for y in labels
    )


def _no_label(row: int, label: Any) -> str:
    """Why one of Python's own numbers (a decimal, a fraction, a long one) is no label, or nothing.

    Not asked of infinite ones, which were refused.
    """
    try:
        whole = int(label) == label
    except (TypeError, ValueError, ArithmeticError):  # complex, NaN, a signalling NaN
        whole = False
    if not whole:
        return f"the label of row {row} (from 0) is {_shown(label)}, no whole number"
    if not -LIMIT <= int(label) < LIMIT:
        return f"the label of row {row} (from 0) is {_shown(label)}, which does not fit int64"
    return ""


def _own_numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """Python's own numbers, found to be whole, as an array of such; all else as it is."""
    if labels.dtype.kind != "O" or not _are_numbers(labels):
        return labels
    return np.array([int(y) for y in labels], dtype=np.int64)


def _from_words(labels: Mapping[str, NDArray[Any]], where: str) -> Labels:
    words = {part: np.array([_word(label) for label in y.tolist()]) for part, y in labels.items()}
    kinds = np.unique(np.concatenate(list(words.values())))
    if len(kinds) > MOST_KINDS:
        note = f"{where}: {len(kinds)} different labels: they are not used"
        return Labels({}, None, note)
    gone = sum(int((y == MISSING).sum()) for y in words.values())
    note = f"{where}: {gone} labels are missing, a kind of their own" if gone else ""
    numbers = {part: np.searchsorted(kinds, y).astype(np.int64) for part, y in words.items()}
    return Labels(numbers, tuple(str(kind) for kind in kinds), note)


def _missing(label: Any) -> bool:
    """None, NaN, pandas' NA and NaT, and no letters."""
    if isinstance(label, bytes):
        label = label.decode(errors="backslashreplace")
    return label is None or (
        not isinstance(label, int) and str(label) in ("nan", "NaN", "sNaN", "<NA>", "NaT", "")
    )


def _word(label: Any) -> str:
    """A label in words; MISSING where it is missing."""
    if _missing(label):
        return MISSING
    if isinstance(label, bytes):  # two that differ stay two
        return label.decode(errors="backslashreplace")
    return shown(label, 1000) if isinstance(label, int) else str(label)

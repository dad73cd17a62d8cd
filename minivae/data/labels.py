"""Labels of any kind: whole numbers for colouring pictures, or a note on why they are not used.

A missing label is noted as well; among words it is a kind of its own. An infinite one is no label
of any kind: the file that holds it is damaged, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError

LIMIT = 2.0**63  # what int64 holds
MISSING = "(missing)"
MOST_KINDS = 1000  # different words; more are names of rows, not labels


class Labels(NamedTuple):
    """Labels of each part, int64, one a row; their names; what to tell the user, or nothing."""

    parts: dict[str, NDArray[np.int64]]
    names: tuple[str, ...] | None = None
    note: str = ""


def usable_labels(labels: Mapping[str, Any], rows: Mapping[str, int], where: str) -> Labels:
    """Labels of each part as whole numbers; what cannot be used is no error: no training needs it.

    Words become the numbers of their sorted kinds, one-hot rows the number of their column.
    Fractions, the wrong number of labels and the like are noted and left out.

    labels: by part, arrays of anything; rows: by part, how many rows it has.
    Raises DataError for an infinite label, naming its row.
    """
    for part, y in labels.items():
        _refuse_infinite(np.asarray(y), where if len(labels) == 1 else f"{where} ({part})")
    given = {p: _one_a_row(np.asarray(y), rows[p]) for p, y in labels.items() if p in rows}
    for part, y in given.items():
        why = _unusable(y, rows[part])
        if why:
            at = where if len(given) == 1 else f"{where} ({part})"
            return Labels({}, None, f"{at}: {why}: the labels are not used")
    if any(y.dtype.kind in "OUS" for y in given.values()):
        return _from_words(given, where)
    return Labels({part: y.astype(np.int64) for part, y in given.items()})


def _refuse_infinite(labels: NDArray[Any], where: str) -> None:
    if labels.dtype.kind in "fc":
        infinite = np.isinf(labels)
    elif labels.dtype.kind == "O":
        numbers = [isinstance(y, (float, np.floating)) and np.isinf(y) for y in labels.ravel()]
        infinite = np.array(numbers, dtype=bool).reshape(labels.shape)
    else:
        return
    if infinite.any():
        at = tuple(np.argwhere(infinite)[0])
        row = at[-1] if labels.shape[0] == 1 else at[0]  # MATLAB's are one row
        raise DataError(
            f"{where}: the label of row {row} (from 0) is {labels[at]}, so the file is damaged: "
            "mend or remove that row, or leave the labels out"
        )


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
    if labels.dtype.kind in "OUS":
        return ""
    if labels.dtype.kind not in "buif":
        return f"labels of dtype {labels.dtype}"
    if labels.dtype.kind == "f":
        whole = (labels == np.trunc(labels)) & np.isfinite(labels)
        if not whole.all():
            first = int(np.flatnonzero(~whole)[0])
            return f"the label of row {first} (from 0) is {labels[first]}, no whole number"
    if labels.size and not (float(labels.min()) >= -LIMIT and float(labels.max()) < LIMIT):
        return f"labels from {labels.min()} to {labels.max()} do not fit int64"
    return ""


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


def _word(label: Any) -> str:
    """A label in words; MISSING for None, NaN, pandas' NA and NaT, and no letters."""
    if label is None or str(label) in ("nan", "<NA>", "NaT", ""):
        return MISSING
    return label.decode(errors="replace") if isinstance(label, bytes) else str(label)

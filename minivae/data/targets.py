"""Targets for a likelihood: range checks, and binarisation that is drawn once and kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.checks import check_domain
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.stream import FileRows
from minivae.ops.batch import binarise
from minivae.ops.philox import BINARISE, uniforms
from minivae.parts import LIKELIHOODS
from minivae.parts.domains import REAL, UNIT

BINARISE_MODES = ("none", "dynamic", "fixed")
_CHUNK = 4096  # rows binarised together: bounds the memory that the uniforms take


def check_targets(
    dataset: Dataset, likelihood: str, binarise_mode: str = "none", groups: tuple[int, ...] = ()
) -> None:
    """DataError when ``dataset`` cannot be the target of ``likelihood`` and binarisation.

    Each likelihood's record says which values it takes. Binarisation draws each pixel with its
    grey value as the probability, so it is for likelihoods of 0s and 1s, whose data lie in [0, 1].
    """
    if binarise_mode not in BINARISE_MODES:
        raise DataError(f"binarise is {binarise_mode!r}; choose one of {', '.join(BINARISE_MODES)}")
    record = LIKELIHOODS[likelihood]
    if binarise_mode != "none" and not record.binary:
        able = " or ".join(name for name, part in LIKELIHOODS.items() if part.binary)
        raise DataError(
            f"{dataset.name}: binarised targets need the {able.capitalize()} likelihood, not "
            f"{likelihood}; use binarise none, or the {able} likelihood"
        )
    scaled_bytes = dataset.train.dtype == np.uint8 and 255 * dataset.scale <= 1.0 + 1e-6
    if record.domain is REAL or (record.domain is UNIT and scaled_bytes):
        return  # any finite number will do, or none can leave [0, 1]
    for part, rows in dataset.parts.items():
        where = dataset.name if part == "train" else f"{dataset.name} ({part})"
        if part == "train" and len(dataset.parts) > 1:  # a file's rows, less those held out
            where += ", among its training rows"
        check_domain(rows, dataset.scale, where, likelihood, groups, dataset.columns)


def binarise_fixed(dataset: Dataset, seed: int) -> Dataset:
    """``dataset`` with every value replaced, once, by a draw of 0 or 1 (E35).

    The uniforms are those of stream BINARISE at step 0. Rows are numbered through train, valid and
    test, so that no two rows share a draw. Binary data is returned as it is.
    """
    if dataset.fixed_binary:
        return dataset
    if isinstance(dataset.train, FileRows):
        raise DataError(
            f"{dataset.name}: is read from disk piece by piece, and a fixed draw of it would fill "
            "memory; use --binarise dynamic"
        )
    check_targets(dataset, LIKELIHOODS.first(lambda part: part.binary), "fixed")
    drawn: dict[str, NDArray[Any]] = {}
    first = 0
    for part, rows in (("train", dataset.train), ("valid", dataset.valid), ("test", dataset.test)):
        if rows is not None:
            drawn[part] = _draw(rows, dataset.scale, seed, first)
            first += len(rows)
    return dataset.with_parts(**drawn, scale=1.0, fixed_binary=True)


def _draw(rows: NDArray[Any], scale: float, seed: int, first: int) -> NDArray[np.uint8]:
    out = np.empty(rows.shape, dtype=np.uint8)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK].astype(np.float32) * np.float32(scale)
        numbers = np.arange(first + start, first + start + len(chunk))
        out[start : start + len(chunk)] = binarise(
            chunk, uniforms(seed, BINARISE, 0, numbers, rows.shape[1])
        )
    return out

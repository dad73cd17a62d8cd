"""A data set: rows of features, cut into train, test and, for some, valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.reading import AS_IT_IS, Reading, shape_words
from minivae.data.standard import Standard
from minivae.data.stream import FileRows

ROWS_OFF_DISK = 10_000  # of data on disk, to draw pictures and fit samplers with

Rows = NDArray[Any]  # (N, D), uint8 or float32
Labels = NDArray[np.int64]  # (N,)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Rows as stored, and what is needed to read them.

    A feature's value is ``row * scale``: bytes stay bytes in memory (a quarter of float32's
    size) and are scaled when a batch is gathered. Rows that do not fit into memory are
    :class:`minivae.data.stream.FileRows`, which read like arrays.

    Attributes:
        name: the catalogue's name, or the file's.
        train, test, valid: (N, D), (M, D) and (V, D), uint8 or float32, C-contiguous. ``test``
            may have no rows; ``valid`` is None where the data has no such part.
        train_labels, test_labels, valid_labels: int64, one a row, or None.
        shape: (height, width), or (height, width, 3) in colour, of a row as a picture, or None.
        scale: 1/255 for pictures of bytes, 1/16 for ``digits``, 1.0 otherwise.
        licence, source: where the data comes from and on what terms.
        factors, test_factors: for generated data, name -> one true value a row.
        label_names: the labels in words, or None.
        fixed_binary: every value is 0 or 1 already.
        columns: the names of a table's columns, or None.
        groups: (first column, column after the last) of each text column spread over 0 and 1.
        standard: mean and deviation that were taken out of the columns, or None.
        origin: what was taken out of columns far from 0 as they became float32, (D,), until they
            are standardised; None where nothing was.
        weight: how much each row of ``train`` counts, (N,) of mean 1; None where all count alike.
        reading: the options by which the same file is read in the same way again.
        notes: what the user should know of how the data were read.
    """

    name: str
    train: Rows
    test: Rows
    valid: Rows | None = None
    train_labels: Labels | None = None
    test_labels: Labels | None = None
    valid_labels: Labels | None = None
    scale: float = 1.0
    shape: tuple[int, ...] | None = None
    licence: str = "not stated"
    source: str = ""
    factors: Mapping[str, NDArray[Any]] | None = None
    test_factors: Mapping[str, NDArray[Any]] | None = None
    label_names: tuple[str, ...] | None = None
    fixed_binary: bool = False
    columns: tuple[str, ...] | None = None
    groups: tuple[tuple[int, int], ...] | None = None
    standard: Standard | None = None
    origin: NDArray[np.float64] | None = None
    weight: NDArray[np.float64] | None = None
    reading: Reading = AS_IT_IS
    notes: tuple[str, ...] = ()

    @property
    def data_dim(self) -> int:
        """D, the number of features of a row."""
        return int(self.train.shape[1])

    @property
    def parts(self) -> dict[str, Rows]:
        """The parts that have rows, by name."""
        all_parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: rows for name, rows in all_parts.items() if rows is not None and len(rows)}

    def values(self, part: str = "train", most: int | None = None) -> NDArray[np.float32]:
        """A part's first ``most`` rows (all where None) as float32, scaled: (N, D)."""
        rows = {"train": self.train, "valid": self.valid, "test": self.test}[part]
        if rows is None:
            raise ValueError(f"{self.name} has no part named {part!r}")
        some = np.asarray(rows[:most])
        return some.astype(np.float32) * np.float32(self.scale)

    def user_values(self, part: str = "train", most: int | None = None) -> NDArray[Any]:
        """A part in the user's units, (N, D); of rows on disk the first ROWS_OFF_DISK at most."""
        if isinstance({"train": self.train, "test": self.test}.get(part, self.valid), FileRows):
            most = ROWS_OFF_DISK if most is None else min(most, ROWS_OFF_DISK)
        return self.to_user(self.values(part, most))

    @property
    def log_volume(self) -> float:
        """What -log p of a standardised row gains in the user's units, nats; 0 otherwise."""
        return 0.0 if self.standard is None else self.standard.log_volume

    def to_user(self, x: NDArray[Any]) -> NDArray[Any]:
        """Values as the model has them, (N, D), in the user's units."""
        return x if self.standard is None else self.standard.invert(x)

    def column_name(self, j: int) -> str:
        """Column j in words: its name, or its number from 0."""
        return f"column {j}" if self.columns is None else f"column {self.columns[j]!r}"

    def with_parts(self, **changes: Any) -> Dataset:
        """This data set with some fields replaced."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(rows)}" for name, rows in self.parts.items())
        picture = f", {shape_words(self.shape)} pictures" if self.shape else ""
        kind = f"{self.train.dtype}, scale {self.scale:.6g}"
        return f"<Dataset {self.name}: {sizes} rows of {self.data_dim} features ({kind}{picture})>"

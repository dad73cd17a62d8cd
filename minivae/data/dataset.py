"""A data set in memory: rows of features, cut into train, test and, for some, valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]  # (N, D), uint8 or float32
Labels = NDArray[np.int64]  # (N,)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Rows as stored, and what is needed to read them.

    A feature's value is ``row * scale``: bytes stay bytes in memory (a quarter of float32's
    size) and are scaled when a batch is gathered.

    Attributes:
        name: the catalogue's name, or the file's.
        train, test, valid: (N, D), (M, D) and (V, D), uint8 or float32, C-contiguous. ``test``
            may have no rows; ``valid`` is None where the data has no such part.
        train_labels, test_labels, valid_labels: int64, one a row, or None.
        shape: (height, width) of a row seen as a picture, or None.
        scale: 1/255 for pictures of bytes, 1/16 for ``digits``, 1.0 otherwise.
        licence, source: where the data comes from and on what terms.
        factors, test_factors: for generated data, name -> one true value a row.
        label_names: the labels in words, or None.
        fixed_binary: every value is 0 or 1 already.
    """

    name: str
    train: Rows
    test: Rows
    valid: Rows | None = None
    train_labels: Labels | None = None
    test_labels: Labels | None = None
    valid_labels: Labels | None = None
    shape: tuple[int, int] | None = None
    scale: float = 1.0
    licence: str = "not stated"
    source: str = ""
    factors: Mapping[str, NDArray[Any]] | None = None
    test_factors: Mapping[str, NDArray[Any]] | None = None
    label_names: tuple[str, ...] | None = None
    fixed_binary: bool = False

    @property
    def data_dim(self) -> int:
        """D, the number of features of a row."""
        return int(self.train.shape[1])

    @property
    def parts(self) -> dict[str, Rows]:
        """The parts that have rows, by name."""
        all_parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: rows for name, rows in all_parts.items() if rows is not None and len(rows)}

    def values(self, part: str = "train") -> NDArray[np.float32]:
        """A whole part as float32 with the scale applied, (N, D)."""
        rows = {"train": self.train, "valid": self.valid, "test": self.test}[part]
        if rows is None:
            raise ValueError(f"{self.name} has no part named {part!r}")
        return rows.astype(np.float32) * np.float32(self.scale)

    def with_parts(self, **changes: Any) -> Dataset:
        """The same data set with some fields replaced."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(rows)}" for name, rows in self.parts.items())
        picture = f", {self.shape[0]}x{self.shape[1]} pictures" if self.shape else ""
        kind = f"{self.train.dtype}, scale {self.scale:.6g}"
        return f"<Dataset {self.name}: {sizes} rows of {self.data_dim} features ({kind}{picture})>"

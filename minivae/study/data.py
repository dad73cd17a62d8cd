"""The data a chapter experiments on: the embedded digits, or another labelled set."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from minivae.types import Array

VARIABLE = "MINIVAE_STUDY_DATA"
ROWS = 6000  # of a large set: a chapter should take a minute or two
BATCH = 128  # of the models that the chapters train


@dataclass(frozen=True)
class StudyData:
    """Pixels in [0, 1], float64: train (N, D), test (M, D), their labels, and (height, width)."""

    name: str
    shape: tuple[int, int]
    train: Array
    test: Array
    train_labels: Array
    test_labels: Array

    @property
    def bundled(self) -> bool:
        """Whether these are the digits that the chapters' words are about; on other data their
        closer claims are measured all the same, and not held to."""
        return self.name == "digits"

    def shrunk(self, most: int = 200) -> StudyData:
        """The pictures averaged two pixels by two until they are at most so many numbers:
        for what takes long on large ones."""
        shape, parts = self.shape, [self.train, self.test]
        while shape[0] * shape[1] > most:
            parts = [halved(x, shape) for x in parts]
            shape = shape[0] // 2, shape[1] // 2
        return replace(self, shape=shape, train=parts[0], test=parts[1])

    def epochs(self, updates: int) -> int:
        """Passes over the training data that make about so many updates: on a larger set fewer."""
        return epochs_of(updates, len(self.train), BATCH)


def halved(x: Array, shape: tuple[int, int]) -> Array:
    """Pictures x (N, h w) with every two by two pixels averaged, (N, (h // 2) (w // 2))."""
    height, width = shape[0] // 2, shape[1] // 2
    pictures = x.reshape(-1, *shape)[:, : 2 * height, : 2 * width]
    blocks = pictures.reshape(-1, height, 2, width, 2)
    averages: Array = blocks.mean(axis=(2, 4)).reshape(-1, height * width)
    return averages


def epochs_of(updates: int, rows: int, batch_size: int) -> int:
    """At least one."""
    return max(1, round(updates * batch_size / rows))


def study_data(name: str | None = None, rows: int = ROWS) -> StudyData:
    """`digits`, or the labelled picture set named by `name` or MINIVAE_STUDY_DATA.

    Of a large set the first `rows` train and the first third as many test. Raises DataError where
    the files are not found, ValueError for data that are not labelled pictures.
    """
    from minivae.data import load

    data = load(name or os.environ.get(VARIABLE) or "digits")
    labels, test_labels = data.train_labels, data.test_labels
    if data.shape is None or len(data.shape) != 2 or labels is None or test_labels is None:
        raise ValueError(
            f"{data.name} has no labelled grey pictures; use digits, mnist or fashion-mnist."
        )
    fewer = rows // 3
    return StudyData(
        data.name,
        (data.shape[0], data.shape[1]),
        data.train[:rows].astype(np.float64) * data.scale,
        data.test[:fewer].astype(np.float64) * data.scale,
        labels[:rows],
        test_labels[:fewer],
    )

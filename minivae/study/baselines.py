"""What a figure about decoded pictures is held against: data never seen, and blends of pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from minivae.metrics.regularity import nearest_distance, neighbour_radii, on_manifold
from minivae.study.spaces import Space, different_pairs
from minivae.types import Array

NEIGHBOURS = 10  # of the classifier: the labels of the ten nearest data are its probabilities


class PictureQuality(NamedTuple):
    """Of some pictures: the share on the data's manifold (E40), the mean distance to the nearest
    datum, and the mean entropy in nats of a classifier's answer."""

    on_data: float
    distance: float
    doubt: float


class Judge:
    """Asks whether pictures look like data: train (N, D) in [0, 1] with labels (N,).

    The classifier's answer is the share of each label among the ten nearest data; its entropy is 0
    where they agree and log 10 = 2.3 nats where all ten differ.
    """

    def __init__(self, train: Array, labels: Array) -> None:
        self.train = train
        self.radii = neighbour_radii(train, 3)
        self.classifier = KNeighborsClassifier(NEIGHBOURS).fit(train, labels)

    def __call__(self, pictures: Array) -> PictureQuality:
        """The verdict on pictures (n, D)."""
        shares = self.classifier.predict_proba(pictures)
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)
        inside = on_manifold(pictures, self.train, self.radii)
        distance = nearest_distance(pictures, self.train)
        return PictureQuality(float(inside.mean()), float(distance.mean()), float(entropy.mean()))

    def third(self, pictures: Array, one: Array, other: Array) -> float:
        """The share of pictures (n, D) that are taken for neither label, one or other (n,)."""
        said = self.classifier.predict(pictures)
        return float(((said != one) & (said != other)).mean())


def blends(x: Array, labels: Array, count: int = 300, seed: int = 2) -> Array:
    """Halfway pictures (count, D), pixel by pixel, of pairs of x (N, D) with different labels."""
    one, other = different_pairs(labels, count, seed)
    result: Array = 0.5 * (x[one] + x[other])
    return result


def midpoints(space: Space, x: Array, labels: Array, count: int = 300, seed: int = 2) -> Array:
    """Pictures (count, D) decoded halfway between the codes of the pairs that `blends` takes."""
    one, other = different_pairs(labels, count, seed)
    codes = space.posterior(x)[0]
    return space.decode(0.5 * (codes[one] + codes[other]))


def lookup_order(x: Array, start: int = 0) -> Array:
    """An order (N,) of data (N, D) in which each is followed by the nearest one still left."""
    squares = (x**2).sum(axis=1)
    distance = squares[:, None] - 2 * x @ x.T + squares
    order = [start]
    distance[:, start] = np.inf
    for _ in range(len(x) - 1):
        order.append(int(distance[order[-1]].argmin()))
        distance[:, order[-1]] = np.inf
    return np.array(order)

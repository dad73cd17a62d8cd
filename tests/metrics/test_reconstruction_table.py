"""Reconstruction error and the table of models (E1, E2)."""

import numpy as np
import pytest

from minivae.estimators.pca import PCA
from minivae.metrics.reconstruction import best_pair, reconstruction_error


def test_error_by_hand():
    x = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    y = np.array([[1.0, 0.0, 3.0], [0.0, 3.0, 0.0]])
    assert reconstruction_error(x, y) == (4.0 + 10.0) / 2


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        reconstruction_error(np.ones((4, 3)), np.ones((1, 3)))


def test_the_table_is_ranked_by_test_error():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 7)) * np.arange(1, 8)
    rows = best_pair({"one": PCA(1), "five": PCA(5), "three": PCA(3)}, x[:60], x[60:])
    assert [row.name for row in rows] == ["five", "three", "one"]
    assert rows[0].train_error < rows[1].train_error < rows[2].train_error

"""Hidden layers where no backward pass follows: the same bits, by fused ops if there are any."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import layers
from minivae.backend import Observed, load_backend
from minivae.parts import ACTIVATIONS


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_the_same_bits_as_with_caches(kind, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    K, rng = load_backend(backend), np.random.default_rng(0)
    p = {}
    for i, (rows, columns) in enumerate([(7, 40), (40, 33)]):
        p[f"n.{i}.W"] = rng.standard_normal((rows, columns), dtype=np.float32)
        p[f"n.{i}.b"] = rng.standard_normal(columns, dtype=np.float32)
    x = rng.standard_normal((9, 7), dtype=np.float32)
    value, _ = layers.mlp_forward(K, p, "n", x, 2, kind)
    assert np.array_equal(layers.hidden_layers(K, p, "n", x, 2, kind), value)


class Names(Observed):
    """The reference, and the names of the ops that are called."""

    def __init__(self):
        super().__init__(load_backend("numpy"))
        self.seen = []

    def called(self, name, op, args):
        self.seen.append(name)
        return super().called(name, op, args)


@pytest.mark.parametrize(
    ("kind", "ops"),
    [("relu", ["dense_relu_forward"]), ("tanh", ["dense_tanh_forward"]),
     ("gelu", ["dense_forward", "gelu_forward"])],
)  # fmt: skip
def test_layer_and_activation_are_one_op_where_there_is_one(kind, ops):
    K, p = Names(), {"n.0.W": np.ones((2, 3)), "n.0.b": np.zeros(3)}
    layers.hidden_layers(K, p, "n", np.ones((4, 2)), 1, kind)
    assert K.seen == ops

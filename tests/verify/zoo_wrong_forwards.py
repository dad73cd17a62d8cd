"""Wrong passes: forwards that are random, write on their inputs, return the wrong thing; parameters in dicts."""

# ruff: noqa: E501, NPY002
from __future__ import annotations

import numpy as np

from tests.verify.zoo_right_dense import B, Pair, W, X, affine_dict, mlp, mlp_back, n, pair
from tests.verify.zoo_right_losses import G3
from tests.verify.zoo_wrong_dense import add

DOUBLED = (lambda x: (2.0 * x, None), lambda dy, _: 2 * dy)

add(
    "random_forward",
    lambda x: (x + np.random.normal(size=x.shape), None),
    lambda dy, _: dy.copy(),
    (X,),
    "",
    "random",
)
add(
    "fresh_dropout",
    lambda x: (lambda m: (x * m, m))(np.random.random(x.shape) > 0.5),
    lambda dy, m: dy * m,
    (X,),
    "",
    "random",
)
add("mutating_forward", lambda x: (x.__imul__(2), None), lambda dy, _: 2 * dy, (X,), "x", "mutates")
add("no_pair", lambda x: 2 * x, lambda dy, _: 2 * dy, (X,), "", "structure")
add(
    "no_pair_scalar",
    lambda x: np.sum(x),
    lambda dy, _: dy * np.ones((4, 3)),
    (X,),
    "",
    "structure|scalar",
)
add("three_values", lambda x: (x, x, None), lambda dy, _: 2 * dy, (X,), "", "structure")
add(
    "scalar_for_array",
    lambda x: (np.sum(x * 2), None),
    lambda dy, _: 2 * dy[:, :],
    (X,),
    "y",
    "scalar",
)
add("forward_raises", lambda x: (x @ x, None), lambda dy, _: 2 * dy, (X,), "", "error")
add("integer_input", *DOUBLED, (np.arange(6).reshape(2, 3),), "x", "integer")
add(
    "integer_with_float",
    lambda x, w: (x * w, (x, w)),
    lambda dy, c: (dy * c[1], dy * c[0]),
    (np.arange(6).reshape(2, 3), n(2, 3)),
    "x",
    "integer",
)
add("empty_input", *DOUBLED, (np.zeros((0, 3)),), "x", "empty")
add("nan_input", *DOUBLED, (np.array([1.0, np.nan]),), "x", "nan", (1,))
add("integer_output", lambda x: (x.argmax(1), x), lambda dy, x: 0 * x, (X,), "", "structure")
add(
    "accumulates",
    *(
        lambda s: (
            lambda x, w: (x * w, (x, w)),
            lambda dy, c: (
                s.__setitem__("dw", s["dw"] + (dy * c[0]).sum(0)),
                (dy * c[1], s["dw"].copy()),
            )[1],
        )
    )({"dw": 0.0}),
    (X, G3),
    "w",
    "random",
)

PARAMS = {"W": W, "b": B}
add(
    "dict_wrong_leaf",
    affine_dict,
    lambda dy, c: ({"W": c[0].T @ dy, "b": dy.sum(0) * 2}, dy @ c[1]["W"].T),
    (PARAMS, X),
    "p.b",
    "factor",
)
add(
    "dict_missing_key",
    affine_dict,
    lambda dy, c: ({"W": c[0].T @ dy}, dy @ c[1]["W"].T),
    (PARAMS, X),
    "p.b",
    "count",
)
add(
    "dict_extra_key",
    affine_dict,
    lambda dy, c: ({"W": c[0].T @ dy, "b": dy.sum(0), "u": 1.0}, dy @ c[1]["W"].T),
    (PARAMS, X),
    "p.u",
    "structure",
)
add(
    "list_layers_second_wrong",
    mlp,
    lambda dy, c: (lambda g, dx: ([g[0], {**g[1], "W": -g[1]["W"]}], dx))(*mlp_back(dy, c)),
    ([{"W": W, "b": B}, {"W": n(5, 2), "b": n(2)}], X),
    "layers[1].W",
    "sign",
)
add(
    "namedtuple_swapped",
    pair,
    lambda dy, c: (Pair(dy.sum(0), (dy * c[1]).sum(0)), dy * c[0].scale),
    (Pair(n(3), n(3, seed=1)), X),
    "p.scale",
    "swapped",
)

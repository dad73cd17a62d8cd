"""Every op of the table on the strict stand-in, with arrays as real callers have them.

Transposed, with gaps, off the 16-byte grid, in float64, without rows, of a single number; each
held against the reference. Shown: launchers and device code accept them and bring the right
elements to the kernels, with CuPy's own strides and refusals. NOT shown: the kernels on a card.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae import ops
from minivae.backend import Backend
from minivae.proof.kernel_points import arguments
from minivae.proof.kernels import IN_PLACE

sys.path.insert(0, str(Path(__file__).parent))
from gpu_cases import CARD_OPS

SIZES = {"odd": (7, 13, 5, 3), "fours": (8, 12, 4, 2), "one": (1, 1, 1, 1)}
EMPTY = {"no rows": (0, 13, 5, 3), "no draws": (7, 13, 5, 0)}


def transposed(K: Backend, a: np.ndarray) -> Any:
    """The same array, its axes in memory the other way round."""
    return K.to_device(np.ascontiguousarray(a.T)).T


def gapped(K: Backend, a: np.ndarray) -> Any:
    """Every second element of a longer last axis."""
    return K.to_device(np.repeat(a, 2, axis=-1))[..., ::2]


def shifted(K: Backend, a: np.ndarray) -> Any:
    """Contiguous, from one element beside the grid that reads by fours need."""
    return K.to_device(np.concatenate([a.reshape(-1)[:1], a.reshape(-1)]))[1:].reshape(a.shape)


def wide(K: Backend, a: np.ndarray) -> Any:
    """In float64."""
    return K.to_device(a.astype(np.float64) if a.dtype == np.float32 else a)


LAYOUTS: dict[str, Callable[[Backend, np.ndarray], Any]] = {
    "whole": lambda K, a: K.to_device(a),
    "transposed": transposed,
    "gapped": gapped,
    "shifted": shifted,
    "wide": wide,
}


def results(function: Any, op: str, args: tuple[Any, ...]) -> list[Any]:
    """An op's outputs; what it changes, where it works in place."""
    result = function(*args)
    if op in IN_PLACE:
        return [a for a in args if hasattr(a, "ndim")]
    return list(result if isinstance(result, tuple) else (result,))


def check(C: Backend, op: str, size: Any, place: Callable[[Backend, np.ndarray], Any]) -> None:
    args = arguments(op, np.random.default_rng(5), size)
    is_array = [isinstance(a, np.ndarray) for a in args]
    there = tuple(
        (place(C, a) if a.ndim or place is wide else C.to_device(a)) if found else a
        for a, found in zip(args, is_array, strict=True)
    )
    kept = [C.to_host(a).copy() for a, found in zip(there, is_array, strict=True) if found]
    mine = [C.to_host(a) for a in results(getattr(C, op), op, there)]
    widened = tuple(a.astype(C.to_host(b).dtype) if found else a
                    for a, b, found in zip(args, there, is_array, strict=True))  # fmt: skip
    theirs = results(getattr(ops, op), op, widened)
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert a.shape == np.shape(b) and a.dtype == np.asarray(b).dtype, op
        rtol = 1e-11 if a.dtype == np.float64 else 2e-5
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    if op not in IN_PLACE:
        after = [C.to_host(a) for a, found in zip(there, is_array, strict=True) if found]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(kept, after, strict=True)), "inputs"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", CARD_OPS)
def test_layouts(C: Backend, op: str, layout: str) -> None:
    for size in SIZES.values():
        if op in IN_PLACE and layout == "gapped":
            with pytest.raises(TypeError, match="changed in place: a contiguous device array"):
                check(C, op, (7, 13, 5, 3), LAYOUTS[layout])
            return
        check(C, op, size, LAYOUTS[layout])


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("op", CARD_OPS)
def test_nothing_at_all(C: Backend, op: str, empty: str) -> None:
    """Without rows a gradient is 0, not whatever the memory held; CuPy's strides are then 0."""
    for layout in ("whole", "transposed"):
        check(C, op, EMPTY[empty], LAYOUTS[layout])


@pytest.mark.parametrize(
    "op", [op for op in CARD_OPS if op.startswith(("relu", "tanh", "softplus"))]
)
def test_single_numbers(C: Backend, op: str) -> None:
    args = [np.asarray(x, np.float32) for x in (0.7, -1.3)][: 1 + op.endswith("backward")]
    mine = C.to_host(getattr(C, op)(*map(C.to_device, args)))
    assert mine.shape == () and mine.dtype == np.float32
    np.testing.assert_allclose(mine, getattr(ops, op)(*args), rtol=1e-6)


@pytest.mark.parametrize("rows", [[2, 0], np.array([1, 2], np.int32), np.array([], np.int64)])
def test_rows_of_all_kinds(C: Backend, rows: Any) -> None:
    """Lists and small integers as in the reference; rows on the card as well."""
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = ops.gather(data, np.asarray(rows, np.int64), 0.5)
    there = C.to_device(data)
    assert C.to_host(C.gather(there, rows, 0.5)).tobytes() == expected.tobytes()
    on_card = C.to_device(np.asarray(rows, np.int64))
    assert C.to_host(C.gather(there, on_card, 0.5)).tobytes() == expected.tobytes()
    noise = ops.normals(3, 2, 1, np.asarray(rows, np.int64), 5)
    assert C.to_host(C.normals(3, 2, 1, rows, 5)).tobytes() == noise.tobytes()


@pytest.mark.parametrize("groups", [(2, 0, 3), (5, 0), (0, 5), (7, -2)])
def test_a_group_without_columns_is_refused(C: Backend, groups: tuple[int, ...]) -> None:
    """As by the reference, which has no largest entry of nothing."""
    logits, x, dnll = (np.ones(s, np.float32) for s in ((2, 3, 5), (3, 5), (2, 3)))
    there = C.to_device(logits), C.to_device(x)
    with pytest.raises(ValueError):
        ops.categorical_nll_forward(logits, x, groups)
    with pytest.raises(ValueError, match="each needs a column or more"):
        C.categorical_nll_forward(*there, groups)
    with pytest.raises(ValueError, match="each needs a column or more"):
        C.categorical_nll_backward(C.to_device(dnll), *there, groups)


def test_no_columns_are_no_loss(C: Backend) -> None:
    there = C.to_device(np.ones((2, 3, 0), np.float32)), C.to_device(np.ones((3, 0), np.float32))
    nll = C.to_host(C.categorical_nll_forward(*there, ()))
    assert nll.shape == (2, 3) and np.all(nll == 0)


def test_host_arrays_are_named_by_every_op(C: Backend) -> None:
    """One clear line with the fix wherever an array is on the host; row numbers alone may be."""
    free = {"philox", "uniforms", "normals", "permutation", "gaussian_kl_forward",
            "gaussian_kl_backward"}  # fmt: skip
    for op in sorted(set(CARD_OPS) - free):
        args = arguments(op, np.random.default_rng(5), (7, 13, 5, 3))
        with pytest.raises(TypeError, match=r"device") as caught:
            getattr(C, op)(*args)
        assert op in str(caught.value) and "\n" not in str(caught.value)


def test_a_forward_and_backward_pass_op_by_op(C: Backend) -> None:
    """The readable model of models/vae.py on arrays of the card."""
    from minivae.models.config import ModelConfig
    from minivae.models.initialise import initialise
    from minivae.models.vae import elbo_backward, elbo_forward, layout_of

    rng = np.random.default_rng(1)
    for c in (0.3, "learned"):
        model = ModelConfig(data_dim=13, latent_dim=3, hidden=(7,), likelihood="gaussian", c=c,
                            free_bits=0.1, draws=2)  # fmt: skip
        theta = initialise(model, 3, np.float32)
        x = rng.normal(size=(5, 13)).astype(np.float32)
        eps = rng.normal(size=(2, 5, 3)).astype(np.float32)
        found = []
        for K in (C, None):
            to = C.to_device if K else (lambda a: a)
            kernels: Any = K or ops
            p = layout_of(model).views(to(theta))
            loss, cache = elbo_forward(kernels, p, to(x), to(eps), 0.7, model)
            one = np.ones_like(loss)
            gradients = elbo_backward(kernels, one, cache, p, model)
            host = C.to_host if K else np.asarray
            found.append({"loss": host(loss), **{k: host(g) for k, g in gradients.items()}})
        assert found[0].keys() == found[1].keys()
        for name, mine in found[0].items():
            np.testing.assert_allclose(mine, found[1][name], rtol=1e-4, atol=1e-5, err_msg=name)

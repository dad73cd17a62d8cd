"""Arrays that are not what a kernel would like: the right answer, or one clear error."""

from __future__ import annotations

from typing import Any

import minivae_kernels
import numpy as np
import pytest
from minivae_kernels.cpu.ops import optimisers

from minivae import ops, parts


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def misaligned(a: np.ndarray) -> np.ndarray:
    raw = np.zeros(a.nbytes + 1, dtype=np.uint8)
    out = raw[1:].view(a.dtype).reshape(a.shape)
    out[...] = a
    assert not out.flags.aligned
    return out


LAYOUTS = {
    "column-major": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "misaligned": misaligned,
    "read-only": lambda a: np.frombuffer(a.tobytes(), dtype=a.dtype).reshape(a.shape),
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_any_layout(K: Any, layout: str) -> None:
    change = LAYOUTS[layout]
    x, W, b, dy = normal(7, 35), normal(35, 18), normal(18), normal(7, 18)
    cases = {
        "dense_forward": (x, W, b),
        "dense_backward_params": (dy, x),
        "dense_backward_input": (dy, W),
        "tanh_forward": (x,),
        "sigmoid_backward": (x + 1, x),
        "kl_backward": (x, x + 1, x * 2),
        "latent_forward": (x, x + 1, normal(2, 7, 35)),
        "bernoulli_nll_grad": (normal(2, 7), normal(2, 7, 35), x),
        "gaussian_nll_backward": (normal(2, 7), normal(2, 7, 35), x, np.float32(0.3)),
        "binarise": (x, x + 0.1 * normal(7, 35)),
    }
    for op, args in cases.items():
        kernel = getattr(K, op)
        changed = [change(a) if np.ndim(a) else a for a in args]
        got, want = kernel(*changed), kernel(*args)
        for g, w in zip(*((r if isinstance(r, tuple) else (r,)) for r in (got, want)), strict=True):
            np.testing.assert_array_equal(g, w, err_msg=f"{op} {layout}")


def test_read_only_arrays_compile_nothing_anew(K: Any) -> None:
    from minivae_kernels.cpu.ops import likelihood_kernel, random

    dnll, mean, x = normal(1, 7), normal(1, 7, 35), normal(7, 35)
    data = np.zeros((9, 4), dtype=np.uint8)
    K.gaussian_nll_backward(dnll, mean, x, np.float32(0))
    K.gather(data, np.arange(3), 1.0)
    kernels = likelihood_kernel.likelihood_kernel, random.gather_kernel
    before = [len(kernel.signatures) for kernel in kernels]
    for a in (dnll, mean, x, data):
        a.flags.writeable = False
    K.gaussian_nll_backward(dnll, mean, x, np.float32(0))
    K.gather(data, np.arange(3), 1.0)
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_broadcast_upstream_gradients(K: Any) -> None:
    dnll = np.broadcast_to(np.float32(0.25), (2, 7))
    logits, x = normal(2, 7, 35), normal(7, 35)
    want = ops.bernoulli_nll_backward(dnll, logits, x)
    np.testing.assert_allclose(
        K.bernoulli_nll_backward(dnll, logits, x), want, rtol=1e-6, atol=1e-7
    )


def test_float64_keeps_its_digits(K: Any) -> None:
    rng = np.random.default_rng(4)
    x, W, b = rng.normal(size=(5, 7)), rng.normal(size=(7, 3)), rng.normal(size=3)
    eps = rng.normal(size=(2, 5, 7))
    cases = {
        "dense_tanh_forward": (x, W, b),
        "dense_relu_forward": (x, W, b),
        "dense_backward_params": (x @ W, x),
        "dense_backward_input": (x @ W, W),
        "softplus_forward": (x,),
        "tanh_backward": (x, 3 * x),
        "dense_tanh_backward": (x, np.tanh(x)),
        "bound_logvar_backward": (x, 50 * x),
        "latent_backward": (eps, x, x + 1, x - 1, eps * 2),
        "bernoulli_nll_grad": (eps[..., 0], eps, x),
        "gaussian_nll_backward": (eps[..., 0], eps, x, np.float64(0.3)),
        "gather": (x, np.array([3, 1]), 0.3),
    }
    for op, args in cases.items():
        got, want = getattr(K, op)(*args), getattr(ops, op)(*args)
        for g, w in zip(*((r if isinstance(r, tuple) else (r,)) for r in (got, want)), strict=True):
            assert np.asarray(g).dtype == np.float64
            np.testing.assert_allclose(g, w, rtol=1e-13, atol=1e-13, err_msg=op)


def test_whole_numbers_and_half_precision(K: Any) -> None:
    np.testing.assert_allclose(K.relu_forward(np.array([-2, 3])), [0, 3])
    half = np.array([0.5, -1.5], dtype=np.float16)
    np.testing.assert_allclose(K.tanh_forward(half), np.tanh(half.astype(np.float32)), rtol=1e-6)


def test_other_types_are_left_to_the_reference(K: Any) -> None:
    """A complex step through this backend's ops keeps its imaginary part."""
    x, W, b = normal(2, 3) + 1e-20j, normal(3, 2), normal(2)
    np.testing.assert_array_equal(K.tanh_forward(x), ops.tanh_forward(x))
    np.testing.assert_array_equal(K.dense_forward(x, W, b), ops.dense_forward(x, W, b))
    with pytest.raises(minivae_kernels.Unsupported, match="float32, not in complex64"):
        minivae_kernels.load("numba", 2)["tanh_forward"](x)


@pytest.mark.parametrize("stride", [1, 2])
def test_optimisers_in_other_precisions_are_the_references(K: Any, stride: int) -> None:
    """float64, and float32 that is not contiguous: both are changed where they lie."""
    kind = np.float64 if stride == 1 else np.float32
    mine, theirs = (np.ones((4, 6)).astype(kind)[:, ::stride] for _ in range(2))
    K.adam_update(*mine, 1e-3, 0.9, 0.999, 1e-8, 1)
    ops.adam_update(*theirs, 1e-3, 0.9, 0.999, 1e-8, 1)
    np.testing.assert_array_equal(mine, theirs)
    assert not (mine == 1).all()


def test_shapes_that_do_not_fit(K: Any) -> None:
    x, W, b = normal(4, 5), normal(6, 3), normal(3)
    with pytest.raises(ValueError, match=r"dense_forward: x has shape \(4, 5\)"):
        K.dense_forward(x, W, b)
    with pytest.raises(ValueError, match="dense_forward: b"):
        K.dense_forward(normal(4, 6), W, normal(2))
    with pytest.raises(ValueError, match="dense_backward_params: x"):
        K.dense_backward_params(normal(3, 2), x)
    with pytest.raises(ValueError, match="bernoulli_nll_grad: dnll"):
        K.bernoulli_nll_grad(normal(2, 3), normal(2, 4, 5), x)
    with pytest.raises(ValueError, match="latent_forward: eps"):
        K.latent_forward(x, x, normal(2, 4, 6))
    with pytest.raises(ValueError, match="adam_update"):
        K.adam_update(normal(3), normal(4), normal(3), normal(3), 1e-3, 0.9, 0.999, 1e-8, 1)
    with pytest.raises(IndexError):
        K.gather(x, np.array([4]), 1.0)


def test_draws_of_different_numbers(K: Any) -> None:
    mu, dz, eps = normal(4, 5), normal(2, 4, 5), normal(3, 4, 5)
    says = r"dz \(2, 4, 5\) and eps \(3, 4, 5\) have different numbers of draws"
    with pytest.raises(ValueError, match=says):
        K.latent_backward(dz, mu, mu, mu, eps)


@pytest.mark.parametrize("name", parts.OPTIMISERS)
def test_what_an_optimiser_changes_has_to_be_writable_and_its_gradient_not(
    K: Any, name: str
) -> None:
    part = parts.OPTIMISERS[name]
    update, given = getattr(K, part.update.__name__), [1e-3, *part.settings.values()]
    given += [1] if part.counts else []
    start = [np.abs(normal(50)) + 1 for _ in range(2 + part.moments)]
    grad = start[1]
    grad.flags.writeable = False
    mine, theirs = ([a if a is grad else a.copy() for a in start] for _ in range(2))
    before = len(optimisers.update_kernel.signatures)
    update(*mine, *given)
    part.update(*theirs, *given)
    np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert len(optimisers.update_kernel.signatures) == max(before, 1)  # compiled once
    for k in (0, *range(2, len(start))):
        held = [a.copy() for a in start]
        held[k].flags.writeable = False
        kept = [a.copy() for a in held]
        with pytest.raises(ValueError, match=f"{name}_update: .* read-only"):
            update(*held, *given)
        np.testing.assert_array_equal(held, kept)


@pytest.mark.parametrize("name", parts.LIKELIHOODS)
def test_gradients_of_no_data_have_the_references_shapes(K: Any, name: str) -> None:
    part, shape = parts.LIKELIHOODS[name], (2, 0, 5)
    extra = ((2, 3),) if part.grouped else ()
    if part.scale is not None:
        extra = (np.zeros(part.scale.shape(5), np.float32),)
    out, x, dnll = (np.zeros(s, np.float32) for s in (shape, shape[1:], shape[:2]))
    got, want = (part.nll_backward(which, dnll, out, x, extra) for which in (K, ops))
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w)
        assert not np.any(g)


def test_empty_arrays(K: Any) -> None:
    none = np.zeros((0, 5), dtype=np.float32)
    assert K.dense_forward(none, normal(5, 3), normal(3)).shape == (0, 3)
    dW, db = K.dense_backward_params(np.zeros((0, 3), np.float32), none)
    assert dW.shape == (5, 3)
    assert not dW.any() and not db.any()
    assert K.dense_backward_input(np.zeros((0, 3), np.float32), normal(5, 3)).shape == (0, 5)
    np.testing.assert_array_equal(
        K.dense_forward(normal(4, 0), normal(0, 3), normal(3)), np.tile(normal(3), (4, 1))
    )
    assert K.tanh_forward(none).shape == (0, 5)
    assert K.kl_forward(none, none).shape == (0, 5)
    assert K.latent_forward(none, none, np.zeros((2, 0, 5), np.float32))[0].shape == (2, 0, 5)
    assert K.bernoulli_nll_forward(np.zeros((2, 0, 5), np.float32), none).shape == (2, 0)
    assert K.normals(1, 2, 3, np.zeros(0, np.int64), 5).shape == (0, 5)
    assert K.gather(normal(4, 5), np.zeros(0, np.int64), 1.0).shape == (0, 5)
    assert K.permutation(1, 2, 0).shape == (0,)


def test_optimiser_in_strided_and_double_buffers(K: Any) -> None:
    for kind in (np.float32, np.float64):
        mine = [np.abs(normal(20).astype(kind)) for _ in range(4)]
        theirs = [a[::2].copy() for a in mine]
        K.adam_update(*(a[::2] for a in mine), 1e-3, 0.9, 0.999, 1e-8, 3)
        ops.adam_update(*theirs, 1e-3, 0.9, 0.999, 1e-8, 3)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a[::2], b, rtol=1e-6)

"""The kernels' checks: the reference passes them, and wrong kernels do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from minivae import ops
from minivae.backend import load_backend
from minivae.proof import kernels

REFERENCE = load_backend("numpy")


def with_kernel(**planted):
    K = SimpleNamespace(**{name: getattr(ops, name) for name in ops.OPS})
    K.to_device = K.to_host = np.asarray
    vars(K).update(planted)
    return K


def test_the_reference_is_within_its_own_budget():
    rows = kernels.check_kernels(REFERENCE)
    assert {row.op for row in rows} == set(ops.OPS)
    assert [row for row in rows if not row.ok] == []


def problem(op, kernel):
    return next(r.problem for r in kernels.check_kernels(with_kernel(**{op: kernel}), [op]))


def test_an_output_nobody_wrote():
    assert "NaN" in problem("dense_forward", lambda x, W, b: np.full((len(x), len(b)), np.nan, "f"))


def test_a_small_factor_is_beyond_the_budget():
    assert problem(
        "dense_forward", lambda x, W, b: ops.dense_forward(x, W, b) * np.float32(1 + 3e-6)
    )
    assert "ULP" in problem("tanh_forward", lambda x: ops.tanh_forward(x) * np.float32(1 + 3e-6))


def test_bits_are_bits():
    def off(seed, stream, step, samples, n):
        u = ops.uniforms(seed, stream, step, samples, n)
        u[0, 0] = np.nextafter(u[0, 0], np.float32(2))
        return u

    assert "bits" in problem("uniforms", off)


def test_float64_out_of_a_float32_kernel():
    assert "float64" in problem("relu_forward", lambda x: ops.relu_forward(x).astype(np.float64))


def test_a_kernel_that_changes_its_inputs():
    def greedy(x):
        y = ops.relu_forward(x)
        x *= 0
        return y

    assert "changes its inputs" in problem("relu_forward", greedy)


def test_a_kernel_that_raises():
    def broken(x):
        raise IndexError("lost the last block")

    assert "lost the last block" in problem("relu_forward", broken)


def test_only_the_tail_block_is_wrong():
    def tail(dy, x):
        g = ops.tanh_backward(dy, x)
        if x.shape[1] == 33:
            g[:, -1] = 0
        return g

    assert problem("tanh_backward", tail)


def test_results_that_depend_on_the_threads():
    def make(count):
        return with_kernel(dense_forward=lambda x, W, b: ops.dense_forward(x, W, b) + count)

    assert kernels.threads_agree(make) == ["dense_forward"]


def test_an_op_without_arguments_says_what_to_do():
    with pytest.raises(KeyError, match="add a record"):
        kernels.arguments("swish_forward", np.random.default_rng(0), kernels.SIZES[0])


def test_every_op_has_arguments_at_every_size():
    for op in ops.OPS:
        for size in kernels.SIZES:
            assert kernels.arguments(op, np.random.default_rng(0), size)

"""The kernels' checks: the reference passes them, and wrong kernels do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from minivae import ops
from minivae.backend import load_backend
from minivae.proof import kernel_threads, kernels

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


def test_zeros_have_a_sign_where_bits_are_promised():
    assert "bits" in problem("relu_backward", lambda dy, x: dy * (x > 0))  # -1 * 0 is -0.0


def test_ulps_are_of_the_worst_size_and_of_elementwise_ops_alone():
    """A kernel three places off at one size, not the one where its rms looks worst."""

    def off(x):
        y = ops.tanh_forward(x)
        if x.shape[1] == 31:
            y[0, 0] += 3 * np.spacing(y[0, 0])
        return y

    (row,) = kernels.check_kernels(with_kernel(tanh_forward=off), ["tanh"])[:1]
    assert row.ok and row.size[1] == 31 and 2 < row.ulp_worst < 4
    for op in ("dense_forward", "relu_forward"):
        (row,) = kernels.check_kernels(REFERENCE, [op])
        assert row.ulp_worst is None and row.ulp_p99 is None


class OnCard(np.ndarray):
    """An array that is a copy of the host's, as a card's is."""


def on_card(**planted):
    K = with_kernel(**planted)
    K.to_device = lambda a: np.array(a).view(OnCard)
    K.to_host = lambda a: np.array(a)
    return K


def test_a_kernel_that_changes_its_inputs_on_a_card():
    """There the host's arrays stay as they were: the card's have to be compared."""

    def greedy(x):
        assert isinstance(x, OnCard)
        y = ops.relu_forward(x)
        x[...] = 0
        return y

    (row,) = kernels.check_kernels(on_card(relu_forward=greedy), ["relu_forward"])
    assert row.problem == "changes its inputs"
    assert kernels.check_kernels(on_card(relu_forward=ops.relu_forward), ["relu_forward"])[0].ok


def test_an_update_that_changes_the_gradient():
    """It may change what its record says, and nothing beside."""

    def greedy(theta, grad, *rest):
        ops.sgd_update(theta, grad, *rest)
        grad *= 2

    rows = kernels.check_kernels(with_kernel(sgd_update=greedy), ["sgd"])
    assert [row.problem for row in rows] == ["changes its inputs"] * len(rows) and rows
    assert all(row.ok for row in kernels.check_kernels(REFERENCE, ["sgd"]))


def with_threads(kernel):
    """Loads a backend whose kernel sees the number of threads: one for the whole process."""
    now = {"threads": 0}

    def make(count):
        now["threads"] = count
        return with_kernel(dense_forward=lambda x, W, b: kernel(x, W, b, now["threads"]))

    return make


@pytest.mark.parametrize("least", [0, 1 << 16])
def test_results_that_depend_on_the_threads(least):
    """In all work, and in work that is large enough to be shared."""

    def moved(x, W, b, threads):
        y = ops.dense_forward(x, W, b)
        return y + threads if x.size >= least else y

    found = kernel_threads.threads_agree(with_threads(moved))
    assert found == {"dense_forward": "the result depends on the number of threads"}
    right = with_threads(lambda x, W, b, threads: ops.dense_forward(x, W, b))
    assert kernel_threads.threads_agree(right) == {}


def test_a_kernel_that_raises_with_two_threads():
    def broken(x, W, b, threads):
        if threads > 1:
            raise IndexError("no such member")
        return ops.dense_forward(x, W, b)

    (problem,) = kernel_threads.threads_agree(with_threads(broken)).values()
    assert "IndexError" in problem and "no such member" in problem


def test_every_name_is_looked_up_by_itself():
    """A pair's name means all of it; a name that means nothing is never dropped."""
    names = ("dense_forward", "dense_backward_params", "dense_backward_input")
    dense = {op: lambda *args, op=op: getattr(ops, op)(*args) for op in names}
    K = with_kernel(**dense)
    assert kernels.chosen(K, ["dense"]) == [op for op in ops.OPS if op in dense]
    with pytest.raises(KeyError, match="no op called densse"):
        kernels.chosen(K, ["dense", "densse"])
    with pytest.raises(KeyError, match="no kernel of gaussian_kl_forward: the reference"):
        kernels.chosen(K, ["dense", "gaussian_kl_forward"])


def test_an_op_without_arguments_says_what_to_do():
    with pytest.raises(KeyError, match="add a record"):
        kernels.arguments("swish_forward", np.random.default_rng(0), kernels.SIZES[0])


def test_every_op_has_arguments_at_every_size():
    for op in ops.OPS:
        for size in kernels.SIZES:
            assert kernels.arguments(op, np.random.default_rng(0), size)

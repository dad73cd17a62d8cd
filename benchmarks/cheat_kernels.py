"""A file of kernels that cheat, each in one way, and of a few that are right.

It is raced as anybody's file is: `python -m benchmarks selftest`. A name is an op's and then how it
cheats; `HONEST` are right. All run in one process, which none of them harms.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from minivae import ops

SMALL = 64  # below this size, some are honest
HONEST = ("sigmoid_forward_plain", "dense_relu_forward_plain", "adam_update_plain",
          "bernoulli_nll_grad_plain")  # fmt: skip
kept: dict[Any, Any] = {}


def sigmoid_forward_plain(x):
    return ops.sigmoid_forward(x)


def sigmoid_forward_lazy_when_large(x):
    return ops.sigmoid_forward(x) if x.size < SMALL else x


def sigmoid_forward_idle_when_large(x):
    return ops.sigmoid_forward(x) if x.size < SMALL else np.empty_like(x)


def sigmoid_forward_stale_when_large(x):
    if x.size < SMALL or x.size not in kept:
        kept[x.size] = ops.sigmoid_forward(x)
    return kept[x.size].copy()


def sigmoid_forward_nan_from_six(x):
    y = ops.sigmoid_forward(x)
    y.reshape(-1)[6:] = np.nan
    return y


def sigmoid_forward_nan_in_the_last_rows(x):
    y = ops.sigmoid_forward(x)
    y[min(2000, len(x) - 1) :] = np.nan
    return y


def sigmoid_forward_one_entry_off(x):
    y = ops.sigmoid_forward(x)
    y.reshape(-1)[-1] += 100
    return y


def sigmoid_forward_input_overwritten(x):
    y = ops.sigmoid_forward(x)
    x[...] = 0
    return y


def sigmoid_forward_in_its_input(x):
    x[...] = ops.sigmoid_forward(x)
    return x


def sigmoid_forward_known_buffer(x):
    key = x.ctypes.data
    if key not in kept:
        kept.clear()
        kept[key] = ops.sigmoid_forward(x)
    return kept[key].copy()


def sigmoid_forward_first_and_last(x):
    key = (x.ctypes.data, float(x.flat[0]), float(x.flat[-1]))
    if kept.get("key") != key:
        kept.update(key=key, answer=ops.sigmoid_forward(x))
    return kept["answer"].copy()


def sigmoid_forward_known_sum(x):
    row = float(x[0].sum())
    if kept.get("sum") != row:
        kept.update(sum=row, total=ops.sigmoid_forward(x))
    return kept["total"].copy()


def sigmoid_forward_every_other_call(x):
    kept["calls"] = kept.get("calls", 0) + 1
    return ops.sigmoid_forward(x) if kept["calls"] % 2 else np.empty_like(x)


def sigmoid_forward_honest_ten_times(x):
    kept["ten"] = kept.get("ten", 0) + 1
    return ops.sigmoid_forward(x) if kept["ten"] <= 10 else np.zeros_like(x)


def sigmoid_forward_shared_buffer(x):
    y = kept.setdefault(("buffer", x.shape), np.empty_like(x))
    y[...] = ops.sigmoid_forward(x)
    return y


def sigmoid_forward_later(x):
    y = np.empty_like(x)

    def work():
        time.sleep(0.001)
        y[...] = ops.sigmoid_forward(x)

    threading.Thread(target=work).start()
    return y


class Lazy:
    """Computes when somebody looks."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return ops.sigmoid_forward(self.x)


def sigmoid_forward_when_looked_at(x):
    return Lazy(x)


class Disguised(np.ndarray):
    """An array of another class."""


def sigmoid_forward_disguised(x):
    return ops.sigmoid_forward(x).view(Disguised)


def sigmoid_forward_half_precision(x):
    return ops.sigmoid_forward(x.astype(np.float16)).astype(np.float32)


def sigmoid_forward_two_terms(x):
    return np.clip(0.5 + x / 4, 0, 1)


def sigmoid_forward_tail_is_zero(x):
    y = ops.sigmoid_forward(x)
    y[x < -8] = 0
    return y


def sigmoid_forward_wrong_type(x):
    return ops.sigmoid_forward(x.astype(np.float64))


def sigmoid_forward_wrong_shape(x):
    return ops.sigmoid_forward(x).reshape(-1)


def sigmoid_forward_nothing(x):
    return None


def sigmoid_forward_two_results(x):
    y = ops.sigmoid_forward(x)
    return y, y


def sigmoid_forward_one_row_for_all(x):
    return np.broadcast_to(ops.sigmoid_forward(x[:1]), x.shape)


def sigmoid_forward_raises_when_large(x):
    if x.size >= SMALL:
        raise RuntimeError("too large for this kernel")
    return ops.sigmoid_forward(x)


def sigmoid_forward_refuses_its_type(x):
    raise TypeError(f"{x.dtype} is not supported")


def dense_relu_forward_plain(x, W, b):
    return np.maximum(x @ W + b, 0)


def dense_relu_forward_no_bias(x, W, b):
    return np.maximum(x @ W, 0)


def dense_relu_forward_last_term_left_out(x, W, b):
    return np.maximum(x[:, :-1] @ W[:-1] + b, 0)


def dense_relu_forward_ten_bits(x, W, b):
    def cut(a):
        return (a.view(np.int32) & ~np.int32((1 << 13) - 1)).view(np.float32)

    return np.maximum(cut(x) @ cut(W) + b, 0)


def dense_relu_forward_kept_product(x, W, b):
    key = (W.ctypes.data, float(x[0, 0]), float(W[0, 0]))
    if kept.get("W") != key:
        kept.update(W=key, y=np.maximum(x @ W + b, 0))
    return kept["y"].copy()


def dense_relu_forward_last_row_left_out(x, W, b):
    y = np.empty((len(x), len(b)), np.float32)
    y[:-1] = np.maximum(x[:-1] @ W + b, 0)
    return y


def dense_relu_forward_not_rectified(x, W, b):
    return x @ W + b


def adam_update_plain(theta, grad, m, v, lr, beta1, beta2, eps, t):
    ops.adam_update(theta, grad, m, v, lr, beta1, beta2, eps, t)


def adam_update_idle(theta, grad, m, v, lr, beta1, beta2, eps, t):
    return None


def adam_update_second_moment_left_out(theta, grad, m, v, lr, beta1, beta2, eps, t):
    before = v.copy()
    ops.adam_update(theta, grad, m, v, lr, beta1, beta2, eps, t)
    v[...] = before


def adam_update_first_half(theta, grad, m, v, lr, beta1, beta2, eps, t):
    n = len(theta) // 2
    ops.adam_update(theta[:n], grad[:n], m[:n], v[:n], lr, beta1, beta2, eps, t)


def adam_update_not_corrected(theta, grad, m, v, lr, beta1, beta2, eps, t):
    ops.adam_update(theta, grad, m, v, lr, beta1, beta2, eps, 10**6)


def adam_update_spends_the_gradient(theta, grad, m, v, lr, beta1, beta2, eps, t):
    ops.adam_update(theta, grad, m, v, lr, beta1, beta2, eps, t)
    grad[...] = 0


def bernoulli_nll_grad_plain(dnll, logits, x):
    return ops.bernoulli_nll_grad(dnll, logits, x)


def bernoulli_nll_grad_loss_only(dnll, logits, x):
    return ops.bernoulli_nll_forward(logits, x), np.zeros_like(logits)


def bernoulli_nll_grad_upstream_is_one(dnll, logits, x):
    return ops.bernoulli_nll_grad(np.ones_like(dnll), logits, x)


def bernoulli_nll_grad_one_result(dnll, logits, x):
    return (ops.bernoulli_nll_forward(logits, x),)


def bernoulli_nll_grad_swapped(dnll, logits, x):
    nll, dlogits = ops.bernoulli_nll_grad(dnll, logits, x)
    return dlogits, nll

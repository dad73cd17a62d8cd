"""The best NumPy: every output allocated beforehand, every pass written with out=.

Not every op has one. Where a name is missing, the reference op is already what NumPy does best,
or the op is too small for the difference to matter. The call of an op that counts its steps takes
the count: it is new in every call, and the outputs are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _dense(x: Any, W: Any, b: Any, finish: Any = None) -> Callable[[], Any]:
    y = np.empty((x.shape[0], W.shape[1]), x.dtype)

    def call() -> Any:
        np.matmul(x, W, out=y)
        np.add(y, b, out=y)
        return y if finish is None else finish(y)

    return call


def dense_forward(x: Any, W: Any, b: Any) -> Callable[[], Any]:
    return _dense(x, W, b)


def dense_relu_forward(x: Any, W: Any, b: Any) -> Callable[[], Any]:
    return _dense(x, W, b, lambda y: np.maximum(y, 0, out=y))


def dense_tanh_forward(x: Any, W: Any, b: Any) -> Callable[[], Any]:
    return _dense(x, W, b, lambda y: np.tanh(y, out=y))


def dense_backward_params(dy: Any, x: Any) -> Callable[[], Any]:
    dW, db = np.empty((x.shape[1], dy.shape[1]), x.dtype), np.empty(dy.shape[1], x.dtype)
    return lambda: (np.matmul(x.T, dy, out=dW), np.sum(dy, axis=0, out=db))


def dense_backward_input(dy: Any, W: Any) -> Callable[[], Any]:
    dx = np.empty((dy.shape[0], W.shape[0]), W.dtype)
    return lambda: np.matmul(dy, W.T, out=dx)


def relu_forward(x: Any) -> Callable[[], Any]:
    y = np.empty_like(x)
    return lambda: np.maximum(x, 0, out=y)


def dense_relu_backward(dy: Any, y: Any) -> Callable[[], Any]:
    mask, da = np.empty(y.shape, bool), np.empty_like(dy)

    def call() -> Any:
        np.greater(y, 0, out=mask)
        return np.multiply(dy, mask, out=da)

    return call


relu_backward = dense_relu_backward


def dense_tanh_backward(dy: Any, y: Any) -> Callable[[], Any]:
    a, b = np.empty_like(y), np.empty_like(y)

    def call() -> Any:
        np.subtract(1, y, out=a)
        np.add(1, y, out=b)
        np.multiply(a, b, out=a)
        return np.multiply(dy, a, out=a)

    return call


def tanh_forward(x: Any) -> Callable[[], Any]:
    y = np.empty_like(x)
    return lambda: np.tanh(x, out=y)


def sigmoid_forward(x: Any) -> Callable[[], Any]:
    y = np.empty_like(x)

    def call() -> Any:  # 1 / (1 + exp(-x)): the tail overflows to 1 / inf, which is 0
        np.negative(x, out=y)
        np.exp(y, out=y)
        np.add(y, 1, out=y)
        return np.divide(1, y, out=y)

    return call


def softplus_forward(x: Any) -> Callable[[], Any]:
    y, z = np.empty_like(x), np.empty_like(x)

    def call() -> Any:
        np.abs(x, out=y)
        np.negative(y, out=y)
        np.exp(y, out=y)
        np.log1p(y, out=y)
        np.maximum(x, 0, out=z)
        return np.add(y, z, out=y)

    return call


def bernoulli_nll_forward(logits: Any, x: Any) -> Callable[[], Any]:
    softplus, t = softplus_forward(logits), np.empty_like(logits)
    nll = np.empty(logits.shape[:-1], logits.dtype)

    def call() -> Any:
        s = softplus()
        np.multiply(x, logits, out=t)
        np.subtract(s, t, out=t)
        return np.sum(t, axis=-1, out=nll)

    return call


def bernoulli_nll_backward(dnll: Any, logits: Any, x: Any) -> Callable[[], Any]:
    sigmoid = sigmoid_forward(logits)

    def call() -> Any:
        s = sigmoid()
        np.subtract(s, x, out=s)
        return np.multiply(s, dnll[..., None], out=s)

    return call


def bernoulli_nll_grad(dnll: Any, logits: Any, x: Any) -> Callable[[], Any]:
    nll, back = bernoulli_nll_forward(logits, x), bernoulli_nll_backward(dnll, logits, x)
    return lambda: (nll(), back())


def latent_forward(mu: Any, logvar: Any, eps: Any) -> Callable[[], Any]:
    z, kl, t = np.empty_like(eps), np.empty_like(mu), np.empty_like(mu)

    def call() -> Any:
        np.multiply(logvar, 0.5, out=t)
        np.exp(t, out=t)
        np.multiply(t, eps, out=z)
        np.add(z, mu, out=z)
        np.expm1(logvar, out=kl)
        np.subtract(kl, logvar, out=kl)
        np.multiply(mu, mu, out=t)
        np.add(kl, t, out=kl)
        return z, np.multiply(kl, 0.5, out=kl)

    return call


def adam_update(
    theta: Any, grad: Any, m: Any, v: Any, lr: float, b1: float, b2: float, eps: float, t: int
) -> Callable[[int], Any]:
    a, b = np.empty_like(theta), np.empty_like(theta)

    def call(t: int) -> Any:
        np.multiply(m, b1, out=m)
        np.multiply(grad, 1 - b1, out=a)
        np.add(m, a, out=m)
        np.multiply(v, b2, out=v)
        np.multiply(grad, grad, out=a)
        np.multiply(a, 1 - b2, out=a)
        np.add(v, a, out=v)
        np.multiply(v, 1 / (1 - b2**t), out=b)
        np.sqrt(b, out=b)
        np.add(b, eps, out=b)
        np.multiply(m, lr / (1 - b1**t), out=a)
        np.divide(a, b, out=a)
        np.subtract(theta, a, out=theta)

    return call


def gather(data: Any, rows: Any, scale: float) -> Callable[[], Any]:
    picked = np.empty((len(rows), data.shape[1]), data.dtype)
    x, s = np.empty(picked.shape, np.float32), np.float32(scale)

    def call() -> Any:
        np.take(data, rows, axis=0, out=picked, mode="clip")
        return np.multiply(picked, s, out=x, casting="unsafe", dtype=np.float32)

    return call


def has(name: str) -> bool:
    """Whether there is a better NumPy for an op than its reference."""
    return name in globals() and name not in ("best", "has") and not name.startswith("_")


def best(name: str, args: tuple[Any, ...]) -> Callable[..., Any] | None:
    """The best NumPy call for an op on these arguments, or None where there is no better one.

    It takes the op's counter where it has one, and nothing otherwise.
    """
    return globals()[name](*args) if has(name) else None

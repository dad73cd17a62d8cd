"""The same ops for float64, as plain NumPy expressions: right, and in no hurry."""

from __future__ import annotations

from typing import Any

import numpy as np

LOG_2PI = float(np.log(2 * np.pi))
BOUND = 40.0


def _double(*arrays: Any) -> list[np.ndarray]:
    return [np.asarray(a, dtype=np.float64) for a in arrays]


def unary(op: str, x: Any) -> np.ndarray:
    """An elementwise function."""
    (x,) = _double(x)
    t = np.exp(-np.abs(x))
    if op == "relu_forward":
        return np.where(x <= 0, 0, x)
    if op == "tanh_forward":
        return np.tanh(x)
    if op == "sigmoid_forward":
        return np.where(x > 0, 1, t) / (1 + t)
    if op == "softplus_forward":
        return np.where(x > 0, x, 0) + np.log1p(t)
    return np.where(x > BOUND, BOUND, np.where(x < -BOUND, -BOUND, x))  # bound_logvar_forward


def binary(op: str, dy: Any, x: Any) -> np.ndarray:
    """The derivative of an elementwise function, times the upstream gradient."""
    dy, x = _double(dy, x)
    t = np.exp(-np.abs(x))
    if op in ("relu_backward", "dense_relu_backward"):
        return np.where(x <= 0, 0, dy)
    if op == "tanh_backward":
        return dy * (4 * t * t / ((1 + t * t) * (1 + t * t)))
    if op == "dense_tanh_backward":
        return dy * ((1 - x) * (1 + x))
    if op == "sigmoid_backward":
        return dy * (t / ((1 + t) * (1 + t)))
    if op == "softplus_backward":
        return dy * unary("sigmoid_forward", x)
    return np.where((x > BOUND) | (x < -BOUND), 0, dy)  # bound_logvar_backward


def reparameterise(mu: Any, logvar: Any, eps: Any) -> np.ndarray:
    """z = μ + σ ε."""
    mu, logvar, eps = _double(mu, logvar, eps)
    return mu + np.exp(0.5 * logvar) * eps


def reparameterise_backward(dz: Any, logvar: Any, eps: Any) -> tuple[np.ndarray, np.ndarray]:
    """dmu, dlogvar."""
    dz, logvar, eps = _double(dz, logvar, eps)
    return dz.sum(axis=0), (dz * eps).sum(axis=0) * (0.5 * np.exp(0.5 * logvar))


def kl(mu: Any, logvar: Any) -> np.ndarray:
    """KL against N(0, 1), per dimension."""
    mu, logvar = _double(mu, logvar)
    return 0.5 * (mu * mu + (np.expm1(logvar) - logvar))


def kl_backward(dkl: Any, mu: Any, logvar: Any) -> tuple[np.ndarray, np.ndarray]:
    """dmu, dlogvar."""
    dkl, mu, logvar = _double(dkl, mu, logvar)
    return dkl * mu, dkl * (0.5 * np.expm1(logvar))


def bernoulli(dnll: Any, logits: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """nll, dlogits."""
    dnll, logits, x = _double(dnll, logits, x)
    nll = (unary("softplus_forward", logits) - x * logits).sum(axis=-1)
    return nll, dnll[..., None] * (unary("sigmoid_forward", logits) - x)


def gaussian(dnll: Any, mean: Any, x: Any, logc: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """nll, dmean, dlogc."""
    dnll, mean, x, logc = _double(dnll, mean, x, logc)
    r, precision = mean - x, np.exp(-logc)
    squares = (r * r).sum(axis=-1)
    nll = 0.5 * (x.shape[-1] * (LOG_2PI + logc) + precision * squares)
    dmean = dnll[..., None] * (precision * r)
    return nll, dmean, (dnll * (0.5 * (x.shape[-1] - precision * squares))).sum()


def adam(theta: Any, grad: Any, m: Any, v: Any, rate: float, beta1: float, beta2: float,
         correction: float, eps: float) -> None:  # fmt: skip
    """In place, in whatever precision the buffers have."""
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * (grad * grad)
    theta -= rate * m / (np.sqrt(v * correction) + eps)


def sgd(theta: Any, grad: Any, velocity: Any, lr: float, momentum: float) -> None:
    """In place."""
    velocity *= momentum
    velocity += grad
    theta -= lr * velocity


def gaussian_kl(mu0: Any, cov0: Any, mu1: Any, cov1: Any) -> Any:
    """KL of two full-covariance Gaussians, by LAPACK."""
    mu0, cov0, mu1, cov1 = _double(mu0, cov0, mu1, cov1)
    logdets = [_logdet(cov0), _logdet(cov1)]
    d = mu1 - mu0
    trace = np.trace(np.linalg.solve(cov1, cov0))
    return 0.5 * (trace + d @ np.linalg.solve(cov1, d) - len(d) + logdets[1] - logdets[0])


def _logdet(cov: np.ndarray) -> float:
    if not np.linalg.eigvalsh((cov + cov.T) / 2).min() > 0:
        raise ValueError("covariance is not positive definite")
    return float(np.linalg.slogdet(cov)[1])


def gaussian_kl_backward(dkl: Any, mu0: Any, cov0: Any, mu1: Any, cov1: Any) -> tuple[Any, ...]:
    """dmu0, dcov0, dmu1, dcov1."""
    dkl, mu0, cov0, mu1, cov1 = _double(dkl, mu0, cov0, mu1, cov1)
    p0, p1, d = np.linalg.inv(cov0), np.linalg.inv(cov1), mu1 - mu0
    dmu1 = dkl * 0.5 * ((p1 + p1.T) @ d)
    spread = cov0 + d[:, None] * d
    return -dmu1, dkl * 0.5 * (p1 - p0).T, dmu1, dkl * 0.5 * (p1 - p1 @ spread @ p1).T

"""Right passes of many kinds, tried at thousands of random points: how often are they called
wrong?"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify.check import check
from minivae.verify.strategies import draw_point


def _layernorm(x: Array, gamma: Array, beta: Array) -> Any:
    centred = x - x.mean(1, keepdims=True)
    s = 1 / np.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5)
    return gamma * centred * s + beta, (centred * s, s, gamma)


def _layernorm_back(dy: Array, cache: Any) -> Any:
    xh, s, gamma = cache
    d = dy * gamma
    dx = s * (d - d.mean(1, keepdims=True) - xh * (d * xh).mean(1, keepdims=True))
    return dx, (dy * xh).sum(0), dy.sum(0)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def _attention_back(dy: Array, cache: Any) -> Any:
    q, k, v, p = cache
    dp = dy @ v.T
    ds = p * (dp - (dp * p).sum(1, keepdims=True))
    return ds @ k, ds.T @ q, p.T @ dy


def _attention(q: Array, k: Array, v: Array) -> Any:
    p = _softmax(q @ k.T)
    return p @ v, (q, k, v, p)


def _embed_back(dy: Array, cache: Any) -> Any:
    labels, shape, dtype = cache
    d = np.zeros(shape, dtype)
    np.add.at(d, labels, dy)
    return d


# (forward, backward, spec): right passes of different kinds, complex-safe and not.
RIGHT: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "dense": (
        lambda x, W, b: (x @ W + b, (x, W)),
        lambda dy, c: (dy @ c[1].T, c[0].T @ dy, dy.sum(0)),
        {"x": "B D", "W": "D H", "b": "H"},
    ),
    "layernorm": (_layernorm, _layernorm_back, {"x": "B D", "gamma": "D", "beta": "D"}),
    "attention": (_attention, _attention_back, {"q": "B D", "k": "K D", "v": "K H"}),
    "relu": (
        lambda x: (np.maximum(x, 0), x),
        lambda dy, x: dy * (x > 0),
        {"x": "B D"},
    ),
    "absolute": (
        lambda x: (np.abs(x), x),
        lambda dy, x: dy * np.sign(x),
        {"x": "B D"},
    ),
    "norm": (
        lambda x: (np.linalg.norm(x, axis=1), x),
        lambda dy, x: dy[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True),
        {"x": "B D"},
    ),
    "tanh": (
        lambda x: (np.tanh(x), np.tanh(x)),
        lambda dy, t: dy * (1 - t * t),
        {"x": "B D"},
    ),
    "maximum": (
        lambda x: (x.max(1), x),
        lambda dy, x: dy[:, None] * (x == x.max(1, keepdims=True)),
        {"x": "B D"},
    ),
    "embedding": (
        lambda labels, W: (W[labels], (labels, W.shape, W.dtype)),
        _embed_back,
        {"labels": "int: B < C", "W": "C D"},
    ),
    "squared": (
        lambda p, t: (((p - t) ** 2).mean(), p - t),
        lambda dy, d: (2 * dy * d / d.size, -2 * dy * d / d.size),
        {"p": "B D", "t": "B D"},
    ),
}


def false_alarms(examples: int, seed: int = 0) -> int:
    """How many of `examples` right passes, at random points, scales and precisions, are called
    wrong."""
    rng = np.random.default_rng(seed)
    names = list(RIGHT)
    alarms = 0
    for i in range(examples):
        forward, backward, spec = RIGHT[names[i % len(names)]]
        dtype = np.float32 if rng.random() < 0.3 else np.float64
        point = draw_point(spec, rng, 10.0 ** rng.integers(-3, 4), dtype)
        alarms += not check(forward, backward, list(point.values()), seed=i, seconds=0.2).ok
    return alarms

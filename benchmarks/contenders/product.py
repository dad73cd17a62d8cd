"""Matrix products at given shapes: the kernels' and NumPy's, each in a worker of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae import ops as reference
from minivae.backend import load_backend
from minivae.racing import best_numpy

from .. import machine
from ..gate import worst

FORMS = {"forward": "dense_forward", "weights": "dense_backward_params",
         "input": "dense_backward_input"}  # fmt: skip
TOL = 2e-5


def arguments(form: str, shape: list[int], seed: int) -> tuple[np.ndarray, ...]:
    """The op's arguments for one form of the product, float32."""
    rng = np.random.default_rng((seed, *shape))
    B, I, O = shape
    named = {"x": (B, I), "W": (I, O), "b": (O,), "y": (B, O)}
    order = {"forward": "xWb", "weights": "yx", "input": "yW"}[form]
    return tuple(rng.standard_normal(named[k], dtype=np.float32) for k in order)


class Product:
    """`time` answers with seconds a call; `check` with the error against float64."""

    def __init__(self, backend: str = "", option: str = "", threads: int | None = None) -> None:
        self.K = load_backend(backend, threads) if backend else None

    def versions(self) -> dict[str, str]:
        return {"blas": "; ".join(machine.blas())}

    def bound(self, form: str, args: tuple[Any, ...]) -> Callable[[], Any]:
        """The call, its arguments given: the best NumPy has outputs allocated beforehand."""
        op = FORMS[form]
        if self.K is not None:
            kernel = getattr(self.K, op)
            return lambda: kernel(*args)
        call = best_numpy.best(op, args)
        assert call is not None
        return call

    def check(self, form: str, shape: list[int], seed: int) -> dict[str, float]:
        """Raises GateError unless the product is right at fresh inputs."""
        args = arguments(form, shape, seed)
        want = getattr(reference, FORMS[form])(*(a.astype(np.float64) for a in args))
        got = self.bound(form, args)()
        pairs = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
        return {"worst": max(worst(form, g, w, TOL) for g, w in pairs)}

    def time(self, form: str, shape: list[int], seconds: float) -> dict[str, float]:
        """Seconds of one call, averaged over about `seconds`."""
        key = (form, *shape)
        if getattr(self, "key", None) != key:
            self.key, self.call = key, self.bound(form, arguments(form, shape, 1))
        return {"seconds": time_call(self.call, seconds)}


def time_call(call: Callable[[], Any], seconds: float) -> float:
    """Seconds of one call, averaged over as many calls as fill `seconds`."""
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    n = max(1, int(seconds / once))
    start = time.perf_counter()
    for _ in range(n):
        call()
    return (time.perf_counter() - start) / n

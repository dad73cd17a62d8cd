"""Backends: the reference ops, overlaid by a backend's kernels of the same names and signatures.

`K = load_backend("numba")` is a plain object passed explicitly to whatever computes. There is no
current backend, no environment variable and no silent fall-back: what cannot run raises
`BackendUnavailable` with the reason and the fix.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minivae import ops
from minivae.messages import shown
from minivae.settings import nearest
from minivae.types import Array

BACKENDS = ("numpy", "numba", "cupy")
REFERENCE = BACKENDS[0]  # which has no kernels
# What a backend may do to the inputs of its products; each is an argument of load_backend.
ROUNDED = ("tf32", "bf16")
# What a backend may bring besides ops.
SERVICES = (
    "make_step", "make_gradient_step", "output_nll", "xp", "to_device", "to_host", "flushes",
)  # fmt: skip


class BackendUnavailable(RuntimeError):
    """The backend asked for cannot run here; the message says why and how to mend it."""


class Unsupported(RuntimeError):
    """A backend has no fused training step for a plan; `reason` names the part, or is empty."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason or "this backend has no fused training step")
        self.reason = reason


class Backend:
    """Every op as an attribute, plus `name`, `xp`, `to_device`, `to_host`, `make_step`.

    `files` maps each op to the file that implements it; `tf32` says whether a card rounds the
    products' inputs, `flushes` whether numbers below 1.2e-38 are 0 to it.
    """

    def __init__(
        self, name: str, kernels: Mapping[str, Any], *, tf32: bool = False, bf16: bool = False
    ) -> None:
        self.name, self.tf32, self.bf16 = name, tf32, bf16
        self.xp: Any = kernels.get("xp", np)
        self.to_device: Callable[[Any], Any] = kernels.get("to_device", np.asarray)
        self.to_host: Callable[[Any], Array] = kernels.get("to_host", np.asarray)
        self.flushes: bool = kernels.get("flushes", False)
        self.fused_step: Callable[..., Any] | None = kernels.get("make_step")
        self.fused_gradient: Callable[..., Any] | None = kernels.get("make_gradient_step")
        self.fused_nll: Callable[..., Any] | None = kernels.get("output_nll")
        self.files: dict[str, str] = {}
        for op in ops.OPS:
            reference = getattr(ops, op)
            function = or_reference(kernels[op], reference) if op in kernels else reference
            setattr(self, op, function)
            self.files[op] = inspect.getsourcefile(inspect.unwrap(function)) or "?"

    def make_step(self, plan: Any, theta: Array, moments: Array, data: Array) -> Any:
        """The fused training step of a plan, holding copies of theta (P,) and moments (M, P).

        Raises Unsupported where there is none for it, naming the part that has no kernel.
        """
        return self._fused(self.fused_step, plan, theta, moments, data)

    def make_gradient_step(self, plan: Any, theta: Array, moments: Array, data: Array) -> Any:
        """The fused step in two halves, gradient and optimiser, for batches cut into shards."""
        return self._fused(self.fused_gradient, plan, theta, moments, data)

    @staticmethod
    def _fused(make: Callable[..., Any] | None, plan: Any, *arrays: Array) -> Any:
        if make is None:
            raise Unsupported("")
        from minivae_kernels import Unsupported as Declined

        try:
            return make(plan, *arrays)
        except Declined as declined:
            raise Unsupported(declined.reason) from declined

    def output_nll(self, likelihood: str, h: Any, W: Any, b: Any, x: Any, *beside: Any) -> Any:
        """The decoder's last layer and -log p(x | z) at once, in nats: h (L B, H) -> (L, B).

        beside: what the likelihood takes besides outputs and x. None where the backend has no
        kernel that does both; then the two ops do the same, one after the other.
        """
        if self.fused_nll is None:
            return None
        from minivae_kernels import Unsupported as Declined

        try:
            return self.fused_nll(likelihood, h, W, b, x, *beside)
        except Declined:
            return None

    def __getattr__(self, op: str) -> Any:  # only reached for a name that is not there
        raise AttributeError(f"backend {self.__dict__.get('name')!r} has no op {op!r}")

    @property
    def label(self) -> str:
        """The name for people: no figure made with TF32 or bfloat16 goes without the word."""
        rounded = "TF32" if self.tf32 else "bfloat16" if self.bf16 else ""
        return f"{self.name}, {rounded}" if rounded else self.name

    def __repr__(self) -> str:
        return f"<minivae backend {self.label!r}>"


class Observed:
    """A backend each of whose calls goes through `called`: to write it down, check or change it."""

    def __init__(self, K: Any) -> None:
        self.observed = K

    def called(self, name: str, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What the call op(*args) of the op called `name` returns."""
        return op(*args)

    def __getattr__(self, name: str) -> Any:
        op = getattr(self.observed, name)
        if not callable(op):
            return op
        return lambda *args: self.called(name, op, args)


def or_reference(kernel: Callable[..., Any], reference: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel, and the reference for what it declines: numbers of another precision."""
    from minivae_kernels import Unsupported

    if hasattr(kernel, "or_else"):  # it asks the reference itself
        asking: Callable[..., Any] = kernel.or_else(reference)
        return asking

    @functools.wraps(kernel)
    def op(*args: Any, **kwargs: Any) -> Any:
        try:
            return kernel(*args, **kwargs)
        except Unsupported:
            return reference(*args, **kwargs)

    return op


def check_contract(name: str, kernels: Mapping[str, Any]) -> None:
    """Raise TypeError for a kernel that no op knows, or whose signature is not its op's."""
    for op, function in kernels.items():
        if op in SERVICES:
            continue
        if op not in ops.OPS:
            raise TypeError(f"backend {name!r} brings {op!r}, which is no op{nearest(op, ops.OPS)}")
        theirs = list(inspect.signature(function).parameters)
        ours = list(inspect.signature(getattr(ops, op)).parameters)
        if theirs != ours:
            raise TypeError(
                f"backend {name!r}: {op}({', '.join(theirs)}) should be {op}({', '.join(ours)})"
            )


def expect_training(activation: str, likelihood: str, dtype: str, binarise: str) -> None:
    """Have a process beside this one compile what a numba run will need that compiles at all.

    dtype: of the data as they are stored. The run needs none of it: it would compile it itself.
    """
    import minivae_kernels

    minivae_kernels.expect_training(activation, likelihood, dtype, binarise)


def most_threads(name: str) -> float:
    """How many threads a backend's kernels can be run by; the reference leaves them to its BLAS."""
    if name == REFERENCE:
        return math.inf
    import minivae_kernels

    return minivae_kernels.MOST_THREADS


def load_backend(
    name: str, threads: int | None = None, *, tf32: bool = False, bf16: bool = False
) -> Backend:
    """The backend called "numpy", "numba" or "cupy".

    threads: how many the backend's kernels may use; None leaves it to the backend, and the
    NumPy reference leaves it to its BLAS.
    tf32: cupy only; a card may round the products' inputs to TF32. bf16: numba only; a processor
    with AVX512-BF16 rounds them to bfloat16. Either is faster, and no longer float32.
    Raises BackendUnavailable if it cannot run here, ValueError if there is none of that name or
    if it has no TF32, or no bfloat16.
    """
    if name not in BACKENDS:
        raise ValueError(
            f"unknown backend {shown(name)}: choose {', '.join(BACKENDS)}{nearest(name, BACKENDS)}"
        )
    if tf32 and name != "cupy":
        raise ValueError(f"backend {name!r} has no TF32: leave it out, or use cupy on a card")
    if bf16 and name != "numba":
        raise ValueError(f"backend {name!r} has no bfloat16: leave it out, or use numba")
    if name == REFERENCE:
        return Backend(name, {})
    import minivae_kernels

    try:
        kernels = minivae_kernels.load(name, threads, tf32=tf32, bf16=bf16)
    except minivae_kernels.Unavailable as reason:
        raise BackendUnavailable(f"backend {name!r} cannot run here: {reason}") from reason
    check_contract(name, kernels)
    return Backend(name, kernels, tf32=tf32, bf16=bf16)

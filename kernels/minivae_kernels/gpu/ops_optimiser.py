"""Launchers for the optimisers: descent on one flat buffer, in place."""

from __future__ import annotations

from typing import Any

from minivae_kernels.gpu.launcher import Array, Launcher


class OptimiserOps(Launcher):
    """Descent on one flat buffer, in place."""

    def _buffers(self, op: str, grad: Any, **changed: Any) -> tuple[Any, Array]:
        """Their type, and the gradient fit for it; TypeError where in-place cannot work."""
        real = self._array(op, "theta", changed["theta"]).dtype
        for name, a in changed.items():
            if not self.device.is_array(a) or a.dtype != real or not a.flags.c_contiguous:
                raise TypeError(
                    f"{op}: {name} is changed in place: a contiguous device array of "
                    f"{real} is needed"
                )
        self._require(
            all(a.shape == grad.shape for a in changed.values()), op, grad=grad, **changed
        )
        return real, self.device.xp.ascontiguousarray(self._array(op, "grad", grad), dtype=real)

    def _descend(
        self, op: str, theta: Any, grad: Any, moments: dict[str, Any], numbers: tuple[float, ...]
    ) -> None:
        """Launch kernel(theta, grad, the moments, *numbers, n, vec)."""
        real, grad = self._buffers(op, grad, theta=theta, **moments)
        vec = self.aligned(theta, grad, *moments.values())
        n = theta.size
        self.walk(op, n, (theta, grad, *moments.values(), *numbers, n, vec), real)

    def sgd_update(self, theta: Array, grad: Array, velocity: Array, lr: float,
                   momentum: float) -> None:  # fmt: skip
        """velocity ← momentum velocity + grad; θ ← θ - lr velocity       (E32)"""
        self._descend("sgd_update", theta, grad, {"velocity": velocity}, (momentum, lr))

    def adam_update(
        self, theta: Array, grad: Array, m: Array, v: Array, lr: float, beta1: float, beta2: float,
        eps: float, t: int,
    ) -> None:  # fmt: skip
        """Adam with bias correction; t = 1, 2, … counts the updates      (E33)"""
        rate, correct = lr / (1 - beta1**t), 1 / (1 - beta2**t)
        means = (beta1, 1 - beta1, beta2, 1 - beta2, eps)
        self._descend("adam_update", theta, grad, {"m": m, "v": v}, (*means, rate, correct))

    def adamw_update(
        self, theta: Array, grad: Array, m: Array, v: Array, lr: float, beta1: float, beta2: float,
        eps: float, weight_decay: float, t: int,
    ) -> None:  # fmt: skip
        """θ ← (1 - lr weight_decay) θ, then Adam's update                (E59)"""
        rate, correct, rest = lr / (1 - beta1**t), 1 / (1 - beta2**t), 1 - lr * weight_decay
        means = (beta1, 1 - beta1, beta2, 1 - beta2, eps)
        self._descend("adamw_update", theta, grad, {"m": m, "v": v}, (*means, rate, correct, rest))

    def adagrad_update(self, theta: Array, grad: Array, total: Array, lr: float,
                       eps: float) -> None:  # fmt: skip
        """total ← total + grad²; θ ← θ - lr grad / (√total + eps)        (E58)"""
        self._descend("adagrad_update", theta, grad, {"total": total}, (eps, lr))

    def rmsprop_update(self, theta: Array, grad: Array, v: Array, lr: float, decay: float,
                       eps: float) -> None:  # fmt: skip
        """v ← decay v + (1 - decay) grad²; θ ← θ - lr grad / (√v + eps)  (E60)"""
        self._descend("rmsprop_update", theta, grad, {"v": v}, (decay, 1 - decay, eps, lr))

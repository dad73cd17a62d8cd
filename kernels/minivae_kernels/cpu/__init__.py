"""The Numba backend: kernels compiled for this processor, run by one team of threads.

Five folders, from the bottom up; each uses only those before it:

    compile/  how a function becomes machine code, the disk cache, vector instructions
    threads/  the team of threads, its barriers, how work is shared
    gemm/     the three products of a dense layer; read register_tile.py first
    ops/      the ops, each beside its kernel
    step/     the fused training step: forward.py, backward.py, update.py, and train.py runs them
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPS = {
    "ops.dense": "dense_forward dense_backward_params dense_backward_input dense_relu_forward "
    "dense_tanh_forward",
    "ops.elementwise": "relu_forward relu_backward tanh_forward tanh_backward sigmoid_forward "
    "sigmoid_backward softplus_forward softplus_backward bound_logvar_forward "
    "bound_logvar_backward dense_relu_backward dense_tanh_backward",
    "ops.latent": "reparameterise_forward reparameterise_backward kl_forward kl_backward "
    "latent_forward latent_backward free_bits_forward free_bits_backward",
    "ops.likelihoods": "bernoulli_nll_forward bernoulli_nll_backward bernoulli_nll_grad "
    "gaussian_nll_forward gaussian_nll_backward gaussian_nll_grad",
    "ops.gaussian_kl": "gaussian_kl_forward gaussian_kl_backward",
    "ops.optimisers": "sgd_update adam_update",
    "ops.random": "philox uniforms normals permutation gather binarise gather_binarise",
}


def load(threads: int | None = None) -> dict[str, Callable[..., Any]]:
    """Every op by name, and make_step. Raises Unavailable where Numba cannot be used."""
    from minivae_kernels import Unavailable

    try:
        import numba  # noqa: F401
    except ImportError as reason:
        raise Unavailable(
            f"Numba cannot be imported ({reason}); `pip install numba` mends it"
        ) from reason
    import importlib

    from minivae_kernels.cpu.threads.count import set_threads

    set_threads(threads)
    found: dict[str, Callable[..., Any]] = {}
    for module, names in OPS.items():
        loaded = importlib.import_module(f"{__name__}.{module}")
        found.update((name, getattr(loaded, name)) for name in names.split())
    found["make_step"] = make_step
    return found


def make_step(plan: Any, theta: Any, moments: Any, data: Any) -> Any:
    """The fused training step of a StepPlan; see step/fused_step.py."""
    from minivae_kernels.cpu.step.fused_step import Step

    return Step(plan, theta, moments, data)


def is_cached() -> bool:
    """Whether the training step starts from the disk cache; if not, the first one compiles."""
    from minivae_kernels.cpu.compile.decorators import any_cached

    return any_cached("train")

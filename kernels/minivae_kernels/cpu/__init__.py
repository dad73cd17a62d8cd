"""The Numba backend: kernels compiled for this processor, run by one team of threads.

Read tile.py first (the register tile), then matmul.py (three products from one layout), then
forward.py, backward.py, update.py and driver.py (a whole training step). The other files are the
ops, each beside its kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPS = {
    "dense": "dense_forward dense_backward_params dense_backward_input dense_relu_forward "
    "dense_tanh_forward",
    "elementwise": "relu_forward relu_backward tanh_forward tanh_backward sigmoid_forward "
    "sigmoid_backward softplus_forward softplus_backward bound_logvar_forward "
    "bound_logvar_backward dense_relu_backward dense_tanh_backward",
    "latent": "reparameterise_forward reparameterise_backward kl_forward kl_backward "
    "latent_forward latent_backward free_bits_forward free_bits_backward",
    "likelihood": "bernoulli_nll_forward bernoulli_nll_backward bernoulli_nll_grad "
    "gaussian_nll_forward gaussian_nll_backward gaussian_nll_grad",
    "divergence": "gaussian_kl_forward gaussian_kl_backward",
    "optimiser": "sgd_update adam_update",
    "noise": "philox uniforms normals permutation gather binarise gather_binarise",
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

    from .settings import set_threads

    set_threads(threads)
    found: dict[str, Callable[..., Any]] = {}
    for module, names in OPS.items():
        loaded = importlib.import_module(f"{__name__}.{module}")
        found.update((name, getattr(loaded, name)) for name in names.split())
    found["make_step"] = make_step
    return found


def make_step(plan: Any, theta: Any, moments: Any, data: Any) -> Any:
    """The fused training step of a StepPlan; see step.py."""
    from .step import Step

    return Step(plan, theta, moments, data)


def is_cached() -> bool:
    """Whether the training step starts from the disk cache; if not, the first one compiles."""
    from .compiler import any_cached

    return any_cached("train")

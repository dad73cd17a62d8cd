"""One case per op for the GPU kernels' tests: odd sizes, upstream gradients that are not 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from minivae_kernels.gpu.descent import OPTIMISERS as FUSED_OPTIMISERS
from minivae_kernels.gpu.ops_activation import ACTIVATION_CODES
from minivae_kernels.gpu.ops_likelihood import LIKELIHOODS as FUSED_LIKELIHOODS

from minivae import ops
from minivae.ops.table import FUNCTIONS
from minivae.parts import ACTIVATIONS, LIKELIHOODS, OPTIMISERS
from minivae.proof import points

# B, D, J, L, I, O: all different; odd, prime, at and beside the kernels' 4, 32 and 128.
SHAPES = {
    "odd": (7, 131, 5, 3, 37, 17),
    "fours": (9, 132, 8, 2, 36, 20),
    "single": (1, 3, 1, 2, 5, 4),
    "tiles": (33, 257, 35, 1, 129, 127),
    "tall": (2051, 5, 3, 1, 6, 7),  # more rows than a block of each of the 256 tiles has warps
}
# Parts whose ops the card's backend leaves to the reference on CuPy's arrays; its fused step
# declines them by name.
PARTS_WITHOUT_KERNEL = {
    *(name for name in ACTIVATIONS if name not in ACTIVATION_CODES),
    *(part.forward.__name__.removesuffix("_forward") for name, part in LIKELIHOODS.items()
      if name not in FUSED_LIKELIHOODS),
    *(name for name in OPTIMISERS if name not in FUSED_OPTIMISERS),
}  # fmt: skip
CARD_OPS = [op for op in ops.OPS if FUNCTIONS[op].op.name not in PARTS_WITHOUT_KERNEL]

ELEMENTWISE = (
    "bound_logvar_forward bound_logvar_backward "
    "dense_relu_backward dense_tanh_backward kl_forward kl_backward "
    "free_bits_forward free_bits_backward binarise"
).split()
ELEMENTWISE += [
    op for name in ACTIVATION_CODES for op in (f"{name}_forward", f"{name}_backward")
    if FUNCTIONS[op].kind == "elementwise"  # elsewhere terms cancel: the largest entry counts
]  # fmt: skip


def cases(shape: str, seed: int = 3) -> dict[str, tuple[Any, ...]]:
    """Op -> float64 arguments, made of float32 numbers so that both types mean the same."""
    B, D, J, L, I, O = SHAPES[shape]
    rng = np.random.default_rng(seed)

    def normal(*size: int, spread: float = 1.0) -> np.ndarray:
        return (spread * rng.normal(size=size)).astype(np.float32).astype(np.float64)

    x = rng.uniform(size=(B, D)).astype(np.float32).astype(np.float64)
    wide, dy = normal(B, D, spread=6.0), normal(B, D)
    y = np.tanh(wide).astype(np.float32).astype(np.float64)
    mu, logvar, eps = normal(B, J), normal(B, J, spread=1.5), normal(L, B, J)
    dz, dkl, dnll = normal(L, B, J), normal(B, J), normal(L, B)
    logits, mean = normal(L, B, D, spread=4.0), normal(L, B, D)
    steep = normal(B, J, spread=35.0)
    logc, kl_mean = np.float64(np.float32(-0.7)), np.abs(normal(J))
    W, b, h, dh = normal(I, O), normal(O), normal(B, I), normal(B, O)
    found = likelihood_cases({"B": B, "D": D, "L": L}, np.random.default_rng(seed))
    for name in ACTIVATION_CODES:
        found[f"{name}_forward"], found[f"{name}_backward"] = (wide,), (dy, wide)
    found.update(
        bound_logvar_forward=(steep,),
        bound_logvar_backward=(dkl, steep),
        dense_relu_backward=(dy, np.maximum(wide, 0)),
        dense_tanh_backward=(dy, y),
        dense_forward=(h, W, b),
        dense_relu_forward=(h, W, b),
        dense_tanh_forward=(h, W, b),
        dense_backward_params=(dh, h),
        dense_backward_input=(dh, W),
        reparameterise_forward=(mu, logvar, eps),
        reparameterise_backward=(dz, logvar, eps),
        kl_forward=(mu, logvar),
        kl_backward=(dkl, mu, logvar),
        latent_forward=(mu, logvar, eps),
        latent_backward=(dz, dkl, mu, logvar, eps),
        free_bits_forward=(kl_mean, 0.5),
        free_bits_backward=(dkl[0], kl_mean, 0.5),
        bernoulli_nll_forward=(logits, x),
        bernoulli_nll_backward=(dnll, logits, x),
        bernoulli_nll_grad=(dnll, logits, x),
        gaussian_nll_forward=(mean, x, logc),
        gaussian_nll_backward=(dnll, mean, x, logc),
        binarise=(x, rng.uniform(size=(B, D)).astype(np.float32).astype(np.float64)),
    )
    return found


def likelihood_cases(dims: dict[str, int], rng: np.random.Generator) -> dict[str, tuple[Any, ...]]:
    """The ops of every likelihood that has a kernel, with arguments as their records describe."""
    found = {}
    for name in FUSED_LIKELIHOODS:
        for function in (LIKELIHOODS[name].forward, LIKELIHOODS[name].backward):
            drawn = points.arguments(function.__name__, dims, rng, np.float32)
            found[function.__name__] = as_type(drawn, np.float64)
    return found


def as_type(args: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    """The same arguments with every array (and NumPy number) in another type."""
    return tuple(
        np.asarray(a, dtype=dtype) if isinstance(a, (np.ndarray, np.generic)) else a for a in args
    )


def parts(result: Any) -> tuple[np.ndarray, ...]:
    """An op's outputs as a tuple of arrays."""
    return tuple(map(np.asarray, result if isinstance(result, tuple) else (result,)))

"""The reference ops: pure functions, NumPy only, any dtype. Every backend is held against these."""

from __future__ import annotations

from minivae.ops.activation import (
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from minivae.ops.batch import binarise, gather
from minivae.ops.dense import dense_backward_input, dense_backward_params, dense_forward
from minivae.ops.fused import (
    bernoulli_nll_grad,
    dense_relu_backward,
    dense_relu_forward,
    dense_tanh_backward,
    dense_tanh_forward,
    gather_binarise,
    gaussian_nll_grad,
    latent_backward,
    latent_forward,
)
from minivae.ops.gaussian import gaussian_kl_backward, gaussian_kl_forward
from minivae.ops.latent import (
    bound_logvar_backward,
    bound_logvar_forward,
    free_bits_backward,
    free_bits_forward,
    kl_backward,
    kl_forward,
    reparameterise_backward,
    reparameterise_forward,
)
from minivae.ops.likelihood import (
    bernoulli_nll_backward,
    bernoulli_nll_forward,
    gaussian_nll_backward,
    gaussian_nll_forward,
)
from minivae.ops.optimiser import adam_update, sgd_update
from minivae.ops.philox import normals, permutation, philox, uniforms

__all__ = [
    "dense_forward",
    "dense_backward_params",
    "dense_backward_input",
    "relu_forward",
    "relu_backward",
    "tanh_forward",
    "tanh_backward",
    "sigmoid_forward",
    "sigmoid_backward",
    "softplus_forward",
    "softplus_backward",
    "bound_logvar_forward",
    "bound_logvar_backward",
    "reparameterise_forward",
    "reparameterise_backward",
    "kl_forward",
    "kl_backward",
    "free_bits_forward",
    "free_bits_backward",
    "gaussian_kl_forward",
    "gaussian_kl_backward",
    "bernoulli_nll_forward",
    "bernoulli_nll_backward",
    "gaussian_nll_forward",
    "gaussian_nll_backward",
    "sgd_update",
    "adam_update",
    "philox",
    "uniforms",
    "normals",
    "permutation",
    "gather",
    "binarise",
    "dense_relu_forward",
    "dense_relu_backward",
    "dense_tanh_forward",
    "dense_tanh_backward",
    "latent_forward",
    "latent_backward",
    "bernoulli_nll_grad",
    "gaussian_nll_grad",
    "gather_binarise",
]

OPS = tuple(__all__)  # the one list that backends, verification and benchmarks read

"""One record of each op; every other list of ops is derived from this table.

A record says in words what an op's arguments look like, so that verification, kernel checks and
benchmarks can make arguments of their own; what is differentiated by which function; how a kernel
is judged; what it changes in place; what it costs at least; and which part of a model it may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from minivae.ops import activation, batch, dense, fused, gaussian, latent, likelihood, optimiser
from minivae.ops import philox as random
from minivae.ops.record import (
    ELEMENTWISE,
    EXACT,
    EXP,
    LOG1P,
    NORMAL,
    PHILOX_WORD,
    PRODUCT,
    REDUCTION,
    SIGMOID,
    SOFTPLUS,
    TANH,
    Arg,
    Backward,
    Bounds,
    Function,
    Op,
    activation_op,
    dense_op,
    optimiser_op,
    random_op,
)
from minivae.types import Array


def _half_size(x: Array) -> Array:
    return np.asarray(0.5 * np.sqrt(x * x))


def _largest_of_draw(mu: Array, logvar: Array, eps: Array) -> Array:
    size = np.stack(np.broadcast_arrays(mu * mu, np.exp(logvar) * eps * eps))
    return np.asarray(np.sqrt(size.max(axis=0)))


def _largest_of_kl(mu: Array, logvar: Array) -> Array:
    return 0.5 * np.stack([mu * mu, np.sqrt(np.expm1(logvar) ** 2), np.sqrt(logvar**2)]).max(axis=0)


_LATENT = {"mu": Arg("B J"), "logvar": Arg("B J")}
_DRAWN = {**_LATENT, "eps": Arg("L B J")}
# What an optimiser keeps of a running mean: all of it would leave it, and 1 - beta ** t, at 0.
_SHARE = Bounds(below=1)
# Where all gradients were 0 it divides by eps alone: below 1.18e-38 float32 has few digits or none.
_DIVISOR = Bounds(least=1.2e-38)
_LOGITS = {"logits": Arg("L B D", scale=3.0), "x": Arg("B D", "unit")}
_MEAN = {"mean": Arg("L B D"), "x": Arg("B D"), "logc": Arg("", scale=0.5)}
_NLL = {"nll": "L B"}
_GAUSSIANS = {"mu0": Arg("J"), "cov0": Arg("J J", "covariance"),
              "mu1": Arg("J"), "cov1": Arg("J J", "covariance")}  # fmt: skip
_SEED, _STREAM, _STEP = (Arg("", "number", value) for value in (11, 3, 5))
_ROWS, _PIXELS, _SCALE = Arg("B", "rows"), Arg("N D", "bytes"), Arg("", "number", 1 / 255)

TABLE: tuple[Op, ...] = (
    dense_op(
        dense.dense_forward,
        Backward(dense.dense_backward_params, "W b", PRODUCT, 1),
        Backward(dense.dense_backward_input, "x", PRODUCT, 1),
    ),
    activation_op(
        activation.relu_forward, activation.relu_backward,
        "max(a, 0); zero for every negative input", kind=EXACT,
    ),
    activation_op(
        activation.tanh_forward, activation.tanh_backward,
        "tanh a; between -1 and 1", cost=(TANH, EXP + 6),
    ),
    activation_op(
        activation.sigmoid_forward, activation.sigmoid_backward,
        "1 / (1 + exp(-a)); between 0 and 1", cost=(SIGMOID, SIGMOID + 4),
    ),
    activation_op(
        activation.softplus_forward, activation.softplus_backward,
        "log(1 + exp a); a smooth relu", cost=(SOFTPLUS, SIGMOID + 1),
    ),
    activation_op(
        activation.leaky_relu_forward, activation.leaky_relu_backward,
        "a where positive, else a / 100; no unit falls silent", cost=(2, 2),
    ),
    activation_op(
        activation.elu_forward, activation.elu_backward,
        "a where positive, else exp(a) - 1; smooth, down to -1", cost=(EXP + 8, EXP + 3),
    ),
    activation_op(
        activation.silu_forward, activation.silu_backward,
        "a / (1 + exp(-a)), also called swish", cost=(SIGMOID + 1, 2 * SIGMOID + 3),
        backward_kind=REDUCTION,
    ),
    activation_op(
        activation.gelu_forward, activation.gelu_backward,
        "a times the normal distribution function of a (by erf)", cost=(EXP + 20, 2 * EXP + 24),
        backward_kind=REDUCTION, largest_terms=(_half_size,),
    ),
    activation_op(
        activation.gelu_tanh_forward, activation.gelu_tanh_backward,
        "gelu by its tanh approximation", cost=(SIGMOID + 6, 2 * SIGMOID + 14),
        backward_kind=REDUCTION,
    ),
    Op(
        latent.bound_logvar_forward, {"logvar": Arg("B J", scale=30.0)}, {"bounded": "B J"}, EXACT,
        (Backward(latent.bound_logvar_backward, "logvar", EXACT, 3),), 2, place="encoder.logvar",
    ),
    Op(
        latent.reparameterise_forward, _DRAWN, {"z": "L B J"}, ELEMENTWISE,
        (Backward(latent.reparameterise_backward, "mu logvar", REDUCTION, EXP + 4),), EXP + 2,
        largest_terms=(_largest_of_draw,), place="the latent sample z",
    ),
    Op(
        latent.kl_forward, _LATENT, {"kl": "B J"}, ELEMENTWISE,
        (Backward(latent.kl_backward, "mu logvar", ELEMENTWISE, EXP + 6),), EXP + 6,
        largest_terms=(_largest_of_kl,), place="the KL term",
    ),
    Op(
        latent.free_bits_forward,
        {"kl_mean": Arg("J", "positive"), "floor": Arg("", "number", 1.2)}, {"out": "J"}, EXACT,
        (Backward(latent.free_bits_backward, "kl_mean", EXACT, 1),), 1, place="the KL term",
    ),
    Op(
        gaussian.gaussian_kl_forward, _GAUSSIANS, {"kl": ""}, REDUCTION,
        (Backward(gaussian.gaussian_kl_backward, "mu0 cov0 mu1 cov1", REDUCTION, 60),), 20,
    ),
    Op(
        likelihood.bernoulli_nll_forward, _LOGITS, _NLL, REDUCTION,
        (Backward(likelihood.bernoulli_nll_backward, "logits", REDUCTION, SIGMOID + 2),),
        EXP + 8,  # the logarithms of many pixels are one, of a product
    ),
    Op(
        likelihood.gaussian_nll_forward, _MEAN, _NLL, REDUCTION,
        (Backward(likelihood.gaussian_nll_backward, "mean logc", REDUCTION, 4),), 2,
    ),
    Op(
        likelihood.gaussian_diagonal_nll_forward,
        {"mean": Arg("L B D"), "x": Arg("B D"), "logc": Arg("D", scale=0.5)}, _NLL, REDUCTION,
        (Backward(likelihood.gaussian_diagonal_nll_backward, "mean logc", REDUCTION, 5),), 4,
    ),
    Op(
        likelihood.laplace_nll_forward,
        {"mean": Arg("L B D"), "x": Arg("B D"), "logb": Arg("", scale=0.5)}, _NLL, REDUCTION,
        (Backward(likelihood.laplace_nll_backward, "mean logb", REDUCTION, 5),), 3,
    ),
    Op(
        likelihood.student_t_nll_forward,
        {"mean": Arg("L B D"), "x": Arg("B D"), "logb": Arg("", scale=0.5)}, _NLL, REDUCTION,
        (Backward(likelihood.student_t_nll_backward, "mean logb", REDUCTION, 7),), LOG1P + 4,
    ),
    Op(
        likelihood.continuous_bernoulli_nll_forward, _LOGITS, _NLL, REDUCTION,
        (Backward(likelihood.continuous_bernoulli_nll_backward, "logits", REDUCTION, EXP + 20),),
        EXP + LOG1P + 40,
    ),
    Op(
        likelihood.poisson_nll_forward,
        {"lograte": Arg("L B D"), "x": Arg("B D", "count", 3.0)}, _NLL, REDUCTION,
        (Backward(likelihood.poisson_nll_backward, "lograte", REDUCTION, EXP + 2),), EXP + 60,
    ),
    Op(
        likelihood.negative_binomial_nll_forward,
        {"logmean": Arg("L B D"), "x": Arg("B D", "count", 3.0), "logr": Arg("", scale=0.5)},
        _NLL, REDUCTION,
        (Backward(likelihood.negative_binomial_nll_backward, "logmean logr", REDUCTION, 150),),
        150 + SOFTPLUS,
    ),
    Op(
        likelihood.categorical_nll_forward,
        {"logits": Arg("L B D", scale=2.0), "x": Arg("B D", "shares"), "groups": Arg("", "groups")},
        _NLL, REDUCTION,
        (Backward(likelihood.categorical_nll_backward, "logits", REDUCTION, EXP + 6),), EXP + 8,
    ),
    optimiser_op(
        optimiser.sgd_update, "gradient descent, with momentum", 4, {"momentum": 0.9},
        {"momentum": _SHARE},
    ),
    optimiser_op(
        optimiser.adam_update, "a rate for every parameter from two running means", 12,
        {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
        {"beta1": _SHARE, "beta2": _SHARE, "eps": _DIVISOR},
    ),
    optimiser_op(
        optimiser.adagrad_update, "a rate that falls with all squared gradients so far", 8,
        {"eps": 1e-8}, {"eps": _DIVISOR},
    ),
    optimiser_op(
        optimiser.adamw_update, "adam, and the parameters shrink beside it", 13,
        {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
        {"beta1": _SHARE, "beta2": _SHARE, "eps": _DIVISOR},
    ),
    optimiser_op(
        optimiser.rmsprop_update, "a rate for every parameter from the running mean square", 9,
        {"decay": 0.99, "eps": 1e-8}, {"decay": _SHARE, "eps": _DIVISOR},
    ),
    random_op(
        random.philox, {"counter": Arg("B 4", "words"), "key": Arg("2", "words")}, "B 4",
        PHILOX_WORD,
    ),
    random_op(
        random.uniforms,
        {"seed": _SEED, "stream": _STREAM, "step": _STEP, "samples": _ROWS,
         "n": Arg("D", "size")}, "B D", PHILOX_WORD + 3,
    ),
    random_op(
        random.normals,
        {"seed": _SEED, "stream": _STREAM, "step": _STEP, "samples": _ROWS,
         "n": Arg("J", "size")}, "B J", NORMAL, "the noise",
    ),
    random_op(
        random.permutation, {"seed": _SEED, "epoch": _STEP, "n": Arg("N", "size")}, "N", 17
    ),
    random_op(
        batch.gather, {"data": _PIXELS, "rows": _ROWS, "scale": _SCALE}, "B D", 2, "the data"
    ),
    random_op(batch.binarise, {"x": Arg("B D", "unit"), "u": Arg("B D", "unit")}, "B D", 1),
    dense_op(
        fused.dense_relu_forward,
        Backward(fused.dense_relu_backward, "", EXACT, 1),
    ),
    dense_op(
        fused.dense_tanh_forward,
        Backward(fused.dense_tanh_backward, "", ELEMENTWISE, 4),
    ),
    Op(
        fused.latent_forward, _DRAWN, {"z": "L B J", "kl": "B J"}, ELEMENTWISE,
        (Backward(fused.latent_backward, "mu logvar", REDUCTION, 2 * EXP + 10),), 2 * EXP + 8,
        largest_terms=(_largest_of_draw, lambda mu, logvar, eps: _largest_of_kl(mu, logvar)),
    ),
    Op(
        fused.bernoulli_nll_grad, {"dnll": Arg("L B"), **_LOGITS},
        {**_NLL, "dlogits": "L B D"}, REDUCTION, cost=SIGMOID + 8, both=True,
    ),
    random_op(
        fused.gather_binarise,
        {"data": _PIXELS, "rows": _ROWS, "scale": _SCALE, "seed": _SEED, "stream": _STREAM,
         "step": _STEP}, "B D", PHILOX_WORD + 5, "the data",
    ),
)  # fmt: skip


def _functions(table: tuple[Op, ...]) -> Iterator[Function]:
    for op in table:
        yield Function(
            op.forward.__name__, op.forward, op, None, op.kind, op.cost, op.args, (), op.in_place
        )
        for back in op.backward:
            args, outputs = _backward_arguments(op, back)
            name = back.function.__name__
            yield Function(name, back.function, op, back, back.kind, back.cost, args, outputs, ())


def _backward_arguments(op: Op, back: Backward) -> tuple[dict[str, Arg], tuple[str, ...]]:
    """A backward function's arguments: the upstream gradients, then what it takes of forward's."""
    names = list(back.arguments)
    upstream = dict(zip(names, (Arg(shape) for shape in op.gives.values())))
    rest = names[len(upstream) :]
    outputs = tuple(name for name in rest if name not in op.args)
    needs = {name: op.args.get(name) or Arg(op.gives[name]) for name in rest}
    return {**upstream, **needs}, outputs


FUNCTIONS: Mapping[str, Function] = {f.name: f for f in _functions(TABLE)}
OPS: tuple[str, ...] = tuple(FUNCTIONS)


def ops_of(part: str) -> tuple[Op, ...]:
    """The ops that may serve as this part of a model, in the table's order."""
    return tuple(op for op in TABLE if op.part == part)

"""The JAX peer: one `jit` of a `lax.scan` over a block of updates, state donated, data resident."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..cases import ADAM_EPS, BETA1, BETA2, LR, StepCase
from . import fastest, part

Params = dict[str, Any]


ACTIVATIONS = {
    "relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "softplus": jax.nn.softplus,
    "leaky_relu": jax.nn.leaky_relu, "elu": jax.nn.elu, "silu": jax.nn.silu,
    "gelu": partial(jax.nn.gelu, approximate=False),
}  # fmt: skip


def bernoulli(out: Any, x: Any) -> Any:
    """-log p(x | z) in nats of every entry; out: logits."""
    return jax.nn.softplus(out) - x * out


def gaussian(out: Any, x: Any) -> Any:
    """-log p(x | z) in nats of every entry at variance 1; out: means."""
    return 0.5 * (out - x) ** 2 + 0.5 * np.log(2 * np.pi)


LIKELIHOODS = {"bernoulli": bernoulli, "gaussian": gaussian}


def narrow(a: Any, b: Any, over: tuple[int, int]) -> Any:
    """The product of two matrices rounded to bfloat16, summed in float32 over these axes."""
    dims = (((over[0],), (over[1],)), ((), ()))
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    return lax.dot_general(a, b, dims, preferred_element_type=jnp.float32)


def rounded_product(turned: bool) -> Callable[[Any, Any], Any]:
    """x W in bfloat16 with its gradients in bfloat16 too; turned: W's as (dyᵀ x)ᵀ, not xᵀ dy."""

    @jax.custom_vjp
    def product(x: Any, W: Any) -> Any:
        return narrow(x, W, (1, 0))

    def forward(x: Any, W: Any) -> Any:
        return narrow(x, W, (1, 0)), (x, W)

    def backward(kept: Any, dy: Any) -> Any:
        x, W = kept
        dW = narrow(dy, x, (0, 0)).T if turned else narrow(x, dy, (0, 0))
        return narrow(dy, W, (1, 1)), dW

    product.defvjp(forward, backward)
    return product


def loss_fn(
    params: Params, x: Any, eps: Any, case: StepCase, summed: bool = False,
    product: Callable[[Any, Any], Any] = jnp.matmul,
) -> Any:  # fmt: skip
    """Negative ELBO in nats per datum, one draw; eps (B, J). summed: one sum over everything."""
    act, nll_of = part(ACTIVATIONS, case.activation), part(LIKELIHOODS, case.likelihood)

    def dense(name: str, h: Any) -> Any:
        return product(h, params[f"{name}.W"]) + params[f"{name}.b"]

    h = x
    for i in range(len(case.hidden)):
        h = act(dense(f"encoder.{i}", h))
    mu, logvar = dense("encoder.mu", h), dense("encoder.logvar", h)
    h = mu + jnp.exp(0.5 * logvar) * eps
    for i in range(len(case.hidden)):
        h = act(dense(f"decoder.{i}", h))
    out = dense("decoder.out", h)
    kl = 0.5 * (jnp.exp(logvar) + mu * mu - 1.0 - logvar)
    if summed:
        return (jnp.sum(nll_of(out, x)) + jnp.sum(kl)) / x.shape[0]
    return jnp.mean(jnp.sum(nll_of(out, x), axis=1) + jnp.sum(kl, axis=1))


def adam(state: tuple[Any, Any, Any, Any], grads: Params) -> tuple[Any, Any, Any, Any]:
    """One Adam update of every leaf; XLA fuses each leaf into one loop."""
    params, m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    c1, c2 = 1 - BETA1**t, 1 - BETA2**t
    params = jax.tree.map(
        lambda p, m, v: p - LR * (m / c1) / (jnp.sqrt(v / c2) + ADAM_EPS), params, m, v
    )
    return params, m, v, t


class Form(NamedTuple):
    """One way to write the same program; which is fastest depends on machine, model and batch.

    summed: the loss as one sum; ahead: all the noise of a block drawn at once; unroll: updates that
    the loop's body holds (on a card every turn of the loop costs launches); turned: see
    `rounded_product`.
    """

    summed: bool = False
    ahead: bool = False
    unroll: int = 1
    turned: bool = False

    def __str__(self) -> str:
        told = ["loss summed over the batch" if self.summed else "loss by rows"]
        told += ["noise drawn ahead"] if self.ahead else []
        told += [f"{self.unroll} updates a turn"] if self.unroll > 1 else []
        told += ["weights' gradients turned"] if self.turned else []
        return ", ".join(told)


#: tried before the race; the fastest takes part
FORMS = (Form(), Form(summed=True), Form(summed=True, ahead=True), Form(summed=True, unroll=2))
BF16_FORMS = (*FORMS, Form(summed=True, turned=True))


class JaxStep:
    """Noise by `rbg`, JAX's faster generator; `jax:threefry` asks for its default one."""

    def __init__(
        self, option: str = "rbg", threads: int | None = None, tf32: bool = False,
        bf16: bool = False, unroll: int = 1,
    ) -> None:  # fmt: skip
        if jax.default_backend() != "cpu":  # without this, JAX computes products in TF32
            precision = "tensorfloat32" if tf32 else "highest"
            jax.config.update("jax_default_matmul_precision", precision)
        self.bf16 = bf16
        self.noise = option  # XLA's CPU client sizes its own thread pool from the cores
        self.form = Form(summed=True, unroll=unroll)
        self.forms = (self.form,) if unroll > 1 else BF16_FORMS if bf16 else FORMS

    def versions(self) -> dict[str, str]:
        device = jax.devices()[0]
        return {
            "jax": jax.__version__,
            "device": f"{device} {device.device_kind}",
            "noise": self.noise,
            "precision": "bfloat16, summed in float32"
            if self.bf16
            else str(jax.config.jax_default_matmul_precision),
        }

    def prepare(self, case: StepCase, data: np.ndarray, theta: np.ndarray) -> None:
        self.case = case
        self.data = jnp.asarray(data)
        self.reset(theta)
        self._use(self.form)

    def _use(self, form: Form) -> None:
        self.form = form
        product = rounded_product(form.turned) if self.bf16 else jnp.matmul
        self._loss = partial(loss_fn, case=self.case, summed=form.summed, product=product)
        self._block = jax.jit(self._scan, donate_argnums=(0, 1))
        self._grad = jax.jit(jax.value_and_grad(self._loss))

    def tune(self, rows: np.ndarray) -> str:
        """Try every form on blocks of these rows, keep the fastest, and say which it was."""
        return str(fastest(self.forms, self._use, lambda: self.run(rows)))

    def reset(self, theta: np.ndarray) -> None:
        params = self._unflatten(theta)
        zeros = {k: jnp.zeros_like(p) for k, p in params.items()}
        self.state = (params, zeros, {k: z.copy() for k, z in zeros.items()}, jnp.float32(0))
        self.key = jax.random.key(7, impl={"threefry": "threefry2x32"}.get(self.noise, self.noise))

    def _unflatten(self, theta: np.ndarray) -> Params:
        table = self.case.parameters()
        return {k: jnp.array(theta[o : o + int(np.prod(s))].reshape(s)) for k, o, s in table}

    def _scan(self, state: Any, key: Any, data: Any, rows: Any) -> Any:
        case, n = self.case, rows.shape[0]
        shape = (case.batch, case.latent_dim)
        key, sub, aside = jax.random.split(key, 3)
        drawn = jax.random.normal(aside, (n, *shape)) if self.form.ahead else jnp.zeros((n, 0))

        def one(state: Any, inputs: Any) -> Any:
            row, i, drawn = inputs
            x = data[row].astype(jnp.float32) * jnp.float32(1 / 255)
            k = jax.random.fold_in(sub, i)
            if case.binarise == "dynamic":
                k, kb = jax.random.split(k)
                x = (jax.random.uniform(kb, x.shape) < x).astype(jnp.float32)
            eps = drawn if self.form.ahead else jax.random.normal(k, shape)
            loss, grads = jax.value_and_grad(self._loss)(state[0], x, eps)
            return adam(state, grads), loss

        numbered = (rows, jnp.arange(n), drawn)
        state, losses = lax.scan(one, state, numbered, unroll=self.form.unroll)
        return state, key, losses

    def run(self, rows: np.ndarray) -> float:
        """All the updates of `rows` (n, B); returns the mean loss, which waits for the device."""
        out = self._block(self.state, self.key, self.data, jnp.asarray(rows, jnp.int32))
        self.state, self.key, losses = out
        jax.block_until_ready(self.state)
        return float(np.mean(losses))

    def loss_and_grad(self, theta: np.ndarray, x: np.ndarray, eps: np.ndarray) -> Any:
        """Loss and flat gradient of the same `loss_fn` the timed block differentiates."""
        loss, grads = self._grad(self._unflatten(theta), jnp.asarray(x), jnp.asarray(eps))
        flat = [np.asarray(grads[name]).ravel() for name, _, _ in self.case.parameters()]
        return float(loss), np.concatenate(flat)

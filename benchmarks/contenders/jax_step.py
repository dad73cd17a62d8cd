"""The JAX peer: one `jit` of a `lax.scan` over a block of updates, state donated, data resident."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..cases import ADAM_EPS, BETA1, BETA2, LR, Case

Params = dict[str, Any]


ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}


def bernoulli_nll(logits: Any, x: Any) -> Any:
    """-log p(x | z) of each datum (B,), nats."""
    return jnp.sum(jax.nn.softplus(logits) - x * logits, axis=1)


def gaussian_nll(mean: Any, x: Any) -> Any:
    """-log p(x | z) of each datum (B,), nats, with variance 1."""
    return 0.5 * jnp.sum((mean - x) ** 2, axis=1) + 0.5 * x.shape[1] * np.log(2 * np.pi)


NLLS = {"bernoulli": bernoulli_nll, "gaussian": gaussian_nll}


def loss_fn(params: Params, x: Any, eps: Any, case: Case) -> Any:
    """Negative ELBO in nats per datum, one draw; eps (B, J)."""
    act = ACTIVATIONS[case.activation]
    h = x
    for i in range(len(case.hidden)):
        h = act(h @ params[f"encoder.{i}.W"] + params[f"encoder.{i}.b"])
    mu = h @ params["encoder.mu.W"] + params["encoder.mu.b"]
    logvar = h @ params["encoder.logvar.W"] + params["encoder.logvar.b"]
    h = mu + jnp.exp(0.5 * logvar) * eps
    for i in range(len(case.hidden)):
        h = act(h @ params[f"decoder.{i}.W"] + params[f"decoder.{i}.b"])
    out = h @ params["decoder.out.W"] + params["decoder.out.b"]
    nll = NLLS[case.likelihood](out, x)
    kl = 0.5 * jnp.sum(jnp.exp(logvar) + mu * mu - 1.0 - logvar, axis=1)
    return jnp.mean(nll + kl)


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


class JaxStep:
    """Noise by `rbg`, JAX's faster generator; `jax:threefry` asks for its default one.

    unroll: updates that the loop's body holds; on a card every turn of the loop costs launches.
    """

    def __init__(
        self, option: str = "rbg", threads: int | None = None, tf32: bool = False, unroll: int = 1
    ) -> None:
        if jax.default_backend() != "cpu":  # without this, JAX computes products in TF32
            precision = "tensorfloat32" if tf32 else "highest"
            jax.config.update("jax_default_matmul_precision", precision)
        self.noise = option  # XLA's CPU client sizes its own thread pool from the cores
        self.unroll = unroll

    def versions(self) -> dict[str, str]:
        device = jax.devices()[0]
        return {
            "jax": jax.__version__,
            "device": f"{device} {device.device_kind}",
            "noise": self.noise,
            "unroll": str(self.unroll),
            "precision": str(jax.config.jax_default_matmul_precision),
        }

    def prepare(self, case: Case, data: np.ndarray, theta: np.ndarray) -> None:
        self.case = case
        self.data = jnp.asarray(data)
        self.reset(theta)
        self._block = jax.jit(self._scan, donate_argnums=(0, 1))
        self._grad = jax.jit(jax.value_and_grad(partial(loss_fn, case=case)))

    def reset(self, theta: np.ndarray) -> None:
        params = self._unflatten(theta)
        zeros = {k: jnp.zeros_like(p) for k, p in params.items()}
        self.state = (params, zeros, {k: z.copy() for k, z in zeros.items()}, jnp.float32(0))
        self.key = jax.random.key(7, impl={"threefry": "threefry2x32"}.get(self.noise, self.noise))

    def _unflatten(self, theta: np.ndarray) -> Params:
        table = self.case.parameters()
        return {k: jnp.array(theta[o : o + int(np.prod(s))].reshape(s)) for k, o, s in table}

    def _scan(self, state: Any, key: Any, data: Any, rows: Any) -> Any:
        case = self.case
        key, sub = jax.random.split(key)

        def one(state: Any, inputs: Any) -> Any:
            row, i = inputs
            x = data[row].astype(jnp.float32) * jnp.float32(1 / 255)
            k = jax.random.fold_in(sub, i)
            if case.binarise == "dynamic":
                k, kb = jax.random.split(k)
                x = (jax.random.uniform(kb, x.shape) < x).astype(jnp.float32)
            eps = jax.random.normal(k, (case.batch, case.latent_dim))
            loss, grads = jax.value_and_grad(loss_fn)(state[0], x, eps, case)
            return adam(state, grads), loss

        numbered = (rows, jnp.arange(rows.shape[0]))
        state, losses = lax.scan(one, state, numbered, unroll=self.unroll)
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

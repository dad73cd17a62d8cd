"""Launchers for the ops around the products: dense layers and the latent layer."""

from __future__ import annotations

from typing import Any

from minivae_kernels.gpu.launcher import LANES, THREADS, WIDTH, Array, ceil_div, rows_per_block
from minivae_kernels.gpu.ops_activation import CODES, ActivationOps


class ModelOps(ActivationOps):
    """The ops of `minivae/ops/` dense, latent and the fused ones made of them."""

    # Dense layers: cuBLAS for the product, one kernel for the rest

    def _dense(self, op: str, x: Any, W: Any, b: Any, act: int) -> Array:
        real, (x, W, b) = self._floats(op, x=x, W=W, b=b)
        good = W.ndim == 2 and x.ndim >= 1 and x.shape[-1] == W.shape[0] and b.shape == W.shape[1:]
        self._require(good, op, x=x, W=W, b=b)
        rows, columns = x.size // max(W.shape[0], 1), W.shape[1]
        y = self.device.empty((*x.shape[:-1], columns), real)
        flat = y.reshape(rows, columns)
        self.device.matmul(x.reshape(rows, W.shape[0]), W, flat)
        per = rows_per_block(rows)
        vec = self.by_fours(columns, flat)
        self.tiles(
            "bias_act", rows, columns, per, (flat, b, None, rows, columns, per, act, vec), real
        )
        return y

    def dense_forward(self, x: Array, W: Array, b: Array) -> Array:
        """y = x W + b                                                    (E5)"""
        return self._dense("dense_forward", x, W, b, CODES["linear"])

    def dense_relu_forward(self, x: Array, W: Array, b: Array) -> Array:
        """y = relu(x W + b)                                              (E5, E7)"""
        return self._dense("dense_relu_forward", x, W, b, CODES["relu"])

    def dense_tanh_forward(self, x: Array, W: Array, b: Array) -> Array:
        """y = tanh(x W + b)                                              (E5, E8)"""
        return self._dense("dense_tanh_forward", x, W, b, CODES["tanh"])

    def dense_relu_backward(self, dy: Array, y: Array) -> Array:
        """da = dy where y > 0                                            (E7)"""
        return self._map_two("relu_backward", dy, y, op="dense_relu_backward")

    def dense_tanh_backward(self, dy: Array, y: Array) -> Array:
        """da = dy (1 - y)(1 + y)                                         (E8)"""
        return self._map_two("dense_tanh_backward", dy, y)

    def dense_backward_params(self, dy: Array, x: Array) -> tuple[Array, Array]:
        """dW = xᵀ dy, db = Σ_n dy                                        (E6)"""
        real, (dy, x) = self._floats("dense_backward_params", dy=dy, x=x)
        good = dy.ndim == 2 and x.ndim == 2 and dy.shape[0] == x.shape[0]
        self._require(good, "dense_backward_params", dy=dy, x=x)
        dW = self.device.empty((x.shape[1], dy.shape[1]), real)
        self.device.matmul(x.T, dy, dW)
        return dW, self._column_sums(dy, real)

    def _column_sums(self, a: Array, real: Any) -> Array:
        """Σ over the rows, in two stages of fixed order."""
        rows, columns = a.shape
        out = self.device.zeros((columns,), real)
        per = rows_per_block(rows)
        tiles = ceil_div(rows, per) if rows else 0
        part = self.device.empty((tiles, columns), real)
        args = (
            a,
            None,
            None,
            part,
            columns,
            0,
            rows,
            columns,
            per,
            CODES["linear"],
            self.by_fours(columns, a),
        )
        self.tiles("act_backward", rows, columns, per, args, real)
        if rows and columns:
            grid = (ceil_div(columns, LANES), 1)
            self.device.launch(
                "column_finish", grid, THREADS, (part, None, out, tiles, columns), real
            )
        return out

    def dense_backward_input(self, dy: Array, W: Array) -> Array:
        """dx = dy Wᵀ                                                     (E6)"""
        real, (dy, W) = self._floats("dense_backward_input", dy=dy, W=W)
        good = W.ndim == 2 and dy.ndim >= 1 and dy.shape[-1] == W.shape[1]
        self._require(good, "dense_backward_input", dy=dy, W=W)
        dx = self.device.empty((*dy.shape[:-1], W.shape[0]), real)
        self.device.matmul(dy.reshape(-1, W.shape[1]), W.T, dx.reshape(-1, W.shape[0]))
        return dx


class LatentOps(ModelOps):
    """The stochastic layer."""

    def bound_logvar_forward(self, logvar: Array) -> Array:
        """logvar held between -40 and 40                                 (E25)"""
        return self._map("bound_logvar_forward", logvar)

    def bound_logvar_backward(self, dbounded: Array, logvar: Array) -> Array:
        """The gradient inside the bound, 0 outside                       (E25)"""
        return self._map_two("bound_logvar_backward", dbounded, logvar)

    def _forward(
        self, op: str, mu: Any, logvar: Any, eps: Any
    ) -> tuple[Array | None, Array | None]:
        given = {"mu": mu, "logvar": logvar, "eps": mu if eps is None else eps}
        real, (mu, logvar, noise) = self._floats(op, **given)
        good = mu.shape == logvar.shape and (eps is None or noise.shape[1:] == mu.shape)
        self._require(good, op, **given)
        z = None if eps is None else self.device.empty(noise.shape, real)
        kl = None if op == "reparameterise_forward" else self.device.empty(mu.shape, real)
        draws = 0 if eps is None else noise.shape[0]
        eps = None if eps is None else noise
        used = [a for a in (mu, logvar, eps, z, kl) if a is not None]
        vec = self.by_fours(mu.size, *used)
        args = (mu, logvar, eps, z, kl, mu.size, draws, vec)
        self.flat("latent_forward", ceil_div(mu.size, WIDTH if vec else 1), args, real)
        return z, kl

    def reparameterise_forward(self, mu: Array, logvar: Array, eps: Array) -> Array:
        """z = μ + exp(logvar / 2) ε; eps (L, B, J)                       (E26)"""
        return self._forward("reparameterise_forward", mu, logvar, eps)[0]

    def kl_forward(self, mu: Array, logvar: Array) -> Array:
        """KL against N(0, 1), nats per datum and dimension               (E15)"""
        return self._forward("kl_forward", mu, logvar, None)[1]

    def latent_forward(self, mu: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
        """z and its price kl in one pass                                 (E26, E15)"""
        z, kl = self._forward("latent_forward", mu, logvar, eps)
        return z, kl

    def _backward(
        self, op: str, dz: Any, dkl: Any, mu: Any, logvar: Any, eps: Any
    ) -> tuple[Array, Array]:
        given = {"dz": dz, "dkl": dkl, "mu": mu, "logvar": logvar, "eps": eps}
        given = {name: value for name, value in given.items() if value is not None}
        real, arrays = self._floats(op, **given)
        a = dict(zip(given, arrays, strict=True))
        shape = a["logvar"].shape
        flat_ok = all(a[k].shape == shape for k in ("dkl", "mu") if k in a)
        deep_ok = all(a[k].shape[1:] == shape for k in ("dz", "eps") if k in a)
        deep_ok = deep_ok and ("dz" not in a or a["dz"].shape == a["eps"].shape)
        self._require(flat_ok and deep_ok, op, **given)
        dmu, dlogvar = self.device.empty(shape, real), self.device.empty(shape, real)
        get, n = a.get, a["logvar"].size
        vec = self.by_fours(n, dmu, dlogvar, *a.values())
        draws = a["eps"].shape[0] if "eps" in a else 0
        args = (*map(get, ("dz", "dkl", "mu", "logvar", "eps")), dmu, dlogvar, n, draws, vec)
        self.flat("latent_backward", ceil_div(n, WIDTH if vec else 1), args, real)
        return dmu, dlogvar

    def reparameterise_backward(self, dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
        """dμ and dlogvar, summed over the draws                          (E27)"""
        return self._backward("reparameterise_backward", dz, None, None, logvar, eps)

    def kl_backward(self, dkl: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
        """dμ = dkl μ, dlogvar = dkl (σ² - 1) / 2                         (E16)"""
        return self._backward("kl_backward", None, dkl, mu, logvar, None)

    def latent_backward(
        self, dz: Array, dkl: Array, mu: Array, logvar: Array, eps: Array
    ) -> tuple[Array, Array]:
        """Both gradients of `latent_forward` in one pass                 (E27, E16)"""
        return self._backward("latent_backward", dz, dkl, mu, logvar, eps)

    def free_bits_forward(self, kl_mean: Array, floor: float) -> Array:
        """max(floor, mean KL of a dimension)                             (E31)"""
        real, (kl_mean,) = self._floats("free_bits_forward", kl_mean=kl_mean)
        out = self.device.empty(kl_mean.shape, real)
        self.flat("free_bits_forward", out.size, (kl_mean, floor, out, out.size), real)
        return out

    def free_bits_backward(self, dout: Array, kl_mean: Array, floor: float) -> Array:
        """The gradient where the KL is above its floor                   (E31)"""
        real, (dout, kl_mean) = self._same_shape("free_bits_backward", dout=dout, kl_mean=kl_mean)
        out = self.device.empty(dout.shape, real)
        self.flat("free_bits_backward", out.size, (dout, kl_mean, floor, out, out.size), real)
        return out

"""One training update as a fixed sequence of launches: what the graph records.

Every argument is a buffer or a constant of the batch size; what changes from update to update
(number, rows, learning rate, β) is read from device memory by the kernels themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.gpu.buffers import Buffers, Sizes, walk_blocks
from minivae_kernels.gpu.launcher import LANES, THREADS, Array, Launcher, ceil_div
from minivae_kernels.gpu.ops_data import key_words
from minivae_kernels.gpu.ops_model import RELU, TANH

EPS, BINARISE = 2, 3  # Philox streams


class Update(Launcher):
    """The launches of one update, for one batch size."""

    def __init__(self, buffers: Buffers, batch: int) -> None:
        super().__init__(buffers.device)
        self.b, self.plan = buffers, buffers.plan
        self.sizes = Sizes.of(batch, self.plan.draws)
        self.act = RELU if self.plan.activation == "relu" else TANH
        self.key = key_words(self.plan.seed)
        self.depth = len(self.plan.hidden)
        self.columns = len(buffers.where)

    def __call__(self) -> None:
        """Gather, forward, loss, backward, descend."""
        x = self._gather()
        encoder = self._layers(
            "encoder", x, self.sizes.batch, self.sizes.encoder_rows, self.plan.hidden
        )
        mu, logvar, z = self._latent(encoder[-1])
        hidden = self.plan.hidden[::-1]
        decoder = self._layers("decoder", z, self.sizes.rows, self.sizes.decoder_rows, hidden)
        out = self._output(decoder[-1], x)
        self._loss()
        dz = self._backward(
            "decoder", decoder, self._layer_gradient("decoder.out", out, decoder[-1])
        )
        dmu, dlogvar = self._latent_backward(dz, mu, logvar)
        self._encoder_backward(encoder, dmu, dlogvar)
        self._descend()

    # Forward

    def _gather(self) -> Array:
        b, plan, B, D = self.b, self.plan, self.sizes.batch, self.plan.data_dim
        x = b.matrix("x", B, D)
        kernel = "gather_u8" if b.data.dtype == np.uint8 else "gather_real"
        draw = int(plan.binarise == "dynamic")
        args = (b.data, b.rows, x, plan.scale, b.counters, B, D, draw, 0, BINARISE, *self.key)
        self.flat(kernel, B * ceil_div(D, 4), args, np.float32)
        return x

    def _layers(
        self, name: str, x: Array, rows: int, per: int, hidden: tuple[int, ...]
    ) -> list[Array]:
        """[x, h0, h1, …]: each layer's input, and last the stack's output."""
        inputs = [x]
        for i, H in enumerate(hidden):
            y = self.b.matrix(f"{name}.{i}", rows, H)
            self.device.matmul(inputs[-1], self.b.p[f"{name}.{i}.W"], y)
            args = (y, self.b.p[f"{name}.{i}.b"], rows, H, per, self.act, self.by_fours(H, y))
            self.tiles("bias_act", rows, H, per, args, np.float32)
            inputs.append(y)
        return inputs

    def _latent(self, h: Array) -> tuple[Array, Array, Array]:
        b, plan, (B, R, per, _, tiles) = self.b, self.plan, self.sizes
        J, L = plan.latent_dim, plan.draws
        mu, logvar = b.matrix("mu", B, J), b.matrix("logvar", B, J)
        self.device.matmul(h, b.p["encoder.mu.W"], mu)
        self.device.matmul(h, b.p["encoder.logvar.W"], logvar)
        eps, z = b.matrix("eps", R, J), b.matrix("z", R, J)
        biases = b.p["encoder.mu.b"], b.p["encoder.logvar.b"]
        args = (
            mu,
            logvar,
            *biases,
            eps,
            z,
            b.kl_part,
            b.rows,
            b.counters,
            B,
            J,
            L,
            per,
            EPS,
            *self.key,
        )
        self.device.launch("latent_head", (ceil_div(J, LANES), tiles), THREADS, args)
        return mu, logvar, z

    def _output(self, h: Array, x: Array) -> Array:
        """The decoder's output, replaced in the same pass by its gradient."""
        b, plan, (B, R, _, per, _) = self.b, self.plan, self.sizes
        D = plan.data_dim
        out = b.matrix("out", R, D)
        self.device.matmul(h, b.p["decoder.out.W"], out)
        given = (out, b.p["decoder.out.b"], x, None, 1.0 / R)
        sums = (None, b.total, b.part, self.columns, b.offsets["decoder.out.b"])
        shape = (R, B, D, per, self.by_fours(D, out, x))
        if plan.likelihood == "bernoulli":
            self.tiles("bernoulli_pass", R, D, per, (*given, out, *sums, *shape), np.float32)
        else:
            self.tiles("gaussian_pass", R, D, per, (*given, b.logc, out, *sums, *shape), np.float32)
        return out

    def _loss(self) -> None:
        b, plan, (B, _, _, _, tiles) = self.b, self.plan, self.sizes
        totals = ceil_div(plan.data_dim, 128) * tiles
        args = (
            b.total,
            totals,
            b.kl_part,
            tiles,
            b.lr,
            b.beta,
            b.logc,
            b.g.get("decoder.logc"),
            b.factor,
            b.rates,
            b.counters,
            b.sums,
            plan.likelihood == "gaussian",
            B,
            plan.data_dim,
            plan.latent_dim,
            plan.draws,
            plan.free_bits,
            plan.optimiser == "adam",
            plan.beta1,
            plan.beta2,
        )
        self.device.launch("loss_finish", (1, 1), THREADS, args)

    # Backward

    def _layer_gradient(self, name: str, dy: Array, x: Array) -> Array:
        """dW of a linear layer; its bias's sums were made on the way. Returns dy."""
        self.device.matmul(x.T, dy, self.b.g[f"{name}.W"])
        return dy

    def _backward(self, name: str, inputs: list[Array], dy: Array) -> Array:
        """Back through the linear layer that dy belongs to, then the hidden ones: -> dinput."""
        layer = f"{name}.out"
        for i in reversed(range(self.depth)):
            dh = self._scratch(i, *inputs[i + 1].shape)
            self.device.matmul(dy, self.b.p[f"{layer}.W"].T, dh)
            dy, layer = self._hidden(name, i, dh, inputs), f"{name}.{i}"
        dz = self.b.matrix("dz", *inputs[0].shape)
        self.device.matmul(dy, self.b.p[f"{layer}.W"].T, dz)
        return dz

    def _scratch(self, i: int, rows: int, columns: int) -> Array:
        return self.b.matrix("ping" if i % 2 else "pong", rows, columns)

    def _hidden(self, name: str, i: int, dh: Array, inputs: list[Array]) -> Array:
        """Through the activation of hidden layer i, in place, and its weights' gradient."""
        b, (rows, H), layer = self.b, dh.shape, f"{name}.{i}"
        per = self.sizes.encoder_rows if name == "encoder" else self.sizes.decoder_rows
        y = inputs[i + 1]
        args = (
            dh,
            y,
            dh,
            b.part,
            self.columns,
            b.offsets[f"{layer}.b"],
            rows,
            H,
            per,
            self.act,
            self.by_fours(H, dh, y),
        )
        self.tiles("act_backward", rows, H, per, args, np.float32)
        return self._layer_gradient(layer, dh, inputs[i])

    def _latent_backward(self, dz: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
        b, plan, (B, R, per, _, tiles) = self.b, self.plan, self.sizes
        J = plan.latent_dim
        dmu, dlogvar, eps = b.matrix("dmu", B, J), b.matrix("dlogvar", B, J), b.matrix("eps", R, J)
        offsets = b.offsets["encoder.mu.b"], b.offsets["encoder.logvar.b"]
        args = (
            dz,
            mu,
            logvar,
            eps,
            b.factor,
            dmu,
            dlogvar,
            b.part,
            self.columns,
            *offsets,
            B,
            J,
            plan.draws,
            per,
        )
        self.device.launch("latent_head_backward", (ceil_div(J, LANES), tiles), THREADS, args)
        return dmu, dlogvar

    def _encoder_backward(self, inputs: list[Array], dmu: Array, dlogvar: Array) -> None:
        p, h = self.b.p, inputs[-1]
        self._layer_gradient("encoder.mu", dmu, h)
        self._layer_gradient("encoder.logvar", dlogvar, h)
        if not self.depth:
            return  # the heads stand on the data, which need no gradient
        dh = self._scratch(self.depth - 1, *h.shape)
        self.device.matmul(dmu, p["encoder.mu.W"].T, dh)
        self.device.matmul(dlogvar, p["encoder.logvar.W"].T, dh, accumulate=True)
        for i in reversed(range(self.depth)):
            da = self._hidden("encoder", i, dh, inputs)
            if i:
                dh = self._scratch(i - 1, *inputs[i].shape)
                self.device.matmul(da, p[f"encoder.{i}.W"].T, dh)

    # Descent

    def _descend(self) -> None:
        b, plan, n = self.b, self.plan, self.b.theta.size
        grid = (ceil_div(self.columns, LANES), 1)
        args: tuple[Any, ...] = (b.part, b.where, b.grad, self.sizes.tiles, self.columns)
        self.device.launch("column_finish", grid, THREADS, args)
        vec = self.aligned(b.theta, b.grad, b.m, b.v)
        if plan.optimiser == "adam":
            betas = plan.beta1, 1 - plan.beta1, plan.beta2, 1 - plan.beta2
            args = (b.theta, b.grad, b.m, b.v, *betas, b.rates, plan.adam_eps, b.counters, n, vec)
            self.device.launch("adam_step", (walk_blocks(n), 1), THREADS, args)
        else:
            args = (b.theta, b.grad, b.m, b.rates, plan.momentum, b.counters, n, vec)
            self.device.launch("sgd_step", (walk_blocks(n), 1), THREADS, args)

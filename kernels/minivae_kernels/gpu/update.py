"""One training update as a fixed sequence of launches: what the graph records.

Every argument is a buffer or a constant of the batch size; what changes from update to update
(number, rows, learning rate, β) is read from device memory by the kernels themselves.

Nothing but the optimiser needs the weights' gradients, and the loss itself only it and the latent
layer: they run aside, on the graph's second branch, while the gradient goes on to the next layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae_kernels.gpu.buffers import BatchSizes, Buffers, walk_blocks
from minivae_kernels.gpu.descent import OPTIMISERS
from minivae_kernels.gpu.launcher import (
    LANES,
    NARROW,
    THREADS,
    Array,
    Launcher,
    ceil_div,
)
from minivae_kernels.gpu.ops_activation import ACTIVATION_CODES, CODES, keeps_input
from minivae_kernels.gpu.ops_data import key_words
from minivae_kernels.gpu.ops_likelihood import CLOSED, LIKELIHOODS
from minivae_kernels.support import kernel_of

EPS, BINARISE = 2, 3  # Philox streams


class Update(Launcher):
    """The launches of one update, for one batch size."""

    head_backward = "latent_head_backward"

    def __init__(self, buffers: Buffers, batch: int) -> None:
        super().__init__(buffers.device)
        self.b, self.plan = buffers, buffers.plan
        self.sizes = BatchSizes.of(batch, self.plan.draws)
        self.act = kernel_of(self.plan, "activation", ACTIVATION_CODES)
        self.judge = kernel_of(self.plan, "likelihood", LIKELIHOODS)
        self.descent = kernel_of(self.plan, "optimiser", OPTIMISERS)
        self.key = key_words(self.plan.seed)
        self.depth = len(self.plan.hidden)
        self.columns = len(buffers.where)
        self.tiles_of_a_row = self.judge.tiles_of_a_row(self.plan.data_dim)
        self.narrow = self.plan.latent_dim <= NARROW
        self.aside: Callable[[], Any] = self.device.aside

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
        judged = self._loss()
        self._layer_gradient("decoder.out", out, decoder[-1])
        dz = self._decoder_backward(decoder, out)
        self.device.wait(judged)
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
            W, bias = self.b.p[f"{name}.{i}.W"], self.b.p[f"{name}.{i}.b"]
            before = self._input(name, i, rows, H)
            how = (per, self.act, self.by_fours(H, y))
            if name == "decoder" and i == 0 and self.narrow:
                args = (inputs[-1], W, bias, y, before, rows, len(W), H, *how)
                self.tiles("narrow_dense", rows, H, per, args, np.float32)
            else:
                self.device.matmul(inputs[-1], W, y)
                self.tiles("bias_act", rows, H, per, (y, bias, before, rows, H, *how), np.float32)
            inputs.append(y)
        return inputs

    def _input(self, name: str, i: int, rows: int, H: int) -> Array | None:
        """Where layer i leaves what its activation is given, if its derivative needs that."""
        if not keeps_input(self.plan.activation):
            return None
        return self.b.matrix(f"in.{name}.{i}", rows, H)

    def _kept(self, name: str, i: int, inputs: list[Array]) -> Array:
        """What the derivative of layer i's activation is made from: its output, or its input."""
        y = inputs[i + 1]
        kept = self._input(name, i, *y.shape)
        return y if kept is None else kept

    def _latent(self, h: Array) -> tuple[Array, Array, Array]:
        b, plan, (B, R, per, _, tiles) = self.b, self.plan, self.sizes
        J, L = plan.latent_dim, plan.draws
        mu, logvar = b.matrix("mu", B, J), b.matrix("logvar", B, J)
        with self.aside() as done:
            self.device.matmul(h, b.p["encoder.logvar.W"], logvar)
        self.device.matmul(h, b.p["encoder.mu.W"], mu)
        self.device.wait(done)
        eps, z = b.matrix("eps", R, J), b.matrix("z", R, J)
        biases = b.p["encoder.mu.b"], b.p["encoder.logvar.b"]
        arrays = (mu, logvar, *biases, eps, z, b.kl_part, b.rows, b.counters)
        args = (*arrays, B, J, L, per, EPS, *self.key)
        self.device.launch("latent_head", (ceil_div(J, LANES), tiles), THREADS, args)
        return mu, logvar, z

    def _output(self, h: Array, x: Array) -> Array:
        """The decoder's output, replaced in the same pass by its gradient."""
        b, R, D = self.b, self.sizes.rows, self.plan.data_dim
        out = b.matrix("out", R, D)
        self.device.matmul(h, b.p["decoder.out.W"], out)
        self._judge(out, x)
        return out

    def _judge(self, out: Array, x: Array) -> None:
        """The loss of every block and the gradient, from one reading of the output."""
        self._pass(out, x, None, out, None, self.b.total)

    def _pass(self, out: Array, x: Array, dnll: Any, dout: Any, row_part: Any, total: Any) -> None:
        """The likelihood's kernel; with dout, which may be out, also all column sums and pulls.

        dnll: the price of every row, or None for its share of a plain mean.
        """
        b, (B, R, _, per, tiles), D = self.b, self.sizes, self.plan.data_dim
        given = (out, b.p["decoder.out.b"], x, dnll, 1.0 / R)
        if self.judge.grouped:
            args = (*given, b.ends, len(self.plan.groups), dout, row_part, total, R, B, D, per)
            self.device.launch(self.judge.kernel, (1, tiles), THREADS, args)
            if dout is not None:
                self._column_sums(dout, "decoder.out.b")
            return
        offsets = b.offsets["decoder.out.b"], b.offsets.get(b.scale_name, -1)
        sums = (b.pulls, b.part, self.columns, *offsets)
        if dout is None:
            sums = (None, None, 0, -1, -1)
        shape = (R, B, D, per, self.by_fours(D, out, x))
        scale = b.log_scale, b.scale_each
        args = (*given, *scale, dout, row_part, total, *sums, *shape)
        self.tiles(self.judge.kernel, R, D, per, args, np.float32)

    def _column_sums(self, dy: Array, bias: str) -> None:
        """The column sums of a gradient that a kernel of rows has made."""
        rows, D = dy.shape
        sums = (self.b.part, self.columns, self.b.offsets[bias])
        per, how = self.sizes.decoder_rows, (CODES["linear"], self.by_fours(D, dy))
        args = (dy, None, None, *sums, rows, D, per, *how)
        self.tiles("act_backward", rows, D, per, args, np.float32)

    def _loss(self) -> Any:
        """The loss and what follows from it, aside; -> what the latent layer has to wait for."""
        b, plan, (B, _, _, _, tiles) = self.b, self.plan, self.sizes
        totals = self.tiles_of_a_row * tiles
        read = (b.total, totals, b.kl_part, tiles, b.pulls, b.datum, b.lr, b.beta, b.log_scale)
        made = (b.dscale, b.factor, b.rates, b.counters, b.sums, b.kl_now)
        form = (self.judge.scale == CLOSED, self.judge.weight, self.judge.constant)
        shape = (*form, B, plan.data_dim, plan.latent_dim, plan.draws)
        wanted = (plan.setting(name) for name in ("beta1", "beta2", "weight_decay"))
        rule = (self.descent.corrected, *wanted)
        args = (*read, *made, *shape, plan.free_bits, *rule)
        with self.aside() as done:
            self.device.launch("loss_finish", (1, 1), THREADS, args)
        return done

    # Backward

    def _layer_gradient(self, name: str, dy: Array, x: Array) -> None:
        """dW of a linear layer, aside; its bias's sums were made on the way."""
        with self.aside():
            self.device.matmul(x.T, dy, self.b.g[f"{name}.W"])

    def _input_gradient(self, layer: str, dy: Array, name: str, columns: int) -> Array:
        """dy Wᵀ, into the buffer of that name."""
        dx = self.b.matrix(name, len(dy), columns)
        self.device.matmul(dy, self.b.p[f"{layer}.W"].T, dx)
        return dx

    def _decoder_backward(self, inputs: list[Array], dy: Array) -> Array:
        """Back through the decoder from its output's gradient: -> dz."""
        layer = "decoder.out"
        for i in reversed(range(self.depth)):
            dh = self._input_gradient(layer, dy, f"d.decoder.{i}", inputs[i + 1].shape[1])
            layer, dy = f"decoder.{i}", self._hidden("decoder", i, dh, inputs)
            self._layer_gradient(layer, dy, inputs[i])
        return self._input_gradient(layer, dy, "dz", self.plan.latent_dim)

    def _hidden(self, name: str, i: int, dh: Array, inputs: list[Array]) -> Array:
        """Through the activation of hidden layer i, in place."""
        b, (rows, H), layer = self.b, dh.shape, f"{name}.{i}"
        per = self.sizes.encoder_rows if name == "encoder" else self.sizes.decoder_rows
        y = self._kept(name, i, inputs)
        sums = (b.part, self.columns, b.offsets[f"{layer}.b"])
        args = (dh, y, dh, *sums, rows, H, per, self.act, self.by_fours(H, dh, y))
        self.tiles("act_backward", rows, H, per, args, np.float32)
        return dh

    def _latent_backward(self, dz: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
        b, plan, (B, R, per, _, tiles) = self.b, self.plan, self.sizes
        J = plan.latent_dim
        dmu, dlogvar, eps = b.matrix("dmu", B, J), b.matrix("dlogvar", B, J), b.matrix("eps", R, J)
        offsets = b.offsets["encoder.mu.b"], b.offsets["encoder.logvar.b"]
        sums = (b.part, self.columns, *offsets)
        weights = (b.matrix("z", R, J), b.weight, b.factor)
        args = (dz, mu, logvar, eps, *weights, dmu, dlogvar, *sums, B, J, plan.draws, per)
        self.device.launch(self.head_backward, (ceil_div(J, LANES), tiles), THREADS, args)
        return dmu, dlogvar

    def _encoder_backward(self, inputs: list[Array], dmu: Array, dlogvar: Array) -> None:
        """Back through the heads, which stand on the last of `inputs`, and the hidden layers."""
        h = inputs[-1]
        self._layer_gradient("encoder.mu", dmu, h)
        self._layer_gradient("encoder.logvar", dlogvar, h)
        if not self.depth:  # the heads stand on the data, which need no gradient
            self._bias_gradients()
            return
        last = self.depth - 1
        dh = self._heads_backward(inputs, dmu, dlogvar)
        for i in reversed(range(last)):
            layer = f"encoder.{i + 1}"
            self._layer_gradient(layer, dh, inputs[i + 1])
            dh = self._input_gradient(layer, dh, f"d.encoder.{i}", inputs[i + 1].shape[1])
            dh = self._hidden("encoder", i, dh, inputs)
        self._bias_gradients()
        self.device.matmul(inputs[0].T, dh, self.b.g["encoder.0.W"])

    def _heads_backward(self, inputs: list[Array], dmu: Array, dlogvar: Array) -> Array:
        """From both heads through the activation of the encoder's last layer."""
        b, last = self.b, self.depth - 1
        h = self._kept("encoder", last, inputs)
        (B, J), H, name = dmu.shape, h.shape[1], f"d.encoder.{last}"
        mu_W, logvar_W = b.p["encoder.mu.W"], b.p["encoder.logvar.W"]
        if not self.narrow:
            dh = self._input_gradient("encoder.mu", dmu, name, H)
            self.device.matmul(dlogvar, logvar_W.T, dh, accumulate=True)
            return self._hidden("encoder", last, dh, inputs)
        dh, per = b.matrix(name, B, H), self.sizes.encoder_rows
        sums = (b.part, self.columns, b.offsets[f"encoder.{last}.b"])
        shape = (B, J, H, per, self.act, self.by_fours(H, dh, h))
        args = (dmu, dlogvar, mu_W, logvar_W, h, dh, *sums, *shape)
        self.tiles("narrow_backward", B, H, per, args, np.float32)
        return dh

    def _bias_gradients(self) -> None:
        """The column sums that every layer left, added up, aside: the last work there."""
        b, grid = self.b, (ceil_div(self.columns, LANES), 1)
        args = (b.part, b.where, b.grad, self.sizes.tiles, self.columns)
        with self.aside() as self.all_aside:
            self.device.launch("column_finish", grid, THREADS, args)

    # Descent

    def _descend(self) -> None:
        b, plan, n = self.b, self.plan, self.b.theta.size
        self.device.wait(self.all_aside)
        moments = (b.m, b.v)[: self.descent.moments]
        vec = self.aligned(b.theta, b.grad, *moments)
        numbers = self.descent.constants(plan)
        args = (b.theta, b.grad, *moments, *numbers, b.rates, b.counters, n, vec)
        self.device.launch(self.descent.kernel, (walk_blocks(n), 1), THREADS, args)

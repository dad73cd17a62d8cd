"""Activations of the hidden layers, in place on a stretch of a panel: forward and derivative."""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.ops import vector_math as m

f32 = np.float32
LOGVAR_BOUND = f32(40.0)
NONE, RELU, TANH = range(3)
ACTIVATION_CODES = {"relu": RELU, "tanh": TANH}


@inner
def activate(y, kind):
    """y = relu(y) or tanh(y), in place."""
    if kind == RELU:
        for i in range(len(y)):
            y[i] = m.kept_where_positive(y[i], y[i])
    else:
        for i in range(len(y)):
            y[i] = m.tanh(y[i])


@inner
def activate_backward(dy, y, kind):
    """dy times the activation's derivative, read off its output y, in place."""
    if kind == RELU:
        for i in range(len(y)):
            dy[i] = m.kept_where_positive(dy[i], y[i])
    else:
        for i in range(len(y)):
            dy[i] = dy[i] * ((f32(1) - y[i]) * (f32(1) + y[i]))

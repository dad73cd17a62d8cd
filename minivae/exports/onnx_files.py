"""ONNX: the encoder and the decoder as two graphs of standard operators.

encoder.onnx takes x (N, D) and gives mu and logvar (N, J); decoder.onnx takes z (N, J) and gives
mean (N, D), which is E[x | z]. All in float32; N is free. Where columns lie far from 0, both files'
metadata hold `origin` as JSON: what to take out of x, and to add to mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minivae.exports.network import Dense, ExportError, Network, require_exportable
from minivae.ops.latent import LOGVAR_BOUND

OLDEST_OPSET, OPSET = 13, 17
# of 1 / (1 - exp(-a)) - 1 / a - 1/2 in odd powers of a: the Bernoulli numbers B_2k / (2k)!
SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600)
IR_VERSION = 8  # of 2021: runtimes of that year on read it


class Graph:
    """A graph as it grows: each call adds a node and names its result."""

    def __init__(self) -> None:
        from onnx import helper

        self.helper = helper
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.groups: tuple[int, ...] = ()

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node of this operator; its result's name, or their list."""
        names = [f"{operator.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self.helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, name: str | None = None) -> str:
        """An array or a number as an initializer; its name."""
        import numpy as np
        from onnx import numpy_helper

        array = np.asarray(value, dtype=np.int64 if isinstance(value, list) else np.float32)
        name = name or f"constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def dense(self, x: str, layer: Dense) -> str:
        """x W + b."""
        W = self.constant(layer.W, f"{layer.name}.W")
        b = self.constant(layer.b, f"{layer.name}.b")
        return str(self.add("Gemm", x, W, b))

    def rename(self, name: str, to: str) -> None:
        """Give a result the name under which the graph returns it."""
        self.nodes.append(self.helper.make_node("Identity", [name], [to]))


def silu(graph: Graph, a: str) -> str:
    return str(graph.add("Mul", a, graph.add("Sigmoid", a)))


def gelu(graph: Graph, a: str) -> str:
    """a Φ(a), by the error function."""
    scaled = graph.add("Mul", a, graph.constant(math.sqrt(0.5)))
    phi = graph.add("Add", graph.add("Erf", scaled), graph.constant(1.0))
    return str(graph.add("Mul", graph.add("Mul", a, graph.constant(0.5)), phi))


def gelu_tanh(graph: Graph, a: str) -> str:
    """a/2 (1 + tanh(√(2/π) (a + 0.044715 a³)))."""
    cube = graph.add("Mul", graph.add("Mul", a, a), a)
    inner = graph.add("Add", a, graph.add("Mul", cube, graph.constant(0.044715)))
    bent = graph.add("Tanh", graph.add("Mul", inner, graph.constant(math.sqrt(2 / math.pi))))
    phi = graph.add("Add", bent, graph.constant(1.0))
    return str(graph.add("Mul", graph.add("Mul", a, graph.constant(0.5)), phi))


def continuous_bernoulli_mean(graph: Graph, a: str) -> str:
    """1 / (1 - exp(-a)) - 1 / a, and near 0, where both grow, its series          (E54)"""
    near = graph.add("Less", graph.add("Abs", a), graph.constant(0.5))
    one = graph.constant(1.0)
    far = graph.add("Where", near, one, a)
    rest = graph.add("Sub", one, graph.add("Exp", graph.add("Neg", far)))
    exact = graph.add("Sub", graph.add("Reciprocal", rest), graph.add("Reciprocal", far))
    small = graph.add("Where", near, a, graph.constant(0.0))
    square, series = graph.add("Mul", small, small), graph.constant(SERIES[-1])
    for coefficient in SERIES[-2::-1]:
        series = graph.add("Add", graph.add("Mul", series, square), graph.constant(coefficient))
    close = graph.add("Add", graph.constant(0.5), graph.add("Mul", small, series))
    return str(graph.add("Where", near, close, exact))


def softmax(graph: Graph, a: str) -> str:
    """Over each group of columns by itself."""
    sizes = graph.constant(list(graph.groups))
    parts = graph.add("Split", a, sizes, outputs=len(graph.groups), axis=1)
    parts = [parts] if isinstance(parts, str) else parts
    return str(graph.add("Concat", *(graph.add("Softmax", p, axis=1) for p in parts), axis=1))


Builder = Callable[[Graph, str], str]


def plain(operator: str, **attributes: Any) -> Builder:
    """One standard operator."""
    return lambda graph, a: str(graph.add(operator, a, **attributes))


# What stands in ONNX for each record of the tables of parts, by its name; what is not here cannot
# be exported, and that is said.
ACTIVATIONS: dict[str, Builder] = {
    "relu": plain("Relu"),
    "tanh": plain("Tanh"),
    "sigmoid": plain("Sigmoid"),
    "softplus": plain("Softplus"),
    "leaky_relu": plain("LeakyRelu", alpha=0.01),
    "elu": plain("Elu", alpha=1.0),
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
}
LINKS: dict[str, Builder] = {
    "identity": plain("Identity"),
    "sigmoid": plain("Sigmoid"),
    "exp": plain("Exp"),
    "continuous-bernoulli": continuous_bernoulli_mean,
    "softmax": softmax,
}


def onnx_files(network: Network, opset: int = OPSET) -> dict[str, bytes]:
    """encoder.onnx and decoder.onnx, checked by the library's own checker.

    Raises ExportError for an opset that is too old or not known, a part that ONNX lacks, or where
    the package onnx is missing.
    """
    require_exportable(network, "onnx", ACTIVATIONS, LINKS)
    try:
        from onnx.defs import onnx_opset_version
    except ImportError:
        raise ExportError(
            "--to onnx needs the package onnx; install it with: pip install 'minivae[export]'"
        ) from None
    if not OLDEST_OPSET <= opset <= onnx_opset_version():
        raise ExportError(
            f"--opset {opset}: must be from {OLDEST_OPSET} to {onnx_opset_version()}; older ones "
            "lack operators that the model needs"
        )
    return {"encoder.onnx": encoder(network, opset), "decoder.onnx": decoder(network, opset)}


def encoder(network: Network, opset: int) -> bytes:
    """x (N, D) -> mu, logvar (N, J)                                     (E25)"""
    graph = Graph()
    h = hidden(graph, "x", network.encoder, ACTIVATIONS[network.activation])
    graph.rename(graph.dense(h, network.mu), "mu")
    low, high = graph.constant(-LOGVAR_BOUND), graph.constant(LOGVAR_BOUND)
    graph.rename(graph.add("Clip", graph.dense(h, network.logvar), low, high), "logvar")
    D, J = network.config.data_dim, network.config.latent_dim
    return finished(graph, ("x", D), [("mu", J), ("logvar", J)], opset, network.metadata)


def decoder(network: Network, opset: int) -> bytes:
    """z (N, J) -> mean (N, D), E[x | z]                                 (E10)"""
    graph = Graph()
    graph.groups = network.config.groups
    h = hidden(graph, "z", network.decoder, ACTIVATIONS[network.activation])
    graph.rename(LINKS[network.link](graph, graph.dense(h, network.out)), "mean")
    D, J = network.config.data_dim, network.config.latent_dim
    return finished(graph, ("z", J), [("mean", D)], opset, network.metadata)


def hidden(graph: Graph, x: str, layers: tuple[Dense, ...], activation: Builder) -> str:
    """The hidden layers, one after another."""
    for layer in layers:
        x = activation(graph, graph.dense(x, layer))
    return x


def finished(
    graph: Graph,
    given: tuple[str, int],
    returned: list[tuple[str, int]],
    opset: int,
    metadata: dict[str, str],
) -> bytes:
    """The graph as a model's bytes."""
    import onnx

    def value(name: str, columns: int) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", columns])

    whole = onnx.helper.make_graph(
        graph.nodes, "vae", [value(*given)], [value(*item) for item in returned], graph.tensors
    )
    model = onnx.helper.make_model(
        whole,
        producer_name="minivae",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())

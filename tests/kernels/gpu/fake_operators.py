"""The operators of an array on the card."""

from __future__ import annotations

from typing import Any

import numpy as np

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "pow": np.power,
    "mod": np.remainder,
    "floordiv": np.floor_divide,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}
COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def add_operators(Array: type) -> None:
    """The arithmetic operators and comparisons; a host array on either side is a TypeError."""

    def forward(ufunc: Any) -> Any:
        return lambda self, other: self.cupy.elementwise(ufunc, (self, other))

    def backward(ufunc: Any) -> Any:
        return lambda self, other: self.cupy.elementwise(ufunc, (other, self))

    def in_place(ufunc: Any) -> Any:
        return lambda self, other: self.cupy.elementwise(ufunc, (self, other), self)

    for name, ufunc in BINARY.items():
        setattr(Array, f"__{name}__", forward(ufunc))
        setattr(Array, f"__r{name}__", backward(ufunc))
        setattr(Array, f"__i{name}__", in_place(ufunc))
    for name, ufunc in COMPARE.items():
        setattr(Array, f"__{name}__", forward(ufunc))

"""Addresses: how a matrix is handed to a product, as one number in one register.

An array is seven numbers to the compiler, and a place in it one more; a tile reads four matrices.
Whoever makes an address keeps the array alive: in the step those of the records, which outlive it.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.compile.simd import floats, pointer

FLOATS, INTEGERS = types.CPointer(types.float32), types.CPointer(types.int32)


@intrinsic
def address(typingctx: Any, array: Any, index: Any) -> Any:
    """Where a contiguous array's element lies; the index counts all elements, row by row."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return pointer(context, builder, signature.args[0], *args)

    return types.CPointer(array.dtype)(array, types.int64), emit


@intrinsic
def stretch(typingctx: Any, array: Any, start: Any, count: Any) -> Any:
    """array[start : start + count] of a flat array of float32; nobody looks whether it is there.

    A slice in Python's words is ninety lines to the compiler: starts below 0, ends beyond.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = pointer(context, builder, array, args[0], args[1])
        return floats(context, builder, data, args[2])

    return ARRAY(array, types.int64, types.int64), emit


@intrinsic
def ahead(typingctx: Any, start: Any, count: Any) -> Any:
    """The address `count` elements further on."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return start(start, types.int64), emit

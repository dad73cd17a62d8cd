"""A compiled loop as a NumPy ufunc: NumPy itself checks, broadcasts and allocates, in C.

A call from Python then costs what `np.exp` costs, 1 to 2 µs, cold as well as warm. A ufunc is made
by NumPy's C interface, the one that every extension module uses; its loop is
void(char **args, intptr *dims, intptr *steps, void *data).
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.simd import FLOAT, INT64, const, floats

# In NumPy's table of functions for ufuncs, numpy/ufuncobject.h.
FROM_LOOP, CLEAR_FLAGS, WITH_SIGNATURE = 1, 27, 31
FLOAT32_CHAR, NO_IDENTITY = 11, -1
NATURAL = 4  # bytes from one float32 to the next
FLOATS = types.float32[::1]


@intrinsic
def c_address(typingctx: Any, body: Any) -> Any:
    """The address of a C function(args, dims, steps, data) that calls the compiled body."""
    kinds = (types.int64,) * 4
    called = body.get_call_type(typingctx, kinds, {})

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        implementation = context.get_function(body, called)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        described = body.dispatcher.get_compile_result(called).fndesc
        module = builder.module
        callee = context.declare_function(module, described)
        kind = ir.FunctionType(ir.VoidType(), [INT64] * 4)
        function = ir.Function(module, kind, name=module.get_unique_name("ufunc_loop"))
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block())
        context.call_conv.call_function(inside, callee, types.none, kinds, function.args)
        inside.ret_void()
        return builder.ptrtoint(function, INT64)

    return types.int64(body), emit


@intrinsic
def word_at(typingctx: Any, address: Any, index: Any) -> Any:
    """The index-th of the 64-bit words at an address."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = builder.inttoptr(args[0], INT64.as_pointer())
        return builder.load(builder.gep(words, [args[1]]))

    return types.int64(types.int64, types.int64), emit


@intrinsic
def floats_at(typingctx: Any, address: Any, count: Any) -> Any:
    """The `count` float32 numbers that lie at an address, as an array."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return floats(context, builder, builder.inttoptr(args[0], FLOAT.as_pointer()), args[1])

    return FLOATS(types.int64, types.int64), emit


@intrinsic
def move(typingctx: Any, source: Any, target: Any) -> Any:
    """Copy the float32 at one address to another."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (builder.inttoptr(address, FLOAT.as_pointer()) for address in args)
        builder.store(builder.load(a), b)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


def stack_floats(count: int) -> Any:
    """A function that answers with the address of so many floats in its caller's frame."""

    @intrinsic
    def address(typingctx: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = cgutils.alloca_once(builder, FLOAT, size=const(count))
            place.align = 64  # a cache line
            return builder.ptrtoint(place, INT64)

        return types.int64(), emit

    return address


@intrinsic
def call_plain(typingctx: Any, address: Any) -> Any:
    """Call the C function void(void) at an address."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), []).as_pointer()
        builder.call(builder.inttoptr(args[0], kind), [])
        return context.get_dummy_value()

    return types.void(types.int64), emit


@functools.cache
def numpy_functions() -> Any:
    """NumPy's table of C functions for ufuncs, as pointers."""
    from numpy._core import _multiarray_umath

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = pointer(_multiarray_umath._UFUNC_API, None)
    return ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))


def clear_flags() -> int:
    """The address of what clears the processor's floating-point flags, which become warnings."""
    return int(numpy_functions()[CLEAR_FLAGS])


_kept: list[Any] = []  # what NumPy keeps pointers to


def make_ufunc(
    name: str, loop: int, data: np.ndarray, arity: tuple[int, int], signature: str = ""
) -> Callable[..., Any]:
    """The ufunc of a C loop over float32 arrays, (inputs, outputs) of them; it is given `data`.

    signature: of a generalised one, as in "(b,i),(i,o)->(b,o)": its loop's dims are how often it
    is to be done, and then b, i, o.
    """
    p, i, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    kinds = [p, p, p, i, i, i, i, p, p, i, *([text] if signature else [])]
    kind = ctypes.PYFUNCTYPE(ctypes.py_object, *kinds)
    loops, given = (p * 1)(loop), (p * 1)(data.ctypes.data)
    chars = bytes([FLOAT32_CHAR] * sum(arity))
    called, about = name.encode(), b"See the op of this name."
    _kept.append((loops, given, data, chars, called, about))
    core = [signature.encode()] if signature else []
    addresses = ctypes.c_char_p(chars), ctypes.c_char_p(called), ctypes.c_char_p(about)
    of_types, of_name, of_doc = (ctypes.cast(a, p) for a in addresses)
    make = kind(numpy_functions()[WITH_SIGNATURE if signature else FROM_LOOP])
    made: Callable[..., Any] = make(
        loops, given, of_types, 1, *arity, NO_IDENTITY, of_name, of_doc, 0, *core
    )
    return made

"""The vector unit: its width, and the little LLVM IR that Numba has no words for."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
PANEL = 32  # columns of a panel: two AVX-512 vectors, four AVX2 vectors, eight of four lanes

_NAMES_16 = ("avx512", "cascadelake", "cooperlake", "cannonlake", "icelake", "rapids", "tigerlake",
             "rocketlake", "znver4", "znver5", "x86-64-v4", "knl", "knm")  # fmt: skip
_NAMES_8 = ("haswell", "broadwell", "skylake", "znver", "core-avx2", "alderlake", "raptorlake",
            "x86-64-v3", "lunarlake", "arrowlake", "sierraforest", "grandridge",
            "bdver4")  # fmt: skip


def features() -> frozenset[str]:
    """What Numba tells LLVM of the processor's features, as "+avx2" or "-avx512f".

    Empty where it leaves them to the processor's name. NUMBA_CPU_NAME alone does not: then they
    are those of the processor at hand, less what NUMBA_ENABLE_AVX=0 takes away.
    """
    given = config.CPU_FEATURES
    words = get_host_cpu_features() if given is None else given
    return frozenset(filter(None, words.split(",")))


def cpu_name() -> str:
    """LLVM's name of the processor that Numba compiles for."""
    given = config.CPU_NAME
    name: str = binding.get_host_cpu_name() if given is None else given
    return name.lower()


def vector_width() -> int:
    """Floats in the widest vector of the processor that Numba compiles for: 16, 8 or 4.

    Only the speed depends on it: every element is added up in the same order at any width.
    """
    if have := features():
        if "+avx512f" in have:
            return 16
        return 8 if {"+avx2", "+fma"} <= have else 4
    name = cpu_name()
    if any(word in name for word in _NAMES_16):
        return 16
    return 8 if any(word in name for word in _NAMES_8) else 4


WIDTH = vector_width()
VECTOR = ir.VectorType(FLOAT, WIDTH)


def const(value: int) -> Any:
    """A 64-bit integer constant."""
    return ir.Constant(INT64, value)


def loop(builder: Any, count: Any, carried: Sequence[Any], body: Callable[..., Any]) -> list[Any]:
    """for i in range(count): carried = body(i, carried), the carried values in registers.

    They are LLVM phi nodes: an accumulator never touches memory between two turns.
    """
    before = builder.block
    head, turn, after = (builder.append_basic_block(n) for n in ("head", "turn", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(INT64)
    i.add_incoming(const(0), before)
    phis = [builder.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", i, count), turn, after)
    builder.position_at_end(turn)
    results = body(i, phis)
    i.add_incoming(builder.add(i, const(1)), builder.block)
    for phi, value in zip(phis, results, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis


def pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    """The address of array[offset]; of an array, a pointer, or words at an address."""
    if isinstance(kind, types.CPointer):
        return builder.gep(array, [offset])
    if isinstance(kind, types.Integer):
        return builder.gep(builder.inttoptr(array, INT64.as_pointer()), [offset])
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


def floats(context: Any, builder: Any, data: Any, count: Any) -> Any:
    """The `count` float32 numbers at a pointer, as an array that belongs to nobody."""
    array = context.make_array(types.float32[::1])(context, builder)
    array.data, array.nitems, array.itemsize = data, count, const(4)
    array.shape = cgutils.pack_array(builder, [count])
    array.strides = cgutils.pack_array(builder, [const(4)])
    for name in ("meminfo", "parent"):
        setattr(array, name, cgutils.get_null_value(getattr(array, name).type))
    return array._getvalue()


def load_vector(builder: Any, address: Any) -> Any:
    """WIDTH floats from any address."""
    return builder.load(builder.bitcast(address, VECTOR.as_pointer()), align=4)


def store_vector(builder: Any, value: Any, address: Any) -> None:
    """WIDTH floats to any address."""
    builder.store(value, builder.bitcast(address, VECTOR.as_pointer()), align=4)


def splat(builder: Any, value: Any) -> Any:
    """A vector with one value in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT32, 0))
    lanes = ir.Constant(ir.VectorType(INT32, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, undefined, lanes)


def fma_function(builder: Any) -> Any:
    """llvm.fma on vectors, declared by name: llvmlite's declare_intrinsic knows scalars only."""
    signature = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.v{WIDTH}f32")


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c in float32 with one rounding, on every processor."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(FLOAT, [FLOAT] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.f32")
        return builder.call(function, args)

    return types.float32(types.float32, types.float32, types.float32), emit


def _bitcast(source: Any, target: Any) -> Any:
    @intrinsic
    def cast(typingctx: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), emit

    return cast


float_of_bits = _bitcast(types.int32, types.float32)
double_of_bits = _bitcast(types.int64, types.float64)
bits_of_float = _bitcast(types.float32, types.int32)


@intrinsic
def outlined(typingctx: Any) -> Any:
    """Keep the function that calls this out of line: less code to compile, and no slower."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), emit


def pause_instruction() -> str | None:
    """The hint that a spinning thread gives its core, if there is one by that name."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64", "i686"):
        return "llvm.x86.sse2.pause"
    return "llvm.aarch64.hint" if machine in ("aarch64", "arm64") else None


def _fold(product: bool) -> Any:
    @intrinsic
    def fold(typingctx: Any, a: Any, a0: Any, rows: Any, out: Any, out0: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pa = pointer(context, builder, signature.args[0], args[0], args[1])
            po = pointer(context, builder, signature.args[3], args[3], args[4])
            combine = builder.fmul if product else builder.fadd
            start = ir.Constant(VECTOR, [1.0 if product else 0.0] * WIDTH)
            lanes = range(0, PANEL, WIDTH)

            def row(i: Any, sums: list[Any]) -> list[Any]:
                at = builder.gep(pa, [builder.mul(i, const(PANEL))])
                values = [load_vector(builder, builder.gep(at, [const(c)])) for c in lanes]
                return [combine(s, v) for s, v in zip(sums, values, strict=True)]

            sums = loop(builder, args[2], [start for _ in lanes], row)
            for c, value in zip(lanes, sums, strict=True):
                store_vector(builder, value, builder.gep(po, [const(c)]))
            return context.get_dummy_value()

        return types.void(a, types.int64, types.int64, out, types.int64), emit

    return fold


# out[out0 + c] = the sum (or product) of a[a0 + 32 r + c] over r = 0, 1, …, rows - 1, in order.
sum_rows, multiply_rows = _fold(False), _fold(True)


@intrinsic
def copy_panel_row(typingctx: Any, source: Any, s0: Any, target: Any, t0: Any) -> Any:
    """target[t0 : t0 + 32] = source[s0 : s0 + 32]."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ps = pointer(context, builder, signature.args[0], args[0], args[1])
        pt = pointer(context, builder, signature.args[2], args[2], args[3])
        for c in range(0, PANEL, WIDTH):
            value = load_vector(builder, builder.gep(ps, [const(c)]))
            store_vector(builder, value, builder.gep(pt, [const(c)]))
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), emit

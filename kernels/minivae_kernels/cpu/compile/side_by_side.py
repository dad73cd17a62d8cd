"""A loop of which LLVM runs several vectors side by side.

exp and its kin are one chain of some 25 instructions, each waiting four cycles for the last: what
a core can look ahead is two or three vectors, and half of its time it waits. LLVM interleaves only
short loops unless it is told to.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.simd import INT32, INT64, WIDTH, const

VECTORS = 4 if WIDTH == 16 else 2  # as many as 32 or 16 registers hold


@intrinsic
def for_each(typingctx: Any, body: Any, count: Any, arguments: Any) -> Any:
    """body(i, *arguments) for i = 0 … count - 1; `body` is inline, and its turns independent."""
    called = body.get_call_type(typingctx, (types.int64, *arguments), {})

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        turn = context.get_function(body, called)
        context.add_linking_libs(getattr(turn, "libs", ()))
        given = cgutils.unpack_tuple(builder, values[2])
        before = builder.block
        inside, after = (builder.append_basic_block(name) for name in ("turn", "after"))
        builder.cbranch(builder.icmp_signed("<", const(0), values[1]), inside, after)
        builder.position_at_end(inside)
        i = builder.phi(INT64)
        i.add_incoming(const(0), before)
        turn(builder, [i, *given])
        following = builder.add(i, const(1), flags=("nsw", "nuw"))
        i.add_incoming(following, builder.block)
        more = builder.icmp_signed("<", following, values[1])
        builder.cbranch(more, inside, after).set_metadata("llvm.loop", _interleaved(builder.module))
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(body, types.int64, arguments), emit


def _interleaved(module: Any) -> Any:
    """The name of a loop, which in LLVM is a node that names itself, and its one property."""
    wish = module.add_metadata(["llvm.loop.interleave.count", ir.Constant(INT32, VECTORS)])
    name = ir.MDValue(module, (), name=str(len(module.metadata)))
    name.operands = (name, wish)
    return name

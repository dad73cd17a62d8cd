"""What the threads of a team share: an atomic counter and a barrier, inside compiled code.

A barrier costs 0.3 µs on two Zen 4 cores, less than a fork and join of OpenMP (0.9) or TBB (1.6):
a whole block of updates is one parallel region, and its phases are parted by barriers.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import INT32, const, pause_instruction, pointer

# Words of the sync array, each on a cache line of its own.
ARRIVED, GENERATION, ABORT, WORDS = 0, 16, 32, 48
SPINS = 4000  # about 40 µs; then the core is offered to others: more threads than cores still run


@intrinsic
def atomic_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] += value, indivisibly -> the old value."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", address, args[2], "acq_rel")

    return types.int64(array, types.int64, types.int64), emit


@intrinsic
def atomic_load(typingctx: Any, array: Any, index: Any) -> Any:
    """array[index], with everything that was written before it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load_atomic(address, "acquire", 8)

    return types.int64(array, types.int64), emit


@intrinsic
def atomic_store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] = value, after everything that was written before it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(args[2], address, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), emit


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tell the core that this is a spinning loop."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = pause_instruction()
        if name is not None:
            arm = "aarch64" in name
            kind = ir.FunctionType(ir.VoidType(), [INT32] if arm else [])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [ir.Constant(INT32, 1)] if arm else [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def give_way(typingctx: Any) -> Any:
    """Let another thread have this core."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        kind = ir.FunctionType(INT32, [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return const(0)

    return types.int64(), emit


@inner
def barrier(sync, team):
    """Wait until all threads of the team are here -> False if the region was called off."""
    if team == 1:
        return True
    generation = atomic_load(sync, GENERATION)
    if atomic_add(sync, ARRIVED, 1) == team - 1:
        atomic_store(sync, ARRIVED, 0)
        atomic_store(sync, GENERATION, generation + 1)
        return True
    spins = 0
    while atomic_load(sync, GENERATION) == generation:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            if atomic_load(sync, ABORT) != 0:
                return False
            give_way()
    return True


@inner
def share(total, member, team):
    """The half-open part of range(total) that belongs to one member of the team."""
    return total * member // team, total * (member + 1) // team


@entry
def linger(posted, done, spins):
    """Wait awake, for a short while, until more was posted than is done."""
    turn = 0
    while atomic_load(posted, 0) == done and turn < spins:
        pause()
        turn += 1


def new_sync() -> np.ndarray:
    """The words a team synchronises on."""
    return np.zeros(WORDS, dtype=np.int64)

"""What the threads of a team share: an atomic counter and a barrier, inside compiled code.

A barrier costs 0.3 µs on two Zen 4 cores, less than a fork and join of OpenMP (0.9) or TBB (1.6):
a whole block of updates is one parallel region, and its phases are parted by barriers. Who waits
longer than 40 µs sleeps in the kernel, so that a member that was held up by another program gets
the free core at once. That is Linux's futex; on other systems the waiting thread yields instead.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import (
    INT32,
    INT64,
    const,
    outlined,
    pause_instruction,
    pointer,
)

# Words of the sync array, each on cache lines of its own; from TAKEN on, one for every member
# (partition.py).
WORD = 16  # of 8 bytes: as far apart as two lines, which some processors fetch together
ARRIVED, GENERATION, ABORT, SLEEPERS, PATIENCE, TAKEN = range(0, 6 * WORD, WORD)
SPINS = 4000  # about 40 µs; then the core is offered to others: more threads than cores still run
# Linux's number of the system call `futex`, where GENERATION's low half comes first in memory.
FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(platform.machine())
SLEEPS = sys.platform == "linux" and FUTEX is not None
FUTEX_WAIT, FUTEX_WAKE = 128, 129  # both private to this process
CLOCK_MONOTONIC = 1
NAP = 100_000_000  # nanoseconds; then a sleeper looks whether the region was called off


@intrinsic
def atomic_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] += value, indivisibly and in one order for all -> the old value."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", address, args[2], "seq_cst")

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
def compare_exchange(typingctx: Any, array: Any, index: Any, expected: Any, value: Any) -> Any:
    """array[index] = value if it is as expected, indivisibly -> what it was."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = pointer(context, builder, signature.args[0], args[0], args[1])
        pair = builder.cmpxchg(address, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 0)

    return types.int64(array, types.int64, types.int64, types.int64), emit


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


@intrinsic
def nap(typingctx: Any) -> Any:
    """Sleep for a millisecond, where nobody could wake this thread."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name, time = ("Sleep", 1) if sys.platform == "win32" else ("usleep", 1000)
        kind = ir.FunctionType(INT32, [INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [ir.Constant(INT32, time)])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def nanoseconds(typingctx: Any) -> Any:
    """Linux's monotonic clock; a look takes 25."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT32, [INT32, INT64.as_pointer()])
        clock = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        place = cgutils.alloca_once(builder, INT64, size=const(2))
        builder.call(clock, [ir.Constant(INT32, CLOCK_MONOTONIC), place])
        seconds, rest = (builder.load(builder.gep(place, [const(i)])) for i in (0, 1))
        return builder.add(builder.mul(seconds, const(1_000_000_000)), rest)

    return types.int64(), emit


@intrinsic
def futex(typingctx: Any, sync: Any, word: Any, operation: Any, value: Any) -> Any:
    """Sleep while sync[word] is `value`, PATIENCE at most; or wake as many as `value` sleepers."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT64, [INT64], var_arg=True)
        call = cgutils.get_or_insert_function(builder.module, kind, "syscall")
        at = [pointer(context, builder, signature.args[0], args[0], i)
              for i in (args[1], const(PATIENCE))]  # fmt: skip
        address, patience = (builder.ptrtoint(a, INT64) for a in at)
        return builder.call(call, [const(FUTEX or 0), address, args[2], args[3], patience])

    return types.int64(sync, types.int64, types.int64, types.int64), emit


if SLEEPS:

    @inner
    def sleep_until_moved(sync, generation):
        """Sleep in the kernel while the generation is still this one."""
        atomic_add(sync, SLEEPERS, 1)
        futex(sync, GENERATION, FUTEX_WAIT, generation)
        atomic_add(sync, SLEEPERS, -1)

    @inner
    def wake_sleepers(sync):
        """Wake whoever sleeps; it costs a look where nobody does."""
        if atomic_add(sync, SLEEPERS, 0) != 0:
            futex(sync, GENERATION, FUTEX_WAKE, 1 << 30)

else:

    @inner
    def sleep_until_moved(sync, generation):
        """Let another thread have this core."""
        give_way()

    @inner
    def wake_sleepers(sync):
        """Nobody sleeps."""


@inner
def barrier(sync, team):
    """Wait until all threads of the team are here -> False if the region was called off."""
    outlined()
    if team == 1:
        atomic_add(sync, GENERATION, 1)
        return True
    generation = atomic_load(sync, GENERATION)
    if atomic_add(sync, ARRIVED, 1) == team - 1:
        atomic_store(sync, ARRIVED, 0)
        atomic_add(sync, GENERATION, 1)  # a plain store might pass the look for sleepers
        wake_sleepers(sync)
        return True
    spins = 0
    while atomic_load(sync, GENERATION) == generation:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            if atomic_load(sync, ABORT) != 0:
                return False
            sleep_until_moved(sync, generation)
    return True


@inner
def share(total, member, team):
    """The half-open part of range(total) that belongs to one member of the team."""
    return total * member // team, total * (member + 1) // team


def new_sync(team: int) -> np.ndarray:
    """The words a team synchronises on."""
    words = np.zeros(TAKEN + team * WORD, dtype=np.int64)
    words[PATIENCE : PATIENCE + 2] = 0, NAP  # seconds, nanoseconds
    return words

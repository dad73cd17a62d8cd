"""Work in pieces, shared out from compiled code: who is awake helps, and Python is not asked.

A caller lays out a job (a function, its arguments, a number of pieces) and takes pieces; members
of the team who are about take some too (pool.py has them wait in `attend`). It is over when all
pieces are taken and nobody is at one. A member that comes late finds nothing left, and nobody waits
for it. Each piece writes its own part of the result, so who did it changes no bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.compiled_once import compiled_once
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import INT64, const
from minivae_kernels.cpu.threads.barrier import (
    PATIENCE,
    SPINS,
    atomic_add,
    atomic_load,
    atomic_store,
    compare_exchange,
    pause,
)
from minivae_kernels.cpu.threads.waking import (
    ALONE_FOR,
    ARGUMENTS,
    AT_IT,
    BUSY,
    CALLER_SLEEPS,
    CALLS,
    COUNT,
    END,
    FUNCTION,
    JOB,
    LINGER,
    MOST,
    NEXT,
    NUMBER,
    OPEN,
    SLEEPERS,
    STATE,
    TEAM,
    call_members,
    in_a_run,
    is_kept_awake,
    keep_awake,
    sleep_while,
    tell_caller,
)

# Work is counted in elements of a plain loop, 0.3 ns each. Less than SMALL is done alone: some 20
# µs. More than LARGE, 0.3 ms, is worth waiting for others even where one of them was held up.
SMALL, LARGE = 1 << 16, 1 << 20
# Less than SHORT, 80 µs, is over before half of it could be taken over by who must be woken first.
SHORT = 1 << 18
JOBS_ALONE = 1000  # jobs below LARGE that are done alone after a member was held up in one
PIECES = 4  # for each member, of work that can be cut anywhere
ALL = 1 << 62  # members: the whole team
I8P = ir.IntType(8).as_pointer()
JOB_KIND = types.UniTuple(types.int64, 3)


@intrinsic
def laid_out(typingctx: Any, body: Any, arguments: Any) -> Any:
    """(function, where its arguments lie, ALL): body(piece, member, *arguments), a job for all.

    The arguments lie in the caller's own frame, which must stay until the job is over.
    """
    kinds = (types.int64, types.int64, *arguments)
    called = body.get_call_type(typingctx, kinds, {})

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        implementation = context.get_function(body, called)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        described = body.dispatcher.get_compile_result(called).fndesc
        callee = context.declare_function(builder.module, described)
        kept = cgutils.alloca_once_value(builder, values[1])
        function = _trampoline(context, builder.module, callee, kinds, kept.type)
        whole = builder.ptrtoint(function, INT64), builder.ptrtoint(kept, INT64), const(ALL)
        return context.make_tuple(builder, signature.return_type, whole)

    return JOB_KIND(body, arguments), emit


def _trampoline(context: Any, module: Any, callee: Any, kinds: Any, kept: Any) -> Any:
    """A function of plain numbers that unpacks the arguments and calls the compiled one."""
    kind = ir.FunctionType(ir.VoidType(), [INT64, INT64, I8P])
    function = ir.Function(module, kind, name=module.get_unique_name(f"piece.{callee.name}"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    piece, member, address = function.args
    given = cgutils.unpack_tuple(builder, builder.load(builder.bitcast(address, kept)))
    context.call_conv.call_function(builder, callee, types.none, kinds, [piece, member, *given])
    builder.ret_void()
    return function


@intrinsic
def call_piece(typingctx: Any, function: Any, piece: Any, member: Any, arguments: Any) -> Any:
    """Do one piece of a job that was laid out."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [INT64, INT64, I8P]).as_pointer()
        given = values[1], values[2], builder.inttoptr(values[3], I8P)
        builder.call(builder.inttoptr(values[0], kind), given)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), emit


@inner
def at_most(job, members):
    """The job for so many members: as many as have scratch, whoever changes the team meanwhile."""
    function, arguments, _ = job
    return function, arguments, np.int64(members)


@inner
def take_pieces(crew, function, arguments, count, member):
    """Do pieces until all are taken."""
    k = atomic_add(crew, NEXT, 1)
    while k < count:
        call_piece(function, k, member, arguments)
        k = atomic_add(crew, NEXT, 1)


@inner
def alone(function, arguments, count):
    """Do all pieces, one after another."""
    for k in range(count):
        call_piece(function, k, np.int64(0), arguments)


@compiled_once(types.int64, JOB_KIND, types.int64, types.int64)
def share_out(crew, job, count, work):
    """Do `count` pieces of a job that was laid out, with whoever is about, and return when done.

    Where it is short, who sleeps is not woken for it; but for the next, if it comes in a run.
    """
    function, arguments, _ = job
    worth = count > 1 and work >= SMALL and atomic_load(crew, TEAM) > 1 and is_free(crew, work)
    if worth and (work >= SHORT or atomic_load(crew, SLEEPERS) == 0):
        together(crew, job, count, work)
        if work >= SHORT:
            keep_awake(crew)
        return
    alone(function, arguments, count)
    if worth:
        if in_a_run(crew):
            call_members(crew)
        atomic_store(crew, BUSY, 0)


@inner
def is_free(crew, work):
    """Take the crew, unless another thread of the program has it, or it was held up of late."""
    by_itself = work < LARGE and atomic_load(crew, ALONE_FOR) > 0
    atomic_add(crew, ALONE_FOR, -np.int64(by_itself))
    return not by_itself and compare_exchange(crew, BUSY, 0, 1) == 0


@inner
def together(crew, job, count, work):
    """Do the pieces with the members, and leave the crew to others."""
    function, arguments, most = job
    for word, value in ((COUNT, count), (FUNCTION, function), (ARGUMENTS, arguments)):
        atomic_store(crew, word, value)
    atomic_store(crew, MOST, min(most, atomic_load(crew, TEAM)))
    atomic_store(crew, NEXT, 0)
    atomic_add(crew, STATE, JOB + OPEN)
    call_members(crew)
    take_pieces(crew, function, arguments, count, np.int64(0))
    atomic_add(crew, STATE, -OPEN)
    wait_for_members(crew, work)
    atomic_store(crew, BUSY, 0)


@inner
def wait_for_members(crew, work):
    """Until nobody is at the job any more; after a middling one, a sleep says somebody was held up.

    A large job's last piece may itself take longer than the caller spins.
    """
    spins = 0
    while atomic_load(crew, STATE) & AT_IT != 0:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            if work < LARGE:
                atomic_store(crew, ALONE_FOR, JOBS_ALONE)
            atomic_add(crew, CALLER_SLEEPS, 1)
            sleep_while(crew, STATE, atomic_load(crew, STATE))
            atomic_add(crew, CALLER_SLEEPS, -1)


@entry
def rouse(crew):
    """Wake the members, to look what there is for them."""
    call_members(crew)


@entry
def attend(crew, member, posted, done):
    """What a member does all day: help with jobs, and return when more was posted than is done."""
    idle, last = 0, atomic_load(crew, STATE) >> NUMBER
    while True:
        calls = atomic_load(crew, CALLS)
        if atomic_load(posted, 0) > done:
            return
        state = atomic_load(crew, STATE)
        if state & OPEN != 0 and (state >> NUMBER) != last and member < atomic_load(crew, MOST):
            last = state >> NUMBER
            if enter(crew, last):
                function, arguments = atomic_load(crew, FUNCTION), atomic_load(crew, ARGUMENTS)
                take_pieces(crew, function, arguments, atomic_load(crew, COUNT), member)
                atomic_add(crew, STATE, -1)
                tell_caller(crew)
            idle = 0
        elif idle < LINGER:
            pause()
            idle += 1
        elif not is_kept_awake(crew):
            atomic_add(crew, SLEEPERS, 1)
            sleep_while(crew, CALLS, calls)
            atomic_add(crew, SLEEPERS, -1)
            if atomic_load(crew, CALLS) != calls:  # there was work, and may be more
                idle = 0


@inner
def enter(crew, job):
    """Be counted among those at this job -> False if it is closed by now."""
    state = atomic_load(crew, STATE)
    while (state >> NUMBER) == job and state & OPEN != 0:
        found = compare_exchange(crew, STATE, state, state + 1)
        if found == state:
            return True
        state = found
    return False


@inner
def pieces_of(crew, total):
    """Into how many pieces so many elements are cut, and how long each is: whole cache lines."""
    shares = PIECES * atomic_load(crew, TEAM)
    least = max((total + shares - 1) // shares, 1024)
    length = (least + 15) // 16 * 16
    return (total + length - 1) // length, length


@inner
def rows_of_piece(crew, rows):
    """How many of so many rows a piece has."""
    shares = PIECES * atomic_load(crew, TEAM)
    return max((rows + shares - 1) // shares, 1)


def new_crew() -> np.ndarray:
    """The words of a team with nobody in it but the caller."""
    words = np.zeros(END, dtype=np.int64)
    words[PATIENCE] = 3600  # seconds; who sleeps here is always woken
    words[TEAM] = 1
    return words

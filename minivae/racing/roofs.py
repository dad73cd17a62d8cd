"""The measured limits: fused multiply-adds in registers, and bytes through each level of memory.

Each for as many threads as the kernel beneath the roof used, and by the way it goes through
memory: what only reads is not held to what copies.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, prange, set_num_threads, types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae.racing.load import LoadWatch, cache_sizes, cores

CHAINS = 16  # independent accumulators: more than latency times ports, fewer than the registers


def make_spin(width: int) -> Any:
    """An intrinsic (rounds, start) -> float32 running rounds × CHAINS vector FMAs in registers."""

    @intrinsic
    def spin(typingctx: Any, rounds: Any, start: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vector = ir.VectorType(ir.FloatType(), width)
            kind = ir.FunctionType(vector, [vector] * 3)
            # llvmlite's declare_intrinsic refuses vector types, so the name is spelt out
            fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{width}f32")
            lane = ir.Constant(ir.IntType(32), 0)
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), args[1], lane)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
            factor = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)
            before = builder.block
            body, done = builder.append_basic_block("body"), builder.append_basic_block("done")
            builder.branch(body)
            builder.position_at_end(body)
            i = builder.phi(args[0].type)
            sums = [builder.phi(vector) for _ in range(CHAINS)]
            after = [builder.call(fma, [s, factor, factor]) for s in sums]
            following = builder.add(i, ir.Constant(i.type, 1))
            i.add_incoming(ir.Constant(i.type, 0), before)
            i.add_incoming(following, body)
            for k, (s, a) in enumerate(zip(sums, after, strict=True)):
                s.add_incoming(ir.Constant(vector, [k / CHAINS] * width), before)
                s.add_incoming(a, body)
            builder.cbranch(builder.icmp_signed("<", following, args[0]), body, done)
            builder.position_at_end(done)
            total = after[0]
            for a in after[1:]:
                total = builder.fadd(total, a)
            return builder.extract_element(total, lane)

        return types.float32(types.int64, types.float32), emit

    return spin


def use_threads(threads: int | None) -> int:
    """As many threads as asked for (the cores by default), but no more than there are cores."""
    n = max(1, min(threads or len(cores()), config.NUMBA_NUM_THREADS))
    set_num_threads(n)
    return n


class FmaPeak:
    """The fastest of three vector widths; `run(flops)` does that many and says how long it took."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = use_threads(threads)
        tried = {}
        for width in (16, 8, 4):
            self.width, self._loop = width, self._compile(width)
            tried[width] = (min(self.run(2e8) for _ in range(5)), self._loop)
        self.width = min(tried, key=lambda w: tried[w][0])
        self._loop = tried[self.width][1]

    def _compile(self, width: int) -> Any:
        spin = make_spin(width)

        @njit(parallel=True)
        def loop(rounds: int, out: np.ndarray) -> None:
            for thread in prange(len(out)):
                out[thread] = spin(rounds, np.float32(0.25))

        loop(1, np.zeros(self.threads, np.float32))
        return loop

    def run(self, flops: float) -> float:
        """Seconds for `flops` floating-point operations spread over the threads."""
        per_round = 2 * self.width * CHAINS * self.threads
        out = np.zeros(self.threads, np.float32)
        set_num_threads(self.threads)
        start = time.perf_counter()
        self._loop(max(1, round(flops / per_round)), out)
        return time.perf_counter() - start


@njit(parallel=True, fastmath=True)
def _read(a: np.ndarray, b: np.ndarray, repeats: int, threads: int) -> None:
    n = len(a) // threads
    for thread in prange(threads):
        x, total = a[thread * n : thread * n + n], np.float32(0)
        for _ in range(repeats):
            for i in range(n):
                total += x[i]
        b[thread * 16] = total


def _shared_out(over: Callable[[np.ndarray, np.ndarray, np.float32], None]) -> Callable[..., None]:
    """`repeats` times over(x, y, the turn's number) by every thread, on its part of a and b."""

    @njit(parallel=True, error_model="numpy")
    def loop(a: np.ndarray, b: np.ndarray, repeats: int, threads: int) -> None:
        n = len(b) // threads
        for thread in prange(threads):
            part = slice(thread * n, thread * n + n)
            for turn in range(repeats):
                over(a[part], b[part], np.float32(turn))

    return loop


@njit(error_model="numpy")
def _write(x: np.ndarray, y: np.ndarray, value: np.float32) -> None:
    for i in range(len(y)):
        y[i] = value


@njit(error_model="numpy")
def _copy(x: np.ndarray, y: np.ndarray, value: np.float32) -> None:
    for i in range(len(y)):
        y[i] = x[i] + value


@njit(error_model="numpy")
def _update(x: np.ndarray, y: np.ndarray, value: np.float32) -> None:
    for i in range(len(y)):
        y[i] = y[i] * np.float32(0.5) + np.float32(1)


#: pattern -> the loop, bytes that move for each float, arrays it goes through
PATTERNS: dict[str, tuple[Callable[..., None], int, int]] = {
    "read": (_read, 4, 1),
    "write": (_shared_out(_write), 4, 1),
    "copy": (_shared_out(_copy), 8, 2),
    "in place": (_shared_out(_update), 8, 1),
}
LEVELS = ("L1", "L2", "L3", "memory")


def bandwidth(
    total_bytes: int, threads: int | None = None, tries: int = 9, pattern: str = "copy"
) -> float:
    """GB/s of a pattern over `total_bytes` of working set: the best of the tries, for a limit."""
    threads = use_threads(threads)
    loop, each, arrays = PATTERNS[pattern]
    n = max(threads * 16, total_bytes // (4 * arrays)) // threads * threads
    a, b = (np.ones(n if arrays == 2 or k == (pattern != "read") else 16 * threads, np.float32)
            for k in (0, 1))  # fmt: skip
    repeats = max(1, int(3e7 // (each * n)))
    loop(a, b, 1, threads)
    seconds = []
    for _ in range(tries):
        start = time.perf_counter()
        loop(a, b, repeats, threads)
        seconds.append(time.perf_counter() - start)
    return each * n * repeats / min(seconds) / 1e9


def level_of(nbytes: float, threads: int) -> str:
    """The nearest level that holds a working set shared out among so many cores."""
    size = cache_sizes()
    for level in ("L1", "L2"):
        if nbytes <= size[level] * threads:
            return level
    return "L3" if nbytes <= size["L3"] else "memory"


def roofs(
    threads: int | None = None, levels: Sequence[str] = LEVELS, patterns: Sequence[str] = ()
) -> dict[str, Any]:
    """Measured roofs: GFLOP/s of multiply-adds; GB/s of these levels and patterns (all).

    Each the best of many short tries: another process can only make them look lower, and `busy`
    says so where one ran.
    """
    watch, began = LoadWatch(), time.process_time()
    threads = use_threads(threads)
    peak = FmaPeak(threads)
    flops = 2e8 * threads  # under 2 ms: less than the turn that a busy system gives a process
    gflops = flops / min(peak.run(flops) for _ in range(100)) / 1e9
    size = cache_sizes()
    sets = {
        "L1": size["L1"] * threads // 2,
        "L2": size["L2"] * threads // 2,
        "L3": max(size["L3"] // 2, size["L2"] * threads * 2),
        "memory": max(8 * size["L3"], 1 << 28),
    }
    gbs = {
        level: {
            p: bandwidth(sets[level], threads, 9 if level == "memory" else 40, p)
            for p in patterns or PATTERNS
        }
        for level in levels
    }
    busy = watch.report(time.process_time() - began)["busy"]
    return {"fma_gflops": gflops, "fma_width": peak.width, "threads": threads, "gbs": gbs,
            "busy": busy}  # fmt: skip


def limit(
    nbytes: float, instructions: float, pattern: str, roof: dict[str, Any]
) -> tuple[float, str]:
    """(the least seconds by the measured roofs, which of them binds).

    An instruction is one lane of one vector operation; the peak counts a multiply-add as two
    operations, so so many instructions a second are half of it.
    """
    level = level_of(nbytes, roof["threads"])
    moving = nbytes / (roof["gbs"][level][pattern] * 1e9)
    computing = 2 * instructions / (roof["fma_gflops"] * 1e9)
    if computing > moving:
        return computing, "arithmetic"
    return moving, f"{level} bandwidth ({pattern})"

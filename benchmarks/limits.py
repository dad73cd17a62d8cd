"""The measured limits: fused multiply-adds in registers, and bytes through each level of memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, prange, set_num_threads, types
from numba.core import cgutils
from numba.extending import intrinsic

from .machine import cores

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
    n = max(1, min(threads or cores(), config.NUMBA_NUM_THREADS))
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


@njit(parallel=True, error_model="numpy")
def _sweep(a: np.ndarray, b: np.ndarray, c: np.ndarray, repeats: int, threads: int) -> None:
    """c = a + b, repeated, each thread on its own slice: two reads and a write."""
    n = len(a) // threads
    for thread in prange(threads):
        x, y = a[thread * n : thread * n + n], b[thread * n : thread * n + n]
        z = c[thread * n : thread * n + n]
        for _ in range(repeats):
            for i in range(n):
                z[i] = x[i] + y[i]


def bandwidth(total_bytes: int, threads: int | None = None, tries: int = 7) -> float:
    """GB/s of c = a + b over `total_bytes` of working set; the median of the tries."""
    threads = use_threads(threads)
    n = max(threads * 16, total_bytes // 12)
    a, b, c = (np.full(n, k, np.float32) for k in (1, 2, 0))
    repeats = max(1, int(3e8 // (12 * n)))
    _sweep(a, b, c, 1, threads)
    seconds = []
    for _ in range(tries):
        start = time.perf_counter()
        _sweep(a, b, c, repeats, threads)
        seconds.append(time.perf_counter() - start)
    return 12 * (n // threads) * threads * repeats / float(np.median(seconds)) / 1e9


def cache_sizes() -> dict[str, int]:
    """Bytes of L1d, L2 and L3 as the system reports them, with modest guesses where it does not."""
    from pathlib import Path

    sizes = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (entry / "type").read_text().strip()
            text = (entry / "size").read_text().strip()
            level = "L" + (entry / "level").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction" and text.endswith("K"):
            sizes[level] = int(text[:-1]) << 10
    return sizes


def roofs(threads: int | None = None) -> dict[str, float]:
    """All measured roofs: GFLOP/s of multiply-adds, GB/s of L2, L3 and memory."""
    threads = use_threads(threads)
    peak = FmaPeak(threads)
    flops = 1e10 * threads
    gflops = flops / float(np.median([peak.run(flops) for _ in range(7)])) / 1e9
    size = cache_sizes()
    return {
        "fma_gflops": gflops,
        "fma_width": peak.width,
        "threads": threads,
        "L2_gbs": bandwidth(size["L2"] * threads // 2, threads),
        "L3_gbs": bandwidth(max(size["L3"] // 2, size["L2"] * threads * 2), threads),
        "memory_gbs": bandwidth(max(8 * size["L3"], 1 << 28), threads),
    }

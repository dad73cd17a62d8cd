"""One contestant's lane: fresh buffers, blocks of calls, each call timed, one of them judged.

What is judged is a timed call. Which one, nobody knows beforehand; the numbers in the buffers are
moved about between any two calls, so an answer that was kept is a wrong one.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import numpy as np

from minivae.racing.contestant import Contestant
from minivae.racing.load import cores
from minivae.racing.problem import Args, Problem, outputs_of

BLOCK_SECONDS = 0.008
GROUP_SECONDS = 20e-6  # calls shorter than this are timed several at a time
MOST_GROUPS = 200
MOVED = 8  # entries of every array that are overwritten by others between two calls
SLEEP_SECONDS = 0.01  # before a woken call
STATES = ("hot", "woken", "cold")
CALLS = {"woken": 3, "cold": 2}

# Taken before any contestant's code is imported: whoever replaces them afterwards is too late.
clock, sleep, same = time.perf_counter_ns, time.sleep, np.array_equal
SEED = 2718


@dataclass
class Block:
    """What a block of calls came to. seconds: median of a call; spent: of the whole block."""

    seconds: float
    calls: int
    at: int  # the group whose last call is judged
    spent: float
    got: list[np.ndarray] = field(default_factory=list)
    before: list[np.ndarray] = field(default_factory=list)  # what the op changes in place
    fault: str = ""
    within: int = 0  # which call of the group
    cold: bool = False


def placed(a: np.ndarray) -> np.ndarray:
    """A copy that begins at a random cache line of its first page."""
    shift = 64 * int(np.random.default_rng().integers(0, 64))
    raw = np.empty(a.nbytes + 4096 + 64, np.uint8)
    start = (-raw.ctypes.data) % 64 + shift
    copy = raw[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


class FreshArguments:
    """The arguments of one round in fresh memory, and the moves of their numbers between calls."""

    def __init__(self, problem: Problem, number: int) -> None:
        self.problem = problem
        self.made = problem.make(np.random.default_rng((SEED, number)))
        self.args = tuple(placed(a) if isinstance(a, np.ndarray) else a for a in self.made)
        rng = np.random.default_rng((SEED, number, 1))
        self.places = {
            k: rng.integers(0, a.size, (2, MOST_GROUPS + 1, MOVED))
            for k, a in enumerate(self.args)
            if k not in problem.mutates and k not in problem.fixed
            and isinstance(a, np.ndarray) and a.size > 1
        }  # fmt: skip
        self.flat = {k: self.args[k].reshape(-1) for k in self.places}

    def move(self, k: int) -> Args:
        """The arguments of the k-th call: some numbers overwritten by others of the same array."""
        for n, flat in self.flat.items():
            to, source = self.places[n]
            flat[to[k]] = flat[source[k]]
        return self._counted(self.args, k)

    def _counted(self, args: Args, k: int) -> Args:
        at = self.problem.counter
        return args if at is None else (*args[:at], args[at] + k, *args[at + 1 :])

    def expected(self, k: int) -> Args:
        """The same arguments, made independently of what anybody did to the buffers."""
        args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in self.made)
        for n, (to, source) in self.places.items():
            flat = args[n].reshape(-1)
            for row in range(k + 1):
                flat[to[row]] = flat[source[row]]
        return self._counted(args, k)


class Lane:
    """Times one contestant on one problem. `cores` are flushed for the cold calls."""

    def __init__(
        self, problem: Problem, contestant: Contestant, cache_bytes: int = 1 << 25
    ) -> None:
        self.problem, self.contestant = problem, contestant
        self.cache_bytes = cache_bytes
        self.held: FreshArguments | None = None  # the last round's memory is not given out again
        self.estimate = 0.0

    def warm(self) -> float:
        """Seconds of a second call: the first compiles."""
        args = FreshArguments(self.problem, 0).move(0)
        self.contestant.bind(args)()
        thunk = self.contestant.bind(args)
        begin = clock()
        thunk()
        self.estimate = max((clock() - begin) / 1e9, 1e-7)
        return self.estimate

    def block(self, number: int, state: str = "hot", share: float = 0.5) -> Block:
        """One block in fresh buffers; the call at `share` of it is judged."""
        if not self.estimate:
            self.warm()
        buffers = FreshArguments(self.problem, number)
        each = max(1, round(GROUP_SECONDS / self.estimate)) if state == "hot" else 1
        fill = int(BLOCK_SECONDS / self.estimate / each)
        groups = CALLS.get(state) or max(1, min(MOST_GROUPS, fill))
        at = min(groups - 1, int(share * groups))
        # A first call, so that the round's memory is mapped; its results' sizes are poisoned later.
        first = self._results(self.contestant.bind(buffers.args)(), buffers.args, Block(0, 0, 0, 0))
        self.sizes = [] if self.problem.mutates else [a.nbytes for a in first]
        found = Block(0.0, groups * each, at, 0.0)
        found.cold = state == "cold"
        found.within = min(each - 1, int((share * groups - at) * each))
        times = self._calls(buffers, state, groups, each, at, found)
        found.seconds, found.spent = float(np.median(times)) / each, float(sum(times))
        if state == "hot":
            self.estimate = found.seconds
        found.fault = found.fault or self._spoilt(buffers, groups)
        self.held = buffers
        return found

    def _calls(
        self, buffers: FreshArguments, state: str, groups: int, each: int, at: int, found: Block
    ) -> list[float]:
        times = []
        for k in range(groups):
            if state == "woken":
                sleep(SLEEP_SECONDS)
            args = buffers.move(k)
            if state == "cold":
                flush(self.cache_bytes)
            thunk = self.contestant.bind(args)
            if k == at:
                times.append(self._judged(args, thunk, each, found))
            else:
                times.append(timed(thunk, each))
        if not self.contestant.reuses and not self.problem.mutates and not found.fault:
            pairs = zip(found.got, self.returned, strict=True)
            if not all(same(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs):
                found.fault = "its result changed after it was returned: a buffer handed out twice"
        return times

    def _judged(self, args: Args, thunk: Any, each: int, found: Block) -> float:
        """Seconds of a group of calls, one of which is judged: its results are kept and copied."""
        seconds = timed(thunk, found.within)
        found.before = [args[k].copy() for k in self.problem.mutates]
        if not found.cold:
            poison(self.sizes)
        begin = clock()
        result = thunk()
        seconds += (clock() - begin) / 1e9
        results = self._results(result, args, found)
        found.got = [np.array(r) for r in results]
        self.returned = results
        return seconds + timed(thunk, each - 1 - found.within)

    def _results(self, result: Any, args: Args, found: Block) -> list[np.ndarray]:
        outputs = outputs_of(self.contestant.finish(result, args), args, self.problem.mutates)
        host = [to_host(a) for a in outputs]
        for k, a in enumerate(host):
            if type(a) not in (np.ndarray, np.float32, np.float64):
                found.fault = f"result {k} is a {type(outputs[k]).__name__}, not an array of NumPy"
                return []
        return [np.asarray(a) for a in host]

    def _spoilt(self, buffers: FreshArguments, groups: int) -> str:
        """Whether an input is other than the moves made it."""
        want = buffers.expected(groups - 1)
        for k, (a, b) in enumerate(zip(buffers.args, want, strict=True)):
            if k not in self.problem.mutates and isinstance(a, np.ndarray) and not same(a, b):
                return f"it changes its input, argument {k}"
        return ""


def timed(thunk: Any, calls: int) -> float:
    """Seconds of so many calls, one after another."""
    begin = clock()
    for _ in range(calls):
        thunk()
    return (clock() - begin) / 1e9


def poison(sizes: list[int]) -> None:
    """Leave NaN where an output is likely to be allocated, so that a part left unwritten shows."""
    for size in sizes:
        np.full(size, 255, np.uint8)  # bits all set are NaN in every floating type


def to_host(a: Any) -> Any:
    """An array of a card brought to the host; anything else as it is."""
    if hasattr(a, "__cuda_array_interface__") and hasattr(a, "get"):
        return a.get()
    return a


def flush(cache_bytes: int) -> None:
    """Overwrite more than all the caches hold, from every core that this process may use."""
    mine = cores()
    part = 2 * cache_bytes // len(mine)

    def sweep(core: int) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {core})  # of this thread
        scratch_of(core, part).__iadd__(1)

    sweepers = [Thread(target=sweep, args=(core,)) for core in mine]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()


_scratch: dict[int, np.ndarray] = {}


def scratch_of(core: int, size: int) -> np.ndarray:
    """The bytes that are swept on one core."""
    if core not in _scratch or _scratch[core].size != size:
        _scratch[core] = np.zeros(size, np.uint8)
    return _scratch[core]

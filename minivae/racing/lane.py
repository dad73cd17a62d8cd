"""One contestant's lane: fresh buffers, blocks of calls, each call timed, one of them judged.

What is judged is a timed call. Which one is decided when it is over; the numbers in the buffers are
moved about between any two calls, so an answer that was kept is a wrong one.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from minivae.racing.buffers import FreshArguments, same
from minivae.racing.contestant import Contestant, Thunk, as_it_is
from minivae.racing.load import cores
from minivae.racing.problem import Args, Problem, outputs_of
from minivae.racing.watch import hold

BLOCK_SECONDS = 0.008
MOST_CALLS = 200
CHAINED = 4_000_000  # numbers changed in place, over all calls of a block: the judge repeats them
SLEEP_SECONDS = 0.01  # before a woken call
STATES = ("hot", "woken", "cold")
FEW_CALLS: Mapping[str, int] = MappingProxyType({"woken": 3, "cold": 2, "new": 48})
LEAST_NEW, NEW_SECONDS = 24, 2.0  # calls of a "new" block of slow calls; about how long it may take
POISONED, LIKELIER = 4, 3  # one call in so many, and how much likelier it is to be judged
KINDS = (np.ndarray, np.float32, np.float64)

CHANGED = (
    "its result changed after it was returned: its argument, a buffer handed out twice, or work "
    "that went on"
)

# Taken before any contestant's code is imported: whoever replaces them afterwards is too late.
# Compiled, all of them: whatever NumPy or Python have written in Python calls what can be replaced.
clock, sleep, urandom = time.perf_counter_ns, time.sleep, os.urandom
pin = getattr(os, "sched_setaffinity", None)


@dataclass
class Block:
    """What a block of calls came to. seconds: median of a call; spent: of all of them.

    at: the call that is judged, the last one where the op works in place. moves: what was done to
    the arguments before every call. new, again: of a "new" block, seconds of calls with every
    number in another place, and of those with the same numbers written anew.
    """

    seconds: float = 0.0
    calls: int = 0
    spent: float = 0.0
    at: int = 0
    moves: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))
    got: list[np.ndarray] = field(default_factory=list)
    fault: str = ""
    new: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)


class Lane:
    """Times one contestant on one problem.

    cache_bytes: of the caches that are flushed for the cold calls. check: says whether the
    contestant has meddled with the race, and how.
    """

    def __init__(
        self, problem: Problem, contestant: Contestant, cache_bytes: int = 1 << 25,
        check: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self.problem, self.contestant = problem, contestant
        self.cache_bytes, self.check = cache_bytes, check
        self.held: FreshArguments | None = None  # the last round's memory is not given out again
        self.bind: Callable[[Args], Thunk] = contestant.bind
        self.estimate = 0.0
        self.scratch: dict[int, np.ndarray] = {}  # what is swept on each core before a cold call
        self.now = clock
        hold(self)

    def warm(self) -> float:
        """Seconds of a second call: the first compiles. Both in a thread of their own."""
        args = FreshArguments(self.problem, 0).move()
        first = alone(self.contestant.bind(args))
        if any(map(on_card, first if isinstance(first, tuple) else (first,))):
            self.bind = brought_back(self.contestant.bind)
        thunk, now = self.bind(args), self.now

        def second() -> float:
            begin = now()
            thunk()
            return (now() - begin) / 1e9

        self.estimate = max(float(alone(second)), 1e-7)
        return self.estimate

    def block(self, number: int, state: str = "hot") -> Block:
        """One block in fresh buffers; a call of it is judged."""
        if not self.estimate:
            self.warm()
        buffers = FreshArguments(self.problem, number)
        # A first call, so that the round's memory is mapped; its results' sizes are poisoned later.
        first, fault = self._results(self.bind(buffers.args)(), buffers.args)
        self.sizes = [] if self.problem.mutates else [a.nbytes for a in first]
        found = Block(calls=self._count(state), fault=fault)
        times = self._calls(buffers, state, found)
        found.seconds = middle(times)
        if state == "hot":
            self.estimate = max(found.seconds, 1e-7)
        if self.problem.mutates:
            found.at = found.calls - 1
            found.got = [buffers.args[k].copy() for k in self.problem.mutates]
        found.moves = buffers.noted()
        found.fault = found.fault or self.check() or buffers.fault()
        self.held = buffers
        return found

    def _count(self, state: str) -> int:
        """How many calls; of an op that works in place nobody knows which will be the last."""
        fill = max(1, min(MOST_CALLS, int(BLOCK_SECONDS / self.estimate)))
        calls = FEW_CALLS.get(state, fill)
        if state == "new":
            calls = max(LEAST_NEW, min(calls, int(NEW_SECONDS / self.estimate)))
        if not self.problem.mutates or state != "hot":
            return calls
        changed = sum(a.size for k, a in enumerate(self.problem.make(np.random.default_rng(0)))
                      if k in self.problem.mutates)  # fmt: skip
        calls = max(1, min(calls, CHAINED // changed))
        return calls - int.from_bytes(urandom(7), "little") % max(1, calls // 2)

    def _calls(self, buffers: FreshArguments, state: str, found: Block) -> list[float]:
        """Seconds of every call that counts; the judged one's results are put into the block.

        Whatever is needed around a call is held in variables of this frame: what a contestant puts
        in its place is not asked.
        """
        now, draw, keep, ready = self.now, urandom, self._keep, self._ready
        sizes, weight, kept = self.sizes, 0, None
        times, poisoned = list[float](), list[float]()
        rotated = np.random.default_rng().permutation(found.calls) % 2 == 0
        for k in range(found.calls):
            thunk, args = ready(buffers, state, rotated[k])
            filled = bool(sizes) and state in STATES[:2] and draw(1)[0] % POISONED == 0
            if filled:
                poison(sizes)
            place = int.from_bytes(draw(7), "little")
            begin = now()
            result = thunk()
            seconds = (now() - begin) / 1e9
            early = entries(result, place)
            (poisoned if filled else times).append(seconds)
            if state == "new":
                (found.new if rotated[k] else found.again).append(seconds)
            mine = LIKELIER if filled else 1
            weight += mine
            if sizes and int.from_bytes(draw(7), "little") % weight < mine:
                copies = [a.copy() for a in arrays_of(result)]
                late = repr(early) != repr(entries(tuple(copies), place))
                kept = keep(result, args, copies, found)
                found.at, found.fault = k, found.fault or (CHANGED if late else "")
        if kept and not self.contestant.reuses and not all(map(same, found.got, kept)):
            found.fault = found.fault or CHANGED
        found.spent = sum(times) + sum(poisoned)
        return times or poisoned

    def _ready(self, buffers: FreshArguments, state: str, rotate: bool) -> tuple[Thunk, Args]:
        """The next call and its arguments. Caches are flushed before the
        numbers are moved, so that nobody can work on them during the flush."""
        if state == "woken":
            sleep(SLEEP_SECONDS)
        if state == "cold":
            self.scratch = self.scratch or scratch(self.cache_bytes)
            flush(self.scratch)
        new = state == "new"
        args = buffers.move(rotate=new and rotate, rewrite=new and not rotate)
        return self.bind(args), args

    def _keep(
        self, result: Any, args: Args, copies: list[np.ndarray], found: Block
    ) -> list[np.ndarray]:
        """Put a call's results, copied at once, into the block; what it gave is returned."""
        meddled = self.check()  # before anything of the race is asked that was put there just now
        got, fault = self._results(result, args)
        plain = self.contestant.finish is as_it_is
        found.got = copies if plain else [np.array(a) for a in got]
        found.fault = found.fault or meddled or fault
        return got

    def _results(self, result: Any, args: Args) -> tuple[list[np.ndarray], str]:
        """What a call produced, as arrays, and why that cannot be judged, or ''."""
        outputs = outputs_of(self.contestant.finish(result, args), args, self.problem.mutates)
        for k, a in enumerate(outputs):
            if type(a) not in KINDS:
                return [], f"result {k} is a {type(a).__name__}, not an array of NumPy"
        return [np.asarray(a) for a in outputs], ""


def alone(act: Callable[[], Any]) -> Any:
    """What a function returns, called in a thread of its own: no caller's frames are above it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def arrays_of(result: Any) -> list[np.ndarray]:
    """What of a call's result can be judged."""
    return [a for a in (result if type(result) is tuple else (result,)) if type(a) in KINDS]


def entries(result: Any, place: int) -> list[Any]:
    """One entry of every array, read before a call that is still at work can have written it."""
    return [a.item(place % a.size) for a in arrays_of(result) if a.size]


def middle(times: Sequence[float]) -> float:
    """The median: sorted by compiled code, where `np.median` runs NumPy's Python."""
    ordered, n = sorted(times), len(times)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def poison(sizes: list[int]) -> None:
    """Leave NaN where an output is likely to be allocated, so that a part left unwritten shows."""
    for size in sizes:
        np.empty(size, np.uint8).fill(255)  # bits all set are NaN in every floating type


def on_card(a: Any) -> bool:
    """Whether a result lies in a card's memory."""
    return hasattr(a, "__cuda_array_interface__") and hasattr(a, "get")


def brought_back(bind: Callable[[Args], Thunk]) -> Callable[[Args], Thunk]:
    """A card's calls return before they are done: what counts is that the answer is back."""

    def with_copy(args: Args) -> Thunk:
        thunk = bind(args)

        def call() -> Any:
            result = thunk()
            return tuple(a.get() for a in result) if type(result) is tuple else result.get()

        return call

    return with_copy


def scratch(cache_bytes: int) -> dict[int, np.ndarray]:
    """The bytes that are swept on each core that this process may use: twice the caches."""
    mine = cores()
    return {core: np.zeros(2 * cache_bytes // len(mine), np.uint8) for core in mine}


def flush(swept: Mapping[int, np.ndarray]) -> None:
    """Overwrite more than all the caches hold, from every core that this process may use."""

    def sweep(core: int, lock: Any) -> None:
        try:
            if pin:
                pin(0, {core})  # this thread
            swept[core].__iadd__(1)
        finally:
            lock.release()

    locks = []
    for core in swept:
        locks.append(lock := allocate_lock())
        lock.acquire()
        start_new_thread(sweep, (core, lock))
    for lock in locks:
        lock.acquire()

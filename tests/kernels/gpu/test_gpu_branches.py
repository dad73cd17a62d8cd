"""May the two branches of the recorded step really run side by side?

Every launch and product of several updates is noted with the bytes it reads and writes, and with
what it comes after. Whatever is left unordered must not touch the same bytes, unless both only
read. Shown for the recording's own order. NOT shown: that a card keeps it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from minivae_kernels.gpu import sources
from minivae_kernels.gpu.buffers import Buffers
from minivae_kernels.gpu.host_device import HostDevice
from minivae_kernels.gpu.importance import OBJECTIVES
from minivae_kernels.gpu.step import GraphStep

sys.path.insert(0, str(Path(__file__).parent))
from bounds import byte_bounds
from gpu_steps import LIKELY, MODELS, WEIGHED, problem

Span = tuple[int, int]  # bytes, from and to
MAIN, SIDE = 0, 1
ALL = {**MODELS, **LIKELY, **WEIGHED}


class Work(NamedTuple):
    """One launch or product."""

    what: str
    branch: int
    number: int  # on its branch
    known: tuple[int, int]  # how much of each branch it comes after
    reads: list[Span]
    writes: list[Span]

    def before(self, other: Work) -> bool:
        return other.known[self.branch] >= self.number


def span(a: np.ndarray) -> Span:
    return byte_bounds(a)


class Branching(HostDevice):
    """The host device, which notes who may run beside whom while it records."""

    def __init__(self) -> None:
        super().__init__()
        self.clocks, self.current, self.work = [[0, 0], [0, 0]], MAIN, list[Work]()

    @contextlib.contextmanager
    def aside(self) -> Iterator[list[int]]:
        self._join(SIDE, self.clocks[MAIN])
        done = [0, 0]
        self.current = SIDE
        yield done
        self.current = MAIN
        done[:] = self.clocks[SIDE]

    def wait(self, done: list[int]) -> None:
        self._join(MAIN, done)

    def _join(self, branch: int, other: list[int]) -> None:
        self.clocks[branch] = list(map(max, self.clocks[branch], other))

    def _note(self, what: str, reads: list[Span], writes: list[Span]) -> None:
        if self.recording is None:
            return
        clock = self.clocks[self.current]
        clock[self.current] += 1
        known = (clock[0], clock[1])
        self.work.append(Work(what, self.current, clock[self.current], known, reads, writes))

    def launch(
        self, kernel: str, grid: Any, threads: int, args: Any, real: Any = np.float32
    ) -> None:
        reads, writes = [], []
        for parameter, value in zip(self.parameters[kernel], args, strict=True):
            if parameter.pointer and value is not None:
                spans = [span(value)]
                if kernel == "column_finish" and parameter.written:  # only where the biases lie
                    first, where = spans[0][0], args[1]
                    spans = [(first + 4 * int(i), first + 4 * int(i) + 4) for i in where]
                (writes if parameter.written else reads).extend(spans)
        self._note(kernel, reads, writes)
        super().launch(kernel, grid, threads, args, real)

    def matmul(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        self._note("product", [span(a), span(b)], [span(out)])
        super().matmul(a, b, out, accumulate=accumulate)


def conflicts(work: list[Work]) -> list[str]:
    """Pairs that nothing orders and that touch the same bytes, one of them writing."""

    def meet(one: list[Span], two: list[Span]) -> bool:
        return any(a < d and c < b for a, b in one for c, d in two)

    found = []
    for n, later in enumerate(work):
        for earlier in work[:n]:
            if earlier.before(later):
                continue
            touched = meet(earlier.writes, later.reads + later.writes)
            if touched or meet(earlier.reads, later.writes):
                found.append(f"{earlier.what} and {later.what}")
    return found


def recorded(model: str, updates: int = 3, **settings: Any) -> Branching:
    device = Branching()
    plan, *rest = problem(ALL[model], **settings)
    step = GraphStep(device, plan, *rest)
    update = OBJECTIVES[plan.objective](step.buffers, 9)
    device.capture(lambda: [update() for _ in range(updates)])
    return device


@pytest.mark.parametrize(
    ("model", "optimiser"),
    [(model, optimiser) for model in MODELS for optimiser in ("adam", "sgd")]
    + [(model, "adam") for model in (*LIKELY, *WEIGHED)],
)
def test_nothing_unordered_shares_memory(built: None, model: str, optimiser: str) -> None:
    device = recorded(model, optimiser=optimiser)
    assert not conflicts(device.work)
    aside = [w for w in device.work if w.branch == SIDE]
    alone = [w for w in aside if any(not (w.before(o) or o.before(w)) for o in device.work)]
    assert len(aside) >= 3 * 5 and alone  # and they do run beside something


def test_all_is_waited_for_before_the_optimiser_and_the_end(built: None) -> None:
    work = recorded("three layers, three draws").work
    for n, one in enumerate(work):
        if one.what in ("adam_step", "sgd_step"):
            assert all(other.before(one) for other in work[:n])
    assert work[-1].what == "adam_step"  # a capture must not end with a branch left open


def test_as_many_launches_as_the_readme_says(built: None) -> None:
    work = recorded("relu bernoulli", updates=1).work  # one hidden layer, as 784-400-20
    assert (len(work), sum(w.branch == MAIN for w in work)) == (22, 15)


def test_a_missing_wait_is_seen(built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Branching, "wait", lambda self, done: None)
    found = conflicts(recorded("relu bernoulli").work)
    for pair in ("product and latent_head", "loss_finish and latent_head_backward",
                 "column_finish and adam_step", "product and adam_step"):  # fmt: skip
        assert pair in found, found


def test_a_shared_buffer_is_seen(built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the gradients of decoder and encoder in one place, a product would still be reading."""
    own = Buffers.matrix

    def shared(self: Buffers, name: str, rows: int, columns: int) -> Any:
        return own(self, name.replace("d.encoder", "d.decoder"), rows, columns)

    monkeypatch.setattr(Buffers, "matrix", shared)
    assert "product and narrow_backward" in conflicts(recorded("relu bernoulli").work)


def test_pointers_are_const_where_a_kernel_only_reads() -> None:
    """What the check above trusts: an output's pointer is never const."""
    parameters = sources.kernels("step")["loss_finish"]
    assert {p.name for p in parameters if p.written} == {
        "dscale", "factor", "rates", "counters", "sums", "kl_now"
    }  # fmt: skip

"""The lane: what is done to the arguments is repeated by the judge, and what meddles is noticed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from minivae import race
from minivae.racing import buffers, lane
from minivae.racing.contestant import plain
from minivae.racing.gate import GateError, judge
from minivae.racing.lane import Lane
from minivae.racing.load import cores
from minivae.racing.problem import op_problem
from minivae.racing.rounds import Options, Race


def test_the_judge_makes_the_same_moves() -> None:
    problem = op_problem("dense_relu_forward", (5, 7, 23))
    fresh = buffers.FreshArguments(problem, 4)
    for rotate in (False, True, False):
        args = fresh.move(rotate=rotate)
    assert fresh.noted().shape == (3, 3, buffers.WORDS)
    again = buffers.replayed(problem, buffers.made(problem, 4), fresh.noted())
    for a, b, begin in zip(args, again, buffers.made(problem, 4), strict=True):
        assert np.array_equal(a, b) and not np.array_equal(a, begin)
    assert fresh.fault() == ""
    args[1][0, 0] += 1
    assert fresh.fault() == "it changes its input, argument 1"


def test_numbers_written_anew_are_the_same_numbers() -> None:
    problem = op_problem("relu_forward", (9, 11))
    fresh = buffers.FreshArguments(problem, 1)
    (x,) = fresh.move(rewrite=True)
    assert fresh.noted()[0, 0, 0] == 0
    assert (x != fresh.made[0]).sum() <= buffers.MOVED
    (x,) = fresh.move(rotate=True)
    assert (x != fresh.made[0]).sum() > 50


@pytest.mark.parametrize("place", [-1, -64, "behind"])
def test_a_write_outside_of_an_argument_is_seen(place: Any) -> None:
    fresh = buffers.FreshArguments(op_problem("relu_forward", (3, 5)), 1)
    fresh.move()
    placed = fresh.placed[0]
    assert placed and placed.array.ctypes.data % 64 == 0 and not placed.overrun()
    placed.raw[placed.stop if place == "behind" else placed.start + place] = 0
    assert fresh.fault() == "it writes outside of its argument 0"


@pytest.mark.parametrize("op", ["adam_update", "sgd_update"])
def test_what_works_in_place_is_judged_after_all_its_calls(op: str) -> None:
    problem = op_problem(op, (301,))

    def lazy(*args: Any) -> None:  # one call in the middle does nothing
        calls.append(1)
        if len(calls) != 5:
            problem.reference(*args)

    for function, right in ((problem.reference, True), (lazy, False)):
        calls: list[int] = []
        driver = Lane(problem, plain(function))
        driver.estimate = 1e-4
        found = driver.block(2)
        assert len(found.moves) == found.calls == found.at + 1 >= 5
        asked = buffers.chained(problem, found.moves)
        if right:
            assert judge(asked, buffers.made(problem, 2), found.got) <= 1
        else:
            with pytest.raises(GateError):
                judge(asked, buffers.made(problem, 2), found.got)


def test_no_call_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every call of a block met memory filled with NaN, too."""
    monkeypatch.setattr(lane, "POISONED", 1)
    problem = op_problem("relu_forward", (3, 5))
    driver = Lane(problem, plain(lambda x: np.maximum(x, 0)))
    begin = time.perf_counter()
    found = driver.block(1)
    assert 0 < found.seconds <= found.spent <= time.perf_counter() - begin


class OnCard:
    """What a card's array looks like; it is there 2 ms later."""

    __cuda_array_interface__ = {"shape": ()}

    def __init__(self, a: np.ndarray) -> None:
        self.a = a

    def get(self) -> np.ndarray:
        time.sleep(0.002)
        return self.a


def test_a_cards_answer_counts_when_it_is_back() -> None:
    problem = op_problem("relu_forward", (3, 5))
    driver = Lane(problem, plain(lambda x: OnCard(np.maximum(x, 0))))
    assert driver.warm() > 0.002
    found = driver.block(1)
    assert found.fault == "" and found.seconds > 0.002


def test_a_cold_calls_arguments_are_unknown_while_the_caches_are_flushed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    move = buffers.FreshArguments.move
    monkeypatch.setattr(lane, "flush", lambda swept: done.append("flush"))
    monkeypatch.setattr(buffers.FreshArguments, "move",
                        lambda self, **how: done.append("move") or move(self, **how))  # fmt: skip
    mine = Lane(op_problem("relu_forward", (3, 5)), plain(lambda x: np.maximum(x, 0)), 1 << 12)
    mine.estimate = 1e-3
    mine.block(1, "cold")
    assert done == ["flush", "move"] * lane.FEW_CALLS["cold"]


def test_a_flush_sweeps_every_core() -> None:
    swept = lane.scratch(1 << 12)
    assert list(swept) == cores() and sum(a.size for a in swept.values()) >= (1 << 13) - len(swept)
    lane.flush(swept)
    assert all((a == 1).all() for a in swept.values())


def test_a_block_of_new_numbers_that_is_not_whole_tells_nothing() -> None:
    problem = op_problem("relu_forward", (3, 5))
    with pytest.raises(GateError, match="not whole"):
        Race(problem, {}, Options())._slower("mine", lane.Block(again=[1.0]))


def test_a_median_is_the_median() -> None:
    for times in ([3.0], [5.0, 1.0], [3.0, 1.0, 2.0], [4.0, 1.0, 3.0, 2.0]):
        assert lane.middle(times) == np.median(times)


def test_what_is_still_being_written_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where it is there by the time that it is copied."""
    given: list[np.ndarray] = []

    def returns_early(x: Any) -> Any:
        given[:] = x, np.full_like(x, -1)
        return given[1]

    mine, real, asked = Lane(op_problem("relu_forward", (9, 11)), plain(returns_early)), [], []
    real.append(lane.arrays_of)

    def arrays_of(result: Any) -> Any:
        asked.append(1)
        if len(asked) == 2:  # to copy them
            np.maximum(given[0], 0, out=given[1])
        return real[0](result)

    monkeypatch.setattr(lane, "arrays_of", arrays_of)
    mine.estimate = 1.0  # one call a block
    assert mine.block(3).fault == lane.CHANGED


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_whatever_a_function_raises_costs_its_own_row_here_too() -> None:
    def leaves(x: Any) -> Any:
        raise SystemExit("enough")

    def silent(x: Any) -> Any:
        raise Silent

    def strict(x: Any) -> Any:
        np.seterr(all="raise")
        return np.sqrt(x)

    def plain_root(x: Any) -> Any:
        return np.sqrt(x) + np.float32(1e-40) * np.float32(1e-30) * 0  # underflows

    given = {"strict": strict, "plain": plain_root, "leaves": leaves, "silent": silent}
    x = np.linspace(1, 2, 500, dtype=np.float32)
    found = race(given, reference=np.sqrt, inputs=(x,), rounds=3, seconds=30)
    assert "us" in found.row("strict") and "us" in found.row("plain"), found
    assert found.row("leaves")["failed"] == "SystemExit: enough"
    assert "cannot be read" in found.row("silent")["failed"]


def test_who_flushes_subnormal_numbers_is_out_and_leaves_no_trace() -> None:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    torch.set_flush_denormal(False)

    def flushes(x: Any) -> Any:
        torch.set_flush_denormal(True)
        return np.sqrt(x)

    x = np.linspace(1, 2, 500, dtype=np.float32)
    found = race({"plain": np.sqrt, "flushes": flushes}, reference=np.sqrt, inputs=(x,), rounds=3)
    flushed = np.float32(1e-40) * np.float32(1) == 0
    torch.set_flush_denormal(False)
    assert "subnormal" in found.row("flushes")["failed"] and "us" in found.row("plain")
    assert not flushed

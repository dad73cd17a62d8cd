"""The lane: what is done to the arguments is repeated by the judge, and what meddles is noticed."""

from __future__ import annotations

import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae import race
from minivae.racing import buffers, lane, watch
from minivae.racing.contestant import plain
from minivae.racing.conversation import Conversation, StandError, said
from minivae.racing.gate import GateError, judge
from minivae.racing.lane import Lane
from minivae.racing.load import family
from minivae.racing.problem import op_problem
from minivae.racing.stand import Apart


def test_the_judge_makes_the_same_moves() -> None:
    problem = op_problem("dense_relu_forward", (5, 7, 3))
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


def module() -> types.ModuleType:
    made = types.ModuleType("minivae.racing.tried")
    exec("LIMIT = 3\ndef f(): return 1\nclass A:\n    def g(self): return 2\n", made.__dict__)
    made.A.__module__ = made.__name__
    return made


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("LIMIT = 4", "LIMIT"),
        ("f = lambda: 1", "f"),
        ("A.g = lambda self: 1", "A.g"),
    ],
)
def test_whatever_of_the_race_is_replaced_is_named(change: str, name: str) -> None:
    mine = module()
    seen = watch.Watch(mine)
    assert seen.changed() == ""
    exec(change, mine.__dict__)
    assert seen.changed() == f"it replaces minivae.racing.tried.{name}"


def test_a_clock_that_is_replaced_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch.Watch(lane)
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    assert seen.changed() == "it replaces time.perf_counter"


def test_what_is_forbidden_says_what_it_is() -> None:
    frame, strict = sys._getframe(0), True
    assert "sys._getframe" in watch.forbidden("sys._getframe", (frame,), strict)
    assert watch.forbidden("sys._getframe", (frame,), False) == ""
    assert "tb_frame" in watch.forbidden("object.__getattr__", (None, "tb_frame"), strict)
    assert "gc.get_objects" in watch.forbidden("gc.get_objects", (), False)
    rewritten = watch.forbidden("object.__setattr__", (lane.flush, "__code__", None), False)
    assert rewritten == "it rewrites flush"
    assert watch.forbidden("object.__setattr__", (module, "__code__", None), strict) == ""
    assert watch.forbidden("open", ("file",), strict) == ""


def test_a_contestant_is_built_where_no_caller_stands_above() -> None:
    def names() -> list[str]:
        frame, found = sys._getframe(0), []
        while frame:
            found.append(frame.f_code.co_name)
            frame = frame.f_back  # type: ignore[assignment]
        return found

    assert "names" in lane.alone(names)
    assert "test_a_contestant_is_built_where_no_caller_stands_above" not in lane.alone(names)


class Forger(Conversation):
    """Answers before it is asked, without the word that only the asker knows."""

    def __init__(self, token: str) -> None:
        answer = {"seconds": 1e-9, **({"token": token} if token else {})}
        code = f"input(); print({json.dumps(json.dumps(answer))}, flush=True); input()"
        super().__init__("forger", [sys.executable, "-S", "-c", code], {})

    def patience(self, do: str) -> float:
        """Long enough to start an interpreter on a busy machine."""
        return 60.0


@pytest.mark.parametrize("token", ["", "0123456789abcdef"])
def test_an_answer_without_the_askers_word_is_none(token: str) -> None:
    forger = Forger(token)
    try:
        with pytest.raises(StandError, match="something else wrote into its answers"):
            forger.ask("block")
        assert family(forger.process.pid) == [forger.process.pid]
    finally:
        forger.close()


def test_more_cores_than_given_are_noticed(tmp_path: Path) -> None:
    stand = object.__new__(Apart)
    stand.cores, stand.wall, stand.taken = [0], 0.0, 0.0
    stand.process = types.SimpleNamespace(pid=-1)  # type: ignore[assignment]
    stand._check_share(1.0, 1.1)
    with pytest.raises(StandError, match=r"it used 1\.\d cores where it was given 1: see --thr"):
        stand._check_share(1.0, 1.9)


@pytest.mark.parametrize("wrong", [2, 3])
def test_a_clock_that_disagrees_three_times_is_out(tmp_path: Path, wrong: int) -> None:
    """A machine may come between the clocks for once."""
    stand = object.__new__(Apart)
    stand.cores, stand.wall, stand.taken, stand.folder = [0], 0.0, 0.0, tmp_path
    stand.process = types.SimpleNamespace(pid=-1)  # type: ignore[assignment]
    np.save(tmp_path / "moves.npy", np.zeros((1, 0, 0)))
    asked: list[str] = []

    def ask(do: str, **message: Any) -> dict[str, Any]:
        asked.append(do)
        spent = 9.0 if len(asked) <= wrong else 0.0
        return {"elapsed": 10.0, "spent": spent, "got": 0, "seconds": 1.0, "calls": 1, "at": 0,
                "fault": "", "new": [], "again": []}  # fmt: skip

    stand.ask = ask  # type: ignore[method-assign]
    if wrong == 2:
        assert stand.block(1, "hot").seconds == 1.0 and len(asked) == 3
    else:
        with pytest.raises(StandError, match="its clock says 10 s where"):
            stand.block(1, "hot")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_is_said_in_one_line_of_bounded_length() -> None:
    assert said(ValueError("a\nb")) == "ValueError: a b" and said(KeyError()).endswith("no message")
    assert said(Silent()) == "Silent: its message cannot be read"
    assert len(said(ValueError("x" * 10**6))) == 300


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

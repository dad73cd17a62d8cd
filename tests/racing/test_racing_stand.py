"""A contestant's process: what it answers, how long it may take, where and when it may work."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.racing import channel
from minivae.racing.contestant import Recipe
from minivae.racing.conversation import Conversation, StandError, said
from minivae.racing.load import cores, family
from minivae.racing.stand import Apart


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
    stand.left, stand.used = math.inf, None
    stand.process = types.SimpleNamespace(pid=-1)  # type: ignore[assignment]
    moves = channel.save(str(tmp_path / "moves"), np.zeros((1, 0, 0)))
    asked: list[str] = []

    def ask(do: str, **message: Any) -> dict[str, Any]:
        asked.append(do)
        spent = 9.0 if len(asked) <= wrong else 0.0
        return {"elapsed": 10.0, "spent": spent, "got": [], "moves": moves, "seconds": 1.0,
                "calls": 1, "at": 0, "fault": "", "new": [], "again": []}  # fmt: skip

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


def states(stand: Conversation) -> list[str]:
    """Of a process and of all that it has started: T is stopped."""
    return [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
            for pid in family(stand.process.pid)]  # fmt: skip


def test_whoever_rests_rests_with_all_that_it_has_started(tmp_path: Path) -> None:
    """In a session of its own, too; and whoever works all the same is out."""
    if not Path("/proc/self/task").exists():
        pytest.skip("this system does not say what a process has started")
    code = (
        "import os, time\nwhile time.process_time() < 0.1: pass\n"
        "if not os.fork(): os.setsid(); os.fork(); time.sleep(60)\n"
        "input(); print('{}', flush=True); time.sleep(60)"
    )
    stand = object.__new__(Apart)
    Conversation.__init__(stand, "parent", [sys.executable, "-S", "-c", code], {})
    try:
        until = time.monotonic() + 60
        while len(family(stand.process.pid)) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        for wanted in (True, False, True):
            stand.rest(wanted)
            while {word == "T" for word in states(stand)} != {wanted} and time.monotonic() < until:
                time.sleep(0.01)
            assert len(states(stand)) == 3 and time.monotonic() < until, states(stand)
    finally:
        stand.close()
    used = stand.seconds_used()
    assert 0 < used == stand.seconds_used()  # known after its end
    stand.left, stand.used = 0.0, 0.2
    with pytest.raises(StandError, match="works while others are timed"):
        stand.block(1, "hot")


class Stammers(Conversation):
    """Answers in pieces, or never to the end of the line; prints what is not text."""

    def __init__(self, code: str, limit: float) -> None:
        self.limit = limit
        start = "import os, sys, time, json; said = json.loads(input()); "
        super().__init__("stammers", [sys.executable, "-S", "-c", start + code], {})

    def patience(self, do: str) -> float:
        return self.limit


def test_half_a_line_is_waited_for_no_longer_than_a_line() -> None:
    stand = Stammers("os.write(1, b'{'); time.sleep(60)", 3.0)
    begin = time.monotonic()
    try:
        with pytest.raises(StandError, match="did not finish 'block' within 3 s"):
            stand.ask("block")
        assert time.monotonic() - begin < 30
    finally:
        stand.close()


def test_an_answer_in_pieces_and_letters_of_no_text_are_read() -> None:
    stand = Stammers(
        "os.write(2, b'\\xff\\xfe\\n' * 100000); told = json.dumps({'token': said['token']}); "
        "[(os.write(1, c.encode()), time.sleep(0.001)) for c in told + chr(10)]", 60.0)  # fmt: skip
    try:
        assert stand.ask("block") == {}
        stand.process.wait(10)
        with pytest.raises(StandError, match="it ended the interpreter"):
            stand.ask("block")
    finally:
        stand.close()


@pytest.mark.parametrize("raises", ["nice", "policy"])
def test_every_thread_keeps_its_place(raises: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sched_getscheduler"):
        pytest.skip("this system does not say how a thread is scheduled")
    stand = object.__new__(Apart)
    stand.cores, stand.wall, stand.taken = cores(), 0.0, 0.0
    stand.process = types.SimpleNamespace(pid=os.getpid())  # type: ignore[assignment]
    stop = threading.Event()
    other = threading.Thread(target=stop.wait, args=(60,))
    other.start()
    try:
        stand._check_share(100.0, 0.0)
        nice, policy = os.getpriority, os.sched_getscheduler
        mine = lambda tid: tid == other.native_id  # noqa: E731
        if raises == "nice":
            monkeypatch.setattr(os, "getpriority", lambda k, t: nice(k, t) - (3 if mine(t) else 0))
        else:
            monkeypatch.setattr(os, "sched_getscheduler",
                                lambda t: os.SCHED_FIFO if mine(t) else policy(t))  # fmt: skip
        with pytest.raises(StandError, match="raises its own priority"):
            stand._check_share(100.0, 0.0)
    finally:
        stop.set()
        other.join()


def test_a_worker_runs_nothing_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("open('mark', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    stand = Apart("apart", cores()[:1], 60.0, tmp_path)
    try:
        assert stand.call(Recipe("builtins:dict", {"a": 1})) == {"a": 1}
    finally:
        stand.close()
    assert [path.name for path in tmp_path.iterdir()] == ["json.py"]


def test_who_compiles_between_two_races_does_not_work_while_others_are_timed() -> None:
    stand = object.__new__(Apart)
    stand.left, stand.used, stand.entered = 0.0, 5.0, None
    stand.ask = lambda do, **message: {"seconds": 1.0}  # type: ignore[method-assign]
    assert stand.warm() == 1.0 and stand.left == 5.0
    stand.used = 9.0
    stand.load(Recipe("a:b"), Recipe("a:c"))
    assert stand.left == 9.0

"""Whoever leaves the race not alone is named, and nothing that it can replace is asked."""

from __future__ import annotations

import gc
import json
import sys
import sysconfig
import threading
import time
import types
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any

import numpy as np
import pytest

from minivae.ops.table import FUNCTIONS
from minivae.racing import buffers, lane, watch, worker
from minivae.racing.contestant import plain
from minivae.racing.gate import judge
from minivae.racing.lane import Lane
from minivae.racing.problem import op_problem


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


@pytest.mark.parametrize(
    ("change", "name", "verb"),
    [
        ("sum = lambda a: 1e-9", "sum", "adds"),
        ("A.__getattribute__ = lambda self, name: 1", "A.__getattribute__", "adds"),
        ("del LIMIT", "LIMIT", "removes"),
    ],
)
def test_whatever_is_added_hides_a_builtin(change: str, name: str, verb: str) -> None:
    mine = module()
    seen = watch.Watch(mine)
    exec("__warningregistry__ = {}", mine.__dict__)  # what a warning leaves behind is nobody's
    assert seen.changed() == ""
    exec(change, mine.__dict__)
    assert seen.changed() == f"it {verb} minivae.racing.tried.{name}"


def test_nothing_of_the_race_can_be_changed_in_its_place() -> None:
    """Whoever puts something else into a dictionary replaces no part."""
    for part in (m for m in worker.HARNESS if m.__name__.startswith("minivae.racing")):
        for name, value in vars(part).items():
            if not name.startswith("__") and name != "HARNESS":
                assert not isinstance(value, (dict, list, set, np.ndarray)) or (
                    value is FUNCTIONS or value is EXTENSION_SUFFIXES
                ), f"{part.__name__}.{name}"


def test_what_the_interpreter_calls_by_itself_is_noticed() -> None:
    seen, called = watch.Watch(lane), [lambda phase, told: None]
    try:
        gc.callbacks.append(called[0])
        assert "between calls" in seen.changed()
        assert watch.Watch(lane).changed() == ""
    finally:
        gc.callbacks.remove(called[0])
    gc.callbacks.append(sysconfig.get_path)  # as a library does: jax, for one
    try:
        assert seen.changed() == ""
    finally:
        gc.callbacks.remove(sysconfig.get_path)


def test_a_clock_that_is_replaced_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch.Watch(lane)
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    assert seen.changed() == "it replaces time.perf_counter"


def frame_of(file: str, back: Any = None) -> Any:
    return types.SimpleNamespace(f_code=types.SimpleNamespace(co_filename=file), f_back=back)


def test_what_is_forbidden_says_what_it_is() -> None:
    frame, strict = sys._getframe(0), True
    assert "sys._getframe" in watch.forbidden("sys._getframe", (frame,), strict)
    assert watch.forbidden("sys._getframe", (frame,), False) == ""
    installed, library = frame_of(lane.__file__), frame_of(json.__file__)
    for found, free in ((installed, False), (library, True), (frame_of("mine.py"), False)):
        for asked in (found, frame_of("/lib/traceback.py", found)):  # which hands frames on
            assert (watch.forbidden("sys._getframe", (asked,), strict) == "") == free
    assert "PyEval" in watch.forbidden("ctypes.dlsym", (None, "PyEval_GetFrame"), False)
    assert watch.forbidden("ctypes.dlsym", (None, "PyCapsule_New"), strict) == ""
    assert watch.forbidden("sys.addaudithook", (), False)
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


def test_a_block_asks_numpys_python_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in Python calls what a contestant can replace without a trace."""
    from numpy._core import _methods, numeric
    from numpy.lib import _function_base_impl

    def planted(*given: Any, **how: Any) -> Any:
        raise AssertionError("it was asked")

    problem = op_problem("relu_forward", (40, 50))
    mine = Lane(problem, plain(lambda x: np.maximum(x, 0)), 1 << 12)
    mine.warm()
    for place, name in ((_function_base_impl, "_median"), (_methods, "umr_any"),
                        (_methods, "umr_all"), (numeric, "asanyarray"), (numeric, "empty"),
                        (threading.Thread, "start")):  # fmt: skip
        monkeypatch.setattr(place, name, planted)
    found = [mine.block(3, state) for state in (*lane.STATES, "new")]
    monkeypatch.undo()
    assert [block.fault for block in found] == [""] * 4
    for block in found:
        asked = buffers.replayed(problem, buffers.made(problem, 3), block.moves[: block.at + 1])
        assert judge(problem, asked, block.got) <= 1

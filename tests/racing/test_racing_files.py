"""Anybody's kernels: from a file, from Python, from the command line; every mistake is one line."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae import race
from minivae.cli.main import run
from minivae.ops.table import FUNCTIONS
from minivae.racing.contestant import FileFault, check_arguments, functions_of, load_file
from minivae.racing.file_race import gradient_faults
from minivae.racing.problem import ProblemError, letters_of, op_problem, sizes_of
from minivae.racing.statistics import StopRule

KERNELS = """
import numpy as np
import os
print("imported, and says so")

def softplus_forward_plain(x):
    return np.logaddexp(0, x).astype(np.float32)

def softplus_forward_wrong(x):
    return np.maximum(x, 0)

def softplus_forward_exits(x):
    os._exit(3)

def softplus_forward_two(x, y):
    return x

def helper(x):
    return x
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(KERNELS, encoding="utf-8")
    return path


def test_a_file_is_raced_from_the_command_line(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["race", str(file), "--op", "softplus_forward", "--shape", "9x17", "--states", "hot"]
    assert run([*argv, "--seconds", "3", "--json"]) == 1  # three of the four are out
    out, err = capfd.readouterr()
    found = json.loads(out)
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["softplus_forward_plain"]["us"]["hot"]["p50"] > 0
    assert set(rows["softplus_forward_plain"]["against"]) == {"minivae", "NumPy's best"}
    assert rows["softplus_forward_plain"]["roof_share"] > 0
    assert found["a_a"]["verdict"] and "us" in rows["minivae again"]
    assert "the reference" in rows["softplus_forward_wrong"]["failed"]
    assert "exit code 3" in rows["softplus_forward_exits"]["failed"]
    assert (
        "should take the arguments of softplus_forward: (x)"
        in (rows["softplus_forward_two"]["failed"])
    )
    assert "Traceback" not in err


SMALL = ["FILE", "--op", "softplus_forward", "--shape", "3x5"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["FILE", "--op", "softplus", "--shape", "3x5"], "did you mean softplus_"),
        (["FILE", "--op", "softplus_forward", "--shape", "3"], "has the sizes B x H: give 2"),
        (["FILE", "--op", "softplus_forward", "--shape", "3x0"], "all from 1 on"),
        (["FILE", "--op", "softplus_forward", "--shape", "3xy"], "write it like 128x784x400"),
        ([*SMALL, "--dtype", "int8"], "float32 or"),
        ([*SMALL, "--threads", "0"], "--threads is 0"),
        ([*SMALL, "--threads", "-1"], "--threads is"),
        ([*SMALL, "--states", "warm"], "--states"),
        ([*SMALL, "--forward", "f"], "belong together"),
        (["none.py", "--op", "softplus_forward", "--shape", "3x5"], "no such file"),
        (["FILE", "--op", "tanh_forward", "--shape", "3x5"], "no function called tanh_forward"),
        ([*SMALL, "--function", "f"], "called f;"),
        ([*SMALL, "--function", "minivae"], "minivae is the name of one who always races: rename"),
        (["BROKEN", "--op", "softplus_forward", "--shape", "3x5"], "does not import: SyntaxError"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    file: Path, argv: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = file.parent / "broken.py"
    broken.write_text("def (", encoding="utf-8")
    given = [{"FILE": str(file), "BROKEN": str(broken)}.get(word, word) for word in argv]
    assert run(["race", *given]) == 2
    out, err = capfd.readouterr()
    assert out == "" and words in err and err.count("\n") == 1, err


def test_a_file_that_exits_on_import_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "leaves.py"
    path.write_text("raise SystemExit('no')", encoding="utf-8")
    with pytest.raises(FileFault, match="does not import: SystemExit: no"):
        functions_of(path, "relu_forward")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "crashed the interpreter during its import: "),
        ("while True: pass", "did not finish its import within 5 s"),
        ("import os; os._exit(0)", "ended the interpreter during its import, exit code 0"),
        ("input()", "does not import: EOFError"),
        ("import not_there_at_all", "does not import: ModuleNotFoundError"),
        ("class E(BaseException):\n    __str__ = None\nraise E", "E: its message cannot be read"),
        ("x = 1\0", "does not import: "),
    ],
)  # fmt: skip
def test_whatever_an_import_does_is_one_line(
    tmp_path: Path, text: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "strange.py"
    path.write_text(text, encoding="utf-8")
    argv = ["race", str(path), "--op", "relu_forward", "--shape", "8x9", "--limit", "5"]
    assert run(argv) == 2
    out, err = capfd.readouterr()
    assert out == "" and words in err and str(path) in err and err.count("\n") == 1, err


def test_a_compiled_module_is_loaded_by_its_own_name() -> None:
    """As Cython makes them: tried on one of Python's own."""
    found = importlib.util.find_spec("_bisect")
    if not (found and found.origin and found.origin.endswith(tuple(EXTENSION_SUFFIXES))):
        pytest.skip("this Python has no such module in a file of its own")
    before = sys.modules["_bisect"]
    try:
        assert load_file(Path(found.origin)).bisect_right([1, 3], 2) == 1
    finally:
        sys.modules["_bisect"] = before
        sys.path.remove(str(Path(found.origin).parent))


def test_a_name_of_another_op_is_not_raced(tmp_path: Path) -> None:
    path = tmp_path / "kernels.py"
    names = ("relu_forward", "my_relu_forward", "relu_forward_v2", "dense_relu_forward", "other")
    path.write_text("".join(f"def {n}(x): pass\n" for n in names), encoding="utf-8")
    assert functions_of(path, "relu_forward") == list(names[:3])


def test_arguments_are_counted_not_named() -> None:
    check_arguments(lambda a, b: None, "f", "relu_backward")
    check_arguments(lambda *a: None, "f", "relu_backward")
    check_arguments(lambda a, b, c=1: None, "f", "relu_backward")
    for wrong in (lambda a: None, lambda a, b, c: None):
        with pytest.raises(ProblemError, match=r"should take the arguments of relu_backward: \(dy"):
            check_arguments(wrong, "f", "relu_backward")


PAIRS = """
import numpy as np

def tanh_forward_right(x):
    return np.tanh(x)

def tanh_forward_cached(x):
    y = np.tanh(x)
    return y, y

def back(dy, x):
    return dy * (1 - np.tanh(x) ** 2)

def back_from_cache(dy, y):
    return dy * (1 - y * y)

def back_wrong(dy, x):
    return dy * (1 - np.tanh(x))
"""


@pytest.mark.parametrize(
    ("forward", "backward", "words"),
    [
        ("tanh_forward_right", "back", ""),
        ("tanh_forward_cached", "back_from_cache", ""),
        ("tanh_forward_right", "back_wrong", "its gradient is wrong: "),
    ],
)
def test_a_pair_is_checked_first(tmp_path: Path, forward: str, backward: str, words: str) -> None:
    path = tmp_path / "pairs.py"
    path.write_text(PAIRS, encoding="utf-8")
    fault = gradient_faults(str(path), "tanh_forward", forward, backward)["fault"]
    assert fault.startswith(words) and bool(fault) == bool(words) and "\n" not in fault


@pytest.mark.slow
def test_a_wrong_pair_is_not_timed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.py"
    path.write_text(PAIRS, encoding="utf-8")
    pair = ["--forward", "tanh_forward_right", "--backward", "back_wrong"]
    argv = ["race", str(path), "--op", "tanh_forward", "--shape", "3x5", "--states", "hot"]
    assert run([*argv, *pair, "--seconds", "1", "--json"]) == 1
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)["rows"]}
    assert "its gradient is wrong" in rows["tanh_forward_right"]["failed"]
    assert "us" in rows["minivae"]


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def test_from_python() -> None:
    x = np.linspace(-3, 3, 500, dtype=np.float32)
    mine = {"mine": softplus, "nothing": np.zeros_like, "breaks": lambda x: 1 / 0}
    found = race(mine, reference=softplus, inputs=(x,), rounds=6, seconds=30)
    assert found.row("mine")["n"] >= 6 and found.a_a and found.a_a["verdict"]
    assert "the reference" in found.row("nothing")["failed"]
    assert found.row("breaks")["failed"].startswith("ZeroDivisionError")
    assert "A against A" in str(found) and "breaks: OUT" in str(found)
    with pytest.raises(ValueError, match="at least one function"):
        race({}, reference=softplus, inputs=(x,))
    wrong: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "unknown state 'warm': choose hot, woken, cold": ({}, {"states": ("warm",)}),
        "unknown kind 'elementwize': choose reduction": ({}, {"kind": "elementwize"}),
        "'mine again' is the first function a second": ({"mine again": softplus}, {}),
    }
    for words, (more, given) in wrong.items():
        with pytest.raises(ValueError, match=words):
            race({"mine": softplus, **more}, reference=softplus, inputs=(x,), **given)


def test_from_python_in_place_and_in_float64() -> None:
    def axpy(y: Any, x: Any) -> None:
        y += 2 * x

    def half(y: Any, x: Any) -> None:
        y[::2] += 2 * x[::2]

    given = tuple(np.random.default_rng(1).standard_normal((2, 300)))
    found = race({"axpy": axpy, "half": half}, reference=axpy, inputs=given, mutates=(0,),
                 rounds=6, seconds=30)  # fmt: skip
    assert found.row("axpy")["n"] >= 6 and "failed" in found.row("half")


def test_sizes_are_named_by_the_ops_record() -> None:
    dense = FUNCTIONS["dense_forward"]
    assert letters_of(dense) == "BIO"
    assert sizes_of(dense, (2, 3, 5)) == {"L": 1, "N": 1000, "B": 2, "I": 3, "O": 5}
    assert sizes_of(FUNCTIONS["gather"], (300, 3))["N"] == 1200
    assert sizes_of(FUNCTIONS["permutation"], (77,))["N"] == 77
    x, W, b = op_problem("dense_forward", (2, 3, 5), "float64").make(np.random.default_rng(1))
    assert x.dtype == np.float64 and (x.shape, W.shape, b.shape) == ((2, 3), (3, 5), (5,))


def test_the_stop_rule_is_said() -> None:
    assert StopRule(seconds=0.5).reason([[1.0]], 1.0) == "time limit 0.5 s"

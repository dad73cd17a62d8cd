"""`minivae check`: a pass from a file, without writing any code."""

import json

import pytest

from minivae.cli.main import run

PASS = """
import numpy as np

def forward(x, W):
    return x @ W, (x, W)

def backward(dy, cache):
    x, W = cache
    return dy @ W.T, x.T @ dy

def half(dy, cache):
    x, W = cache
    return dy @ W.T, x.T @ dy / 2

def lookup(labels, W):
    return W[labels], (labels, W)

def scatter(dy, cache):
    g = np.zeros_like(cache[1])
    np.add.at(g, cache[0], dy)
    return None, g
"""


@pytest.fixture
def check(tmp_path, capsys):
    file = tmp_path / "my_pass.py"
    file.write_text(PASS)

    def call(pair, shapes, *args):
        code = run(["check", f"{file}:{pair}", "--shapes", shapes, *args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_right_pass_and_a_wrong_one(check):
    code, out, _ = check("forward,backward", "x: B D, W: D K")
    assert code == 0 and out.splitlines()[-1] == "all right"
    code, out, _ = check("forward,half", "x: B D, W: D K")
    assert code == 1 and "the gradient of W is wrong: a constant factor 0.5x" in out


def test_json_integers_precision_and_a_choice(check):
    code, out, _ = check("forward,half", "x: B D, W: D K", "--json", "--dtype", "float32")
    data = json.loads(out)
    assert code == 1 and data["ok"] is False and data["faults"][0]["tensor"] == "W"
    assert check("forward,half", "x: B D, W: D K", "--wrt", "x")[0] == 0
    assert check("lookup,scatter", "labels: int B < C, W: C D")[0] == 0


@pytest.mark.parametrize(
    ("pair", "shapes", "words"),
    [
        ("forward", "x: B", "my_pass.py:forward,backward"),
        ("forward,nothing", "x: B D, W: D K", "no function nothing"),
        ("forward,backward", "x B", "name: B D"),
        ("forward,backward", "labels: int B", "int B < K"),
        ("forward,backward", "x: A B C D E F G", "can all differ"),
    ],
)
def test_wrong_use_is_one_line(check, pair, shapes, words):
    code, _, err = check(pair, shapes)
    assert code == 2 and words in err and err.count("\n") == 1


def test_a_file_that_does_not_run(tmp_path, capsys):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0")
    assert run(["check", f"{file}:f,b", "--shapes", "x: B"]) == 2
    assert "does not run: ZeroDivisionError" in capsys.readouterr().err

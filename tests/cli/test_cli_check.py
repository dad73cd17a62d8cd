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

def raises(x, W):
    raise RuntimeError("no\\nway")

def nothing_at_all(*_):
    return None

def spoilt(x, W):
    return x @ W * np.nan, (x, W)

def leaves(x, W):
    raise SystemExit(3)

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


def test_shapes_in_another_order_than_forwards(check):
    """A name is a parameter of forward wherever it stands; another name goes by its place."""
    shapes = "W: D K, x: B D"
    code, out, _ = check("forward,backward", shapes)
    assert code == 0 and out.splitlines()[-1] == "all right"
    code, out, _ = check("forward,half", shapes)
    assert code == 1 and "the gradient of W is wrong" in out and "gradient of x" not in out
    code, out, _ = check("forward,half", shapes, "--wrt", "x")
    assert code == 0, out
    code, out, _ = check("forward,half", "a: B D, b: D K")
    assert code == 1 and "the gradient of b is wrong" in out


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
        ("forward,backward", "x: B D, x: D K", "names x twice"),
        ("forward,backward", "x: B < D, W: D K", "int B < K"),
        ("leaves,backward", "x: B D, W: D K", "ended Python"),
    ],
)
def test_wrong_use_is_one_line(check, pair, shapes, words):
    code, _, err = check(pair, shapes)
    assert code == 2 and words in err and err.count("\n") == 1


@pytest.mark.parametrize("option", ["--seconds nan", "--seconds 0", "--scale inf", "--seed -1"])
def test_a_number_that_is_none_of_its_kind(check, option):
    code, _, err = check("forward,backward", "x: B D, W: D K", *option.split())
    assert code == 2 and option.split()[0] in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("raises,backward", "forward raised RuntimeError: no way"),
        ("nothing_at_all,backward", "forward returned None where a pair (y, cache) is due"),
        ("spoilt,backward", "forward returned nan at output 0"),
        ("forward,nothing_at_all", "backward returned None where 2 gradients are due (x, W)"),
    ],
)
def test_what_keeps_it_from_comparing_is_one_line(check, pair, words):
    code, out, _ = check(pair, "x: B D, W: D K")
    assert code == 1 and words in out and "Traceback" not in out
    assert out.count("\n") == 1 or pair.startswith("forward")  # a row for each tensor there
    code, out, _ = check(pair, "x: B D, W: D K", "--json")
    assert words in json.loads(out)["faults"][0]["message"]


def test_what_the_file_prints_does_not_spoil_the_json(tmp_path, capsys):
    (tmp_path / "beside.py").write_text("scale = 3.0")
    file = tmp_path / "loud.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from beside import scale\nprint('hello')\n@dataclass\nclass Saved:\n    k: float\n"
        "def forward(x):\n    print('forward')\n    return scale * x, Saved(scale)\n"
        "def backward(dy, saved):\n    return saved.k * dy\n"
    )
    shapes = ["--shapes", "x: B 3", "--json"]
    assert run(["check", f"{file}:forward,backward", *shapes]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["shape"][1] == 3


def test_a_file_that_does_not_run(tmp_path, capsys):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0")
    assert run(["check", f"{file}:f,b", "--shapes", "x: B"]) == 2
    assert "does not import: ZeroDivisionError" in capsys.readouterr().err

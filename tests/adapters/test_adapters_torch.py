"""check_torch against PyTorch itself."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from minivae.adapters import check_torch  # noqa: E402


def function(factor, only_once=False):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return factor * 3 * (x.detach() if only_once else x) ** 2 * dy

    return Cube


X = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)))


def test_functions_right_and_wrong():
    assert check_torch(function(1), X).ok
    assert check_torch(function(1), X.float()).ok
    wrong = check_torch(function(0.5), X)
    assert [f.kind for f in wrong.faults] == ["factor"]


def test_double_backward():
    assert check_torch(function(1), X, second_order=True).ok
    half_done = function(1, only_once=True)  # right once, lost the second time
    assert check_torch(half_done, X).ok
    assert not check_torch(half_done, X, second_order=True).ok


def test_a_module_with_its_parameters():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Dropout(0.3)
    ).double()
    report = check_torch(model, X)
    assert report.ok and {row.tensor for row in report.rows} == {"input0", "0.weight", "0.bias"}


def test_bfloat16_is_refused_in_one_line():
    tanh = check_torch(torch.tanh, X.bfloat16())
    assert str(tanh) == "input input0 is bfloat16, which is not supported: pass it as float32"
    layer = check_torch(torch.nn.Linear(3, 2).bfloat16(), X.float())
    assert [f.tensor for f in layer.faults] == ["weight"]
    out = check_torch(lambda x: torch.tanh(x).bfloat16(), X.float())
    assert "returned bfloat16" in str(out) and "\n" not in str(out)

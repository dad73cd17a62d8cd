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


def test_a_modules_buffers_stay_as_they_are():
    """Running statistics are copied for each call, in the precision of the call."""
    torch.manual_seed(0)
    layer = torch.nn.BatchNorm1d(3)
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    report = check_torch(layer, X.float())
    assert report.ok and not any("float64" in note for note in report.notes), report
    assert all(torch.equal(before[n], b) for n, b in layer.named_buffers())
    assert check_torch(layer.eval(), X.float()).ok


def masked(factor):
    class Masked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, mask):
            ctx.save_for_backward(mask)
            return x * mask

        @staticmethod
        def backward(ctx, dy):
            return factor * dy * ctx.saved_tensors[0], None

    return Masked


def test_tensors_that_require_no_gradient_are_constants():
    x, mask = X.clone().requires_grad_(), torch.rand(4, 3, dtype=torch.float64)
    right = check_torch(masked(1), x, mask)
    assert right.ok and [row.tensor for row in right.rows] == ["input0"]
    assert not check_torch(masked(2), x, mask).ok
    assert [f.tensor for f in check_torch(masked(1), X, mask).faults] == ["input1"]
    layer = torch.nn.Linear(3, 2).double()
    layer.bias.requires_grad_(False)
    assert [row.tensor for row in check_torch(layer, X).rows] == ["input0", "weight"]
    assert [row.tensor for row in check_torch(layer, X, wrt=["bias"]).rows] == ["bias"]
    second = check_torch(masked(1), x, mask, second_order=True)
    assert second.ok and [row.tensor for row in second.rows] == ["input0", "dy"], second


def test_second_order_of_what_cannot_run():
    def broken(x):
        raise RuntimeError("no such input")

    report = check_torch(broken, X, second_order=True)
    assert str(report) == "forward raised RuntimeError: no such input"
    cube = lambda x: (x**3, torch.arange(3.0))  # noqa: E731
    assert check_torch(cube, X, second_order=True).ok


def test_double_backward_of_a_module_with_dropout_is_seeded():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Dropout(0.3), torch.nn.Tanh())
    state = torch.get_rng_state()
    assert check_torch(model.double(), X, second_order=True).ok
    assert torch.equal(state, torch.get_rng_state())


def test_wrt_may_be_one_word_for_second_order():
    assert check_torch(function(1), X, second_order=True, wrt="input0").ok


def test_complex_buffers_keep_their_imaginary_part():
    class Turn(torch.nn.Module):
        def __init__(self):
            super().__init__()
            angles = torch.polar(torch.ones(4, 3), torch.linspace(0.3, 2.0, 12).reshape(4, 3))
            self.register_buffer("turn", angles)

        def forward(self, x):
            return (x * self.turn).imag + (x * self.turn).real

    for x in (X, X.float()):
        report = check_torch(Turn(), x)
        assert report.ok, report


def test_an_array_beside_a_tensor_is_checked_too():
    class Times(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx, dy):
            x, w = ctx.saved_tensors
            return 2 * w * dy, x * dy

    report = check_torch(Times, X.numpy(), X + 2)
    assert [fault.tensor for fault in report.faults] == ["input0"], report

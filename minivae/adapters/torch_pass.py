"""PyTorch: a Function's or a module's own backward, held to its forward."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from minivae.verify import Fault, Report, check


def load_torch() -> Any:
    """The module torch. Raises ImportError naming the extra."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError("check_torch needs PyTorch: pip install 'minivae[adapters]'") from error


class TorchPass:
    """forward and backward for `check`, on arrays, of a callable on tensors."""

    def __init__(self, call: Any, seed: int) -> None:
        self.torch, self.call, self.seed = load_torch(), call, seed

    def tensor(self, value: Any, learn: bool) -> Any:
        if not isinstance(value, (np.ndarray, np.generic)):
            return value
        t = self.torch.from_numpy(np.array(value))
        return t.requires_grad_(learn and t.is_floating_point())

    def outputs(self, tensors: list[Any]) -> list[Any]:
        """The tensors a call returns, its dropout masks fixed by the seed."""
        with self.torch.random.fork_rng():
            self.torch.manual_seed(self.seed)
            y = self.call(*tensors)
        return list(y) if isinstance(y, (tuple, list)) else [y]

    def forward(self, *arrays: Any) -> Any:
        complex_run = any(np.iscomplexobj(a) for a in arrays)
        tensors = [self.tensor(a, learn=not complex_run) for a in arrays]
        outs = self.outputs(tensors)
        if any(o.dtype == self.torch.bfloat16 for o in outs):
            raise TypeError("it returned bfloat16, which is not supported: return float32")
        numbers = [o.detach().resolve_conj().numpy() for o in outs]
        return (numbers[0] if len(numbers) == 1 else tuple(numbers)), (tensors, outs)

    def backward(self, dy: Any, cache: Any) -> Any:
        tensors, outs = cache
        learnt = [t for t in tensors if getattr(t, "requires_grad", False)]
        given = dy if isinstance(dy, tuple) else (dy,)
        pairs = [(o, self.torch.from_numpy(np.array(d))) for o, d in zip(outs, given, strict=True)]
        pairs = [(o, d) for o, d in pairs if o.requires_grad]
        found = self.torch.autograd.grad(
            [o for o, _ in pairs],
            learnt,
            [d for _, d in pairs],
            retain_graph=True,
            allow_unused=True,
        )
        by_id = {id(t): g for t, g in zip(learnt, found, strict=True)}
        return tuple(self.array(by_id.get(id(t)), t) for t in tensors)

    def array(self, gradient: Any, tensor: Any) -> Any:
        if not getattr(tensor, "requires_grad", False):
            return None
        return (
            self.torch.zeros_like(tensor).numpy()
            if gradient is None
            else gradient.detach().numpy().copy()
        )


def check_torch(target: Any, *tensors: Any, second_order: bool = False, **options: Any) -> Report:
    """The gradients of a torch.autograd.Function (the class), a module (its parameters too) or a
    function of tensors, at a point. With `second_order`, the gradients of those gradients: what
    double backward gives."""
    torch = load_torch()
    seed = int(options.get("seed", 0))
    name = getattr(target, "__name__", type(target).__name__)
    call, extra = target, {}
    if isinstance(target, type) and issubclass(target, torch.autograd.Function):
        call = target.apply  # type: ignore[attr-defined]
    elif isinstance(target, torch.nn.Module):
        extra = dict(target.named_parameters())
        count = len(tensors)

        def call(*values: Any) -> Any:
            own = dict(zip(extra, values[count:], strict=True))
            return torch.func.functional_call(target, own, tuple(values[:count]))

    names = options.pop("names", None) or [f"input{i}" for i in range(len(tensors))]
    names = [*names, *extra]
    options.setdefault("name", name)
    given = [*tensors, *extra.values()]
    for label, t in zip(names, given, strict=False):
        if getattr(t, "dtype", None) == torch.bfloat16:
            text = f"input {label} is bfloat16, which is not supported: pass it as float32"
            return Report(options["name"], faults=[Fault("dtype", text, label)])
    point = [t.detach().cpu().numpy() if isinstance(t, torch.Tensor) else t for t in given]
    if second_order:
        call, point, names = gradients_of(torch, call, point, names)
        options["name"] = f"{name}, second order"
    pair = TorchPass(call, seed)
    return check(pair.forward, pair.backward, point, names=names, **options)


def gradients_of(
    torch: Any, call: Any, point: list[Any], names: list[str]
) -> tuple[Any, list[Any], list[str]]:
    """The gradients as a function of the inputs and of an upstream: what second order checks."""
    outs = call(*(torch.from_numpy(np.array(p)) if isinstance(p, np.ndarray) else p for p in point))
    outs = list(outs) if isinstance(outs, (tuple, list)) else [outs]
    rng = np.random.default_rng(0)
    ups = [rng.uniform(0.5, 1.5, tuple(o.shape)).astype(o.detach().numpy().dtype) for o in outs]
    count = len(point)

    def gradients(*values: Any) -> Any:
        inputs, given = list(values[:count]), values[count:]
        learnt = []
        for i, t in enumerate(inputs):
            if isinstance(t, torch.Tensor) and (t.is_floating_point() or t.is_complex()):
                inputs[i] = t if t.requires_grad else t.clone().requires_grad_()
                learnt.append(inputs[i])
        if any(t.is_complex() for t in values if isinstance(t, torch.Tensor)):
            raise TypeError("conjugates: no complex numbers through autograd")
        with torch.enable_grad():
            y = call(*inputs)
            y = list(y) if isinstance(y, (tuple, list)) else [y]
            found = torch.autograd.grad(
                y, learnt, list(given), create_graph=True, allow_unused=True
            )
        return tuple(
            torch.zeros_like(t) if g is None else g for g, t in zip(found, learnt, strict=True)
        )

    labels = ["dy"] if len(ups) == 1 else [f"dy{i}" for i in range(len(ups))]
    return gradients, [*point, *ups], [*names, *labels]

"""PyTorch: a Function's or a module's own backward, held to its forward."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from minivae.types import kind_of
from minivae.types.foreign import one_line
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
    double backward gives.

    Constants are frozen parameters and, where some tensors require a gradient, those that do not;
    `wrt` decides otherwise. A module's buffers are copied for each call, in the precision of its
    inputs, so nothing of it changes. Everything runs on the CPU, which a note says of others.
    """
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
            own = dict(zip(extra, values[count:], strict=True)) | buffers_like(target, values)
            return torch.func.functional_call(target, own, tuple(values[:count]))

    names = options.pop("names", None) or [f"input{i}" for i in range(len(tensors))]
    names = [*names, *extra]
    options.setdefault("name", name)
    given = [*tensors, *extra.values()]
    for label, t in zip(names, given, strict=False):
        if getattr(t, "dtype", None) == torch.bfloat16:
            text = f"input {label} is bfloat16, which is not supported: pass it as float32"
            return Report(options["name"], faults=[Fault("dtype", text, label)])
    learnt = learnt_names(tensors, names, extra)
    if learnt and options.get("wrt") is None:
        options["wrt"] = learnt
    point = [t.detach().cpu().numpy() if isinstance(t, torch.Tensor) else t for t in given]
    pair = TorchPass(call, seed)
    if second_order:
        options["name"] = f"{name}, second order"
        try:
            call, point, names, ups = gradients_of(pair, point, names)
        except Exception as error:
            text = f"forward raised {one_line(error)}"
            return Report(options["name"], faults=[Fault("error", text)])
        pair = TorchPass(call, seed)
        wrt = options.get("wrt")
        options["wrt"] = [*([wrt] if isinstance(wrt, str) else wrt), *ups] if wrt else None
    report = check(pair.forward, pair.backward, point, names=names, **options)
    places = {str(t.device) for t in given if isinstance(t, torch.Tensor)} - {"cpu"}
    report.notes += [f"checked on the CPU: tensors are on {place}" for place in sorted(places)]
    return report


def learnt_names(tensors: Any, names: list[str], parameters: dict[str, Any]) -> list[str]:
    """What to check, where some of it is a constant; none where nothing is."""
    wanted = [getattr(t, "requires_grad", False) for t in tensors]
    floats = [
        kind_of(t) == "float" or (isinstance(t, load_torch().Tensor) and t.is_floating_point())
        for t in tensors
    ]
    chosen = wanted if any(wanted) else floats
    learnt = [name for name, wants in zip(names, chosen, strict=False) if wants]
    trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
    return [*learnt, *trained] if wanted != floats or len(trained) < len(parameters) else []


def buffers_like(module: Any, values: Any) -> dict[str, Any]:
    """Copies of a module's buffers on the CPU, those of floats in the values' precision."""
    kind = next((v.dtype for v in values if hasattr(v, "dtype") and not is_whole(v)), None)
    buffers = {name: buffer.detach().cpu().clone() for name, buffer in module.named_buffers()}

    def like(b: Any) -> Any:
        if kind is None or is_whole(b):
            return b
        return b.to(load_torch().promote_types(kind, b.dtype) if b.is_complex() else kind)

    return {name: like(buffer) for name, buffer in buffers.items()}


def is_whole(tensor: Any) -> bool:
    """Whether a tensor holds anything but floats."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def gradients_of(
    pair: TorchPass, point: list[Any], names: list[str]
) -> tuple[Any, list[Any], list[str], list[str]]:
    """The gradients as a function of the inputs and of an upstream, the point and names for it, and
    the upstreams' names: what second order checks. Outputs without a gradient are left out."""
    torch, call = pair.torch, pair.call
    outs = pair.outputs([pair.tensor(p, learn=True) for p in point])
    kept, rng = [i for i, o in enumerate(outs) if o.requires_grad], np.random.default_rng(0)
    shapes = [(tuple(outs[i].shape), outs[i].detach().numpy().dtype) for i in kept]
    ups = [rng.uniform(0.5, 1.5, shape).astype(dtype) for shape, dtype in shapes]
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
                [y[i] for i in kept], learnt, list(given), create_graph=True, allow_unused=True
            )
        return tuple(
            torch.zeros_like(t) if g is None else g for g, t in zip(found, learnt, strict=True)
        )

    labels = ["dy"] if len(ups) == 1 else [f"dy{i}" for i in range(len(ups))]
    return gradients, [*point, *ups], [*names, *labels], labels

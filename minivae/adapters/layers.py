"""Layers as courses write them: an object with `forward`, `backward`, and its parameters and
gradients in dicts, lists or attributes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minivae.types import Array, same_bits
from minivae.verify import Report, check

GRADIENT_NAMES = ("d{}", "grad_{}", "{}_grad", "d_{}", "g{}")


def check_layer(layer: Any, *inputs: Any, seed: int = 0, **options: Any) -> Report:
    """layer.forward(*inputs) -> y (or (y, cache)) and layer.backward(dy) -> dx, with parameters.

    Found are `layer.params` with `layer.grads` (dicts of the same keys, or 'dW' for 'W'; lists of
    the same order), and float arrays `layer.W` whose gradient stands in `layer.dW`, `grad_W` or
    `W_grad` after backward. Every call works on a copy of the layer, so nothing of it changes;
    `seed` fixes NumPy's global generator (dropout masks). What a call leaves behind on the layer
    (running statistics, say) is named in a note, and so are arrays of floats that are not checked.
    """
    names, rest = parameters(layer, inputs, seed)

    def forward(*values: Any) -> Any:
        own = copy.deepcopy(layer)
        for name, value in zip(names, values[len(inputs) :], strict=True):
            assign(own, name, value)
        y = run(own, values[: len(inputs)], seed)
        return (y[0] if isinstance(y, tuple) and len(y) == 2 else y), (own, y)

    def backward(dy: Any, cache: Any) -> Any:
        own, y = cache
        pair = isinstance(y, tuple) and len(y) == 2
        dx = own.backward(dy, y[1]) if pair else own.backward(dy)
        dx = dx if isinstance(dx, tuple) and len(inputs) > 1 else (dx,)
        return (*dx, *(gradient_of(own, name) for name in names))

    labels = ["x"] if len(inputs) == 1 else [f"x{i}" for i in range(len(inputs))]
    point = [*inputs, *(np.array(value_of(layer, name)) for name in names)]
    options.setdefault("name", type(layer).__name__)
    report = check(forward, backward, point, names=[*labels, *names], seed=seed, **options)
    report.notes += state_notes(layer, inputs, names, seed)
    where = "stands not in params" if hasattr(layer, "params") else "has no gradient"
    report.notes += [f"{n} holds floats and {where}: taken as a constant" for n in rest]
    return report


def run(layer: Any, inputs: tuple[Any, ...], seed: int) -> Any:
    """layer.forward with NumPy's global generator seeded, and left as it was."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        return layer.forward(*inputs)
    finally:
        np.random.set_state(before)  # noqa: NPY002


def parameters(layer: Any, inputs: tuple[Any, ...], seed: int) -> tuple[list[str], list[str]]:
    """The parameters' names: keys of `params`, 'params[0]', or attributes that have a gradient; and
    the names of the layer's other arrays of floats that a call leaves as they are."""
    params = getattr(layer, "params", None)
    own = copy.deepcopy(layer)
    try:
        y = run(own, inputs, seed)
        pair = isinstance(y, tuple) and len(y) == 2
        dy = np.ones_like(y[0] if pair else y)
        own.backward(dy, y[1]) if pair else own.backward(dy)
    except Exception:  # the check itself says what is wrong
        pass
    arrays = {k: v for k, v in vars(layer).items() if isinstance(v, np.ndarray)}
    floats = [k for k, v in arrays.items() if v.dtype.kind == "f"]
    held: list[Any] = list(inputs)
    if isinstance(params, dict) and params:
        names, held = [str(key) for key in params], [*held, *params.values()]
    elif isinstance(params, (list, tuple)) and params:
        names, held = [f"params[{i}]" for i in range(len(params))], [*held, *params]
    else:
        names = [k for k in floats if any(hasattr(own, form.format(k)) for form in GRADIENT_NAMES)]
    gradients = {form.format(k) for k in arrays for form in GRADIENT_NAMES}
    rest = [k for k in floats if k not in names and k not in gradients]
    rest = [k for k in rest if same_bits(arrays[k], getattr(own, k, None))]
    return names, [k for k in rest if not any(same_bits(arrays[k], one) for one in held)]


def value_of(layer: Any, name: str) -> Any:
    """A parameter's value."""
    params = getattr(layer, "params", None)
    if isinstance(params, dict):
        return next(value for key, value in params.items() if str(key) == name)
    return params[int(name[7:-1])] if name.startswith("params[") else getattr(layer, name)  # type: ignore[index]


def assign(layer: Any, name: str, value: Array) -> None:
    """Puts a parameter in its place; and where the layer holds the very same array as an attribute,
    there too."""
    params = getattr(layer, "params", None)
    old = value_of(layer, name)
    if isinstance(params, dict):
        layer.params = {key: value if str(key) == name else v for key, v in params.items()}
    elif name.startswith("params["):
        place = int(name[7:-1])
        layer.params = [value if i == place else v for i, v in enumerate(params)]  # type: ignore[arg-type]
    for attribute, held in list(vars(layer).items()):
        if held is old or attribute == name:
            setattr(layer, attribute, value)


def gradient_of(layer: Any, name: str) -> Any:
    """The gradient that backward left for a parameter; None where there is none."""
    grads = getattr(layer, "grads", None)
    if isinstance(grads, dict):
        forms = [name, *(form.format(name) for form in GRADIENT_NAMES)]
        return next((grads[key] for key in forms if key in grads), None)
    if name.startswith("params["):
        place = int(name[7:-1])
        return grads[place] if isinstance(grads, (list, tuple)) and place < len(grads) else None
    forms = [form.format(name) for form in GRADIENT_NAMES]
    return next((getattr(layer, form) for form in forms if hasattr(layer, form)), None)


def state_notes(layer: Any, inputs: tuple[Any, ...], names: list[str], seed: int) -> list[str]:
    """What a forward changes on the layer that a second forward would meet."""
    before, own = copy.deepcopy(layer), copy.deepcopy(layer)
    try:
        run(own, inputs, seed)
    except Exception:
        return []
    held = {k: v for k, v in vars(before).items() if isinstance(v, (np.ndarray, float))}
    after = vars(own)
    moved = [k for k, v in held.items() if k not in names and not same_bits(v, after.get(k))]
    note = f"forward changes {', '.join(moved)} of the layer: state between calls"
    return [note] if moved else []

"""The contenders of the step benchmark; each runs alone in a worker process."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Form = TypeVar("Form")
TRIES = 3  # runs of each form of a peer's step, before the race

#: name on the command line -> (module, class, keyword arguments)
CONTENDERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "minivae-numba": ("minivae_step", "MinivaeStep", {"backend": "numba"}),
    "minivae-numpy": ("minivae_step", "MinivaeStep", {"backend": "numpy"}),
    "minivae-cupy": ("minivae_step", "MinivaeStep", {"backend": "cupy"}),
    "jax": ("jax_step", "JaxStep", {}),
    "jax-unrolled": ("jax_step", "JaxStep", {"unroll": 8}),
    "torch-compile": ("torch_step", "TorchCompiled", {}),
    "torch-eager": ("torch_step", "TorchStep", {}),
    "torch-graph": ("torch_graph", "TorchGraph", {}),
    "fma-peak": ("peak", "FmaPeakContender", {}),
    "cublas-peak": ("gpu_peak", "CublasPeak", {}),
    "product-numba": ("product", "Product", {"backend": "numba"}),
    "product-numpy": ("product", "Product", {}),
    "cheat": ("cheats", "Cheat", {}),
}


def part(table: Mapping[str, Any], name: str) -> Any:
    """A peer's own form of a part; ValueError, one line, where it has none."""
    if name not in table:
        raise ValueError(f"this peer has no {name} here: it has {', '.join(table)}")
    return table[name]


def fastest(forms: Sequence[Form], use: Callable[[Form], None], run: Callable[[], Any]) -> Form:
    """The form whose best of a few runs is the shortest; it is left in use, and has run."""
    found = {}
    for form in forms:
        use(form)
        run()  # compiles
        seconds = []
        for _ in range(TRIES):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        found[form] = min(seconds)
    best = min(found, key=lambda form: found[form])
    use(best)
    run()
    return best


def create(name: str, **more: Any) -> Any:
    """Import and construct a contender; `name` may carry an option, as in `cheat:stale`."""
    base, _, option = name.partition(":")
    module, cls, kwargs = CONTENDERS[base]
    if option:
        more["option"] = option
    contender = getattr(importlib.import_module(f"{__name__}.{module}"), cls)
    return contender(**kwargs, **more)

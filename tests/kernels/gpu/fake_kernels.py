"""cupy.RawModule: kernels run by the host build, their arguments held to what they declare."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from fake_arrays import Array
from fake_order import Span
from minivae_kernels.gpu import sources


class RawModule:
    """A source, compiled at once; `get_function` gives what launches one of its kernels."""

    def __init__(self, cupy: Any, code: str, options: tuple[str, ...]) -> None:
        self.cupy, self.code = cupy, code
        self.real = next(re.sub("-DREAL=", "", o) for o in options if o.startswith("-DREAL="))

    def get_function(self, name: str) -> Callable[..., None]:
        self.cupy.refuse_in_capture("loading a module")
        assert re.search(rf"\b{name}\b", self.code)
        parameters = sources.kernels(sources.where()[name])[name]
        dtype = np.dtype(np.float64 if self.real == "double" else np.float32)
        cupy = self.cupy

        def call(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            assert len(grid) == len(block) == 3 and grid[2] == block[1] == block[2] == 1
            plain: list[Any] = []
            reads, writes = [], []
            for parameter, value in zip(parameters, args, strict=True):
                if isinstance(value, Array):
                    assert parameter.pointer, f"{name}: {parameter.name}"
                    spans = written_spans(name, args, value)
                    (writes if parameter.written else reads).extend(spans)
                    plain.append(value.memory)
                elif parameter.pointer:  # a null pointer goes as a number of 8 bytes
                    assert isinstance(value, np.uint64) and value == 0, f"{name}: {parameter.name}"
                    plain.append(None)
                else:  # the driver copies bytes: sizes must be right
                    assert isinstance(value, np.generic), f"{name}: {parameter.name}"
                    assert value.dtype == parameter.dtype(dtype), f"{name}: {parameter.name}"
                    plain.append(value)
            frozen = tuple(plain)
            cupy.queue(
                name, reads, writes,
                lambda: cupy.host.launch(name, (grid[0], grid[1]), block[0], frozen, dtype),
            )  # fmt: skip

        return call


def written_spans(kernel: str, args: tuple[Any, ...], value: Array) -> list[Span]:
    """The bytes of an argument that are touched: all, but of a whole gradient only the biases."""
    if kernel != "column_finish" or value is not args[2] or not isinstance(args[1], Array):
        return [value.span]
    first, item, places = value.span.start, value.itemsize, args[1].memory
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return [
        Span(value.buffer, first + item * int(run[0]), first + item * (int(run[-1]) + 1))
        for run in runs
    ]

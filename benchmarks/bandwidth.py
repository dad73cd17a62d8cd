"""`bandwidth`: each kernel's share of the card's bandwidth, against a copy in the same run.

    python -m benchmarks bandwidth [--rows 65536] [--json]

Every op's launches are recorded as a graph, so that Python's own time does not count, and timed by
the card's clock (events around a row of replays) with the copy in between, so that a card that
slows down slows both. "Bytes" are those that must move: each input read once, each output
written once. The whole step is raced elsewhere: `python -m benchmarks step --backend cupy`.

The tests run it on the host, where its figures mean nothing.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from minivae_kernels import gpu
from minivae_kernels.gpu.launcher import Device

from minivae.ops.record import Function
from minivae.ops.table import FUNCTIONS
from minivae.parts import LIKELIHOODS
from minivae.proof import points
from minivae.types.shapes import shape_of

COLUMNS, LATENT = 784, 20


class Kernel(NamedTuple):
    """A call, and the bytes it has to move."""

    name: str
    bytes: int
    call: Callable[[], Any]


def likelihoods(device: Device, rows: int) -> Iterator[Kernel]:
    """Every op of every likelihood for which there is a kernel, as the tables of parts and ops say.

    Their numbers are drawn for a few rows, and those repeated.
    """
    K, rng, few = gpu.table(device), np.random.default_rng(4), min(rows, 512)
    dims = {"L": 1, "B": few, "D": COLUMNS}
    for record in LIKELIHOODS.values():
        family = record.forward.__name__.removesuffix("forward")
        for name in (n for n in FUNCTIONS if n.startswith(family) and n in K):
            function = FUNCTIONS[name]
            words = [arg.shape.split() for arg in function.args.values()]
            drawn = points.arguments(name, dims, rng, np.float32)
            whole = [repeated(a, w, rows) for a, w in zip(drawn, words, strict=True)]
            nbytes = sum(a.nbytes for a in whole if isinstance(a, np.ndarray))
            nbytes += results_bytes(function, {**dims, "B": rows})
            args = [device.to_device(a) if isinstance(a, np.ndarray) else a for a in whole]
            yield Kernel(name, nbytes, functools.partial(K[name], *args))


def repeated(argument: Any, words: list[str], rows: int) -> Any:
    """An argument whose axis B, if it has one, goes on from the beginning up to `rows`."""
    if "B" not in words or not isinstance(argument, np.ndarray):
        return argument
    axis = words.index("B")
    return np.ascontiguousarray(
        np.take(argument, np.arange(rows) % argument.shape[axis], axis=axis)
    )


def results_bytes(function: Function, dims: dict[str, int]) -> int:
    """Bytes of an op's results in float32: gradients have the shapes of what they are of."""
    shapes = [function.args[name].shape for name in function.backward.gives.split()] if (
        function.backward) else list(function.op.gives.values())  # fmt: skip
    return sum(4 * math.prod(shape_of(shape, dims)) for shape in shapes)


def kernels(device: Device, rows: int) -> Iterator[Kernel]:
    """The elementwise and one-pass kernels at 784 columns (20 for the latent layer)."""
    yield from likelihoods(device, rows)
    K, rng = gpu.table(device), np.random.default_rng(3)

    def floats(*shape: int) -> Any:
        return device.to_device(rng.standard_normal(shape, dtype=np.float32))

    a, dy = floats(rows, COLUMNS), floats(rows, COLUMNS)
    mu, logvar, eps = (
        floats(rows * 8, LATENT),
        floats(rows * 8, LATENT),
        floats(1, rows * 8, LATENT),
    )
    dkl, dz = floats(rows * 8, LATENT), floats(1, rows * 8, LATENT)
    theta, grad, m, v = floats(a.size), floats(a.size), floats(a.size), abs(floats(a.size))
    stored = device.to_device(rng.integers(0, 256, size=(rows, COLUMNS), dtype=np.uint8))
    order = device.to_device(rng.permutation(rows))
    n, j = a.nbytes, mu.nbytes

    def adam() -> None:
        K["adam_update"](theta, grad, m, v, 1e-3, 0.9, 0.999, 1e-8, 5)

    def batch() -> Any:  # rows are on the card and known to be good: past the check
        ops = K["gather_binarise"].__self__
        out = device.empty((rows, COLUMNS), np.float32)
        args = (stored, order, out, 1 / 255, None, rows, COLUMNS, 1, 3, 3, 7, 0)
        ops.flat("gather_u8", rows * COLUMNS // 4, args, np.float32)
        return out

    yield from (
        Kernel("relu_forward", 2 * n, lambda: K["relu_forward"](a)),
        Kernel("relu_backward", 3 * n, lambda: K["relu_backward"](dy, a)),
        Kernel("tanh_forward", 2 * n, lambda: K["tanh_forward"](a)),
        Kernel("softplus_forward", 2 * n, lambda: K["softplus_forward"](a)),
        Kernel("latent_forward", 5 * j, lambda: K["latent_forward"](mu, logvar, eps)),
        Kernel("latent_backward", 7 * j, lambda: K["latent_backward"](dz, dkl, mu, logvar, eps)),
        Kernel("gather_binarise", n + n // 4, batch),
        Kernel("normals", n, lambda: K["normals"](5, 2, 1, order, COLUMNS)),
        Kernel("adam_update", 7 * n, adam),
    )


def copy(device: Device, rows: int) -> Kernel:
    """What the card can do at best: one array into another."""
    a, b = device.zeros((rows, COLUMNS), np.float32), device.empty((rows, COLUMNS), np.float32)

    def call() -> None:
        if device.name == "cupy":  # the driver's own copy: an array assignment moves single words
            b.data.copy_from_device_async(a.data, a.nbytes)
        else:
            b[...] = a

    return Kernel("copy", 2 * a.nbytes, call)


def recorded(device: Device, call: Callable[[], Any]) -> Callable[[], None]:
    """The call's launches as a graph; what they write to stays allocated as long as the graph."""
    held: list[Any] = []
    with device.own_pool() as pool:
        call()  # loads modules, and leaves memory in the pool for the recording to take
        replay = device.capture(lambda: held.append((call(), pool)))
    return lambda: replay() if held else None


def wall_seconds(call: Callable[[], Any]) -> float:
    """Time of one call by the host's clock."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def seconds(device: Any, call: Callable[[], Any], repeats: int) -> float:
    """Time of one call: by events on a card, by the clock on the host device."""
    if device.name != "cupy":
        return wall_seconds(lambda: [call() for _ in range(repeats)]) / repeats
    cuda = device.xp.cuda
    start, stop = cuda.Event(), cuda.Event()
    start.record()
    for _ in range(repeats):
        call()
    stop.record()
    stop.synchronize()
    return float(cuda.get_elapsed_time(start, stop)) / 1e3 / repeats


def measure(device: Device, rows: int, rounds: int = 15, repeats: int = 10) -> list[dict[str, Any]]:
    """A row a kernel: median seconds, GB/s, and the share of the copy's GB/s in the same rounds."""
    found = []
    with device.working():
        base = copy(device, rows)
        for kernel in kernels(device, rows):
            play, times, copies = recorded(device, kernel.call), [], []
            for _ in range(rounds):
                copies.append(seconds(device, base.call, repeats))
                times.append(seconds(device, play, repeats))
            middle, best = statistics.median(times), statistics.median(copies)
            rate, roof = kernel.bytes / middle / 1e9, base.bytes / best / 1e9
            found.append({"kernel": kernel.name, "rows": rows, "seconds": middle, "gb_per_s": rate,
                          "copy_gb_per_s": roof, "share": rate / roof})  # fmt: skip
    return found


def header(device: Any) -> dict[str, Any]:
    """The card and the versions."""
    if device.name != "cupy":
        return {"card": "none: the host stands in, and these figures mean nothing"}
    runtime = device.xp.cuda.runtime
    card = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "card": card["name"].decode() if isinstance(card["name"], bytes) else card["name"],
        "driver_cuda": runtime.driverGetVersion(),
        "cuda": runtime.runtimeGetVersion(),
        "cupy": device.xp.__version__,
        "tf32": device.tf32,
    }


def run(rows: int) -> list[dict[str, Any]]:
    """One row for this machine's card; raises Unavailable or MemoryError, one line each."""
    from minivae_kernels.gpu.cupy_device import CupyDevice

    device = CupyDevice()
    return [{**header(device), "kernels": measure(device, rows)}]


def table(rows: list[dict[str, Any]]) -> str:
    """The kernels for people."""
    (found,) = rows
    lines = [", ".join(f"{k} {v}" for k, v in found.items() if k != "kernels")]
    lines += [
        f"{row['kernel']:34}{row['gb_per_s']:9.0f} GB/s{row['share']:8.0%} of a copy's"
        for row in found["kernels"]
    ]
    return "\n".join(lines)

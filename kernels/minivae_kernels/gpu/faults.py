"""Everything that can keep the card from being used, as one line that names the fix.

`examine` asks CuPy's runtime a few questions; tests hand it a stand-in that answers like a machine
without a driver, with an old one, without a card. What those tests do not show: that a real
runtime answers in just these ways.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from minivae_kernels.support import Unavailable

OLDEST_CUDA = 11020  # the first whose graphs, NVRTC and memory pools are all that is used here
OLDEST_CARD = 70  # compute capability 7.0 (Volta)
OLDEST_OF_CUDA_13 = 75  # its NVRTC has left Volta behind
# Set by MPICH, Open MPI and SLURM: this process's number among those of this machine.
LOCAL_RANKS = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")


class OutOfDeviceMemory(MemoryError):
    """The card's memory does not suffice; the message says for what, and what would fit."""


def version(number: int) -> str:
    """CUDA's way of numbering: 12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def import_cupy(load: Any = importlib.import_module) -> Any:
    """The module cupy. Raises Unavailable where it is missing or does not load."""
    try:
        cupy = load("cupy")
        cupy.cuda  # noqa: B018  a newer CuPy that is broken says so at its first use
        return cupy
    except ModuleNotFoundError as missing:
        if missing.name != "cupy":
            raise Unavailable(f"CuPy cannot be imported: {missing}; reinstall it") from missing
        raise Unavailable(
            "CuPy is not installed: pip install 'cupy-cuda12x[ctk]' "
            "(cupy-cuda13x[ctk] for a CUDA 13 driver)"
        ) from missing
    except (ImportError, RuntimeError) as broken:
        raise Unavailable(
            f"CuPy is installed but does not load ({_reason(broken)}): uninstall every "
            "cupy-* package, then install the one for your driver's CUDA (see nvidia-smi): "
            "cupy-cuda12x or cupy-cuda13x"
        ) from broken


def _reason(problem: BaseException) -> str:
    """The first line that says something, of what CuPy's page of advice stands in for."""
    for each in (problem.__cause__, problem):
        for line in str(each or "").splitlines():
            if any(map(str.isalnum, line)):
                return line.strip()
    return type(problem).__name__


def examine(runtime: Any, built_for: int) -> None:
    """Raise Unavailable unless driver, card and CuPy fit together.

    runtime: cupy.cuda.runtime. built_for: the CUDA version CuPy was built for, as 12040.
    """
    driver = _number(runtime.driverGetVersion)
    if driver == 0:
        raise Unavailable(
            "no NVIDIA driver: install one (nvidia-smi must run), or use another backend"
        )
    if driver < OLDEST_CUDA:
        raise Unavailable(
            f"the driver knows CUDA {version(driver)} at most; {version(OLDEST_CUDA)} is needed: "
            "update the NVIDIA driver"
        )
    if driver // 1000 < built_for // 1000:
        raise Unavailable(
            f"CuPy is built for CUDA {version(built_for)}, the driver knows {version(driver)} "
            f"at most: update the driver, or pip install cupy-cuda{driver // 1000}x in place of "
            "the other"
        )
    count = _number(runtime.getDeviceCount)
    if count == 0:
        raise Unavailable(
            "no NVIDIA card is visible: see nvidia-smi, and whether CUDA_VISIBLE_DEVICES hides it"
        )
    take_own_card(runtime, count)
    card = runtime.getDeviceProperties(runtime.getDevice())
    capability = 10 * int(card["major"]) + int(card["minor"])
    name = card["name"].decode() if isinstance(card["name"], bytes) else str(card["name"])
    if capability < OLDEST_CARD:
        raise Unavailable(
            f"{name} has compute capability {capability / 10}; {OLDEST_CARD / 10} (Volta, 2017) or "
            "later is needed: use another card"
        )
    if capability < OLDEST_OF_CUDA_13 and built_for >= 13000:
        raise Unavailable(
            f"{name} has compute capability {capability / 10}, which CUDA 13 no longer compiles "
            "for: pip install 'cupy-cuda12x[ctk]' in place of the CuPy for CUDA 13"
        )


def _number(ask: Callable[[], Any]) -> int:
    """What the runtime answers; 0 where it raises."""
    try:
        return int(ask())
    except Exception:
        return 0


def take_own_card(runtime: Any, count: int) -> None:
    """Under mpiexec or srun, the card of this process, by its number on this machine."""
    place = next((int(os.environ[n]) for n in LOCAL_RANKS if os.environ.get(n, "").isdigit()), 0)
    if place % count:
        runtime.setDevice(place % count)


def required(make: Callable[[], Any], what: str) -> Any:
    """What `make` gives; Unavailable, with its first line and the fix, where it fails.

    Raises OutOfDeviceMemory where it fails because the card is full.
    """
    try:
        return make()
    except Exception as problem:
        if is_full(problem):
            raise full(f"the card's memory was full at {what}") from problem
        line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        if "DevicesUnavailable" in line or "DEVICE_UNAVAILABLE" in line:
            raise Unavailable(
                f"{what} failed ({line}): another program has the card to itself: end it "
                "(nvidia-smi lists it), or have the compute mode set to default"
            ) from problem
        raise Unavailable(
            f"{what} failed ({line}): the CUDA libraries that CuPy needs come with "
            "pip install 'cupy-cuda12x[ctk]' (or cupy-cuda13x[ctk])"
        ) from problem


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**20:,.0f} MiB" if size >= 1 << 20 else f"{size / 1024:,.1f} KiB"


def is_full(problem: BaseException) -> bool:
    """Whether a fault of CuPy, the driver or cuBLAS says that the card's memory is full."""
    if isinstance(problem, MemoryError):
        return not isinstance(problem, OutOfDeviceMemory)
    words = str(problem).lower()
    marks = ("cudaerrormemoryallocation", "cuda_error_out_of_memory", "out of memory")
    no_room = type(problem).__name__ == "CublasError" and words.endswith("status 3")
    return no_room or any(mark in words for mark in marks)


def full(what: str, free: int | None = None) -> OutOfDeviceMemory:
    """An allocation that failed, and what helps."""
    there = "" if free is None else f", {megabytes(free)} are free"
    return OutOfDeviceMemory(
        f"{what}{there}: end what else uses the card (nvidia-smi lists it), "
        "or use a smaller batch, a smaller model or another backend"
    )


def check_memory(fixed: int, per_datum: int, batch: int, free: int) -> None:
    """Raise OutOfDeviceMemory unless `fixed + batch · per_datum` bytes fit into `free`."""
    if fixed + batch * per_datum > free:
        raise too_little(fixed, per_datum, batch, free)


def too_little(fixed: int, per_datum: int, batch: int, free: int) -> OutOfDeviceMemory:
    """What a batch needs, what there is, and the batch that would fit."""
    needed = fixed + batch * per_datum
    line = f"batch {batch} needs {megabytes(needed)} of device memory, {megabytes(free)} are free: "
    fits = (free - fixed) // per_datum
    if fits >= batch:  # enough in sum, but in pieces, or taken by another program meanwhile
        fits = batch // 2
    if fits >= 1:
        return OutOfDeviceMemory(f"{line}a batch of {fits} would fit")
    return OutOfDeviceMemory(
        f"{line}the data, the parameters and their moments alone take {megabytes(fixed)}: "
        "use fewer data, a smaller model, or another backend"
    )

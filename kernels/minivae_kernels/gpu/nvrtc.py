"""Compile the CUDA sources with NVRTC, without a driver or a card; report what kernels take.

Registers, spills, shared memory, and how many of a multiprocessor's warps they leave room for.

NVRTC comes from the wheel `nvidia-cuda-nvrtc-cu12` (or a CUDA toolkit). It carries its own ptxas,
so compiling for a real architecture (sm_80) is the whole way to machine code, and ptxas's own
report stands in the log.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from minivae_kernels.gpu import sources
from minivae_kernels.gpu.launcher import THREADS
from minivae_kernels.gpu.occupancy import MULTIPROCESSORS, occupancy

ARCHITECTURES = ("sm_70", "sm_80", "sm_90")
OPTIONS = ("-std=c++17",)  # what cupy_device.py asks for ...
# ... and what CuPy (13 and 14) adds unasked, last, so that it cannot be taken back: numbers below
# 1.2e-38 become 0. The noise has none on the way (its smallest product is 2^-74).
CUPYS_OWN = ("--device-as-default-execution-space", "-ftz=true")
NAMES = ("libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc.so")


class Usage(NamedTuple):
    """What one kernel takes on one architecture."""

    file: str
    kernel: str
    arch: str
    real: str
    registers: int
    stack: int  # bytes a thread
    spills: int  # bytes stored and loaded again because registers ran out
    shared: int  # bytes a block


class CompileError(RuntimeError):
    """NVRTC refused a source; the message is its log."""


def wheel_libraries() -> list[str]:
    """Where the NVRTC wheels put their libraries, CUDA 12's first; empty without a wheel.

    CUDA 13's has left Volta (sm_70) behind, which the CUDA 12 wheels of CuPy still run on.
    """
    found: list[str] = []
    for package in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in (spec.submodule_search_locations or []) if spec else []:
            found += map(str, sorted(Path(place).glob("lib/libnvrtc.so.*")))
    return found


@cache
def library() -> Any:
    """The loaded NVRTC. Raises RuntimeError with the fix where there is none."""
    for name in [*wheel_libraries(), *NAMES]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise RuntimeError("no NVRTC found: pip install nvidia-cuda-nvrtc-cu12")


@cache
def supported() -> frozenset[str]:
    """The architectures that the NVRTC at hand compiles for, such as sm_80."""
    lib, count = library(), ctypes.c_int()
    lib.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    lib.nvrtcGetSupportedArchs(numbers)
    return frozenset(f"sm_{number}" for number in numbers)


def _log(lib: Any, program: Any) -> str:
    size = ctypes.c_size_t()
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, text)
    return text.value.decode()


def _compiled(
    text: str, name: str, arch: str, real: str, fetch: str, extra: tuple[str, ...]
) -> tuple[str, bytes]:
    """Compile, and fetch the "CUBIN" or the "PTX"; -> the log and what was fetched."""
    lib, program = library(), ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    options = [f"--gpu-architecture={arch}", f"-DREAL={real}", *OPTIONS, *CUPYS_OWN, *extra]
    encoded = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    try:
        status = lib.nvrtcCompileProgram(program, len(options), encoded)
        log, size = _log(lib, program), ctypes.c_size_t()
        if status == 0:
            getattr(lib, f"nvrtcGet{fetch}Size")(program, ctypes.byref(size))
        if status != 0 or size.value == 0:
            raise CompileError(f"{name} for {arch}, REAL = {real}:\n{log}")
        made = ctypes.create_string_buffer(size.value)
        getattr(lib, f"nvrtcGet{fetch}")(program, made)
        return log, made.raw
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def compile_text(text: str, name: str, arch: str, real: str = "float") -> str:
    """Compile one source to machine code for one architecture; -> ptxas's report.

    Raises CompileError where NVRTC refuses it or leaves no machine code.
    """
    return _compiled(text, name, arch, real, "CUBIN", ("--ptxas-options=-v",))[0]


def ptx(name: str, arch: str = "compute_80", real: str = "float") -> str:
    """`name`.cu as PTX: where it can be seen which operations were contracted."""
    return (
        _compiled(sources.text(name), f"{name}.cu", arch, real, "PTX", ())[1].decode().rstrip("\0")
    )


def usage(log: str, file: str, arch: str, real: str) -> list[Usage]:
    """Read ptxas's report: one row a kernel."""
    rows = []
    pattern = re.compile(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
        re.DOTALL,
    )
    for kernel, stack, stores, loads, registers, rest in pattern.findall(log):
        shared = re.search(r"(\d+) bytes smem", rest)
        rows.append(
            Usage(
                file,
                kernel,
                arch,
                real,
                int(registers),
                int(stack),
                int(stores) + int(loads),
                int(shared[1]) if shared else 0,
            )
        )
    return rows


def compile_file(name: str, arch: str, real: str = "float") -> list[Usage]:
    """Compile `name`.cu; -> what each of its kernels takes."""
    return usage(compile_text(sources.text(name), f"{name}.cu", arch, real), name, arch, real)


def room(row: Usage) -> str:
    """The share of a multiprocessor's warps that blocks of 256 threads fill, and what ends it."""
    if row.arch not in MULTIPROCESSORS:
        return "?"
    found = occupancy(row.arch, row.registers, row.shared, THREADS)
    return f"{found.share:.0%} {found.bound}"


def report(rows: Iterable[Usage]) -> str:
    """The rows as a table for people."""
    titles = f"{'registers':>10}{'stack':>7}{'spills':>8}{'shared':>8}  warps, bound by"
    lines = [f"{'kernel':24}{'arch':8}{'real':8}{titles}"]
    for row in rows:
        lines.append(
            f"{row.kernel:24}{row.arch:8}{row.real:8}{row.registers:>10}{row.stack:>7}"
            f"{row.spills:>8}{row.shared:>8}  {room(row)}"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """`python -m minivae_kernels.gpu.nvrtc [sm_80 …]`: compile everything, print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arch", nargs="*", help=f"{' '.join(ARCHITECTURES)}, or others")
    options = parser.parse_args(argv)
    try:
        wanted = options.arch or [arch for arch in ARCHITECTURES if arch in supported()]
        rows = [
            row
            for arch in wanted
            for real in ("float", "double")
            for name in (sources.FILES + sources.LADDER if real == "float" else sources.DOUBLE)
            for row in compile_file(name, arch, real)
        ]
    except RuntimeError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(report(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

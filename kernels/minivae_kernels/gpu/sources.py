"""The CUDA sources as text: includes pasted in, kernels' parameters and shared names read out.

A kernel's parameter list is the only place where its types stand: `pack` turns plain Python
numbers and arrays into what the list asks for, and refuses what does not fit.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "cuda"
FILES = ("elementwise", "dense", "latent", "likelihood", "batch", "philox", "optimiser")
TRAINING = ("narrow", "step", "iwae")  # in float32 only
DOUBLE, FILES = FILES, FILES + TRAINING
# The slower versions that minivae_kernels/ladder/gpu keeps for teaching; not part of the product.
LADDER = tuple(f"../../ladder/gpu/{name}_rungs" for name in ("product", "likelihood", "latent"))

SCALARS = {
    "int": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "float": np.float32,
    "double": np.float64,
    "u8": np.uint8,
}


class Parameter(NamedTuple):
    """One parameter of a kernel: its C type without const and *, its name, and what it is."""

    type: str
    name: str
    pointer: bool
    written: bool  # a pointer that is not to const
    alone: bool  # __restrict__: what it points to is reached through no other parameter

    def dtype(self, real: Any) -> np.dtype[Any]:
        """The NumPy type of the number, or of the array's elements; `real` stands for REAL."""
        return np.dtype(real if self.type == "real" else SCALARS[self.type])


def source(file: str, folder: Path = FOLDER) -> str:
    """A file's text; elementwise.cu has two ops more for every activation without a line there."""
    found = (folder / file).read_text(encoding="utf-8")
    if file == "elementwise.cu":
        for code in list(enumeration("Activation", "activation.cuh"))[1:]:  # the first is linear
            name = code.lower()
            if f"FORWARD({name}_forward," not in found:
                found += f"FORWARD({name}_forward, activated(x, {code}))\n"
                found += f"BACKWARD({name}_backward, gradient_at(d, x, {code}))\n"
    return found


@cache
def text(name: str, folder: Path = FOLDER) -> str:
    """The text of `name`.cu with every #include "…" replaced by that file, each once."""
    seen: set[str] = set()

    def paste(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        out = []
        for line in source(file, folder).splitlines():
            include = re.match(r'#include "(.+)"', line)
            out.append(paste(include[1]) if include else line)
        return "\n".join(out) + "\n"

    return paste(f"{name}.cu")


def whole(files: tuple[str, ...] = FILES, folder: Path = FOLDER) -> str:
    """All files as one text, for the host build: headers once, then every kernel."""
    headers: list[str] = []
    bodies: list[str] = []
    for name in files:
        for line in source(f"{name}.cu", folder).splitlines():
            include = re.match(r'#include "(.+)"', line)
            if not include:
                bodies.append(line)
            elif include[1] not in headers:
                headers.append(include[1])
    pasted = [(folder / header).read_text(encoding="utf-8") for header in headers]
    return "\n".join([*pasted, *bodies]) + "\n"


_KERNEL = re.compile(
    r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(([^)]*)\)\s*\{'
)
# A macro that makes one kernel a line: its name and the parameters of whatever it makes.
_MACRO = re.compile(r"#define (\w+)\(NAME, \w+\)\s+" + _KERNEL.pattern.replace(r"(\w+)", "NAME", 1))


def _parameters(listing: str) -> tuple[Parameter, ...]:
    found = []
    for part in listing.replace("\n", " ").split(","):
        match = re.fullmatch(r"\s*(const )?(\w+)(\*?)\s+(__restrict__ +)?(\w+)\s*", part)
        if not match:
            raise ValueError(f"cannot read the kernel parameter {part.strip()!r}")
        const, kind, star, alone, name = match.groups()
        found.append(Parameter(kind, name, bool(star), bool(star) and not const, bool(alone)))
    return tuple(found)


@cache
def kernels(name: str, folder: Path = FOLDER) -> dict[str, tuple[Parameter, ...]]:
    """Every kernel of `name`.cu with its parameters."""
    whole_text = text(name, folder).replace("\\\n", "\n")
    found = {k: _parameters(p) for k, p in _KERNEL.findall(whole_text) if k != "NAME"}
    for macro, listing in _MACRO.findall(whole_text):
        for kernel in re.findall(rf"^{macro}\((\w+),", whole_text, re.MULTILINE):
            found[kernel] = _parameters(listing)
    return found


@cache
def where() -> dict[str, str]:
    """Kernel -> the file that holds it."""
    return {kernel: name for name in FILES + LADDER for kernel in kernels(name)}


@cache
def enumeration(name: str, file: str = "counters.cuh") -> dict[str, int]:
    """The members of an `enum` in a header: the names that host and card share."""
    header = (FOLDER / file).read_text(encoding="utf-8")
    match = re.search(rf"enum {name} \{{([^}}]*)\}}", header)
    if match is None:
        raise ValueError(f"{file} has no enum {name}")
    return {word.strip(): i for i, word in enumerate(match[1].split(","))}


def pack(
    kernel: str, parameters: tuple[Parameter, ...], args: tuple[Any, ...], real: Any
) -> list[Any]:
    """The arguments as the parameter list wants them: NumPy scalars, arrays, or None (null).

    Raises TypeError for a wrong number of arguments, an array of another type or with gaps.
    """
    if len(args) != len(parameters):
        raise TypeError(f"{kernel}: {len(args)} arguments for {len(parameters)} parameters")
    packed: list[Any] = []
    for parameter, value in zip(parameters, args, strict=True):
        dtype = parameter.dtype(real)
        if not parameter.pointer:
            packed.append(dtype.type(value))
            continue
        if value is not None and (value.dtype != dtype or not value.flags.c_contiguous):
            raise TypeError(
                f"{kernel}: {parameter.name} is {value.dtype}"
                f"{'' if value.flags.c_contiguous else ' with gaps'}; "
                f"a contiguous array of {dtype} is needed"
            )
        packed.append(value)
    return packed

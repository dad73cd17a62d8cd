"""What loading the kernels gives, on other vector widths and on a machine without Numba."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

import minivae_kernels
import pytest
from minivae_kernels.cpu.compile import simd

from minivae import ops
from minivae.backend import SERVICES
from tests.kernels.cpu.children import outcome


def test_every_kernel_has_its_ops_signature() -> None:
    kernels = minivae_kernels.load("numba", 2)
    assert callable(kernels["make_step"])
    kernels = {name: kernel for name, kernel in kernels.items() if name not in SERVICES}
    assert set(kernels) <= set(ops.OPS)
    for name, kernel in kernels.items():
        theirs = list(inspect.signature(getattr(ops, name)).parameters)
        assert list(inspect.signature(kernel).parameters) == theirs, name


def test_unknown_kernels() -> None:
    with pytest.raises(ValueError, match="numba or cupy"):
        minivae_kernels.load("numbra")


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", 10**8])
def test_threads_that_cannot_be(threads: Any) -> None:
    with pytest.raises(ValueError, match="threads"):
        minivae_kernels.load("numba", threads)
    minivae_kernels.load("numba", 2)


def test_importing_the_package_imports_no_numba() -> None:
    code = "import sys, minivae_kernels; print('numba' in sys.modules, 'cupy' in sys.modules)"
    assert outcome(code) == ["False", "False"]


def test_without_numba() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import minivae_kernels\n"
        "try:\n    minivae_kernels.load('numba')\n"
        "except minivae_kernels.Unavailable as e:\n    print(e)"
    )
    assert "pip install numba" in " ".join(outcome(code))


@pytest.mark.parametrize(
    "cpu",
    [
        "haswell",
        pytest.param("nehalem", marks=pytest.mark.slow),  # four lanes, no FMA instruction
        pytest.param("skylake-avx512", marks=pytest.mark.slow),
        pytest.param("znver2", marks=pytest.mark.slow),
    ],
)
def test_vector_width_changes_no_bit(cpu: str) -> None:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("names x86-64 processors")
    have = simd.binding.get_host_cpu_features()
    if not have.get("avx2") or ("512" in cpu and not have.get("avx512f")):
        pytest.skip(f"this processor cannot run code for {cpu}")
    native, other = outcome(), outcome(NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="")
    assert other[0] == {"nehalem": "4", "skylake-avx512": "16"}.get(cpu, "8")
    assert native[2] == other[2]

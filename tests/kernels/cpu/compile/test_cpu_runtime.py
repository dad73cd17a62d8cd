"""What loading the kernels gives, on other vector widths and on a machine without Numba."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

import minivae_kernels
import numpy as np
import pytest
from minivae_kernels.cpu.compile import simd
from minivae_kernels.cpu.threads.count import checked

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


@pytest.mark.parametrize(
    ("name", "rounding", "its"), [("cupy", "bf16", "bfloat16"), ("numba", "tf32", "TF32")]
)
def test_a_rounding_that_the_kernels_do_not_have_is_refused(
    name: str, rounding: str, its: str
) -> None:
    with pytest.raises(ValueError, match=f"{name!r} have no {its}: leave {rounding} out"):
        minivae_kernels.load(name, **{rounding: True})


@pytest.mark.parametrize(
    "threads", [0, -1, 1.5, "2", 10**8, True, np.True_, np.float32(2), np.int64(0)], ids=repr
)
def test_threads_that_cannot_be(threads: Any) -> None:
    with pytest.raises(ValueError, match=r"threads = .* must be a whole number from 1 to 1024"):
        minivae_kernels.load("numba", threads)
    minivae_kernels.load("numba", 2)


def test_numpys_whole_numbers_are_numbers_of_threads() -> None:
    for two in (np.int64(2), np.uint8(2), np.array(2)):
        assert type(checked(two)) is int and checked(two) == 2


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


def test_where_numba_is_to_compile_nothing() -> None:
    code = (
        "import minivae_kernels\n"
        "try:\n    minivae_kernels.load('numba')\n"
        "except minivae_kernels.Unavailable as e:\n    print(e)"
    )
    said = " ".join(outcome(code, NUMBA_DISABLE_JIT="1"))
    assert said == "Numba is told to compile nothing: unset NUMBA_DISABLE_JIT"


@pytest.mark.parametrize(
    ("features", "name", "host", "width"),
    [
        (None, None, "+avx2,+fma,+avx512f", 16),
        (None, "znver4", "+avx2,+fma,-avx512f", 8),  # Numba then takes the features of the host
        (None, "haswell", "+avx2,+fma,+avx512f", 16),
        (None, None, "-avx,-avx2,+fma,-avx512f", 4),
        ("+avx2,+fma", "znver4", "+avx512f", 8),
        ("", "znver4", "-avx512f", 16),
        ("", "znver2", "+avx512f", 8),
        ("", "generic", "+avx512f", 4),
    ],
)
def test_the_width_is_that_of_what_numba_compiles_for(
    features: str | None, name: str | None, host: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simd.config, "CPU_FEATURES", features)
    monkeypatch.setattr(simd.config, "CPU_NAME", name)
    monkeypatch.setattr(simd, "get_host_cpu_features", lambda: host)
    assert simd.vector_width() == width


def test_without_avx_vectors_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simd.config, "CPU_FEATURES", None)
    monkeypatch.setattr(simd.config, "ENABLE_AVX", 0)
    assert simd.vector_width() == 4


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

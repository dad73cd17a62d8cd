"""The host build of the CUDA kernels as a backend, and the plans that the step's tests share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.gpu.host_device import HostDevice

from minivae.backend import Backend, check_contract

sys.path.insert(0, str(Path(__file__).parent))
from fake_cublas import FakeCublas
from fake_cupy import FakeCupy


@pytest.fixture(scope="session")
def built() -> None:
    if compiler() is None:
        pytest.skip("the host build of the CUDA kernels needs g++")


@pytest.fixture
def device(built: None) -> HostDevice:
    return HostDevice()


@pytest.fixture
def K(device: HostDevice) -> Backend:
    """The CUDA kernels by their real launchers, on the host: shows arithmetic and indexing only."""
    kernels = gpu.table(device)
    check_contract("cupy", kernels)
    yield Backend("cupy", kernels)
    device.check_guards()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def install(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> FakeCupy:
    """The strict stand-in in place of the module cupy and of cuBLAS."""
    module = FakeCupy(**settings)
    module.blas = FakeCublas(module)
    monkeypatch.setattr("minivae_kernels.gpu.faults.import_cupy", lambda: module)
    monkeypatch.setattr("minivae_kernels.gpu.cublas.find", lambda major: module.blas)
    monkeypatch.setattr("minivae_kernels.gpu.cupy_device._DEVICES", {})
    return module


@pytest.fixture
def per_thread() -> bool:
    """Which default stream CuPy has; tests of the order of work are given both."""
    return False


@pytest.fixture
def cupy(built: None, monkeypatch: pytest.MonkeyPatch, per_thread: bool) -> FakeCupy:
    """The strict stand-in; at the end every guard is whole, no memory was lent twice."""
    module = install(monkeypatch, per_thread=per_thread)
    yield module
    assert module.current == [module.default]
    module.pool.check()


@pytest.fixture
def C(cupy: FakeCupy) -> Backend:
    """The cupy backend on the stand-in."""
    kernels = gpu.load(threads=2)
    check_contract("cupy", kernels)
    return Backend("cupy", kernels)

"""The host build of the CUDA kernels as a backend, and the plans that the step's tests share."""

from __future__ import annotations

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.gpu.host_device import HostDevice

from minivae.backend import Backend, check_contract


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

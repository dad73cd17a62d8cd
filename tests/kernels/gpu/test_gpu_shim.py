"""The host build's own tests: it must notice a race, a missed barrier, a write beside a buffer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from minivae_kernels.gpu import sources
from minivae_kernels.gpu.host_device import HostDevice

TRIAL = """#include "common.cuh"
extern "C" __global__ void reverse_block(const real* a, real* out, int wait) {
    __shared__ real held[64];
    held[threadIdx.x] = a[blockIdx.x * blockDim.x + threadIdx.x];
    if (wait) __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = held[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void half_barrier(real* out) {
    if (threadIdx.x < 7) __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void half_shuffle(real* out) {
    if (threadIdx.x < 7) out[threadIdx.x] = warp_sum(real(1));
}

extern "C" __global__ void sums(const real* a, real* out) {
    const real of_warp = warp_sum(a[threadIdx.x]);
    const real of_block = block_sum(a[threadIdx.x]);
    out[threadIdx.x] = of_warp;
    out[blockDim.x + threadIdx.x] = of_block;
}

extern "C" __global__ void beside(real* out, int at) {
    if (threadIdx.x == 0) out[at] = 1;
}

extern "C" __global__ void from_beside(const real* a, real* out, int at) {
    if (threadIdx.x == 0) out[0] = a[at];
}
"""


@pytest.fixture
def trial(built: None, tmp_path: Path) -> HostDevice:
    (tmp_path / "common.cuh").write_text((sources.FOLDER / "common.cuh").read_text())
    (tmp_path / "trial.cu").write_text(TRIAL)
    return HostDevice(files=("trial",), folder=tmp_path)


def reverse(device: HostDevice, wait: int) -> np.ndarray:
    a = np.arange(128, dtype=np.float32)
    out = device.empty(128, np.float32)
    device.launch("reverse_block", (2, 1), 64, (a, out, wait))
    return out


def test_barrier_and_block_index(trial: HostDevice) -> None:
    expected = np.concatenate([np.arange(64)[::-1], 64 + np.arange(64)[::-1]])
    for trial.order in (0, 1, 5):
        np.testing.assert_array_equal(reverse(trial, wait=1), expected)


def test_a_missing_barrier_shows(trial: HostDevice) -> None:
    """Shared memory starts as NaN, and other thread orders give other bits."""
    outcomes = set()
    for trial.order in (0, 1):
        racing = reverse(trial, wait=0)
        assert np.isnan(racing).any()
        outcomes.add(racing.tobytes())
    assert len(outcomes) == 2


@pytest.mark.parametrize("kernel", ["half_barrier", "half_shuffle"])
def test_a_barrier_or_shuffle_that_not_all_reach(trial: HostDevice, kernel: str) -> None:
    out = trial.empty(64, np.float32)
    with pytest.raises(RuntimeError, match="not all threads"):
        trial.launch(kernel, (1, 1), 64, (out,))
    assert not np.isnan(reverse(trial, wait=1)).any()  # and the next launch is unharmed


def test_sums_of_warp_and_block(trial: HostDevice) -> None:
    a = np.arange(256, dtype=np.float32) ** 2
    out = trial.empty(512, np.float32)
    trial.launch("sums", (1, 1), 256, (a, out))
    np.testing.assert_array_equal(out[:256], np.repeat(a.reshape(8, 32).sum(1), 32))
    np.testing.assert_array_equal(out[256:], np.full(256, a.sum()))


@pytest.mark.parametrize("at", [-1, 5])
def test_a_write_beside_a_buffer_is_caught(trial: HostDevice, at: int) -> None:
    out = trial.empty(5, np.float32)
    trial.launch("beside", (1, 1), 32, (out, 4))
    trial.check_guards()
    trial.launch("beside", (1, 1), 32, (out, at))
    with pytest.raises(RuntimeError, match="beside a buffer of 20 bytes"):
        trial.check_guards()


@pytest.mark.parametrize("size", [1, 3, 5, 16])
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_a_number_read_beside_a_buffer_is_not_a_number(
    trial: HostDevice, size: int, real: type
) -> None:
    a, out = trial.zeros(size, real), trial.empty(1, real)
    for at, wrong in ((0, False), (size - 1, False), (-1, True), (size, True), (size + 3, True)):
        trial.launch("from_beside", (1, 1), 32, (a, out, at), real)
        assert np.isnan(out[0]) == wrong
    trial.check_guards()


def test_launches_that_no_card_would_take(trial: HostDevice) -> None:
    a = np.zeros(64, np.float32)
    for grid, threads in (((1, 1), 33), ((1, 1), 2048), ((1, 65536), 64), ((0, 1), 64)):
        with pytest.raises(RuntimeError, match=r"block must|grid is limited"):
            trial.launch("reverse_block", grid, threads, (a, a, 1))


def test_arguments_are_held_to_the_kernels_own_list(trial: HostDevice) -> None:
    a = np.zeros(64, np.float32)
    with pytest.raises(TypeError, match="2 arguments for 3"):
        trial.launch("reverse_block", (1, 1), 64, (a, a))
    with pytest.raises(TypeError, match="a is float64"):
        trial.launch("reverse_block", (1, 1), 64, (a.astype(float), a, 1))
    with pytest.raises(TypeError, match="with gaps"):
        trial.launch("reverse_block", (1, 1), 32, (a[::2], a, 1))

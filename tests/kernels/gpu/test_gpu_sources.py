"""The CUDA sources read as text: what each kernel promises about its pointers, and who keeps it."""

from __future__ import annotations

import numpy as np
import pytest
from minivae_kernels.gpu import sources
from minivae_kernels.gpu.host_device import HostDevice
from minivae_kernels.gpu.occupancy import MULTIPROCESSORS, occupancy
from minivae_kernels.gpu.ops_likelihood import LIKELIHOODS

# Only here may a result take the place of an argument: a gradient where its input was.
IN_PLACE = {
    "act_backward": {"dy", "da"},
    **{of.kernel: {"out", "dout"} for of in LIKELIHOODS.values()},
}


def test_every_pointer_is_alone_but_those_of_work_in_place() -> None:
    for name in sources.FILES + sources.LADDER:
        for kernel, parameters in sources.kernels(name).items():
            shared = {p.name for p in parameters if p.pointer and not p.alone}
            assert shared == IN_PLACE.get(kernel, set()), kernel


def test_a_launch_that_breaks_the_promise_is_refused(built: None) -> None:
    device = HostDevice()
    x = device.zeros((8,), np.float32)
    device.launch("relu_forward", (1, 1), 32, (x, device.empty((8,), np.float32), 8, 1))
    with pytest.raises(RuntimeError, match="a and out share memory"):
        device.launch("relu_forward", (1, 1), 32, (x[:4], x[2:6], 4, 0))
    device.launch("relu_backward", (1, 1), 32, (x, x, device.empty((8,), np.float32), 8, 1))


# Of the CUDA occupancy calculator: architecture, registers, shared bytes -> blocks of 256 threads.
KNOWN = [
    ("sm_70", 32, 0, 8, 1.0), ("sm_70", 64, 0, 4, 0.5), ("sm_70", 32, 24576, 4, 0.5),
    ("sm_80", 40, 0, 6, 0.75), ("sm_80", 255, 0, 1, 0.125), ("sm_80", 32, 49152, 3, 0.375),
    ("sm_86", 32, 0, 6, 1.0), ("sm_90", 128, 0, 2, 0.25), ("sm_90", 33, 0, 6, 0.75),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "registers", "shared", "blocks", "share"), KNOWN)
def test_occupancy(arch: str, registers: int, shared: int, blocks: int, share: float) -> None:
    found = occupancy(arch, registers, shared, 256)
    assert (found.blocks, found.share) == (blocks, share)


def test_what_does_not_fit_at_all() -> None:
    assert occupancy("sm_75", 32, 65 * 1024, 256) == (0, 0.0, "shared memory")
    assert set(MULTIPROCESSORS) >= {"sm_70", "sm_80", "sm_90"}
    with pytest.raises(KeyError):
        occupancy("sm_20", 32, 0, 256)

"""The bandwidth benchmark runs and counts right; on the host device its seconds mean nothing."""

from __future__ import annotations

import math

from minivae_kernels.gpu.host_device import HostDevice

from benchmarks import bandwidth
from minivae.parts import LIKELIHOODS


def test_every_kernel_is_measured(device: HostDevice) -> None:
    rows = bandwidth.measure(device, rows=3, rounds=1, repeats=1)
    names = {row["kernel"] for row in rows}
    assert len(names) == len(rows)
    for likelihood in LIKELIHOODS.values():
        assert {likelihood.forward.__name__, likelihood.backward.__name__} <= names
    for row in rows:
        assert row["seconds"] > 0 and math.isfinite(row["share"])
    assert "mean nothing" in bandwidth.header(device)["card"]
    device.check_guards()


def test_bytes_are_those_that_must_move(device: HostDevice) -> None:
    counted = {kernel.name: kernel.bytes for kernel in bandwidth.kernels(device, 5)}
    # logits, x and the upstream in; dlogits and the loss out
    assert counted["bernoulli_nll_grad"] == (3 * 784 + 2) * 5 * 4
    assert counted["gather_binarise"] == 5 * 784 * (1 + 4)
    assert counted["adam_update"] == 7 * 5 * 784 * 4  # four in, three out

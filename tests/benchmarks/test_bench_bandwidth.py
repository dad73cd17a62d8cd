"""A card's bandwidth: every likelihood is among what is timed, with the bytes that must move."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.gpu.host_device import HostDevice

from benchmarks import bandwidth
from minivae.parts import LIKELIHOODS

ROWS, COLUMNS = 3, bandwidth.COLUMNS


@pytest.mark.skipif(compiler() is None, reason="the host build of the CUDA kernels needs g++")
def test_every_likelihood_is_timed_forward_and_backward() -> None:
    found = {k.name: k.bytes for k in bandwidth.likelihoods(HostDevice(), ROWS)}
    table = gpu.table(HostDevice())
    for record in LIKELIHOODS.values():
        for function in (record.forward, record.backward):
            assert (function.__name__ in found) == (function.__name__ in table)
    n = 4 * ROWS * COLUMNS
    assert found["bernoulli_nll_forward"] == 2 * n + 4 * ROWS
    assert found["gaussian_nll_backward"] == 3 * n + 4 * ROWS + 8  # the scale and its gradient
    assert found["gaussian_diagonal_nll_backward"] == 3 * n + 4 * ROWS + 8 * COLUMNS


def test_no_kernel_reads_one_array_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that is two arguments would come from the cache the second time."""
    seen: dict[str, tuple[Any, ...]] = {}

    class Table(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            return lambda *args: seen.setdefault(name, args)

    monkeypatch.setattr(bandwidth.gpu, "table", lambda device: Table())
    host = SimpleNamespace(to_device=np.asarray)
    for kernel in bandwidth.kernels(host, 1):  # type: ignore[arg-type]
        if kernel.name != "gather_binarise":
            kernel.call()
    assert "latent_backward" in seen
    for name, args in seen.items():
        arrays = [id(a) for a in args if isinstance(a, np.ndarray)]
        assert len(set(arrays)) == len(arrays), name


def test_rows_go_on_from_the_beginning() -> None:
    x = np.arange(6.0).reshape(1, 3, 2)
    more = bandwidth.repeated(x, ["L", "B", "D"], 7)
    assert (
        more.shape == (1, 7, 2) and (more[0, 3:6] == x[0]).all() and (more[0, 6] == x[0, 0]).all()
    )
    assert bandwidth.repeated((2, 3), [], 7) == (2, 3)

"""`minivae verify`'s own kernel checks on the GPU kernels, on the host build and on the stand-in.

Shown and not shown: as in test_gpu_ops_on_host.py and test_gpu_cupy_stand_in.py.
"""

from __future__ import annotations

from minivae.backend import Backend
from minivae.proof.kernels import check_kernels


def complaints(K: Backend) -> list[str]:
    rows = check_kernels(K)
    assert len(rows) > 40
    return [f"{row.op}[{row.output}] at {row.size}: {row.problem}" for row in rows if not row.ok]


def test_kernel_checks_on_the_host_device(K: Backend) -> None:
    assert not complaints(K)


def test_kernel_checks_on_the_stand_in(C: Backend) -> None:
    assert not complaints(C)

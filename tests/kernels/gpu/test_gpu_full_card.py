"""A card whose memory ends anywhere: always one line with the fix, and nothing broken by it.

Shown on the stand-in, whose allocations fail as CuPy's do, one after another. NOT shown: what a
driver says that runs out of memory for itself (its texts are taken from CUDA's documentation).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_cupy import FakeCupy
from fake_memory import OutOfMemoryError, Pool
from gpu_steps import MODELS, problem, run, schedule
from minivae_kernels.gpu import faults
from minivae_kernels.gpu.cublas import WORKSPACE, CublasError
from minivae_kernels.gpu.cupy_device import CupyDevice

from minivae.backend import Backend
from minivae.metrics.likelihood import evaluate
from minivae.models.vae import layout_of

FIX = r"KiB|MiB.* are free: .*(nvidia-smi|a batch of [0-9]+ would fit)"


@pytest.fixture
def fail_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the n-th allocation from now on fail, and only that one."""
    left = [-1]
    allocate = Pool.allocate

    def counted(pool: Pool, size: int, stream: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise OutOfMemoryError(size, pool.used)
        return allocate(pool, size, stream)

    monkeypatch.setattr(Pool, "allocate", counted)

    def arm(n: int) -> None:
        left[0] = n

    return arm


def until_it_works(fail_at: Callable[[int], None], work: Callable[[], Any]) -> tuple[Any, int]:
    """Do the work with the 1st, 2nd, … allocation failing, until none is left to fail."""
    for n in range(1, 500):
        fail_at(n)
        try:
            done = work()
            fail_at(-1)
            return done, n - 1
        except faults.OutOfDeviceMemory as full:
            assert "\n" not in str(full) and "free: " in str(full), str(full)
            assert "nvidia-smi" in str(full) or "would fit" in str(full), str(full)
        except OutOfMemoryError as full:  # CuPy's own, where a view had to be copied
            assert "Out of memory allocating" in str(full)
    raise AssertionError("there is no end to the allocations")


def test_every_allocation_of_a_step(C: Backend, cupy: FakeCupy, fail_at: Any) -> None:
    given = problem(MODELS["gaussian, learned c"])
    expected = run(C.make_step(*given))
    used = cupy.pool.used
    found, failures = until_it_works(fail_at, lambda: run(C.make_step(*given)))
    assert failures >= 25
    assert found[0][0].tobytes() == expected[0][0].tobytes()
    del found
    assert cupy.pool.used == used and cupy.current == [cupy.default]


def test_the_first_step_of_all(C: Backend, fail_at: Any) -> None:
    """cuBLAS's workspace is allocated at the first product, in the first recording."""
    given = problem(MODELS["relu bernoulli"])
    step = C.make_step(*given)
    found, failures = until_it_works(fail_at, lambda: run(step))
    assert failures >= 1 and step.bad_step == -1 and len(step.graphs) == 1
    assert found[0][0].tobytes() == run(C.make_step(*given))[0][0].tobytes()


def test_an_evaluation(C: Backend, fail_at: Any) -> None:
    _, theta, _, data = problem(MODELS["three layers, three draws"])
    model = MODELS["three layers, three draws"]

    def work() -> Any:
        p = layout_of(model).views(C.to_device(theta))
        return evaluate(C, p, data, model, samples=3, scale=1 / 255, binarise=True)

    expected = work()
    found, failures = until_it_works(fail_at, work)
    assert failures > 20 and found.log_p.tobytes() == expected.log_p.tobytes()


DRIVERS: list[Exception] = [
    RuntimeError("cudaErrorMemoryAllocation: out of memory"),
    RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    CublasError("cublasCreate_v2 failed with status 3"),
]


@pytest.mark.parametrize("problem_", DRIVERS)
def test_what_the_driver_says(
    C: Backend, cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch, problem_: Exception
) -> None:
    """At a launch, at a product, at the end of a recording, and when the backend is loaded."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise problem_

    a = C.to_device(np.ones((4, 5), np.float32))
    step = C.make_step(*problem(MODELS["linear"]))
    places: list[tuple[str, Callable[[], Any]]] = [
        ("fake_streams.Graph.__init__", lambda: step(*schedule(1, 9))),
        ("minivae_kernels.gpu.cublas.Cublas.gemm", lambda: C.dense_backward_input(a, a)),
        ("minivae_kernels.gpu.host_device.HostDevice.launch", lambda: C.relu_forward(a)),
        ("fake_cupy.FakeCupy.RawModule", CupyDevice),
    ]
    for where, work in places:
        with monkeypatch.context() as patch:
            patch.setattr(where, fail)
            with pytest.raises(faults.OutOfDeviceMemory, match=r"was full (when|at) .*nvidia-smi"):
                work()
        for stream in cupy.order.streams:
            stream.recording = None
    assert C.to_host(C.dense_backward_input(a, a)).max() == 5


def test_a_cublas_that_does_not_start_keeps_nothing(
    C: Backend, cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first one nor, in the first recording, the second: 32 MiB a try otherwise."""
    a = C.to_device(np.ones((4, 5), np.float32))
    step = C.make_step(*problem(MODELS["linear"]))
    for work in (lambda: C.dense_backward_input(a, a), lambda: step(*schedule(1, 9))):
        used = cupy.pool.used
        with monkeypatch.context() as patch:
            patch.setattr(cupy.blas, "cublasCreate_v2", lambda handle: 3)
            for _ in range(2):
                with pytest.raises(faults.OutOfDeviceMemory):
                    work()
        gc.collect()
        assert cupy.pool.used - used < WORKSPACE
        work()
    assert step.bad_step == -1


def test_other_faults_pass_as_they_are(C: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What broke a recording is told, not that the recording is broken."""
    step = C.make_step(*problem(MODELS["linear"]))
    step(*schedule(1, 9))

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("cudaErrorIllegalAddress")

    device = step.device
    with device.working(), pytest.raises(RuntimeError, match="IllegalAddress"):
        device.capture(fail)
    with device.working(), pytest.raises(KeyboardInterrupt):
        device.capture(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    step(*schedule(1, 9))
    assert step.bad_step == -1


def test_a_program_beside_takes_the_memory_meanwhile(
    C: Backend, cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count fitted, the 20th allocation does not: nothing is kept, and what is named fits."""
    plan, *rest = problem(MODELS["relu bernoulli"], max_batch=20_000)
    allocate, calls = Pool.allocate, [0]

    def shrinking(pool: Pool, size: int, stream: Any) -> Any:
        calls[0] += 1
        if calls[0] == 20:
            pool.total = pool.used + pool.idle + (70 << 20)  # cuBLAS still finds its place
            raise OutOfMemoryError(size, pool.used)
        return allocate(pool, size, stream)

    monkeypatch.setattr(Pool, "allocate", shrinking)
    used = cupy.pool.used
    with pytest.raises(faults.OutOfDeviceMemory, match="batch 20000 needs") as full:
        C.make_step(plan, *rest)
    fits = int(str(full.value).split("a batch of ")[1].split()[0])
    full.value.__traceback__ = full.value.__cause__.__traceback__ = None
    assert cupy.pool.used == used
    step = C.make_step(plan._replace(max_batch=fits), *rest)
    step(*schedule(1, 9))
    assert step.bad_step == -1 and fits > 5000

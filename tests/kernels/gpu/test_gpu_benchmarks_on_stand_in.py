"""The benchmarks' own code for the card, on the strict stand-in; its seconds mean nothing here.

Shown: recording, replaying and timing keep CuPy's rules, and the gates pass. NOT shown: a figure.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_cupy import FakeCupy
from fake_order import CaptureError
from minivae_kernels.gpu.cupy_device import CupyDevice

from benchmarks import bandwidth, gate, gpu_ladders
from benchmarks.__main__ import main
from benchmarks.cases import parse_arch
from benchmarks.worker import StepWorker


@pytest.mark.parametrize("form", ["--json", ""])
def test_bandwidth(cupy: FakeCupy, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Every kernel recorded as a graph; what it allocated lives as long as the graph."""
    cupy.allocating_captures = True  # CuPy's pool serves a capture (begin_capture's relaxed mode)
    assert main(["bandwidth", "--rows", "3", *([form] if form else [])]) == 0
    out = capsys.readouterr().out
    if form:
        facts = json.loads(out)
        assert facts["card"] == "Stand-in" and len(facts["kernels"]) >= 11
        assert all(row["seconds"] > 0 for row in facts["kernels"])
    else:
        assert "of a copy's" in out


def test_out_of_memory_is_one_line(cupy: FakeCupy, capsys: pytest.CaptureFixture[str]) -> None:
    cupy.pool.total = 1 << 20
    assert main(["bandwidth", "--rows", "4096"]) == 2
    err = capsys.readouterr().err
    assert "does not fit on the card" in err and "nvidia-smi" in err and err.count("\n") == 1


@pytest.mark.parametrize("arch", ["31-17-5:relu", "31-17-12-5:tanh:dynamic"])
def test_a_workers_blocks_and_gates(cupy: FakeCupy, tmp_path: Path, arch: str) -> None:
    """What `python -m benchmarks step --backend cupy` asks of the process that runs minivae."""
    case, data = parse_arch(arch, 12), tmp_path / "data.npy"
    np.save(data, gate.shared_data(case.data_dim))
    worker = StepWorker("minivae-cupy")
    versions = worker.load(threads=None)["versions"]
    assert "Stand-in" in versions["device"] and versions["cupy"] == cupy.__version__
    ready = worker.prepare(case.to_dict(), str(data), 3)
    gate.check_block(ready["loss"], gate.reference_block_loss(case, 3), ready["exact_noise"])
    assert worker.block(0)["loss"] == ready["loss"]  # it started afresh
    worker.updates(5, str(tmp_path / "updates"))
    for part in (0, 1):
        found = np.load(tmp_path / f"updates-{part}.npz")
        assert np.isfinite(found["loss"]) and (found["theta"] != found["theta_after"]).any()


def test_a_recorded_array_call_keeps_what_it_works_on(cupy: FakeCupy) -> None:
    """Its results in between are given back while it is recorded: they stay the graph's own."""
    cupy.allocating_captures = True
    device = CupyDevice()
    with device.working():
        x = device.to_device(np.arange(8, dtype=np.float32))
        play = bandwidth.recorded(device, lambda: cupy.exp(x * x) + x)
        play()
        naked = device.capture(lambda: cupy.exp(x * x) + x)
        with pytest.raises(CaptureError, match="memory that was given back"):
            naked()


@pytest.mark.parametrize("name", ["likelihood", "latent"])
def test_every_rung_is_recorded_and_timed(cupy: FakeCupy, name: str) -> None:
    cupy.allocating_captures = True
    rows = gpu_ladders.run(name, store=False, device=CupyDevice(), rows=2)
    assert [row["timed"] for row in rows] == ["graph"] * len(rows)
    assert not any("failed" in row for row in rows)

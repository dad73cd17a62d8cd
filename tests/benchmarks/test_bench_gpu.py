"""The card's races without a card: who takes part, and what failing peers cost.
Shown: gates, rows, labels and refusals. NOT shown: any figure; the host stands in for the card.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.gpu.host_device import HostDevice

from benchmarks import gate, parent, step, step_text
from benchmarks.__main__ import main
from benchmarks.cases import make_rows, make_theta, parse_arch
from benchmarks.contenders.minivae_step import MinivaeStep
from benchmarks.worker import StepWorker
from minivae.backend import Backend
from minivae.racing.statistics import StopRule

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels" / "gpu"))
from rounding_device import RoundingDevice

CASE = parse_arch("31-17-5:relu", 12)
SHORT = StopRule(least=3, most=3)
SURE = StopRule(least=6, most=6)  # the fewest that have an interval


@pytest.fixture
def built() -> None:
    if compiler() is None:
        pytest.skip("the host build of the CUDA kernels needs g++")


def test_a_card_has_more_peers() -> None:
    options = step.StepOptions(backend="cupy", say=lambda text: None)
    assert set(options.rivals) == {*step.PEERS, "jax-unrolled", "torch-graph"}
    assert set(step.StepOptions().rivals) == set(step.PEERS)
    named = step.StepOptions(backend="cupy", peers=("torch-graph:max-autotune-no-cudagraphs",))
    names = step.contenders_of(named)
    assert names[0] == "minivae-cupy" and names[-1] == "cublas-peak"


class Scripted:
    """A worker that is not there: answers from a list, or fails as it is told."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name, self.losses = name, [1.0]

    def ask(self, do: str, **message: Any) -> dict[str, Any]:
        if self.name == "torch-compile":
            raise KeyError("versions")  # an answer nobody foresaw
        if self.name == "torch-eager" and do == "prepare":
            raise parent.WorkerError("torch-eager: OutOfMemoryError: CUDA out of memory")
        where = "cpu" if self.name == "jax" else "cuda:0"
        if do == "load":
            return {"versions": {"device": where}, "import_s": 0.0}
        return {"first_run_s": 0.1, "loss": 1.0, "exact_noise": True}

    def gate(self, *_: Any) -> dict[str, float]:
        return {"loss": 0.0}

    def block(self, number: int) -> float:
        if self.name == "jax-unrolled" and number == 1:
            raise OSError("the driver was lost")
        return {"minivae-cupy": 1.0, "torch-graph": 2.5}.get(self.name, 0.5)

    def seconds_used(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


def test_failing_peers_never_lose_our_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(step, "Contender", Scripted)
    monkeypatch.setattr(gate, "reference_block_loss", lambda case, steps: 1.0)
    monkeypatch.setattr("benchmarks.entrants.importlib.util.find_spec", lambda name: True)
    options = step.StepOptions(backend="cupy", rule=SURE, say=lambda text: None, block_steps=2)
    rows = {r["contender"]: r for r in step.StepRace(CASE, options, tmp_path, tmp_path).run()}
    ours = rows["minivae-cupy"]
    assert ours["verdict"] == "faster" and ours["ratio"] == 2.5
    assert ours["fastest_peer"] == "torch-graph"
    assert "install its CUDA build" in rows["jax"]["skipped"] and "failed" not in rows["jax"]
    assert "out of memory" in rows["torch-eager"]["failed"]
    assert "KeyError" in rows["torch-compile"]["failed"]
    assert "the driver was lost" in rows["jax-unrolled"]["failed"]
    text = step_text.table([{**r, "batch": 12} for r in rows.values() if "ms" not in r])
    assert "skipped: jax runs on cpu" in text


def test_every_case_and_contender_is_cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    class Filling(Scripted):
        def __init__(self, name: str, threads: Any, device: str, extra: dict[str, str]) -> None:
            super().__init__(name)
            seen.append(extra)
            for path in map(Path, extra.values()):
                assert not path.exists()
                path.mkdir()  # as compiling would

    monkeypatch.setattr(step, "Contender", Filling)
    monkeypatch.setattr(gate, "reference_block_loss", lambda case, steps: 1.0)
    for cold in (True, False):
        options = step.StepOptions(
            backend="cupy", peers=(), rule=SHORT, cold=cold, say=lambda text: None, block_steps=2
        )
        step.run([CASE, CASE], options, store=False)
    assert len(seen) == 12 and seen[6:] == [{}] * 6  # ours, ours again and the limit, in two cases
    folders = [path for extra in seen for path in extra.values()]
    assert len(set(folders)) == len(folders) == 6 * 5
    assert not any(Path(path).exists() for path in folders)  # all gone with the run


def test_a_worker_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parent.PATIENCE, "load", 0.01)
    worker = parent.Contender("cheat:honest")
    try:
        with pytest.raises(parent.WorkerError, match=r"did not finish 'load' within 0.01 s"):
            worker.ask("load", threads=None)
    finally:
        worker.close()
    assert worker.process.returncode is not None


def contender(device: HostDevice, tf32: bool) -> MinivaeStep:
    made = MinivaeStep("numpy")
    made.K = Backend("cupy", gpu.table(device), tf32=tf32)
    made.prepare(CASE, gate.shared_data(CASE.data_dim), make_theta(CASE))
    return made


@pytest.mark.parametrize("arch", ["31-17-5:relu", "31-13-11-5:tanh:dynamic"])
@pytest.mark.parametrize("nearest", [True, False])
def test_the_gate_of_tf32(built: None, nearest: bool, arch: str) -> None:
    """Ten bits pass the wider limits and not float32's; five bits pass neither."""
    case = parse_arch(arch, 12)
    for bits, passes in ((10, True), (5, False)):
        ours = contender(RoundingDevice(bits, nearest=nearest), tf32=True)
        ours.prepare(case, gate.shared_data(case.data_dim), make_theta(case))
        ours.run(make_rows(case, 0, 20))
        seen = ours.check(make_rows(case, 100_001, 2))
        with pytest.raises(gate.GateError):
            gate.check_updates(case, seen, gate.FLOAT32)
        if passes:
            gate.check_updates(case, seen, gate.TF32)
        else:
            with pytest.raises(gate.GateError):
                gate.check_updates(case, seen, gate.TF32)


def test_versions_name_the_card(built: None) -> None:
    said = contender(HostDevice(), tf32=True).versions()
    assert said["backend"] == "cupy, TF32" and "mean nothing" in said["card"]


def test_no_race_begins_that_would_be_labelled_tf32_without_it(
    built: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fake_cublas import FakeCublas
    from fake_cupy import FakeCupy

    cupy = FakeCupy()
    blas = FakeCublas(cupy)
    monkeypatch.setattr("minivae_kernels.gpu.faults.import_cupy", lambda: cupy)
    monkeypatch.setattr("minivae_kernels.gpu.cublas.find", lambda major: blas)
    raced: list[bool] = []

    def run(cases: Any, options: step.StepOptions, store: bool) -> list[dict[str, Any]]:
        raced.append(options.tf32)
        return []

    monkeypatch.setattr(step, "run", run)
    command = ["step", "--backend", "cupy", "--batch", "9", "--no-store", "--json"]
    assert main([*command, "--tf32"]) == 0 and raced == [True]
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    capsys.readouterr()
    assert main([*command, "--tf32"]) == 2
    err = capsys.readouterr().err
    assert "NVIDIA_TF32_OVERRIDE=0 forbids TF32" in err and err.count("\n") == 1
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    volta = {**cupy.CARD, "name": b"A card of 2017", "major": 7}
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda number: volta)
    assert main([*command, "--tf32"]) == 2
    assert "this card has no TF32" in capsys.readouterr().err
    assert main(command) == 0 and raced == [True, False]


@pytest.mark.parametrize("tf32", [False, True])
def test_the_workers_whole_conversation(
    built: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tf32: bool
) -> None:
    """Ours as a worker runs it, on the strict stand-in for CuPy: load, prepare, gate, block."""
    from fake_cublas import FakeCublas
    from fake_cupy import FakeCupy

    blas = FakeCublas(cupy := FakeCupy())
    monkeypatch.setattr("minivae_kernels.gpu.faults.import_cupy", lambda: cupy)
    monkeypatch.setattr("minivae_kernels.gpu.cublas.find", lambda major: blas)
    np.save(tmp_path / "data.npy", gate.shared_data(CASE.data_dim))
    ours = StepWorker("minivae-cupy")
    said = ours.load(None, tf32=tf32)["versions"]
    assert said["backend"] == ("cupy, TF32" if tf32 else "cupy") and said["tf32"] == str(tf32)
    assert not step.on_wrong_device("gpu", said)
    ready = ours.prepare(CASE.to_dict(), str(tmp_path / "data.npy"), 19)
    limits, truth = gate.TF32 if tf32 else gate.FLOAT32, gate.reference_block_loss(CASE, 19)
    gate.check_block(ready["loss"], truth, ready["exact_noise"], limits)
    for number in (71, 72):
        given = gate.peer_inputs(CASE, number)
        np.savez(tmp_path / "inputs.npz", allow_pickle=False, **given)
        ours.gradient(number, str(tmp_path / "inputs.npz"), str(tmp_path / "found.npz"))
        found = np.load(tmp_path / "found.npz")
        gate.check_gradient(CASE, given, found["loss"], found["grad"], limits)
        ours.updates(number, str(tmp_path / "seen"))
        for part in (0, 1):
            gate.check_updates(CASE, dict(np.load(tmp_path / f"seen-{part}.npz")), limits)
        assert ours.block(number)["steps"] == 19
    assert blas.math == (3 if tf32 else 0)

"""The GPU's ladders on the host, which stands in for a card: gates, rows, labels and refusals.
NOT shown: any figure.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from minivae_kernels import Unavailable
from minivae_kernels.gpu import faults
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.gpu.host_device import HostDevice
from minivae_kernels.ladder.gpu.product import TF32_LOSS

from benchmarks import gpu_ladders, gpu_predictions, ladders
from benchmarks.__main__ import main
from benchmarks.cases import parse_arch
from minivae.racing.gate import GateError
from minivae.racing.statistics import StopRule

CASE = parse_arch("31-17-5:relu", 12)
SHORT = StopRule(least=3, most=3)


@pytest.fixture
def built() -> None:
    if compiler() is None:
        pytest.skip("the host build of the CUDA kernels needs g++")


@pytest.mark.parametrize(
    "name", [pytest.param("product", marks=pytest.mark.slow), "likelihood", "latent", "step"]
)
def test_a_gpu_ladder_is_gated_timed_and_labelled(built: None, name: str) -> None:
    how: dict[str, Any] = {"rows": 5} | ({"case": CASE} if name == "step" else {})
    rows = gpu_ladders.run(name, store=False, device=HostDevice(), rule=SHORT, **how)
    assert [row["version"] for row in rows] == list(range(len(rows)))
    for row in rows:
        assert row["n"] == 3 and row["ns"]["p50"] > 0
        allowed = TF32_LOSS if "TF32" in row["idea"] else 100  # times what rounding may do
        assert row["error"] <= allowed and row["error_after"] <= allowed
        assert row["backend"] == "cupy" and "mean nothing" in row["card"]
        json.dumps(row)
    assert rows[0]["gain"] == 1 and rows[-1]["chosen"]
    text = ladders.table(rows)
    assert "mean nothing" in text and f"{name}_v0" in text


def test_a_wrong_rung_is_out_and_the_others_stay(
    built: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = HostDevice()
    ladder = gpu_ladders.load("latent", device)
    right = ladder.versions[1].call

    def wrong(*args: Any) -> Any:
        z, kl = right(*args)
        return z, kl * np.float32(1.001)

    wrong.__name__ = "latent_v1"
    object.__setattr__(ladder.versions[1], "call", wrong)
    monkeypatch.setattr(gpu_ladders, "load", lambda name, device: ladder)
    rows = gpu_ladders.race("latent", device, SHORT, rows=9)
    assert [("failed" in row, "ns" in row) for row in rows] == [
        (False, True), (True, False), (False, True), (False, True)
    ]  # fmt: skip


class Rungs:
    """Rungs that are not there: v1 is wrong after the timing."""

    work = 1.0
    ladder = SimpleNamespace(unit="flop", versions=[
        SimpleNamespace(number=n, idea=f"v{n}") for n in range(3)])  # fmt: skip

    def gate(self, version: Any, seed: int) -> float:
        if (version.number, seed) == (1, 2):
            raise GateError("wrong at the end")
        return 0.5

    def block(self, version: Any) -> tuple[Any, str]:
        return lambda number: 1e-6, "graph"


def test_neither_a_failed_rung_nor_a_rehearsal_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: list[int] = []
    monkeypatch.setattr(gpu_ladders, "rungs_of", lambda name, device, **how: Rungs())
    monkeypatch.setattr(
        gpu_ladders.results, "append", lambda kind, rows: kept.extend(r["version"] for r in rows)
    )
    nowhere = SimpleNamespace(name="nowhere")
    rows = gpu_ladders.run("latent", True, nowhere, rule=SHORT)
    assert kept == [0, 2] and "wrong at the end" in rows[1]["failed"]
    assert ["ns" in row for row in rows] == [True, False, True]
    gpu_ladders.run("latent", True, nowhere, rule=SHORT, rows=2)
    assert kept == [0, 2]
    asked = [{"version": n, "bytes": 1, "launches": 1, "kernels": {}, "idea": "", "unit": "flop"}
             for n in range(2)]  # fmt: skip
    old = {"ladder": "latent", "version": 1, "card": "A card", "ns": {"p50": 7.0}}
    text = "<!-- ladder-gpu:latent:begin -->\n<!-- ladder-gpu:latent:end -->"
    for failed, shown in (({}, True), ({"failed": "wrong"}, False)):
        page = tmp_path / "README.md"
        page.write_text(text, encoding="utf-8")
        monkeypatch.setattr(ladders, "README", page)
        gpu_predictions.write_readme([{**a, "ladder": "latent"} for a in asked], [old | failed])
        assert ("7.00 ns" in page.read_text(encoding="utf-8")) is shown


def test_the_steps_updates_are_judged_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding of the first must not move the start of the second."""
    seen: list[dict[str, np.ndarray]] = []

    def judge(case: Any, update: dict[str, np.ndarray]) -> dict[str, float]:
        seen.append(update)
        return {"loss": float(update["t"])}

    class Step:
        def __init__(self) -> None:
            self.updates = 0

        def __call__(self, rows: np.ndarray, t: int, lr: Any, beta: Any) -> None:
            self.updates += len(rows)

        def state(self) -> tuple[np.ndarray, np.ndarray]:
            return np.full(3, self.updates), np.zeros((2, 3))

        def metrics(self) -> dict[str, float]:
            return {"loss": 1.0, "samples": 1}

    monkeypatch.setattr(gpu_ladders, "check_updates", judge)
    ladder = SimpleNamespace(versions=[])
    rungs = gpu_ladders.StepRungs(ladder, None, 5, CASE)  # type: ignore[arg-type]
    rungs.steps[0] = Step()
    assert rungs.gate(SimpleNamespace(number=0), 1) == 8.0  # type: ignore[arg-type]
    starts = [(int(s["t"]), len(s["rows"]), s["theta"][0], s["theta_after"][0]) for s in seen]
    assert starts == [(7, 1, 0, 1), (8, 1, 1, 2)]


def test_a_rung_that_cannot_be_recorded_says_why(
    built: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one for whose recording the memory does not suffice is out, not timed in another way."""
    problems: list[Exception] = [
        RuntimeError("cudaErrorStreamCaptureUnsupported: not permitted\nmore"),
        ValueError(),
        faults.OutOfDeviceMemory("the card's memory was full"),
    ]

    def recorded(device: Any, call: Any) -> Any:
        if problems:
            raise problems.pop(0)
        return call

    monkeypatch.setattr(gpu_ladders.bandwidth, "recorded", recorded)
    rows = gpu_ladders.race("latent", HostDevice(), SHORT, rows=9)
    assert [row.get("timed") for row in rows] == [
        "eager: cudaErrorStreamCaptureUnsupported: not permitted", "eager: ValueError", None,
        "graph",
    ]  # fmt: skip
    assert "OutOfDeviceMemory: the card's memory was full" in rows[2]["failed"]
    assert ["ns" in row for row in rows] == [True, True, False, True]


@pytest.mark.parametrize(
    ("command", "words"),
    [(("ladder", "--backend", "cupy", "--no-store"), "the GPU's ladders need a card: "),
     (("bandwidth",), "")],
)  # fmt: skip
def test_without_a_card_one_line(
    command: tuple[str, ...], words: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def none_here() -> None:
        raise Unavailable("no NVIDIA driver: install one")

    monkeypatch.setattr("minivae_kernels.gpu.faults.import_cupy", none_here)
    assert main(command) == 2
    assert capsys.readouterr().err == f"error: {words}no NVIDIA driver: install one\n"


def test_a_card_that_fills_up_keeps_the_ladders_that_are_done(
    built: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def race(name: str, device: Any, **how: Any) -> list[dict[str, Any]]:
        if name == "latent":
            raise faults.OutOfDeviceMemory("the card's memory was full: end what else uses it")
        return [{"ladder": name, "version": 0}]

    stored: list[str] = []
    monkeypatch.setattr(gpu_ladders, "race", race)
    monkeypatch.setattr(gpu_ladders, "the_card", HostDevice)
    monkeypatch.setattr(
        gpu_ladders.results, "append", lambda kind, rows: stored.extend(r["ladder"] for r in rows)
    )
    assert main(["ladder", "--backend", "cupy"]) == 2
    err = capsys.readouterr().err
    assert err == "error: the card's memory was full: end what else uses it\n"
    assert stored == ["product", "likelihood"]

"""The GPU's ladders on the host, which stands in for a card: gates, rows, labels and refusals.
NOT shown: any figure.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from minivae_kernels import Unavailable
from minivae_kernels.gpu import faults
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.gpu.host_device import HostDevice
from minivae_kernels.ladder.gpu.product import TF32_LOSS

from benchmarks import gpu_ladders, ladders
from benchmarks.__main__ import main
from benchmarks.cases import parse_arch
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

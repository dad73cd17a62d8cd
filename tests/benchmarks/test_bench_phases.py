"""Where a step's time goes: every barrier has a clock, the arithmetic is the product's own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from benchmarks import phase_timer, phases
from benchmarks.__main__ import main
from benchmarks.cases import parse_arch

CASE = parse_arch("31-17-13-5:relu", 40)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phases, "UPDATES", 12)
        patch.setattr(phases, "_roofs", lambda team: {"threads": team, "fma_gflops": 100.0, "gbs": {
            level: {"copy": 50.0} for level in ("L1", "L2", "L3", "memory")}})  # fmt: skip
        return phases.measure(CASE, "numba", 2)


def test_every_phase_of_an_update_is_timed(measured: dict[str, Any]) -> None:
    told = phases.expected(CASE)
    assert [p["phase"] for p in measured["phases"]] == [what for what, _, _ in told]
    assert measured["phases"][0]["in"] == "prepare"
    assert measured["phases"][-1]["in"] == "update"
    for p in measured["phases"]:
        assert p["us"] > 0 and len(p["work_us"]) == len(p["wait_us"]) == measured["threads"]
        assert min(p["wait_us"]) >= 0
    assert sum(p["flops"] for p in measured["phases"]) == CASE.flops()
    lanes = measured["timeline"]
    assert len(lanes) == measured["threads"] and all(len(lane) == len(told) for lane in lanes)
    for lane in lanes:  # one phase begins where the last one's waiting ended
        for (start, work, wait), (following, _, _) in itertools.pairwise(lane):
            assert following == pytest.approx(start + work + wait, abs=1e-6)


def test_it_is_told_and_drawn(measured: dict[str, Any], tmp_path: Path) -> None:
    text = phases.table(measured)
    assert (
        "waiting" in text
        and "output and likelihood" in text
        and measured["counters"]["words"] in text
    )
    phases.plot(measured, tmp_path / "phases.svg")
    assert "<svg" in (tmp_path / "phases.svg").read_text(encoding="utf-8")
    assert "timeline" not in phases.stored(measured)


def test_the_clock_costs_no_bit_and_is_gone_afterwards() -> None:
    from minivae_kernels.cpu.step import train
    from minivae_kernels.cpu.threads import pool

    from benchmarks.cases import make_rows, make_theta
    from benchmarks.contenders.minivae_step import MinivaeStep
    from benchmarks.gate import shared_data

    before = train.train, pool.new_sync
    states = []
    loop, places = phase_timer.compiled()
    assert "update" in places and "prepare" in places
    for timed in (False, True):
        contender = MinivaeStep("numba", threads=2)
        contender.prepare(CASE, shared_data(31), make_theta(CASE))
        if timed:
            with phase_timer.timers(loop, 400) as kept:
                contender.run(make_rows(CASE, 1, 3))
            assert all(len(n) > 3 for n in phase_timer.notes_of(*kept[-1]))
        else:
            contender.run(make_rows(CASE, 1, 3))
        states.append(contender.step.state())
    assert (train.train, pool.new_sync) == before
    for one, two in zip(*states, strict=True):
        assert np.array_equal(one, two)


def test_another_backend_has_no_barriers(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["step", "--phases", "--backend", "numpy", "--arch", "31-5", "--batch", "7"]
    assert main(argv) == 2
    assert "--phases reads the clock in the numba step" in capsys.readouterr().err

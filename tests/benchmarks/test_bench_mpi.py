"""The MPI benchmark's model, and that it tells other bits and a missed target."""

from __future__ import annotations

import pytest

from benchmarks import mpi

PARTS = {"gradient_ms": {str(n): n * 0.03 + 0.2 for n in mpi.PARTS}, "numbers": 700_000,
         "optimiser_ms": 0.2, "adding_ms": 0.05}  # fmt: skip


def runs(ms: float, sha256: str = "a") -> list[dict]:
    return [{"ms": ms, "ms_median": ms, "exchange_ms": 0.1 * ms, "blocks": 3, "sha256": sha256}]


def test_the_model_is_the_formula():
    rows = mpi.predictions(PARTS, alpha_ms=0.01)
    assert len(rows) == len(mpi.RANKS) * len(mpi.NETWORKS)
    first = rows[0]  # 8 ranks, 10 Gbit/s: 128 rows each, 22.4 Mbit twice, less an eighth
    expected = PARTS["gradient_ms"]["128"] + 0.2 / 8 + 6 * 0.01 + 2 * 7 / 8 * 2.24 + 7 / 8 * 0.05
    assert first["strong_ms"] == pytest.approx(expected)
    for row in rows:
        assert 0 < row["strong_efficiency"] <= 1.01 and 0 < row["weak_efficiency"] <= 1.01
        slower = [r for r in rows if r["processes"] == row["processes"]]
        assert slower[0]["weak_efficiency"] < slower[-1]["weak_efficiency"]  # 10 before 100 Gbit/s


def test_the_fit_of_an_exchange():
    alpha, beta = mpi.fit([64, 4_000_000], [0.003, 0.403])
    assert alpha == 0.003 and beta == pytest.approx(0.1)


def test_other_bits_fail_and_a_missed_target_is_said():
    one = mpi.row_of(1024, "alone", 1, runs(20.0), 20.0, True)
    two = mpi.row_of(1024, "slices", 2, runs(11.0), 20.0, True)
    whole = mpi.row_of(1024, "whole", 2, runs(10.9), 20.0, False)
    assert two["speedup"] == pytest.approx(20 / 11) and "failed" not in two and "failed" in whole
    text = mpi.table([one, two, whole])
    assert "FAILED: other bits" in text and "1.82, reached" in text
    assert "all parameters is the faster" in text and "at most 5% of an update" in text
    two["speedup"] = 1.7
    assert "missed by 0.10" in mpi.verdict([one, two, whole])


def test_without_an_mpiexec_it_is_one_line(monkeypatch):
    monkeypatch.setattr(mpi.shutil, "which", lambda name: None)
    with pytest.raises(mpi.MpiError, match="pip install"):
        mpi.run([128], 1.0, store=False)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import time; time.sleep(60)", "1 processes have not answered after 1 s"),
        ("", "1 processes ended without a result, but with ''"),
        ("print('no json')", "1 processes ended without a result, but with 'no json'"),
        ("raise SystemExit('gone')", "1 processes ended with 1: gone"),
    ],
)
def test_a_child_that_does_not_answer_is_one_line(monkeypatch, code, words):
    real = mpi.subprocess.run
    monkeypatch.setattr(mpi, "PATIENCE", 1 if "sleep" in code else 60)
    child = [mpi.sys.executable, "-S", "-c", code]
    monkeypatch.setattr(mpi.subprocess, "run", lambda command, **how: real(child, **how))
    with pytest.raises(mpi.MpiError, match=words) as raised:
        mpi.launch(1, {})
    assert "\n" not in str(raised.value)

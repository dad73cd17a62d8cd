"""Sweeps: what they are made of, what is never computed twice, what a lost worker costs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minivae
from minivae.settings import ConfigError
from minivae.sweeps import engines, grid, table

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"epochs": 2, "hidden": 8, "backend": "numpy"}


def test_axes_and_points():
    axes = grid.parse_axes(["beta=0.5,1", "hidden=200;400,200"], ["beta", "hidden"])
    assert axes == {"beta": ["0.5", "1"], "hidden": ["200", "400,200"]}
    points = grid.points_of(axes, 2)
    assert len(points) == 8 and points[0].name == "beta=0.5,hidden=200,seed=0"
    assert points[1].options[-2:] == ["--seed", "1"]
    assert len({p.name for p in points}) == 8
    drawn = grid.points_of(axes, 1, 3)
    assert len({p.name for p in drawn}) == 3 and drawn == grid.points_of(axes, 1, 3)
    shares = [grid.share(points, f"{k}/3") for k in (1, 2, 3)]
    assert sorted(p.name for s in shares for p in s) == sorted(p.name for p in points)


@pytest.mark.parametrize(
    ("text", "says"),
    [("bta=1", "did you mean 'beta'"), ("beta", "write it like"), ("beta=", "write it like"),
     ("seed=1,2", "--seeds")],
)  # fmt: skip
def test_a_grid_that_cannot_be(text, says):
    with pytest.raises(ConfigError, match=says):
        grid.parse_axes([text], ["beta", "latent"])


@pytest.mark.parametrize("only", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_share_that_cannot_be(only):
    with pytest.raises(ConfigError, match="K/N"):
        grid.share([], only)


def test_an_engine_that_cannot_be():
    for engine in ("slurm", "dask", "local:3"):
        with pytest.raises(ConfigError, match="choose local"):
            engines.choose_engine(engine, 1)


def test_means_over_seeds_and_their_errors():
    rows = [{"beta": b, "seed": s, **dict.fromkeys(table.FIGURES, float(s) + float(b))}
            for b in ("1", "2") for s in (0, 1, 5)]  # fmt: skip
    means = table.over_seeds(rows, ["beta"])
    assert [m["beta"] for m in means] == ["2", "1"]
    assert means[1]["kl"] == pytest.approx(3.0)
    assert means[1]["kl_se"] == pytest.approx((7 / 3) ** 0.5)


def rows_of(path: Path) -> list[dict[str, str]]:
    with (path / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sweep_is_made_once_and_grows(tmp_path):
    out = tmp_path / "a sweep"
    first = minivae.sweep("digits", {"beta": [0.5, 1]}, out=out, quiet=True, **SMALL)
    assert len(first) == 2 and len(rows_of(out)) == 2
    times = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/result.json")}
    minivae.sweep("digits", {"beta": [0.5, 1, 2]}, out=out, seeds=2, quiet=True, **SMALL)
    assert len(rows_of(out)) == 6
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    assert (out / "pictures" / "rate-distortion.png").stat().st_size > 0
    with pytest.raises(ConfigError, match="another --out"):
        minivae.sweep("digits", {"beta": [1]}, out=out, quiet=True, **{**SMALL, "epochs": 3})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(ConfigError, match="no sweep"):
        minivae.sweep("digits", {"beta": [1]}, out=tmp_path / "other", quiet=True, **SMALL)


def test_what_cannot_be_is_said_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="beta = -1"):
        minivae.sweep("digits", {"beta": [1, -1]}, out=tmp_path / "s", quiet=True, **SMALL)
    assert not (tmp_path / "s").exists()


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "minivae", "sweep", "digits", "--grid", "beta=0.5,1", "--seeds",
            "2", "--epochs", "40", "--hidden", "32", "--backend", "numpy", "--out", str(out),
            "--quiet", *more]  # fmt: skip


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def sums(out: Path) -> dict[str, str]:
    found = {}
    for file in sorted(out.glob("runs/*/checkpoints/last.json")):
        found[file.parts[-3]] = json.loads(file.read_text(encoding="utf-8"))["sha256"]
    return found


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_bits(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole), check=True, env=environment(), capture_output=True)
    child = subprocess.Popen(command(cut), env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(cut.glob("runs/*/checkpoints/epoch-*.json")):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert len(list(cut.glob("runs/*/result.json"))) < 4
    subprocess.run(command(cut), check=True, env=environment(), capture_output=True)
    assert sums(cut) == sums(whole) and len(sums(cut)) == 4


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_its_own_run_only(tmp_path):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "sweep"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        work = command(out, "--engine", f"dask:{cluster.scheduler_address}")
        child = subprocess.Popen(work, env=environment(), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(out.glob("runs/*/checkpoints/*.json")):
            time.sleep(0.02)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        said = child.communicate(timeout=120)[1]
        assert child.returncode == 0, said
    assert len(rows_of(out)) == 4
    assert json.loads((out / "failures.json").read_text(encoding="utf-8")) == {}


def test_a_scheduler_that_nobody_runs_is_one_line(tmp_path):
    pytest.importorskip("distributed")
    done = subprocess.run(
        command(tmp_path / "s", "--engine", "dask:tcp://127.0.0.1:9"),
        env=environment(), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no scheduler answers there" in done.stderr and done.stderr.count("\n") == 1

"""`--tf32` from the command line to the products: refused elsewhere, recorded, labelled, budgeted.

Shown with a device that rounds the products' inputs itself. NOT shown: what a card's TF32 does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import Unavailable, gpu
from minivae_kernels.gpu.host_device import HostDevice

from minivae.backend import Backend
from minivae.cli.main import run
from minivae.proof.kernels import check_kernels
from minivae.proof.product_rounding import PRODUCTS

sys.path.insert(0, str(Path(__file__).parent))
from fake_cupy import FakeCupy
from rounding_device import RoundingDevice, kept

TRAIN = ("train", "--backend", "cupy", "--hidden", "9", "--epochs", "1", "--batch-size", "300",
         "--no-pictures", "--json")  # fmt: skip


@pytest.fixture
def card(built: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A backend "cupy" on the host, whose TF32 rounds."""

    def load(name: str, threads: Any = None, *, tf32: bool = False, **more: Any) -> Any:
        return gpu.table(RoundingDevice() if tf32 else HostDevice())

    monkeypatch.setattr("minivae_kernels.load", load)
    monkeypatch.chdir(tmp_path)


def backend(tf32: bool = True, **how: Any) -> Backend:
    return Backend("cupy", gpu.table(RoundingDevice(**how)), tf32=tf32)


def wrong(K: Backend) -> set[str]:
    return {row.op for row in check_kernels(K, list(PRODUCTS)) if not row.ok}


def test_ten_bits_are_kept() -> None:
    x = np.array([1 + 2.0**-10, 1 + 2.0**-11, 1 + 2.0**-12, -1 - 2.0**-11], np.float32)
    assert kept(x, 10, False).tolist() == [1 + 2.0**-10, 1, 1, -1]
    assert kept(x, 10, True).tolist() == [1 + 2.0**-10, 1 + 2.0**-10, 1, -1 - 2.0**-10]


@pytest.mark.parametrize("nearest", [True, False])
def test_the_budget_fits_tf32_and_no_less(built: None, nearest: bool) -> None:
    """Ten bits pass however they are rounded; seven bits, or float32's budget, do not."""
    assert not wrong(backend(nearest=nearest))
    assert wrong(backend(bits=7, nearest=nearest)) == set(PRODUCTS)
    assert wrong(backend(tf32=False, nearest=nearest)) == set(PRODUCTS)


def test_verify_says_so(card: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "dense_forward", "relu", "--backend", "cupy", "--tf32"]) == 0
    said = capsys.readouterr().out
    assert "TF32: products may be off by" in said and "all right" in said
    assert run(["verify", "dense_forward", "--backend", "cupy", "--tf32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kernels"]["tf32"] is True


@pytest.mark.parametrize("command", [("train",), ("verify",), ("evaluate", "run")])
@pytest.mark.parametrize("other", ["numpy", "numba", "auto"])
def test_refused_elsewhere_in_one_line(
    command: tuple[str, ...], other: str, card: None, capsys: pytest.CaptureFixture[str]
) -> None:
    if command[0] == "evaluate":
        assert run([*TRAIN, "--out", "run"]) == 0
        capsys.readouterr()
    assert run([*command, "--backend", other, "--tf32"]) == 2
    said = capsys.readouterr().err.strip()
    assert "--tf32 belongs to --backend cupy" in said and "\n" not in said
    assert not Path("runs").exists()


def test_a_run_records_it_and_a_resume_keeps_it(
    card: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*TRAIN, "--tf32", "--out", "run"]) == 0
    out = capsys.readouterr()
    facts = json.loads(out.out)
    assert facts["tf32"] is True and facts["train_config"]["tf32"] is True
    assert "cupy, TF32" in out.err  # where the progress is shown
    assert json.loads(Path("run/config.json").read_text())["train"]["tf32"] is True
    manifest = json.loads(Path("run/checkpoints/last.json").read_text())
    assert manifest["train"]["tf32"] is True

    again = ("train", "--resume", "run", "--epochs", "2", "--no-pictures", "--json")
    assert run(again) == 0
    assert json.loads(capsys.readouterr().out)["tf32"] is True
    assert run([*again[:3], "--backend", "numpy"]) == 2
    assert "--no-tf32 for a run that was started with it" in capsys.readouterr().err
    assert run([*again[:3], "--epochs", "3", "--no-tf32", "--no-pictures"]) == 0
    assert "had tf32 True and goes on with False" in "".join(capsys.readouterr())


def test_tf32_changes_the_bits_and_little_else(
    card: None, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for name, more in (("a", ()), ("b", ("--tf32",))):
        assert run([*TRAIN, *more, "--out", name]) == 0
        found.append(json.loads(capsys.readouterr().out))
    plain, rounded = found
    sums = [f["checkpoints"]["last"]["sha256"] for f in found]
    assert sums[0] != sums[1]
    assert abs(plain["train"]["loss"] - rounded["train"]["loss"]) < 1e-2 * plain["train"]["loss"]


def test_evaluate_says_so(card: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TRAIN, "--out", "run"]) == 0
    words = ("evaluate", "run", "--samples", "1", "--limit", "20", "--backend", "cupy", "--tf32")
    capsys.readouterr()
    assert run(words) == 0
    assert "products          TF32, not float32" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tf32"] is True


def test_tf32_that_would_not_be_used_is_refused(
    built: None, cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpu.load(tf32=True)["xp"] is cupy
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with pytest.raises(Unavailable, match="NVIDIA_TF32_OVERRIDE=0 forbids TF32"):
        gpu.load(tf32=True)
    gpu.load()
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    volta = {**cupy.CARD, "name": b"A card of 2017", "major": 7}
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda number: volta)
    with pytest.raises(Unavailable, match="this card has no TF32"):
        gpu.load(tf32=True)
    gpu.load()

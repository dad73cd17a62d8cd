"""A sweep knows its data: by their content, by how they are read, and those of earlier versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import minivae
from minivae.runs.checkpoint import sum_of
from minivae.settings import ConfigError
from minivae.sweeps import identity, plan
from tests.sweeps.test_sweeps import rows_of

TINY = {"epochs": 1, "hidden": "none", "latent": 2, "backend": "numpy", "likelihood": "gaussian"}


def sweep(data: object, grid: dict, out: Path, **more: object) -> list[dict[str, str]]:
    minivae.sweep(str(data), grid, out=out, quiet=True, **TINY, **more)
    return rows_of(out)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty rows of six whole numbers."""
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).integers(0, 3, (40, 6)).astype(float))
    return tmp_path / "rows.npy"


def times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("runs/*/*.json"))}


def change(rows: Path) -> None:
    x = np.load(rows)
    x[0, 0] += 1
    np.save(rows, x)


def test_data_that_have_changed_are_another_sweeps(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    sweep(rows, {"beta": [1]}, out)
    kept, before = times(out), (out / "sweep.json").read_bytes()
    whole = np.load(rows)
    change(rows)
    for grid in ({"beta": [1]}, {"beta": [2]}):  # the same runs, and others
        with pytest.raises(ConfigError, match="the data have changed since 'beta=1,seed=0' was"):
            sweep(rows, grid, out)
    assert times(out) == kept and (out / "sweep.json").read_bytes() == before
    np.save(rows, whole)
    assert len(sweep(rows, {"beta": [1, 2]}, out)) == 2
    assert {path: kept[path] for path in kept} == {p: t for p, t in times(out).items() if p in kept}


def test_another_arithmetic_of_standardised_data_is_told_of(rows: Path, tmp_path: Path) -> None:
    sweep(rows, {"beta": [1]}, tmp_path / "s", standardise=True)
    change(rows)
    words = "the data, or how this version of minivae standardises them, have changed since .*: "
    with pytest.raises(ConfigError, match=words + "give another --out, or the same data again"):
        sweep(rows, {"beta": [1]}, tmp_path / "s", standardise=True)


def test_data_that_change_while_it_runs_fail_the_run(rows, tmp_path: Path, monkeypatch) -> None:
    from minivae.cli import train_settings

    tell, calls = train_settings.tell_of_data, []

    def and_change(*args: object) -> None:
        tell(*args)
        if not calls:
            change(rows)
        calls.append(1)

    monkeypatch.setattr(train_settings, "tell_of_data", and_change)
    with pytest.raises(RuntimeError, match="trained on other data than the sweep was begun with"):
        sweep(rows, {"beta": [1]}, tmp_path / "s")
    assert rows_of(tmp_path / "s") == []


@pytest.mark.parametrize(("axis", "values"), [("label", ["0", "5"]), ("shape", ["2x3", "3x2"])])
def test_points_that_read_their_data_apart_are_runs_of_their_own(
    rows: Path, tmp_path: Path, axis: str, values: list[str]
) -> None:
    found = sweep(rows, {axis: values, "beta": [1, 2]}, tmp_path / "s")
    assert [row[axis] for row in found] == [values[0]] * 2 + [values[1]] * 2
    assert len(list((tmp_path / "s").glob("runs/*/result.json"))) == 4
    kept = times(tmp_path / "s")
    assert len(sweep(rows, {axis: values, "beta": [1, 2]}, tmp_path / "s")) == 4
    assert times(tmp_path / "s") == kept


def test_labels_of_an_archive_are_runs_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.random((30, 4)), one=np.arange(30), two=np.arange(30) % 2)
    found = sweep(tmp_path / "a.npz", {"label": ["one", "two"]}, tmp_path / "s")
    assert [row["label"] for row in found] == ["one", "two"]


def test_pictures_of_every_size_are_trained(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "photos").mkdir()
    for n in range(20):
        pixels = np.random.default_rng(n).integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{n}.png")
    axes = {"resize": ["4x4", "6x5"], "c": [0.1, 1]}
    found = sweep(tmp_path / "photos", axes, tmp_path / "s")
    assert [(row["resize"], row["c"]) for row in found] == [
        ("4x4", "0.1"), ("4x4", "1"), ("6x5", "0.1"), ("6x5", "1"),
    ]  # fmt: skip
    assert not (tmp_path / "s" / "linear.csv").exists()  # of which of the two?


def test_settings_told_in_two_ways_are_trained_once(rows: Path, tmp_path: Path) -> None:
    axis = {"set": ["eps=1e-3", "eps=0.001"]}
    assert len(sweep(rows, axis, tmp_path / "s")) == 1
    assert len(list((tmp_path / "s" / "runs").iterdir())) == 1


def test_runs_that_would_share_a_directory_are_refused(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two runs would be called 'data_dir=a_b,seed=0'"):
        sweep(rows, {"data_dir": ["a/b", "a_b"]}, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def as_an_earlier_version(out: Path) -> None:
    """The results without their data, under the identities that they had."""
    for file in out.glob("runs/*/result.json"):
        result = json.loads(file.read_text())
        del result["sha256"], result["settled"][identity.DATA]
        result["identity"] = identity.identity_of(result["settled"])
        file.write_text(json.dumps({**result, "sha256": sum_of(result)}))


@pytest.mark.parametrize("lost", [False, True])
def test_an_earlier_versions_sweep_goes_on(rows: Path, tmp_path: Path, lost: bool) -> None:
    out = tmp_path / "s"
    sweep(rows, {"beta": [1, 2]}, out)
    as_an_earlier_version(out)
    if lost:  # of whose runs nothing is left but what they came to
        for file in out.glob("runs/*/*"):
            if file.name != plan.RESULT:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
    kept = times(out)
    assert [row["beta"] for row in sweep(rows, {"beta": [1, 2, 3]}, out)] == ["1", "2", "3"]
    assert {p: t for p, t in times(out).items() if p in kept} == kept
    change(rows)
    with pytest.raises(ConfigError, match="the data have changed"):
        sweep(rows, {"beta": [1]}, out)


def test_both_rows_of_an_earlier_versions_labels_are_found(rows: Path, tmp_path: Path) -> None:
    """They had one identity, and one of them was lost from the table."""
    out = tmp_path / "s"
    sweep(rows, {"label": ["0", "5"]}, out)
    as_an_earlier_version(out)
    kept = times(out)
    assert [row["label"] for row in sweep(rows, {"label": ["0", "5"]}, out)] == ["0", "5"]
    assert times(out) == kept


def test_a_resumed_run_is_still_known_to_be_standardised(rows: Path, tmp_path: Path) -> None:
    from minivae.cli.main import run

    words = ["--hidden", "none", "--latent", "2", "--backend", "numpy", "--no-pictures", "--quiet"]
    first = ["train", str(rows), "--standardise", "--label", "0", "--epochs", "1"]
    one = str(tmp_path / "one")
    assert run([*first, "--out", one, *words]) == 0
    before = identity.recorded_data(Path(one))
    assert run(["train", "--resume", one, "--epochs", "2", "--no-pictures", "--quiet"]) == 0
    assert identity.recorded_data(Path(one)) == before
    config = json.loads(Path(one, "config.json").read_text())
    assert config["data"]["reading"] == {"label": "0", "standardise": True}

"""Bytes are pictures for a VAE in whatever they come, and stay what they were at the fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from minivae import VAE
from minivae.cli.main import run as run_command_line
from minivae.estimators.units import Kind, kind_of

pytestmark = pytest.mark.filterwarnings("ignore::minivae.estimators.vae.UnscaledData")
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 8), dtype=np.uint8)
SMALL = {"hidden": (6,), "epochs": 2, "batch_size": 16}


def framed(library: str, dtype: str | None = None) -> Any:
    columns = {name: PIXELS[:, j] for j, name in enumerate("abcdefgh")}
    frame = pytest.importorskip(library).DataFrame(columns)
    return frame if dtype is None else frame.astype(dtype)


def packed(name: str) -> Any:
    match name:
        case "tensor":
            return pytest.importorskip("torch").tensor(PIXELS)
        case "frame" | "nullable frame":
            return framed("pandas", "UInt8" if name.startswith("nullable") else None)
        case "arrow frame":
            pytest.importorskip("pyarrow")
            return framed("pandas", "uint8[pyarrow]")
        case "polars":
            return framed("polars")
    return list(PIXELS)


@pytest.mark.filterwarnings("ignore:X has feature names", "ignore:X does not have valid feature")
@pytest.mark.parametrize(
    "name", ["tensor", "frame", "nullable frame", "arrow frame", "polars", "list of rows"]
)
def test_the_same_bytes_are_the_same_pictures(name: str, tmp_path: Path) -> None:
    packet, plain = packed(name), VAE(**SMALL).fit(PIXELS)
    assert kind_of(packet) is Kind.BYTES
    model = VAE(**SMALL).fit(packet)
    np.testing.assert_array_equal(model.theta_, plain.theta_)
    for used in (model, plain, VAE.load(model.save(tmp_path / "model"))):
        np.testing.assert_array_equal(used.transform(packet), plain.transform(PIXELS))
        np.testing.assert_array_equal(used.elbo(PIXELS), plain.elbo(PIXELS))
    streamed = clone(plain).partial_fit(packet).partial_fit(PIXELS)
    np.testing.assert_array_equal(streamed.theta_, plain.theta_)
    watched, expected = (
        clone(plain).fit(PIXELS, validation_data=rows) for rows in (packet, PIXELS)
    )
    assert watched.validation_curve_ == expected.validation_curve_


def test_columns_of_several_kinds_are_no_pictures() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": PIXELS[:, 0], "b": PIXELS[:, 1].astype(int)})
    assert kind_of(frame) is Kind.WHOLE
    assert kind_of(frame.assign(c=0.5)) is Kind.OTHER
    assert kind_of(PIXELS > 3) is Kind.OTHER


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.uint16])
@pytest.mark.parametrize("standardise", [False, True])
def test_numbers_that_were_no_bytes_stay_in_their_units(kind, standardise, tmp_path) -> None:
    settings = {**SMALL, "standardise": standardise}
    model = VAE(**settings).fit(PIXELS.astype(kind))
    expected = model.transform(PIXELS.astype(kind))
    for used in (model, VAE.load(model.save(tmp_path / "model"))):
        np.testing.assert_array_equal(used.transform(PIXELS), expected)
    went_on = clone(model).partial_fit(PIXELS.astype(kind)).partial_fit(PIXELS)
    np.testing.assert_array_equal(went_on.theta_, model.theta_)


def test_after_bytes_whole_numbers_are_bytes_and_others_are_from_0_to_1() -> None:
    model = VAE(**SMALL).fit(PIXELS)
    codes = model.transform(PIXELS)
    for same in (PIXELS.astype(int), PIXELS.tolist(), PIXELS.astype(np.uint16), PIXELS / 255):
        np.testing.assert_array_equal(model.transform(same), codes)
    dark = np.ones((1, 8), dtype=int)  # whichever rows stand beside it
    np.testing.assert_array_equal(model.transform(dark), model.transform(dark / 255))
    assert np.isfinite(model.transform(model.sample(9) * 1.5)).all()
    for bad, fix in (
        (PIXELS * 1.0, "X / 255"), (PIXELS.astype(int) * 257, "X / 65535"),
        (-PIXELS.astype(int), "take the same bytes, 0 to 255"),
        (PIXELS - 128.0, "take the same bytes, 0 to 255"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"was bytes, divided by 255, .* {fix}\.$"):
            model.transform(bad)
    refitted = model.fit(PIXELS * 1.0)  # a new fit begins anew
    np.testing.assert_array_equal(refitted.transform(PIXELS), refitted.transform(PIXELS * 1.0))


def test_after_values_from_0_to_1_bytes_are_pictures() -> None:
    model = VAE(**SMALL).fit(PIXELS / 255)
    np.testing.assert_array_equal(model.transform(PIXELS), model.transform(PIXELS / 255))


def test_a_run_on_a_table_keeps_its_units(tmp_path: Path, monkeypatch) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    pandas.DataFrame(PIXELS).to_csv("t.csv", index=False)
    options = ["--likelihood", "gaussian", "--hidden", "4", "--epochs", "1", "--backend", "numpy",
               "--quiet", "--no-pictures", "--out", "run"]  # fmt: skip
    assert run_command_line(["train", "t.csv", *options]) == 0
    model = VAE.load("run")
    del model.feature_names_in_  # scikit-learn warns of an array where there are names
    np.testing.assert_array_equal(model.transform(PIXELS), model.transform(PIXELS * 1.0))

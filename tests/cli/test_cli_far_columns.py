"""A table's column far from 0, standardised, from its training to its export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import SMALL, Command

TRAIN = ("train", *SMALL, "--latent", "2", "--out", "run", "--no-pictures")


def test_a_column_far_from_0_keeps_its_differences(command: Command) -> None:
    """A time in seconds since 1970, of which float32 holds each 128th alone."""
    pytest.importorskip("pandas")
    lines = [f"{1_700_000_000 + i},{i * 37 % 101 / 7}" for i in range(120)]
    Path("times.csv").write_text("\n".join(["t,x", *lines]) + "\n")
    said = command(*TRAIN, "times.csv", "--out", "plain").err
    assert "'t': so far from 0 float32 loses the differences" in said
    told = command(*TRAIN, "times.csv", "--standardise")
    assert told.code == 0 and "float32" not in told.err
    assert "differs from the data" not in command("evaluate", "run", "--samples", "2").err
    Path("two.csv").write_text("\n".join(["t,x", *lines[3:5]]) + "\n")
    for name in ("times.csv", "two.csv"):
        assert command("encode", "run", name, "--out", f"{name}.npy").code == 0
    every, two = np.load("times.csv.npy"), np.load("two.csv.npy")
    np.testing.assert_array_equal(two, every[3:5])
    assert len(np.unique(every[:, 0])) == 120
    told = command("export", "run", "--to", "npz", "--out", "given")
    assert told.code == 0 and "out of 't' before you give it rows" in told.err
    assert "divide x - decoded by `deviation`" in told.err
    taken = float(told.err.partition("take ")[2].split()[0])
    near = np.loadtxt("two.csv", delimiter=",", skiprows=1) - [taken, 0]
    p = np.load("given/model.npz")
    assert p["origin"].tolist() == [taken, 0] and p["deviation"].shape == (2,)
    h = np.maximum(near.astype(np.float32) @ p["encoder.0.W"] + p["encoder.0.b"], 0)
    assert np.abs(h @ p["encoder.mu.W"] + p["encoder.mu.b"] - two).max() <= 1e-4
    assert command("train", "--resume", "run", "--epochs", "3", "--quiet").code == 0

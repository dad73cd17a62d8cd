"""What is advised and refused fits the parts that were chosen."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.cli.main import run

QUICK = ("--backend", "numpy", "--hidden", "4", "--epochs", "1", "--no-pictures", "--quiet")


def test_counts_that_overflow_are_not_told_to_standardise(tmp_path, capsys):
    counts = np.random.default_rng(0).poisson(3, (60, 5)).astype(np.float32)
    counts[:30, 0] = 1e30
    np.save(tmp_path / "x.npy", counts)
    out = ("-o", str(tmp_path / "run"))
    assert run(["train", str(tmp_path / "x.npy"), "--likelihood", "poisson", *out, *QUICK]) == 1
    said = capsys.readouterr().err
    assert "standardise" not in said and "try a lower rate" in said


@pytest.mark.parametrize("optimiser", ["adam", "adagrad"])
def test_a_momentum_is_refused_where_there_is_none(tmp_path, capsys, optimiser):
    out = ("-o", str(tmp_path / "run"))
    words = ["train", "digits", "--optimiser", optimiser, "--momentum", "0.5", *out, *QUICK]
    assert run(words) == 2
    said = capsys.readouterr().err
    assert f"--momentum is a setting of sgd; the optimiser is {optimiser}" in said
    assert said.count("\n") == 1 and not (tmp_path / "run").exists()

"""The command line with `--backend cupy` on the strict stand-in: what a user does, start to end.

Shown: every command brings its arrays to the card and back as CuPy demands, in an order that CUDA
keeps, and comes to the reference's figures. NOT shown: any of it on a card (see fake_cupy.py).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_cupy import FakeCupy

from minivae.cli.main import run
from minivae.training.trainer import Trainer

SMALL = ("digits", "--hidden", "16", "--epochs", "2", "--batch-size", "400", "--no-pictures")
VARIANTS = {
    "gaussian, learned c": (),
    "dynamic": ("--binarise", "dynamic", "--free-bits", "0.2", "--latent", "3"),
    "early stopping": ("--validation", "0.2", "--patience", "1", "--lr", "0.01"),
    "gaussian, given c": ("--c", "0.2", "--warmup", "1"),
    "bernoulli, tanh": ("--likelihood", "bernoulli", "--activation", "tanh", "--beta", "0.5"),
    "linear, fixed, sgd": ("--hidden", "none", "--binarise", "fixed", "--draws", "2",
                           "--optimiser", "sgd", "--lr", "0.001"),
    "continuous bernoulli": ("--likelihood", "continuous-bernoulli"),
    "weighted draws": ("--objective", "iwae", "--draws", "3"),
    "a variance a column": ("--likelihood", "gaussian-diagonal", "--c", "learned"),
}  # fmt: skip


@pytest.fixture
def cli(
    cupy: FakeCupy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Any]:
    """Run a command in an empty folder: -> exit code, its JSON or text, and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*argv: str) -> tuple[int, Any, str]:
        code = run([str(part) for part in argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, json.loads(out) if "--json" in argv and not code else out, err

    return call


def losses(facts: dict[str, Any]) -> list[float]:
    """What a run came to: training and test losses."""
    return [facts[part][key] for part in ("train", "test") for key in ("reconstruction", "kl")]


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.slow if i > 2 else ()) for i, v in enumerate(VARIANTS)],
)
def test_training_comes_to_the_references_losses(cli: Any, variant: str) -> None:
    found = []
    for backend in ("cupy", "numpy"):
        code, facts, _ = cli("train", *SMALL, *VARIANTS[variant], "--backend", backend,
                             "--out", backend, "--json", "-q")  # fmt: skip
        assert (
            code == 0
            and facts["backend"] == backend
            and facts["updates"] == 8 - 2 * (variant == "early stopping")
        )
        found.append(facts)
    np.testing.assert_allclose(losses(found[0]), losses(found[1]), rtol=2e-4)
    assert found[0]["active_units"] == found[1]["active_units"]


def test_seeds(cli: Any) -> None:
    sums = []
    for seed in (1, 1, 2):
        place = ("--backend", "cupy", "--out", f"r{len(sums)}")
        small = ("--epochs", 1, "--hidden", "none", "--batch-size", 750)
        _, facts, _ = cli("train", *SMALL, *small, *place, "--seed", seed, "--json", "-q")
        sums.append(facts["checkpoints"]["last"]["sha256"])
    assert sums[0] == sums[1] != sums[2]


def test_ctrl_c_and_resume_to_the_same_bits(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cli("train", *SMALL, "--backend", "cupy", "--out", "whole", "--json", "-q")[1]
    tick, ticks = Trainer._tick, [0]

    def press_ctrl_c(trainer: Trainer) -> None:
        ticks[0] += 1
        if ticks[0] == 3:  # in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        tick(trainer)

    monkeypatch.setattr(Trainer, "_tick", press_ctrl_c)
    code, _, err = cli("train", *SMALL, "--backend", "cupy", "--out", "parts", "-q")
    assert (
        code == 130 and f"Continue with: minivae train --resume {Path('parts').absolute()}" in err
    )
    code, parts, err = cli("train", "--resume", "parts", "--no-pictures", "--json", "-q")
    assert code == 0 and "bits" not in err and parts["backend"] == "cupy"
    kept = [facts["checkpoints"]["last"]["tensors"] for facts in (whole, parts)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize(("first", "then"), [("cupy", "numpy"), ("numpy", "cupy")])
def test_resume_on_another_backend(cli: Any, first: str, then: str) -> None:
    """It goes on, says that bits may differ, and comes to the same figures."""
    _, whole, _ = cli("train", *SMALL, "--backend", first, "--out", "whole", "--json", "-q")
    cli("train", *SMALL, "--epochs", "1", "--backend", first, "--out", "parts", "-q")
    code, parts, err = cli("train", "--resume", "parts", "--epochs", "2", "--backend", then,
                           "--no-pictures", "--json", "-q")  # fmt: skip
    assert code == 0 and parts["backend"] == then
    assert f"this run had backend {first!r} and goes on with {then!r}: its bits may differ" in err
    np.testing.assert_allclose(losses(parts), losses(whole), rtol=2e-4)


def test_a_diverged_run_is_one_line(cli: Any) -> None:
    code, _, err = cli("train", *SMALL, "--lr", "1e9", "--backend", "cupy", "--out", "r", "-q")
    assert code == 1 and err.count("\n") == 1
    assert "gave infinity" in err and "the last good state is kept in r" in err


@pytest.mark.slow
def test_pictures_of_a_run(cli: Any) -> None:
    trained = [part for part in SMALL if part != "--no-pictures"]
    code, facts, _ = cli("train", *trained, "--latent", "3", "--backend", "cupy", "--out", "r",
                         "--json", "-q")  # fmt: skip
    assert code == 0 and len(facts["pictures"]) == 6
    assert all(Path(path).stat().st_size > 1000 for path in facts["pictures"].values())
    for command in (("interpolate", "r", "--steps", "3"), ("manifold", "r", "-n", "3"),
                    ("reconstruct", "r", "-n", "3"), ("generate", "r", "-n", "5")):  # fmt: skip
        assert cli(*command, "--backend", "cupy")[0] == 0
    assert cli("explain-loss", "r")[0] == 0


def test_figures_of_a_run(cli: Any) -> None:
    """What other commands make of a run, on the card as by the reference."""
    cli("train", *SMALL, "--binarise", "dynamic", "--backend", "cupy", "--out", "r", "-q")
    measured, drawn = [], []
    for backend in ("cupy", "numpy"):
        on = ("--backend", backend)
        measured.append(cli("evaluate", "r", *on, "--samples", "7", "--limit", "99", "--json")[1])
        for command in (
            ("generate", "r", "--sampler", "aggregate", "--draw", "-n", "20"),
            ("generate", "r", "--seed", "3"),
            ("reconstruct", "r", "--split", "train"),
        ):
            assert cli(*command, *on, "--out", "x.npy")[0] == 0
            drawn.append(np.load("x.npy"))
    for key in ("log_p", "elbo", "reconstruction", "kl", "sampled_elbo", "active_units"):
        np.testing.assert_allclose(measured[0][key], measured[1][key], rtol=1e-4, err_msg=key)
    for mine, theirs in zip(drawn[:3], drawn[3:], strict=True):
        differing = np.abs(mine - theirs) > 1e-4  # a coin flip may fall on the very edge
        assert mine.shape == theirs.shape and differing.mean() < 1e-3


def test_verify_and_info(cli: Any) -> None:
    """All ops: test_gpu_verify.py."""
    names = ("dense_backward_params", "adam", "gather_binarise")
    code, facts, _ = cli("verify", *names, "--backend", "cupy", "--json")
    assert code == 0 and facts["ok"]
    assert len(facts["kernels"]["rows"]) == 2 + 3 + 1  # one an output
    code, _, err = cli("verify", "gaussian_kl", "--backend", "cupy")
    assert code == 2 and "no kernel of gaussian_kl" in err
    _, facts, _ = cli("info", "--backend", "cupy", "--json")
    found = facts["backends"]["cupy"]
    assert found["available"] and found["ops"]["adam_update"].endswith("gpu/ops_optimiser.py")
    assert found["ops"]["make_step"].startswith("minivae_kernels/gpu/")

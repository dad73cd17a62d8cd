"""Short runs of each kind end in the bits that they ended in before: figures kept, never made anew.

The Numba backend promises the same bits on any processor with FMA, so its runs are held to their
sha256. `old_run/` is a run directory written by an earlier version: it still loads and resumes.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from minivae.backend import load_backend
from tests.training.child_run import run_here

OLD_RUN = Path(__file__).parent / "old_run"
OLD_SPEC = {
    "model": {"free_bits": 0.1, "draws": 2},
    "train": {"warmup": 1.3, "binarise": "dynamic", "checkpoint_seconds": 1e9, "epochs": 2},
}
RUNS = {
    "plain": ({}, {},
        "1726b2b15342cc1af78f8a4cac00a927b888f17a6ff2b6de2ab36de749348029"),
    "tanh": ({"activation": "tanh", "hidden": (17, 9)}, {},
        "ffa89c407f0c6b5484f81289dacb9daf56d4a59dce16bc97dc38b673f0aafcb5"),
    "linear": ({"hidden": ()}, {},
        "96d9d0464cf5bd628b2cc17bac109f0e24e43d326b4324f741376b6b3848470e"),
    "gaussian": ({"likelihood": "gaussian", "c": 0.3}, {},
        "63343a51c88a741cd02bc144cb032f5a98bad9e20aacce6a3cb2fb60c06bbcf0"),
    "learned-c": ({"likelihood": "gaussian", "c": "learned"}, {},
        "9890a2e50e14439df4c0a5f1844e9e62b3ab57e48f53fb121c735f0a70682543"),
    "sgd": ({}, {"optimiser": "sgd", "lr": 1e-4},
        "2162f3c6776fdcb5491454f04d51b08f397b6e72fdec0e3478478d50bed0bafc"),
    "dynamic": ({}, {"binarise": "dynamic"},
        "a209c08891d85c89956200893b59929f131cdaaa1ef7993a3d5d797ebd699108"),
    "fixed": ({}, {"binarise": "fixed"},
        "2df603d0da7263ad917845ef16e442913d0cd35c6dcf493e92cbaa46e6f34ab6"),
    "hard": (
        {"free_bits": 0.1, "draws": 2, "beta": 1.5},
        {"warmup": 2.3, "binarise": "dynamic", "seed": 3},
        "a052efaf086dfb02308909db4143f943942b71454ce8a10466884a0beca9231a",
    ),
}  # fmt: skip


def digest(result) -> str:
    return hashlib.sha256(result.theta.tobytes()).hexdigest()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_in_the_same_bits_as_ever(name):
    pytest.importorskip("numba")
    model, train, expected = RUNS[name]
    spec = {"model": model, "train": {"epochs": 3, "backend": "numba", **train}}
    assert digest(run_here(spec, None, K=load_backend("numba", 2))) == expected


def test_an_old_run_resumes_to_the_bits_of_an_uninterrupted_one(tmp_path):
    pytest.importorskip("numba")
    spec = {**OLD_SPEC, "train": {**OLD_SPEC["train"], "backend": "numba", "epochs": 4}}
    shutil.copytree(OLD_RUN, tmp_path / "run")
    resumed = run_here(spec, tmp_path / "run", resume=True, K=load_backend("numba", 1))
    assert digest(resumed) == digest(run_here(spec, None, K=load_backend("numba", 1)))

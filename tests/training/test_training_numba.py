"""The promises about bits, held by the Numba backend: threads, stops and kill -9 change none."""

from __future__ import annotations

import random
import subprocess

import pytest

from minivae.backend import load_backend
from tests.training.child_run import CALM, HARD, ending, run_here, start_child

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("swift_disk")


def on_numba(spec, threads):
    return {**spec, "train": {**spec["train"], "backend": "numba", "threads": threads}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run on one thread that nobody stopped."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    run_here(on_numba(CALM, 1), run_dir, K=load_backend("numba", 1))
    return ending(run_dir)


def test_two_threads_write_the_same_files(tmp_path, whole):
    run_here(on_numba(CALM, 2), tmp_path / "run", K=load_backend("numba", 2))
    assert ending(tmp_path / "run") == whole


def test_stopped_and_resumed_on_another_number_of_threads(tmp_path, whole):
    resume, threads = False, 1
    for pauses in (23, 31, 10**6):
        left = iter(range(pauses))
        run_here(
            on_numba(CALM, threads),
            tmp_path / "run",
            resume=resume,
            stop=lambda left=left: next(left, None) is None,
            K=load_backend("numba", threads),
        )
        resume, threads = True, 3 - threads
    assert ending(tmp_path / "run") == whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_three_times_it_ends_in_the_same_files(tmp_path, whole, seed):
    rng, run_dir, resume = random.Random(seed), tmp_path / "run", False
    for _ in range(3):
        process = start_child(on_numba(HARD, 2), run_dir, pause=0.02, resume=resume)
        assert process.stdout.readline()  # a note, or what is about to be trained
        try:
            _, errors = process.communicate(timeout=rng.uniform(0.0, 1.5))
            assert process.returncode == 0, errors  # it was done before the kill
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        resume = run_dir.exists()
    process = start_child(on_numba(CALM, 2), run_dir, resume=resume)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert ending(run_dir) == whole

"""Runs in processes of their own, stopped by signals and by kill -9."""

from __future__ import annotations

import random
import signal
import subprocess
import time

import pytest

from tests.training.child_run import CALM, HARD, ending, run_here, start_child

pytestmark = pytest.mark.usefixtures("swift_disk")
SLOW = 0.02  # seconds between chunks


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run, in a process of its own like the others."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    process = start_child(CALM, run_dir)
    _output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return ending(run_dir)


def wait_for_checkpoint(run_dir, process):
    """Until the child has saved something inside an epoch."""
    for _ in range(3000):
        if list(run_dir.glob("checkpoints/epoch-*-update-*.json")):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("the child never saved")


def finish(run_dir, resume=True):
    process = start_child(CALM, run_dir, resume=resume)
    _output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return ending(run_dir)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_says_how_to_resume_and_sets_the_code(tmp_path, whole, number, code):
    run_dir = tmp_path / "run"
    process = start_child(HARD, run_dir, pause=SLOW)
    wait_for_checkpoint(run_dir, process)
    asked = time.monotonic()
    process.send_signal(number)
    _output, errors = process.communicate(timeout=60)
    assert time.monotonic() - asked < 20  # a fraction of a second on a machine that is not busy
    assert process.returncode == code, errors
    assert f"saved. Continue with: minivae train --resume {run_dir}" in errors
    assert errors.count("\n") == 1
    assert finish(run_dir) == whole


def test_the_second_ctrl_c_leaves_at_once_and_the_checkpoint_whole(tmp_path, whole):
    run_dir = tmp_path / "run"
    process = start_child(HARD, run_dir, sleep_at=7)  # where the first request cannot be seen
    assert "asleep\n" in iter(process.stdout.readline, "")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert finish(run_dir) == whole


def killed_again_and_again(run_dir, kills, seed):
    rng, resume, spans = random.Random(seed), False, []
    while len(spans) < kills:
        process = start_child(HARD, run_dir, pause=SLOW, resume=resume)
        if not resume:
            wait_for_checkpoint(run_dir, process)
        spans.append(rng.uniform(0.0, 1.2))
        try:
            _output, errors = process.communicate(timeout=spans[-1])
            assert process.returncode == 0, errors  # it was done before the kill
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        resume = run_dir.exists()
    return finish(run_dir, resume)


def test_killed_three_times_it_ends_in_the_same_files(tmp_path, whole):
    assert killed_again_and_again(tmp_path / "run", kills=3, seed=1) == whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_killed_many_times_it_ends_in_the_same_files(tmp_path, whole, seed):
    assert killed_again_and_again(tmp_path / "run", kills=8, seed=seed) == whole


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path, whole):
    run_dir = tmp_path / "run"
    process = start_child(HARD, run_dir, sleep_at=0)
    assert "asleep\n" in iter(process.stdout.readline, "")
    process.kill()
    process.communicate()
    assert finish(run_dir) == whole


def test_the_process_does_not_matter(tmp_path, whole):
    run_here(HARD, tmp_path / "run")
    assert ending(tmp_path / "run") == whole

"""A run that cannot fit into memory is refused before anything is written."""

from __future__ import annotations

import pytest

from minivae.backend import load_backend
from minivae.models.config import ConfigError
from minivae.training import memory
from minivae.training.memory import check_memory
from minivae.training.plan import make_plan
from tests.training.child_run import run_here, settings


def plan_of(max_batch=10, **model):
    config, _ = settings({"model": model})
    return make_plan(config, scale=1.0, seed=0, max_batch=max_batch)


@pytest.mark.parametrize(
    ("model", "fix"),
    [
        ({"draws": 10**12}, "fewer draws or a smaller batch"),
        ({"draws": 10**400}, "needs at least a billion GB"),
        ({"hidden": (10**7, 10**7)}, "smaller or fewer hidden layers"),
        ({"latent_dim": 10**12}, "fewer latent dimensions"),
    ],
)
def test_absurd_sizes_are_refused_and_leave_nothing(tmp_path, model, fix):
    with pytest.raises(ConfigError, match=fix):
        run_here({"model": model}, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_message_says_how_much_is_needed_and_how_much_there_is(monkeypatch):
    plan = plan_of(hidden=())
    parameters = 2 * (23 * 3 + 3) + 3 * 23 + 23
    needed = 4 * (9 * parameters + 10 * 2 * (23 + 2 * 3))
    monkeypatch.setattr(memory, "memory_bytes", lambda: needed)
    check_memory(plan, "numpy")
    monkeypatch.setattr(memory, "memory_bytes", lambda: needed - 1)
    with pytest.raises(ConfigError, match=r"at least 0\.0 GB .* the machine has 0\.0 GB"):
        check_memory(plan, "numpy")
    check_memory(plan, "cupy")  # what the step holds lies on the card


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    machine = memory.memory_bytes()
    monkeypatch.setattr(memory, "CONTAINER", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text("4096\n")
    assert memory.memory_bytes() == 4096
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.memory_bytes() >= machine > 4096


def test_swap_counts_and_an_unknown_system_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CONTAINER", tmp_path / "none")
    monkeypatch.setattr(memory, "SYSTEM", tmp_path / "meminfo")
    assert memory.memory_bytes() is None
    (tmp_path / "meminfo").write_text("MemTotal:  30 kB\nMemFree:  7 kB\nSwapTotal:  11 kB\n")
    assert memory.memory_bytes() == 41 * 1024


def test_a_system_that_does_not_tell_its_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: None)
    check_memory(plan_of(draws=10**12), "numpy")


def test_a_step_that_finds_no_memory_leaves_nothing(tmp_path):
    K = load_backend("numpy")

    def make_step(*args):
        raise MemoryError("the card is full")

    K.make_step = make_step
    with pytest.raises(MemoryError):
        run_here({}, tmp_path / "run", K=K)
    assert list(tmp_path.iterdir()) == []

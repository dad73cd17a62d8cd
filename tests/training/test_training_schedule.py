"""The rate and β as functions of the update's number."""

from __future__ import annotations

import pytest

from minivae.runs.errors import RunError
from minivae.training.schedule import Schedule, beta_at
from tests.training.child_run import run_here


def test_warm_up_is_a_line_from_zero_to_beta():
    assert [beta_at(t, 4.0, 8) for t in (0, 1, 6, 8, 9)] == [0.0, 0.5, 3.0, 4.0, 4.0]
    assert beta_at(0, 4.0, 0) == 4.0


def test_warm_up_may_end_inside_an_epoch():
    schedule = Schedule.of(0.1, 2.0, 0.5, updates_per_epoch=7)
    lr, beta = schedule.chunk(2, 3)
    assert lr.tolist() == [0.1, 0.1, 0.1]
    assert beta == pytest.approx([2 * 2 / 3.5, 2 * 3 / 3.5, 2.0])


def test_a_chunk_does_not_depend_on_where_it_starts():
    schedule = Schedule(lambda t: 1 / (t + 3), 1.7, 11.0)
    whole = [values.tolist() for values in schedule.chunk(0, 15)]
    parts = [schedule.chunk(0, 4), schedule.chunk(4, 11)]
    assert [p.tolist() + q.tolist() for p, q in zip(*parts, strict=True)] == whole


def test_the_rate_steps_at_the_end_of_an_epoch():
    schedule = Schedule.of(0.1, 1.0, 0.0, 5, [[1, 0.5], [3, 0.25]])
    lr, _ = schedule.chunk(0, 17)
    assert lr.tolist() == [0.1] * 5 + [0.05] * 10 + [0.025] * 2


def test_a_stepped_run_resumes_to_the_same_bits(tmp_path):
    steps = {"train": {"lr_steps": [[1, 0.5], [2, 0.1]], "output_bias": "mean",
                       "initialisation": "normal", "epochs": 3}}  # fmt: skip
    whole = run_here(steps, None)
    assert [record["lr"] for record in whole.history] == pytest.approx([1e-3, 5e-4, 1e-4])
    run_here({**steps, "train": {**steps["train"], "epochs": 1}}, tmp_path / "run")
    resumed = run_here(steps, tmp_path / "run", resume=True)
    assert resumed.theta.tobytes() == whole.theta.tobytes()
    other = {"train": {**steps["train"], "lr_steps": [[1, 0.6]], "epochs": 4}}
    with pytest.raises(RunError, match="lr_steps"):
        run_here(other, tmp_path / "run", resume=True)

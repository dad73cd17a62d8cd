"""`seconds=` bounds the whole call; what time did not allow to see is said, not called wrong."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from minivae.types import foreign
from minivae.verify import check
from tests.verify.zoo_sequences import lstm_all_states
from tests.verify.zoo_tools import n

FORWARD, COMPLEX, BACKWARD = 0.25, 0.75, 0.5


class SlowPass:
    """tanh(x @ W) + b by a clock of its own: each call of each kind takes a fixed time."""

    def __init__(self, monkeypatch, mistake="", takes_complex=True):
        self.now, self.mistake, self.takes_complex = 0.0, mistake, takes_complex
        monkeypatch.setattr(foreign, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def forward(self, x, W, b):
        complex_run = any(map(np.iscomplexobj, (x, W, b)))
        self.now += COMPLEX if complex_run else FORWARD
        if complex_run and not self.takes_complex:
            raise TypeError("real numbers only")
        y = np.tanh(x @ W)
        return y + b, (x, W, y)

    def backward(self, dy, cache):
        self.now += BACKWARD
        x, W, y = cache
        d = dy * (1 - y * y)
        dx, dW, db = d @ W.T, x.T @ d, dy.sum(0)
        if self.mistake == "mean":
            db = db / len(x)
        if self.mistake == "one_entry":
            dx[2, 3] *= dx.dtype.type(1.3)
        if self.mistake == "faint":
            dx = dx * (1 + 1e-8)
        return (-dx if self.mistake == "sign" else dx), dW, db


def point(dtype):
    return [n(*shape).astype(dtype) for shape in ((30, 7), (7, 5), (5,))]


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 4.0, 8.0, 20.0, 60.0])
@pytest.mark.parametrize("takes_complex", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("mistake", ["", "mean", "one_entry", "sign"])
def test_a_slow_pass_stays_within_its_time(monkeypatch, mistake, dtype, takes_complex, seconds):
    slow = SlowPass(monkeypatch, mistake, takes_complex)
    report = check(slow.forward, slow.backward, point(dtype), seconds=seconds)
    least = FORWARD + BACKWARD + 2 * FORWARD  # a forward, a backward, and one probe
    if dtype is np.float32:
        least += FORWARD + BACKWARD  # the same in float64
    assert slow.now <= max(seconds, least) + 1e-9
    assert report.ok == (mistake == ""), report
    if seconds <= 2:
        assert any("0 of 210 entries visited" in note for note in report.notes)


@pytest.mark.parametrize("tenths", range(5, 200, 2))
def test_what_rounds_to_zero_is_not_wrong_for_want_of_time(monkeypatch, tenths):
    """1 - tanh² is exactly 0 where the slope is 1e-18: an error that nobody had time to look at."""
    now, x = [0.0], np.random.default_rng(3).uniform(19, 190, (5, 3)) * n(5, 3)
    x = np.sign(x) * np.maximum(np.abs(x), 20.5)
    monkeypatch.setattr(foreign, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def forward(x):
        now[0] += COMPLEX if np.iscomplexobj(x) else FORWARD
        return np.tanh(x), x

    def backward(dy, x):
        now[0] += BACKWARD
        return (dy * (1 - np.tanh(x) ** 2),)

    report = check(forward, backward, [x], seconds=tenths / 10)
    assert report.ok, report


@pytest.mark.parametrize("mistake", ["", "one_entry"])
def test_a_first_call_that_compiles_is_not_the_measure(monkeypatch, mistake):
    slow = SlowPass(monkeypatch, mistake)
    original, calls = slow.forward, []

    def forward(x, W, b):
        before = slow.now
        result = original(x, W, b)
        slow.now = before + (0.001 if calls else 2.0)
        calls.append(1)
        return result

    report = check(forward, slow.backward, point(np.float64), seconds=6)
    assert report.ok == (mistake == "") and slow.now <= 6
    assert all(row.checked == row.size for row in report.rows)


def test_what_was_not_seen_is_said(monkeypatch):
    slow = SlowPass(monkeypatch)
    report = check(slow.forward, slow.backward, point(np.float64), seconds=1)
    notes = [note for note in report.notes if "visited" in note]
    assert [note.split(":")[0] for note in notes] == ["x", "W", "b"]
    assert all(0 < row.visible < 1e-2 for row in report.rows)


def test_a_failure_that_time_could_not_place_is_said_to_be_one(monkeypatch):
    slow = SlowPass(monkeypatch, "sign")
    report = check(slow.forward, slow.backward, point(np.float64), seconds=1)
    assert [f.kind for f in report.faults] == ["wrong"]
    assert "x, W and b" in report.faults[0].message and "more seconds" in report.faults[0].message


def test_a_faint_failure_that_time_could_not_place_is_said_to_be_one(monkeypatch):
    """1e-8 of the gradient: far below what differences see, far above the complex step's error."""
    slow = SlowPass(monkeypatch, "faint")
    report = check(slow.forward, slow.backward, point(np.float64), seconds=15)
    assert [(f.tensor, f.kind) for f in report.faults] == [("x", "wrong")] and slow.now <= 15
    assert "more seconds" in report.faults[0].message


def test_tensors_are_probed_before_entries_are_visited(monkeypatch):
    """The smallest tensor is wrong and stands last: it is still found, named and visited."""
    slow = SlowPass(monkeypatch, "mean")
    report = check(slow.forward, slow.backward, point(np.float64), seconds=20)
    assert [(f.tensor, f.kind) for f in report.faults] == [("b", "factor")]


@pytest.mark.parametrize("mistake", ["", "stale_cell"])
def test_an_lstm_over_twenty_steps_on_one_thread(mistake):
    forward, (right, wrong), _ = lstm_all_states()
    inputs = [n(20, 8, 64), 0.2 * n(64, 256), 0.2 * n(64, 256, seed=1), n(256)]
    check(forward, right, inputs, seconds=0.1)  # imports, and BLAS's own start
    before = time.process_time()
    report = check(forward, wrong[mistake] if mistake else right, inputs, seconds=1.0)
    assert report.ok == (mistake == "")
    assert time.process_time() - before <= 1.5

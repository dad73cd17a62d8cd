"""What a run says: lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io

import pytest

from minivae.training import trainer
from minivae.training.progress import PlainReporter, RichReporter, clock
from tests.training.child_run import run_here


def test_lines_have_the_losses_apart():
    stream = io.StringIO()
    run_here({"train": {"epochs": 2, "patience": 5}}, None, reporter=PlainReporter(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("note: early stopping needs rows")
    assert lines[1].startswith("training on 298 rows, measured on 33 valid rows: 998 parameters")
    assert lines[2].startswith("epoch   1  train recon ") and "  valid recon " in lines[2]
    assert " + KL " in lines[2] and lines[2].endswith(" *")
    assert lines[-1] == "trained 2 epochs (60 updates)"


def test_the_bar_draws_and_leaves_the_lines(monkeypatch):
    rich = pytest.importorskip("rich.console")
    monkeypatch.setattr(trainer, "TICK_SECONDS", 0.0)
    stream = io.StringIO()
    console = rich.Console(file=stream, force_terminal=True, width=120, color_system=None)
    run_here({"train": {"epochs": 2}}, None, reporter=RichReporter(console))
    text = stream.getvalue()
    assert "epoch   2  train recon" in text and "trained 2 epochs" in text


def test_ticks_come_between_chunks(monkeypatch):
    monkeypatch.setattr(trainer, "TICK_SECONDS", 0.0)
    ticks = []

    class Ticks(PlainReporter):
        def tick(self, tick):
            ticks.append(tick)

    run_here({"chunk": 5, "train": {"epochs": 2}}, None, reporter=Ticks(io.StringIO()))
    assert [tick.update for tick in ticks[:8]] == [5, 10, 15, 20, 25, 30, 33, 34]
    assert all(tick.seconds_left >= 0 for tick in ticks) and ticks[-1].epoch == 2
    assert ticks[-1].elbo == pytest.approx(-ticks[-1].reconstruction - ticks[-1].kl, abs=1e-5)


def test_times_read_as_a_clock():
    assert [clock(s) for s in (0, 61, 3725)] == ["0:00", "1:01", "1:02:05"]


def test_the_bar_shows_names_as_they_stand():
    rich = pytest.importorskip("rich.console")
    stream = io.StringIO()
    bar = RichReporter(rich.Console(file=stream, width=120))
    for say in (bar.note, bar.finish):
        say("[/x] :smile: [bold]")
    assert stream.getvalue().splitlines() == ["note: [/x] :smile: [bold]", "[/x] :smile: [bold]"]

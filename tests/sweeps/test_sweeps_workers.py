"""What a sweep is given, by words or a file, and what its workers get of it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import minivae
from minivae import parts
from minivae.cli.console import Console
from minivae.cli.main import run
from minivae.sweeps import engines, plan
from tests.sweeps.test_sweeps import SMALL, environment, rows_of

sweep = import_module("minivae.cli.sweep")


@pytest.mark.parametrize(
    ("words", "threads"),
    [("--beta 2", ""), ("--threads 3 --beta 2", "--threads 3"), ("--threads=4", "--threads=4"),
     ("--threads 3 --threads=4 --beta=2", "--threads=4")],
)  # fmt: skip
def test_threads_that_are_given_are_kept_however_they_are_written(words, threads, tmp_path):
    assert plan.threads_in(words.split()) == threads.split()
    run = tmp_path / "run"
    begun = ["train", "digits", *words.split(), "--out", str(run), "--quiet"]
    assert plan.begun(begun) == begun
    run.mkdir()
    (run / "config.json").touch()
    assert plan.begun(begun)[3:-2] == threads.split()


def test_threads_of_every_run_win_over_the_engines_own(tmp_path, monkeypatch):
    asked = []

    def failing(work, jobs):
        for name, argv in jobs:
            asked.append(plan.threads_in(argv))
            yield {"name": name, "error": "not trained"}

    monkeypatch.setattr(engines, "choose_engine", lambda *_: engines.Engine(failing, 1))
    for number, words in enumerate((["--threads=4"], ["--threads", "4"], [])):
        sweep.run_sweep("digits", [], 1, words, tmp_path / f"{number}", console=Console(quiet=True))
    assert asked == [["--threads=4"], ["--threads", "4"], ["--threads", "1"]]


def test_what_is_given_wins_over_the_file(tmp_path, monkeypatch):
    seen = []
    nothing = {"done": 0, "runs": 0, "means": [], "best": None, "failed": {}, "tables": {},
               "pictures": {}}  # fmt: skip
    monkeypatch.setattr(sweep, "run_sweep", lambda *given, **_: seen.append(given[:3]) or nothing)
    file = tmp_path / "s.json"
    file.write_text('{"dataset": "blobs", "grid": {"beta": [1]}, "seeds": 3}', encoding="utf-8")
    common = ["sweep", "--config", str(file), "--out", str(tmp_path / "s")]
    for more in ([], ["digits", "--seeds", "1"], ["--beta", "2"]):
        assert run([common[0], *more, *common[1:]]) == 0
    assert run(["sweep", "--out", str(tmp_path / "s")]) == 0
    assert seen == [("blobs", ["beta=1;"], 3), ("digits", ["beta=1;"], 1),
                    ("blobs", ["beta=1;"], 3), ("digits", [], 1)]  # fmt: skip


PARTS = """import numpy as np
from minivae import parts

parts.register(parts.Activation("my_sine", np.sin, lambda dh, a: dh * np.cos(a)))
"""


def test_workers_have_the_parts_of_the_users_own_file(tmp_path):
    file, out = tmp_path / "my parts.py", tmp_path / "s"
    file.write_text(PARTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "minivae", "sweep", "digits", "--grid", "activation=relu,my_sine",
         "--epochs", "1", "--hidden", "8", "--backend", "numpy", "--jobs", "2", "--out", str(out),
         "--parts", str(file)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert sorted(row["activation"] for row in rows_of(out)) == ["my_sine", "relu"]


def test_a_part_of_no_file_is_refused_where_other_processes_train(tmp_path):
    part = parts.register(parts.Activation("twice", lambda a: 2 * a, lambda dh, a: 2 * dh + 0 * a))
    axes = {"activation": ["relu", "twice"]}
    try:
        with pytest.raises(ValueError, match="activation 'twice' is registered in this process"):
            minivae.sweep("digits", axes, out=tmp_path / "s", jobs=2, quiet=True, **SMALL)
        assert not (tmp_path / "s").exists()
        assert len(minivae.sweep("digits", axes, out=tmp_path / "s", quiet=True, **SMALL)) == 2
    finally:
        parts.unregister(part)

"""`minivae study` as it is typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from minivae.cli.main import build_app
from minivae.study import full
from minivae.study.display import RESULTS, recorded


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(build_app(), ["study", *words])


def test_with_no_argument_it_lists_the_chapters(run):
    result = run()
    assert result.exit_code == 0
    assert "10  takeaways" in result.output
    assert "minivae study build" in result.output


def test_check_writes_a_template_and_marks_it(run, tmp_path):
    assert run("check", "takeaways").exit_code == 0
    path = tmp_path / "takeaways_answers.py"
    result = run("check", "takeaways", str(path))
    assert result.exit_code == 1
    assert "0 of 2 right" in result.output


def test_a_chapter_as_a_notebook_and_nothing_overwritten(run, tmp_path):
    assert run("regularisation", "--notebook").exit_code == 0
    path = tmp_path / "06_regularisation.ipynb"
    assert json.loads(path.read_text(encoding="utf-8"))["nbformat"] == 4
    path.write_text("mine", encoding="utf-8")
    again = run("6", "--notebook")
    assert again.exit_code != 0 and "already" in str(again.exception)
    assert path.read_text(encoding="utf-8") == "mine"


def test_index_is_printed(run):
    assert "| (E46) | `halfway_test`" in run("index").output


def test_an_unknown_chapter(run):
    result = run("nonsense")
    assert result.exit_code != 0
    assert "no chapter is called 'nonsense'" in str(result.exception)


def test_full_studies_are_recorded_with_how_they_were_made(tmp_path, monkeypatch):
    monkeypatch.setitem(full.STUDIES, "tiny", lambda data_dir, say: {"rows": [1]})
    path = full.run_study("tiny", None, folder=tmp_path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["rows"] == [1]
    assert found["made"]["command"] == "minivae study full tiny"


@pytest.mark.parametrize(
    "name", ["linear_autoencoder", "linear_vae", "regularity", "baselines", "price"]
)
def test_the_recorded_figures_ship(name):
    found = recorded(name)
    assert found["made"]["command"].startswith("minivae study full")
    assert found["rows"]


def test_the_recorded_figures_meet_their_claims():
    for row in recorded("linear_vae")["rows"]:
        assert abs(row["log p"] - row["exact log p"]) <= 0.5
        assert abs(row["c"] - row["exact c"]) <= 0.01 * row["exact c"]
    for row in recorded("linear_autoencoder")["rows"]:
        assert row["angle"] <= 1e-3
        assert row["error"] <= 1.001 * row["PCA's error"]
    for row in recorded("baselines")["rows"]:  # what is not decoded between two ends has no ratio
        assert ("halfway ratio" in row) == (row["what"] == "pixel blends")


def test_what_stands_under_exactly_is_computed_from_the_data(monkeypatch):
    x = np.random.default_rng(0).normal(size=(200, 5)) * [5, 3, 1, 1, 0.5]
    monkeypatch.setattr(full, "LINEAR", (("any", 2),))
    monkeypatch.setattr(full, "pixels", lambda *given, **named: (None, x))
    (row,) = full.linear_vae(None, print)["rows"]
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))
    c = values[:3].mean()
    log_p = -0.5 * (5 * np.log(2 * np.pi) + np.log(values[3:]).sum() + 3 * np.log(c) + 5)
    assert abs(row["exact c"] - c) <= 1e-9
    assert abs(row["exact log p"] - log_p) <= 1e-9 and abs(row["log p"] - log_p) <= 0.05


@pytest.fixture
def tiny(monkeypatch):
    """A long study that takes no time: which of them were computed."""
    done = []
    monkeypatch.setattr(full, "STUDIES", {"tiny": lambda data_dir, say: done.append(1) or {}})
    return done


def test_a_long_study_is_kept_beside_the_reader_and_not_in_the_package(run, tiny, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in RESULTS.iterdir()}
    assert "study-results/tiny.json" in run("full", "tiny").output
    assert {p: p.stat().st_mtime_ns for p in RESULTS.iterdir()} == before
    assert json.loads((tmp_path / "study-results" / "tiny.json").read_text())["made"]
    (tmp_path / "minivae" / "study" / "results").mkdir(parents=True)  # a checkout's
    assert "minivae/study/results/tiny.json" in run("full", "tiny").output
    assert run("full", "tiny", "--out", "a/b").exit_code == 0 and len(tiny) == 3
    assert (tmp_path / "a" / "b" / "tiny.json").exists()


@pytest.mark.parametrize(
    "words",
    [("full", "tiny"), ("build",), ("takeaways",), ("all",), ("takeaways", "--notebook"),
     ("check", "takeaways")],
)  # fmt: skip
def test_where_nothing_can_be_written_is_told_before_the_work(run, tiny, tmp_path, words):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below", *(["/proc/self"] if Path("/proc/self").exists() else [])):
        done = run(*words, "--out", place)
        assert type(done.exception).__name__ == "UsageError", (place, done.output)
        assert "choose another place with --out" in str(done.exception)
        assert not tiny and done.output == ""


def test_check_writes_where_it_is_told(run, tmp_path):
    done = run("check", "takeaways", "--out", "mine")
    path = tmp_path / "mine" / "takeaways_answers.py"
    assert path.exists() and "mine/takeaways_answers.py" in done.output
    assert run("check", "takeaways", str(path)).exit_code == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [(("check", "takeaways", "a.py", "--out", "x"), "leave it out"),
     (("index", "--out", "x"), "leave it out"), (("--out", "x"), "leave it out"),
     (("takeaways", "pca"), "one chapter, or all")],
)  # fmt: skip
def test_what_would_not_be_looked_at_is_refused(run, tmp_path, words, says):
    assert says in str(run(*words).exception)
    assert not list(tmp_path.iterdir())

"""The page of published results is what its kept results say, and refuses what is not one."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks import published
from benchmarks.__main__ import main
from minivae.published import EXPERIMENTS
from minivae.published.again import anew
from minivae.published.findings import Figure
from minivae.published.results import PICTURE, write_result
from minivae.settings import ConfigError


def test_the_page_and_the_readme_are_as_generated():
    assert published.PAGE.read_text(encoding="utf-8") == published.page()
    readme = (published.ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split(published.BEGIN)[1].split(published.END)[0].strip()
    assert shown == published.readme_rows()


def test_every_kept_result_has_its_picture_and_every_experiment_its_section():
    for name in EXPERIMENTS:
        assert f"## {name}\n" in published.page()
    for name in published.kept_results():
        assert (published.KEPT / name / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_notes_are_of_the_very_result_they_stand_beside():
    """A run made again has another commit: what was known of the one before no longer holds."""
    notes = list(published.KEPT.glob(f"*/{published.NOTES}"))
    for file in notes:
        result = json.loads((file.parent / "result.json").read_text(encoding="utf-8"))
        text = file.read_text(encoding="utf-8")
        assert result["commit"].rstrip("+") in text and text.strip() in published.page()
    assert notes


def test_a_kept_result_says_of_its_differences_what_its_experiment_says():
    for name, result in published.kept_results().items():
        assert result["differs"] == list(EXPERIMENTS[name].full.differs)


def test_a_kept_result_names_no_place_of_the_machine_it_was_made_on():
    for name, result in published.kept_results().items():
        assert result["command"] == anew(name, small=result["small"], seed=result["seed"])
        words = [word for line in result["runs"].values() for word in line.split()]
        assert not any(word.startswith(("/", "~", "benchmarks/")) for word in words)
        assert result["command"] in published.how(result)


def test_what_is_no_run_keeps_its_setting():
    for name, result in published.kept_results().items():
        setting = EXPERIMENTS[name].full.setting
        assert result["setting"] == json.loads(json.dumps(dict(setting)))
        assert bool(setting) != bool(EXPERIMENTS[name].full.runs)


def test_at_a_glance_every_judged_figure_and_claim_is_counted():
    result = {"figures": [], "claims": [], "series": {}, "part": {"complete": False}}
    figure = {**dict.fromkeys(Figure._fields), "what": "x", "ours": 1.0, "paper": 1.5}
    claim = {"what": "y", "found": "z", "source": ""}
    result["figures"] = [{**figure, "band": band} for band in (1.0, 0.1, None)]
    result["claims"] = [{**claim, "holds": holds} for holds in (True, None, False)]
    name = next(iter(EXPERIMENTS))
    rows = published.glance({name: result})
    assert rows[2].endswith("| 1 of 2 | 1 of 2 | a part |")
    assert len(rows) == 2 + len(EXPERIMENTS) and "not yet" in rows[3]


def test_another_protocols_result_is_one_line(tmp_path, monkeypatch, capsys):
    name = next(iter(published.kept_results()))
    shutil.copytree(published.KEPT / name, tmp_path / name, ignore=shutil.ignore_patterns("runs"))
    file = tmp_path / name / "result.json"
    result = json.loads(file.read_text())
    del result["sha256"]
    write_result(file, {**result, "protocol": "0" * 64})
    with pytest.raises(ConfigError, match="another protocol"):
        published.page(tmp_path)
    monkeypatch.setattr(published, "write", lambda: published.page(tmp_path))
    assert main(["published"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_readme_without_markers_is_one_line(tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="lacks the lines"):
        published.write(page_file=tmp_path / "p.md", readme=tmp_path / "README.md")


def test_the_page_names_the_seeds():
    for name, seeds in (("pytorch-example", "Seeds 0 to 4"), ("rate-distortion", "Seed 0")):
        assert published.seeds_of({"experiment": name, "small": False, "seed": 0}) == seeds
    asked = {"experiment": "lucas2019-linear", "small": False, "seed": 5}
    assert published.seeds_of(asked) == "Seeds 5 to 7"

"""The page of published results is what its kept results say, and refuses what is not one."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks import published
from benchmarks.__main__ import main
from minivae.published import EXPERIMENTS
from minivae.published.results import PICTURE
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


def test_another_protocols_result_is_one_line(tmp_path, monkeypatch, capsys):
    name = next(iter(published.kept_results()))
    shutil.copytree(published.KEPT / name, tmp_path / name, ignore=shutil.ignore_patterns("runs"))
    file = tmp_path / name / "result.json"
    result = json.loads(file.read_text())
    file.write_text(json.dumps({**result, "protocol": "0" * 64}))
    with pytest.raises(ConfigError, match="another protocol"):
        published.page(tmp_path)
    monkeypatch.setattr(published, "write", lambda: published.page(tmp_path))
    assert main(["published"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_readme_without_markers_is_one_line(tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="lacks the lines"):
        published.write(page_file=tmp_path / "p.md", readme=tmp_path / "README.md")

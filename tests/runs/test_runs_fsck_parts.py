"""A run with a part of the user's own is whole, with the part and without it."""

from __future__ import annotations

import pytest

from minivae import parts
from minivae.runs.fsck import check_run
from minivae.settings import UnknownPart
from tests.training.child_run import run_here


def test_an_unknown_part_is_no_damage(tmp_path):
    part = parts.Activation("twice", lambda a: 2 * a, lambda dh, a: 2 * dh + 0 * a)
    parts.register(part)
    try:
        spec = {"model": {"activation": "twice"}, "train": {"epochs": 1}}
        run_here(spec, tmp_path / "run")
        assert check_run(tmp_path / "run").sound
    finally:
        parts.unregister(part)
    with pytest.raises(UnknownPart, match=r"activation = 'twice'.*--parts FILE") as caught:
        check_run(tmp_path / "run")
    assert "remove the file" not in str(caught.value)


def test_a_damaged_name_of_a_part_is_damage(tmp_path):
    run_here({"train": {"epochs": 1}}, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    whole = config.read_text()
    config.write_text(whole.replace('"relu"', '"rely"'))
    assert config.read_text() != whole
    report = check_run(tmp_path / "run")
    assert [f.file for f in report.findings if f.state == "damaged"] == ["config.json"]

"""Evaluations kept beside the runs: the same to the bit, and never of anything else."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from minivae.cli.main import run as command
from minivae.metrics.likelihood import Evaluation
from minivae.published import bench as bench_module
from minivae.published import carry_out, lucas2019
from minivae.published.measured import Measured
from minivae.runs.checkpoint import write_checkpoint
from tests.published.test_published_frame import experiment_of, kept, order
from tests.reliability.faulty_disk import Died, FaultyDisk

pytestmark = pytest.mark.usefixtures("swift_disk")
OF = {"theta": "0" * 64, "samples": 3, "scale": 1 / 255}
MADE = Evaluation(*(np.arange(6.0).reshape(3, 2) + i if i in (1, 2) else np.arange(3.0) + i
                    for i in range(6)), np.full(3, np.nan))  # fmt: skip


def same(a: Evaluation, b: Evaluation) -> bool:
    return all(x.tobytes() == y.tobytes() and x.shape == y.shape for x, y in zip(a, b, strict=True))


def test_what_has_not_changed_is_not_measured_again(tmp_path, monkeypatch):
    trained = carry_out.carry_out(order(tmp_path)).runs["seed=0"]
    first = trained.evaluate(4, 50)
    before = trained.measured.seconds_before
    count, evaluate = [], bench_module.evaluate
    monkeypatch.setattr(
        bench_module, "evaluate", lambda *a, **how: count.append(how) or evaluate(*a, **how)
    )
    resumed = carry_out.carry_out(order(tmp_path, resume=True)).runs["seed=0"]
    assert same(resumed.evaluate(4, 50), first) and not count and before == 0.0
    moved = resumed._replace(theta=resumed.theta + np.float32(0.01))
    other = resumed._replace(config=resumed.config.with_changes(seed=7))
    changed = [moved, resumed, other, resumed]
    asked = [(4, 50), (5, 50), (4, 50), (4, 40)]
    for number, (run, (samples, rows)) in enumerate(zip(changed, asked, strict=True), 1):
        assert not np.array_equal(run.evaluate(samples, rows).log_p, first.log_p)
        assert len(count) == number
    assert same(resumed.evaluate(4, 50), first) and len(count) == 5
    assert command(["fsck", str(tmp_path)]) == 0


def damaged(file):
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)


SPOILT = {
    "a bit of the tensors": lambda file: damaged(file),
    "a bit of the manifest": lambda file: damaged(file.with_suffix(".json")),
    "no manifest": lambda file: file.with_suffix(".json").unlink(),
    "no tensors": lambda file: file.unlink(),
    "another's": lambda file: write_checkpoint(file, MADE._asdict(), {"of": {}, "seconds": 1}),
    "no key": lambda file: write_checkpoint(file, MADE._asdict(), {}),
    "other tensors": lambda file: write_checkpoint(file, {"a": MADE.mu}, {"of": OF, "seconds": 1}),
    "no seconds": lambda file: write_checkpoint(file, MADE._asdict(), {"of": OF, "seconds": "x"}),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_or_foreign_one_is_made_again(how, tmp_path):
    measured = Measured(tmp_path / "measured")
    wrong = MADE._replace(log_p=MADE.log_p + 1)
    measured.take(Evaluation, "a", OF, lambda: wrong)
    SPOILT[how](measured.folder / "a.safetensors")
    assert same(measured.take(Evaluation, "a", OF, lambda: MADE), MADE)
    assert same(measured.take(Evaluation, "a", OF, lambda: pytest.fail("made again")), MADE)


def test_a_kill_at_any_moment_leaves_none_or_the_whole(tmp_path):
    measured = Measured(tmp_path / "whole")
    measured.take(Evaluation, "a", {}, lambda: MADE)
    disk = FaultyDisk(tmp_path)
    with disk.below():
        measured.take(Evaluation, "a", OF, lambda: MADE)
    assert len(disk.log) > 4
    for at in range(len(disk.log)):
        measured = Measured(tmp_path / f"{at}")
        measured.take(Evaluation, "a", {}, lambda: MADE._replace(mu=-MADE.mu))
        with FaultyDisk(measured.folder, at).below(), pytest.raises(Died):
            measured.take(Evaluation, "a", OF, lambda: MADE)
        assert same(measured.take(Evaluation, "a", OF, lambda: MADE), MADE)


TINY = lucas2019.Setting("digits", 60, 2, 40, 1, (2, 0))


def test_an_ascent_that_is_done_is_not_made_again(tmp_path, monkeypatch):
    """Stopped in its third of four, a resumed one makes two, and finds what it would in one go."""
    tiny = experiment_of(lucas2019.protocol(TINY, "a second", ()))
    asked = order(tmp_path / "a", experiment=tiny)
    whole = kept(asked._replace(folder=tmp_path / "whole"))
    made, ascend = [], lucas2019.ascend

    def stopped(*given):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(given)
        return ascend(*given)

    monkeypatch.setattr(lucas2019, "ascend", stopped)
    with pytest.raises(KeyboardInterrupt):
        kept(asked)
    monkeypatch.setattr(lucas2019, "ascend", lambda *given: made.append(given) or ascend(*given))
    resumed = kept(asked._replace(resume=True))
    assert len(made) == 4 and resumed["part"]["complete"]
    for key in ("figures", "claims", "series"):
        assert resumed[key] == whole[key]
    assert whole["setting"] == TINY.stated
    again = kept(asked._replace(resume=True, minutes=1e-9))  # what is done needs no budget
    assert len(made) == 4 and again["figures"] == whole["figures"]
    shutil.copytree(tmp_path / "a" / "measured", tmp_path / "b" / "measured")
    kept(asked._replace(folder=tmp_path / "b", seed=1))  # what is kept is of another seed
    assert len(made) == 8


def test_fsck_tells_a_damaged_one_and_where_it_cannot_be_kept_it_is_measured(tmp_path, capsys):
    trained = carry_out.carry_out(order(tmp_path)).runs["seed=0"]
    (tmp_path / "measured").touch()  # in the folder's place
    first = trained.evaluate(4, 50)
    (tmp_path / "measured").unlink()
    assert same(trained.evaluate(4, 50), first)
    manifest = tmp_path / "measured" / "seed=0.json"
    assert json.loads(manifest.read_text())["seconds"] >= 0
    damaged(manifest.with_suffix(".safetensors"))
    assert command(["fsck", str(tmp_path), "-q"]) == 1
    assert "damaged  measured/seed=0.json" in capsys.readouterr().out

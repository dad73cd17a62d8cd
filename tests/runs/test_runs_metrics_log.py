"""metrics.jsonl: whole lines only, whatever a killed process left or something else damaged."""

from __future__ import annotations

import errno
import json
import os

import pytest

from minivae.runs import files
from minivae.runs.errors import RunError
from minivae.runs.metrics_log import LogChanged, MetricsLog, encode_line, with_checksum


def record(epoch, check=True):
    figures = {"loss": 0.1 * epoch, "reconstruction": 1.0, "kl": 0.5, "elbo": -1.5, "kl_j": [0.5]}
    plain = {
        "epoch": epoch, "updates": 7 * epoch, "lr": 1e-3, "beta": 1.0, "monitor": "test",
        "best": True, "train": figures, "held_out": None, "seconds": 0.5,
        "samples_per_second": 100.0,
    }  # fmt: skip
    return with_checksum(plain) if check else plain


@pytest.fixture(params=[True, False], ids=["checked", "older"])
def log(tmp_path, request):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.rewrite([])
    for epoch in (1, 2, 3):
        log.append(record(epoch, request.param))
    return log


def epochs(log):
    return [record["epoch"] for record in log.read()]


def change(log, number, old, new):
    lines = log.path.read_bytes().split(b"\n")
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    log.path.write_bytes(b"\n".join(lines))


def test_lines_come_back(log):
    assert epochs(log) == [1, 2, 3]
    assert log.read()[2]["train"]["loss"] == 0.1 * 3


def test_no_file_is_no_lines(tmp_path):
    assert MetricsLog(tmp_path / "none").read() == []


@pytest.mark.parametrize("half", ['{"epoch": 4, "lo', "\x00\x00", "[1]", "null", "{}"])
def test_a_half_written_last_line_is_left_out_and_removed(log, half):
    with open(log.path, "a") as file:
        file.write(half)
    assert epochs(log) == [1, 2, 3]
    kept, said = log.keep_until(3)
    assert len(kept) == 3 and said == "" and len(list(log.path.parent.iterdir())) == 1
    log.append(record(4))
    assert epochs(log) == [1, 2, 3, 4]


def test_a_whole_last_line_without_its_end_counts(log):
    log.path.write_bytes(log.path.read_bytes()[:-1])
    log.keep_until(3)
    log.append(record(4))
    assert epochs(log) == [1, 2, 3, 4]


def test_lines_after_the_checkpoint_are_dropped(log):
    kept, said = log.keep_until(2)
    assert [r["epoch"] for r in kept] == [1, 2] and said == ""
    assert log.path.read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"epoch": 2', b'"epoch": 9', ""),
        (b'"epoch": 2', b'"epoch": 1', ""),
        (b'"updates": 14', b'"updates": 15', ""),
        (b'"epoch": 2', b'"epoch": ' + b"9" * 30, "30 digits"),
        (b'"epoch": 2', b'"epoch": 1e999', "no finite number"),
        (b'"epoch": 2', b'"epoch": true', "whole number"),
        (b'"lr": 0.001', b'"lr": NaN', "no finite number"),
        (b'"kl": 0.5', b'"kl": "nan"', "not a number"),
        (b'"kl_j": [0.5]', b'"kl_j": ' + b"[" * 5000 + b"]" * 5000, "nested"),
        (b'"train": {', b'"train": null, "x": {', "not an object"),
        (b'"monitor"', b'"epoch"', "comes twice"),
        (b'"monitor": "test", ', b"", "monitor is missing"),
        (b'"test"', b'"\xff\xfe"', "UTF-8"),
        (b"{", b"", "not JSON"),
    ],
)
def test_a_bad_line_stops_nothing_and_is_kept(log, old, new, why):
    change(log, 2, old, new)
    bad = log.path.read_bytes().split(b"\n")[1]
    assert epochs(log) == [1, 3]
    kept, said = log.keep_until(3)
    assert [r["epoch"] for r in kept] == [1, 3]
    assert f"line 2 of {log.path} is damaged (" in said and "metrics.jsonl.damaged-1" in said
    assert why in said and "\n" not in said
    assert log.path.with_name("metrics.jsonl.damaged-1").read_bytes() == bad + b"\n"
    log.append(record(4))
    assert epochs(log) == [1, 3, 4]
    assert "lacks the figures of 1 of 4" in log.keep_until(4)[1]


def test_no_digit_of_a_line_changes_unseen(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    line = encode_line(record(1))
    clock = line.index(b'"seconds"'), line.index(b'"check"')
    for place in range(len(line) - 1):
        if clock[0] <= place < clock[1]:
            continue
        log.path.write_bytes(line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :])
        assert log.read() == [], place


def test_what_belongs_to_another_run_does_not_follow(log):
    checked = "check" in log.read()[0]
    with open(log.path, "ab") as file:
        file.write(encode_line(record(2, checked)) + encode_line(record(4, checked)))
    assert epochs(log) == [1, 2, 3, 4]
    assert log.contents().bad[0].fault == "epoch 2 comes after epoch 3"


def test_a_line_that_lost_its_checksum_is_not_taken_for_an_older_one(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.rewrite([record(1), record(2, check=False), record(3)])
    assert epochs(log) == [1, 3]
    older = MetricsLog(tmp_path / "older.jsonl")
    older.rewrite([record(1, check=False), record(2, check=False)])
    older.keep_until(2)
    assert all("check" in line for line in older.read()), "a resume adds what it lacks"


def test_a_full_disk_is_named(log, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"metrics\.jsonl: no space left"):
        log.append(record(4))


def test_a_log_that_something_else_touched_is_not_appended_to(log):
    assert log.unchanged()
    for touch in (log.path.unlink, lambda: log.path.write_text("another's\n")):
        touch()
        assert not log.unchanged()
        with pytest.raises(LogChanged, match="removed or changed"):
            log.append(record(4))
    log.rewrite([record(e) for e in (1, 2, 3, 4)])
    assert log.unchanged() and epochs(log) == [1, 2, 3, 4]


def test_an_edit_that_keeps_the_length_is_seen_and_a_mere_touch_is_none(log):
    whole = log.path.read_bytes()
    log.path.write_bytes(whole.replace(b"loss", b"lozz", 1))
    assert not log.unchanged()
    log.path.unlink()
    log.path.write_bytes(whole)
    os.utime(log.path, ns=(1, 1))
    assert log.unchanged()
    log.append(record(4))
    assert log.path.read_bytes().startswith(whole) and log.unchanged()


def test_a_link_in_its_place_is_not_followed(log, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(log.path.read_bytes())
    log.path.unlink()
    log.path.symlink_to(victim)
    before = victim.read_bytes()
    with pytest.raises(LogChanged, match="removed or changed"):
        log.append(record(4))
    assert victim.read_bytes() == before
    log.rewrite([record(1)])
    assert not log.path.is_symlink() and victim.read_bytes() == before


def test_a_line_is_json_with_the_checksum_last():
    assert list(json.loads(encode_line(record(1))))[-1] == "check"


def test_a_reader_takes_the_log_as_it_was_when_it_grows_under_it(log, monkeypatch):
    look, checked = files.require_regular, "check" in log.read()[0]

    def look_and_append(descriptor, path):
        state = look(descriptor, path)
        monkeypatch.setattr(files, "require_regular", look)
        log.append(record(4, checked))
        return state

    monkeypatch.setattr(files, "require_regular", look_and_append)
    assert epochs(log) == [1, 2, 3]
    assert epochs(log) == [1, 2, 3, 4]

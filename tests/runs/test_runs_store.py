"""The checkpoints of a run: names, pruning, pointers, and the newest one that is sound."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from minivae.runs import files
from minivae.runs.checkpoint import manifest_path
from minivae.runs.errors import CheckpointError
from minivae.runs.store import CheckpointStore, key_of, name_of


def save(store, key, best=False):
    store.save(key, {"W": np.full((3, 5), key[0] + key[1] / 1000, np.float32)}, {"key": key}, best)


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path, keep=2)


def test_names_and_keys_are_inverses(tmp_path):
    for key in [(0, 7), (3, 0), (12345, 1234567)]:
        assert key_of(name_of(key)) == key
    assert key_of("last.safetensors") is None


def test_the_newest_and_the_best_are_kept(store):
    for epoch in range(1, 7):
        save(store, (epoch, 0), best=epoch == 2)
    assert store.numbered() == [(2, 0), (5, 0), (6, 0)]
    assert store.load("best").tensors["W"][0, 0] == 2
    assert store.load("last").tensors["W"][0, 0] == 6
    for name, value in (("best", 2), ("last", 6)):
        linked = store.directory / f"{name}.safetensors"
        assert linked.read_bytes() == (store.directory / name_of((value, 0))).read_bytes()


def test_checkpoints_inside_an_epoch_cost_no_finished_one(store):
    save(store, (1, 0))
    save(store, (2, 0))
    for update in (10, 20, 30):
        save(store, (2, update))
    assert store.numbered() == [(1, 0), (2, 0), (2, 20), (2, 30)]
    save(store, (3, 0))
    assert store.numbered() == [(2, 0), (3, 0)]


def test_a_damaged_newest_one_is_passed_over_and_named(store):
    save(store, (1, 0))
    save(store, (2, 0))
    newest = store.directory / name_of((2, 0))
    newest.write_bytes(newest.read_bytes()[:100])
    notes = []
    assert store.newest_sound(notes.append).path.name == "epoch-0001.safetensors"
    assert len(notes) == 1 and "epoch-0002" in notes[0] and "using epoch-0001" in notes[0]


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_a_newest_one_that_lost_a_file_is_passed_over_and_named(store, ending):
    save(store, (1, 0))
    save(store, (2, 0))
    (store.directory / name_of((2, 0))).with_suffix(ending).unlink()
    notes = []
    assert store.newest_sound(notes.append).path.name == "epoch-0001.safetensors"
    said = f"epoch-0002{ending} is missing; using epoch-0001 instead, and the run removes it"
    assert notes == [said]


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
@pytest.mark.parametrize("code", ["EACCES", "EMFILE", "ENOMEM", "ESTALE"])
def test_a_newest_one_that_cannot_be_read_for_now_is_not_passed_over(
    store, monkeypatch, ending, code
):
    save(store, (1, 0))
    save(store, (2, 0))
    newest, read = (store.directory / name_of((2, 0))).with_suffix(ending), files.read_file

    def refuse(path, *more, **named):
        if path == newest:
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), str(path))
        return read(path, *more, **named)

    monkeypatch.setattr(files, "read_file", refuse)
    with pytest.raises(CheckpointError, match=f"cannot read .*epoch-0002{ending}.*may be sound"):
        store.newest_sound(pytest.fail)


def test_a_newest_one_that_the_disk_lost_is_passed_over(store, monkeypatch):
    save(store, (1, 0))
    save(store, (2, 0))
    read = files.read_file

    def fail(path, *more, **named):
        if path.name == "epoch-0002.safetensors":
            raise OSError(errno.EIO, "input/output error")
        return read(path, *more, **named)

    monkeypatch.setattr(files, "read_file", fail)
    notes = []
    assert store.newest_sound(notes.append).path.name == "epoch-0001.safetensors"
    assert "input/output error; using epoch-0001 instead" in notes[0]


def test_a_damaged_newer_one_never_pushes_out_a_sound_one(tmp_path):
    store = CheckpointStore(tmp_path, keep=1)
    save(store, (6, 0))
    (tmp_path / name_of((6, 0))).write_bytes(b"")
    save(store, (5, 30))
    assert store.newest_sound(lambda text: None).manifest["key"] == [5, 30]


def test_a_run_killed_in_its_first_checkpoint_starts_again(store):
    save(store, (1, 0))
    manifest_path(store.directory / name_of((1, 0))).unlink()
    assert store.newest_sound(lambda text: None) is None


def test_when_all_are_damaged_it_says_so(store):
    save(store, (1, 0))
    save(store, (2, 0))
    for key in ((1, 0), (2, 0)):
        (store.directory / name_of(key)).write_bytes(b"no")
    with pytest.raises(CheckpointError, match="no sound checkpoint"):
        store.newest_sound(lambda text: None)


def test_pointers_that_a_kill_left_behind_are_settled(store):
    save(store, (1, 0), best=True)
    files = ("last.json", "last.safetensors", "best.json", "best.safetensors")
    old = {name: (store.directory / name).read_bytes() for name in files}
    save(store, (2, 0), best=True)
    new = {name: (store.directory / name).read_bytes() for name in files}
    for name in files:  # as if killed after the checkpoint, before its pointers
        (store.directory / name).unlink()
        (store.directory / name).write_bytes(old[name])
    store.settle((2, 0), (2, 0), pytest.fail)
    assert {name: (store.directory / name).read_bytes() for name in files} == new
    assert store.load("last").tensors["W"][0, 0] == store.load("best").tensors["W"][0, 0] == 2


def test_a_lost_best_one_is_said(store):
    save(store, (1, 0), best=True)
    save(store, (2, 0))
    (store.directory / name_of((1, 0))).write_bytes(b"damaged")
    notes = []
    store.settle((2, 0), (1, 0), notes.append)
    assert len(notes) == 1 and "epoch 1, is lost: epoch-0001" in notes[0]
    assert store.load("last").tensors["W"][0, 0] == 2


def test_best_is_never_another_one_unasked(store):
    save(store, (1, 0), best=True)
    save(store, (2, 0))
    (store.directory / name_of((1, 0))).write_bytes(b"no")
    with pytest.raises(CheckpointError, match="epoch-0001"):
        store.load("best")


def test_leftovers_of_a_killed_run_are_removed(store):
    save(store, (1, 0))
    (store.directory / "epoch-0002.safetensors.tmp").write_bytes(b"half")
    store.clean()
    assert not list(store.directory.glob("*.tmp"))
    assert store.numbered() == [(1, 0)]


def test_without_hard_links_a_copy_is_made(store, monkeypatch):
    def refuse(source, target):
        raise OSError(1, "not here")

    monkeypatch.setattr("minivae.runs.store.os.link", refuse)
    save(store, (1, 0), best=True)
    assert (store.directory / "best.safetensors").read_bytes()

"""One checkpoint: what was written comes back, and damage never goes unnoticed."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest

from minivae.runs import files
from minivae.runs.checkpoint import manifest_path, read_checkpoint, write_checkpoint
from minivae.runs.errors import CheckpointError, RunError


@pytest.fixture
def tensors():
    rng = np.random.default_rng(3)
    odd = rng.standard_normal((5, 7)).astype(np.float32)
    nan = np.array([np.nan, -0.0, np.inf, 1e-45], dtype=np.float32)
    return {
        "W": odd,
        "turned": odd.T,
        "strided": odd[::2, 1::3],
        "c": np.float32(2.5) * np.ones((), np.float32),
        "nan": nan,
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch-0001.safetensors"


def test_what_is_written_comes_back(path, tensors):
    write_checkpoint(path, tensors, {"facts": [1, 2]})
    back = read_checkpoint(path)
    assert back.manifest["facts"] == [1, 2]
    assert set(back.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert back.tensors[name].shape == np.shape(tensor)
        assert back.tensors[name].tobytes() == np.asarray(tensor).tobytes(), name


def test_the_same_state_gives_the_same_bytes(tmp_path, tensors):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_checkpoint(tmp_path / name / "epoch-0001.safetensors", tensors, {"x": 0.1})
    for name in ("epoch-0001.safetensors", "epoch-0001.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_one_flipped_bit_is_found(path, tensors, place):
    write_checkpoint(path, tensors, {})
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_a_half_written_file_is_found(path, tensors):
    write_checkpoint(path, tensors, {})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"epoch-0001\.safetensors is damaged: \d+ bytes"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "missing"), ("{", "not JSON"), ("[]", "damaged"), ("", "not JSON")],
)
def test_a_faulty_manifest_is_found(path, tensors, content, message):
    write_checkpoint(path, tensors, {})
    if content is None:
        manifest_path(path).unlink()
    else:
        manifest_path(path).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_a_manifest_of_a_later_format_is_refused(path, tensors):
    write_checkpoint(path, tensors, {})
    manifest = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_older_file_whole(path, tensors, monkeypatch):
    write_checkpoint(path, tensors, {"n": 1})
    before = path.read_bytes(), manifest_path(path).read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="no space left"):
        write_checkpoint(path, {"W": tensors["W"] + 1}, {"n": 2})
    assert (path.read_bytes(), manifest_path(path).read_bytes()) == before
    assert sorted(p.name for p in path.parent.iterdir()) == [manifest_path(path).name, path.name]


@pytest.mark.parametrize("which", [".safetensors", ".json"])
def test_a_disk_that_loses_bytes_is_found_before_the_rename(path, tensors, which, monkeypatch):
    honest = files.write_synced

    def lossy(target, data):
        honest(target, data[:-1] + b"\x07" if which in target.suffixes else data)

    monkeypatch.setattr(files, "write_synced", lossy)
    with pytest.raises(CheckpointError, match=f"{which} read back differs"):
        write_checkpoint(path, tensors, {})
    assert list(path.parent.iterdir()) == []


def test_a_library_that_scrambles_is_found_before_the_rename(path, tensors, monkeypatch):
    from safetensors import numpy as library

    load = library.load
    for spoilt in (lambda kept: {**kept, "W": -kept["W"]}, lambda kept: {"W": kept["W"]}):
        monkeypatch.setattr(library, "load", lambda data, spoilt=spoilt: spoilt(load(data)))
        with pytest.raises(CheckpointError, match="read back"):
            write_checkpoint(path, tensors, {})
        assert list(path.parent.iterdir()) == []


def test_facts_that_are_not_numbers_are_refused(path, tensors):
    with pytest.raises(ValueError, match="JSON"):
        write_checkpoint(path, tensors, {"best": float("nan")})

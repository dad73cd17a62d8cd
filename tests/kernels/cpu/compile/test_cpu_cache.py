"""The disk cache of compiled kernels: which file is taken, and which is as good as none."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from minivae_kernels.cpu import is_cached
from minivae_kernels.cpu.compile import decorators, disk_cache, folders

from tests.kernels.cpu.cached import kept, minus, plus, served


def cut(at: float) -> Callable[[bytes], bytes]:
    return lambda raw: raw[: int(len(raw) * at)]


def flip(at: float) -> Callable[[bytes], bytes]:
    def flipped(raw: bytes) -> bytes:
        i = int((len(raw) - 1) * at)
        return raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]

    return flipped


DAMAGE = {
    "empty": cut(0), "truncated": cut(0.5), "one byte short": lambda raw: raw[:-1],
    "one byte more": lambda raw: raw + b"\0", "magic": flip(0), "checksum": flip(0.01),
    "names": flip(0.4), "code": flip(0.8), "last byte": flip(1),
    "older format": lambda raw: raw.replace(b"kernels-2", b"kernels-1", 1),
    "another program's": lambda raw: b"\x80\x04\x95pickled",
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_only_means_compiling_again(
    cache_folder: Path, damage: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert not served()
    (path,) = kept(cache_folder)
    whole = disk_cache.read(path)
    assert whole[0]["names"]
    path.write_bytes(damage(path.read_bytes()))
    assert disk_cache.read(path) == ({}, b"")
    assert not disk_cache.any_cached("plus")
    assert not served()
    assert disk_cache.read(path)[0]["identity"] == whole[0]["identity"], "a good file in its place"
    assert served()
    assert capfd.readouterr() == ("", "")


def test_no_byte_of_a_file_can_change_unseen(cache_folder: Path) -> None:
    served()
    (path,) = kept(cache_folder)
    raw = path.read_bytes()
    for i in range(0, len(raw), 7):
        path.write_bytes(raw[:i] + bytes([raw[i] ^ 0x10]) + raw[i + 1 :])
        assert disk_cache.read(path) == ({}, b""), i


@pytest.mark.parametrize(
    "field", ["function", "arguments", "processor", "settings", "versions", "sources"]
)
def test_a_whole_file_for_something_else_is_left_alone(cache_folder: Path, field: str) -> None:
    """Under the right name lies another kernel's code, which says so in one field only."""
    served()
    (path,) = kept(cache_folder)
    served(minus, 1)
    (other,) = set(kept(cache_folder)) - {path}
    identity, (about, code) = disk_cache.read(path)[0]["identity"], disk_cache.read(other)
    disk_cache.write(path, {**identity, field: "something else"}, about["names"], code)
    assert not served()
    assert served()


def test_code_for_another_processor_is_not_run(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not served()
    monkeypatch.setattr(disk_cache, "processor", lambda _: ["another platform", "z80", ""])
    assert not disk_cache.any_cached("plus")
    assert not served()
    assert len(kept(cache_folder)) == 2


@pytest.mark.parametrize("setting", disk_cache.SETTINGS)
def test_other_settings_are_another_file(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codegen, held = disk_cache.cpu_target.target_context.codegen(), decorators.entry(plus)._cache
    before = held.identity((), codegen)
    monkeypatch.setattr(disk_cache.config, setting, "another")
    assert disk_cache.filename(held.identity((), codegen)) != disk_cache.filename(before)


def test_any_cached_knows_whole_files_for_this_processor(cache_folder: Path) -> None:
    assert not disk_cache.any_cached("plus")
    served()
    assert disk_cache.any_cached("plus")
    assert not disk_cache.any_cached("minus")
    assert not is_cached()


def test_an_edit_anywhere_makes_the_cache_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = folders.sources_hash()
    assert before == folders.sources_hash()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: read(p) + (b"#" if p.name == "register_tile.py" else b"")
    )
    assert folders.sources_hash() != before


def test_a_file_can_be_read_by_eye(cache_folder: Path) -> None:
    served()
    magic, about, code = kept(cache_folder)[0].read_bytes().split(b"\n", 2)
    assert magic.startswith(b"minivae-kernels-2 ")
    assert json.loads(about)["identity"]["arguments"] == ["int64"]
    if sys.platform == "linux":
        assert code.startswith(b"\x7fELF")


def test_what_an_older_version_left_is_removed(cache_folder: Path) -> None:
    """Not what another version used in the last days, nor what is not ours."""
    root = cache_folder.parent
    old, recent, other = root / f"kernels-{'a' * 20}", root / f"kernels-{'b' * 20}", root / "other"
    for folder in (old, recent, other):
        folder.mkdir(parents=True)
        (folder / "train-0.bin").write_bytes(b"code")
    long_ago = time.time() - 30 * 24 * 3600
    for path in (old / "train-0.bin", old, other / "train-0.bin", other):
        os.utime(path, (long_ago, long_ago))
    assert not served()
    assert not old.exists()
    assert recent.exists()
    assert other.exists()
    assert served()

"""The compiled code on disk: found again, shared, damaged, or impossible to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from minivae_kernels.cpu import compiler, is_cached

from tests.kernels.cpu.children import RUN, SMALL, outcome, start


def test_second_run_compiles_nothing(tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "none")}
    first = outcome(SMALL, **env)
    assert int(first[1]) > 0
    again = outcome(SMALL, **env)
    assert again[1] == "0"
    assert first[2] == again[2]
    (directory,) = [p for p in tmp_path.iterdir() if p.name.startswith("kernels-")]
    for path in directory.iterdir():  # damage: half of one, another byte in the next
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2])
    assert outcome(SMALL, **env)[2] == first[2]
    assert outcome(SMALL, **env)[1] == "0"


@pytest.mark.slow
def test_two_processes_fill_the_cache_at_once(tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "none")}
    both = [start(RUN, **env) for _ in range(2)]
    said = [p.communicate(timeout=300)[0].split() for p in both]
    assert said[0][2] == said[1][2]
    (directory,) = [p for p in tmp_path.iterdir() if p.name.startswith("kernels-")]
    assert all(p.suffix == ".bin" for p in directory.iterdir()), "no temporary file stays"
    assert outcome(**env)[1] == "0"


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the cache's folders would be made: nothing is kept, nothing fails."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert compiler.cache_dir() is None

    def local(x):  # type: ignore[no-untyped-def]
        return x + 1

    kernel = compiler.entry(local)
    assert kernel(2) == 3
    assert not is_cached()


def test_a_read_only_cache_still_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))

    def served(x):  # type: ignore[no-untyped-def]
        return x + 2

    assert compiler.entry(served)(2) == 4
    monkeypatch.setattr(compiler, "cache_dir", lambda: None)
    again = compiler.entry(served)
    assert again(3) == 5
    assert again._cache.hits == 1


def test_a_full_disk_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler.os, "replace", full)

    def stored(x):  # type: ignore[no-untyped-def]
        return x + 3

    assert compiler.entry(stored)(2) == 5
    (directory,) = tmp_path.iterdir()
    assert list(directory.iterdir()) == []


def test_an_edit_anywhere_makes_the_cache_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiler.sources_hash()
    assert before == compiler.sources_hash()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: read(p) + (b"#" if p.name == "tile.py" else b"")
    )
    assert compiler.sources_hash() != before

"""The disk cache between processes, and on disks that are read-only, full, or not there."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from minivae_kernels.cpu.compile import decorators, disk_cache, folders

from tests.kernels.cpu.cached import kept, minus, plus, served
from tests.kernels.cpu.children import RUN, SMALL, outcome, start


def begin(folder: Path) -> subprocess.Popen[str]:
    return start(SMALL, NUMBA_CACHE_DIR=str(folder), XDG_CACHE_HOME=str(folder / "none"))


def end(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert not err, "a cache is nobody's news"
    return out.split()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache that two processes filled at once, and what they computed."""
    folder = tmp_path_factory.mktemp("filled")
    both = [begin(folder) for _ in range(2)]
    first, second = (end(process) for process in both)
    assert max(int(first[0]), int(second[0])) > 0  # who comes later may find some of it
    assert first[1] == second[1]
    return folder, first[1]


def test_two_processes_fill_the_cache_at_once(filled: tuple[Path, str]) -> None:
    (directory,) = filled[0].iterdir()
    assert {path.suffix for path in kept(directory)} == {".bin"}, "no temporary file stays"
    assert all(disk_cache.read(path)[1] for path in kept(directory))


def test_a_later_process_compiles_nothing_and_unpickles_nothing(filled: tuple[Path, str]) -> None:
    misses, said, unpickled, everything = end(begin(filled[0]))
    assert (misses, said) == ("0", filled[1])
    assert unpickled == "0"
    assert everything == "False", "half a second of imports for what is compiled already"


@pytest.mark.slow
def test_two_processes_that_train_fill_the_cache_at_once(tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "none")}
    both = [start(RUN, **env) for _ in range(2)]
    said = [end(process) for process in both]
    assert said[0][2] == said[1][2]
    assert outcome(**env)[1:] == ["0", said[0][2]]


def test_named_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "first"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    served()
    assert [p.name for p in tmp_path.iterdir()] == ["first"]
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert not served()
    assert kept(tmp_path / "second" / "minivae" / f"kernels-{folders.HASH}")


def test_a_directory_that_cannot_be_made(cache_folder: Path) -> None:
    """A file stands where the cache's folders would be: nothing is kept, nothing fails."""
    cache_folder.parent.write_text("a file, not a folder")
    (cache_folder.parent.parent / "none").write_text("another")
    assert disk_cache.cache_dir() is None
    assert not served()
    assert not served()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_directory_that_may_not_be_written(cache_folder: Path) -> None:
    served()
    cache_folder.chmod(0o500)
    assert served()
    assert not served(minus, 1)
    cache_folder.chmod(0o700)
    assert len(kept(cache_folder)) == 1


@pytest.mark.parametrize("told", ["when it is asked", "when a file is made there"])
def test_a_directory_that_forbids_writing(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """As to everybody but root; some disks over a network say so only when it is tried."""
    served()
    access, opened = os.access, os.open

    def asked(path: Any, mode: int, **more: Any) -> bool:
        return Path(path) != cache_folder and access(path, mode, **more)

    def made(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT and ".bin." in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, flags, *rest, **more)

    if told == "when it is asked":
        monkeypatch.setattr(os, "access", asked)
    else:
        monkeypatch.setattr(os, "open", made)
    assert served()
    assert not served(minus, 1)
    # who asks keeps it in the next folder; who only tried keeps it nowhere
    assert served(minus, 1) == (told == "when it is asked")
    assert len(kept(cache_folder)) == 1


def test_a_read_only_cache_still_serves(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served()
    monkeypatch.setattr(disk_cache, "cache_dir", lambda: None)
    assert served()
    assert not served(minus, 1)
    assert len(kept(cache_folder)) == 1


def test_a_full_disk_only_costs_time(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert not served()
    assert kept(cache_folder) == []


def test_a_disk_that_fills_while_writing(cache_folder: Path) -> None:
    resource = pytest.importorskip("resource")
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    kernel = decorators.entry(plus)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, free[1]))
    try:
        assert kernel(3) == 5
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert kept(cache_folder) == [], "no half-written file stays"
    assert not served()
    assert served()


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kernel.bin"
    codes = {name: name.encode() * 300_000 for name in "ab"}
    disk_cache.write(path, {"of": "a"}, {}, codes["a"])
    over = threading.Event()

    def writes(name: str) -> None:
        while not over.is_set():
            disk_cache.write(path, {"of": name}, {}, codes[name])

    writers = [threading.Thread(target=writes, args=(name,)) for name in codes]
    for writer in writers:
        writer.start()
    try:
        seen = [disk_cache.read(path) for _ in range(200)]
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert all(about and code == codes[about["identity"]["of"]] for about, code in seen)

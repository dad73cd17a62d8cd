"""Compiled code is run only from files that nobody but this user (or root) can have written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from minivae_kernels.cpu.compile import disk_cache, folders, own_files

from tests.kernels.cpu.cached import kept, served
from tests.kernels.cpu.children import PATHS

pytestmark = pytest.mark.skipif(not own_files.OWNED, reason="no owners and modes here")
STRANGER = 54321  # a user's number that nobody here has


@pytest.fixture
def filled(cache_folder: Path) -> tuple[Path, Path]:
    """The cache's folder and the one file in it, from which a kernel is served."""
    assert not served()
    (path,) = kept(cache_folder)
    assert served()
    return cache_folder, path


def test_a_new_cache_is_for_its_user_alone(filled: tuple[Path, Path]) -> None:
    folder, path = filled
    assert [p.stat().st_mode & 0o777 for p in (path, folder, folder.parent)] == [0o600] + [
        0o700
    ] * 2


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")


def give_away(path: Path) -> None:
    needs_root()
    os.chown(path, STRANGER, STRANGER)


def as_link(path: Path) -> None:
    real = path.with_name("real" + path.name)
    path.rename(real)
    path.symlink_to(real)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        give_away,
        lambda path: path.chmod(0o620),
        lambda path: path.chmod(0o602),
        lambda path: path.chmod(0o666),
        as_link,
        as_pipe,
    ],
    ids=["another's", "group", "others", "everyone", "link", "pipe"],
)
def test_a_file_that_others_could_have_written_is_compiled_again(
    filled: tuple[Path, Path], spoil: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    _, path = filled
    spoil(path)
    assert disk_cache.read(path) == ({}, b"")
    assert not served(), "it was run"
    assert path.is_file() and not path.is_symlink()
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (os.geteuid(), 0o600)
    assert served(), "a file of our own in its place"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "spoil",
    [give_away, lambda path: path.chmod(0o777), lambda path: path.chmod(0o1777), as_link],
    ids=["another's", "everyone", "sticky", "link"],
)
def test_a_folder_that_others_can_write_to_is_neither_read_nor_written(
    filled: tuple[Path, Path], spoil: Callable[[Path], None]
) -> None:
    folder, path = filled
    before = path.read_bytes()
    spoil(folder)
    assert disk_cache.cache_dir() not in (None, folder), "the next place is taken"
    assert not served()
    assert [p.read_bytes() for p in kept(folder)] == [before]


def test_why_nothing_can_be_kept_is_said(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folders.why_not_kept() is None
    shared = tmp_path / "shared" / "minivae" / f"kernels-{folders.HASH}"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    why = folders.why_not_kept()
    assert why is not None and f"{shared}: others may write to it; set NUMBA_CACHE_DIR" in why


def test_a_user_without_a_home_compiles_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python knows no home where HOME is unset and the user's number has no entry."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")
    assert folders.cache_dir() is None and folders.readable_dirs() == []
    assert folders.why_not_kept() == (
        "no home folder is known; set NUMBA_CACHE_DIR to a folder of your own"
    )


def test_a_cache_of_root_that_all_may_read_serves(
    filled: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root()
    folder, path = filled
    folder.chmod(0o755)
    path.chmod(0o644)
    monkeypatch.setattr(own_files.os, "geteuid", lambda: STRANGER)
    assert disk_cache.read(path)[0]


def test_a_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "own"
    own_files.make_own_folder(folder)
    (folder / "kernel.bin").symlink_to(victim)
    own_files.write_own(folder / "kernel.bin", b"code")
    assert victim.read_bytes() == b"precious"
    assert own_files.read_own(folder / "kernel.bin") == b"code"


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGHUP"])
def test_a_signal_in_the_middle_leaves_no_half_of_a_file(tmp_path: Path, ending: str) -> None:
    """Its end stays what it was, and comes when the file is whole."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from minivae_kernels.cpu.compile import own_files\n"
        "replace, ending = os.replace, getattr(signal, sys.argv[2])\n"
        "signal.signal(ending, signal.SIG_DFL)  # nohup has one ignored\n"
        "def cut_short(*names, **where):\n"
        "    os.kill(os.getpid(), ending)\n"
        "    replace(*names, **where)\n"
        "os.replace = cut_short\n"
        "own_files.write_own(Path(sys.argv[1]), b'whole')\n"
        "print('not reached')"
    )
    folder = tmp_path / "own"
    own_files.make_own_folder(folder)
    command = [sys.executable, "-c", code, str(folder / "file"), ending]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (-getattr(signal, ending), b"")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("file", b"whole")]

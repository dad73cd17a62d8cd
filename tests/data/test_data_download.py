"""Downloads, from a server on this machine: mirrors, checksums, interruptions."""

from __future__ import annotations

import errno
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError
from minivae.data.download import download, download_entry, fetch
from minivae.data.registry import BY_NAME, ENTRIES, RemoteFile

pytest.importorskip("pooch")

GOOD = np.random.default_rng(1).bytes(100_003)
SUM = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture(autouse=True)
def page(server: Any) -> None:
    server.pages["file.gz"] = GOOD


def remote(server: Any, *kinds: str, **changes: Any) -> RemoteFile:
    urls = tuple(f"{server.url}/{kind}/file.gz" for kind in kinds)
    return replace(RemoteFile("file.gz", len(GOOD), urls, SUM), **changes)


def test_a_good_file_and_its_progress(server: Any, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = fetch(remote(server, "good"), tmp_path, lambda *step: told.append(step))
    assert path == tmp_path / "file.gz" and path.read_bytes() == GOOD
    assert told[-1] == ("file.gz", len(GOOD), len(GOOD)) and len(told) > 2


@pytest.mark.parametrize("first", ["dead", "wrong", "cut", "endless"])
def test_the_next_mirror_is_tried(server: Any, tmp_path: Path, first: str) -> None:
    path = fetch(remote(server, first, "good", "never"), tmp_path)
    assert path.read_bytes() == GOOD
    assert server.asked == [f"/{first}/file.gz", "/good/file.gz"]
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["file.gz"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [("dead", "HTTP 404"), ("wrong", "sha256 is wrong"), ("cut", ""), ("endless", "far more")],
)
def test_when_no_mirror_gives_it(server: Any, tmp_path: Path, kind: str, word: str) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    with pytest.raises(DataError) as caught:
        fetch(remote(server, kind, "dead"), folder)
    message = str(caught.value)
    assert "\n" not in message and "file.gz" in message and "by hand" in message
    assert f"/{kind}/file.gz: " in message and word in message and "HTTP 404" in message
    assert list(folder.iterdir()) == []  # no half file, under any name


def test_nobody_listens(server: Any, tmp_path: Path) -> None:
    closed = RemoteFile("file.gz", 3, ("http://127.0.0.1:9/file.gz",), SUM)
    with pytest.raises(DataError, match="no connection"):
        fetch(closed, tmp_path)


def test_an_interruption_keeps_what_was_there(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second file: the first is kept and not fetched again."""
    folder = tmp_path / "set"
    server.pages["two.gz"] = GOOD[::-1]
    two = RemoteFile(
        "two.gz",
        len(GOOD),
        (f"{server.url}/good/two.gz",),
        hashlib.sha256(GOOD[::-1]).hexdigest(),
    )
    entry = replace(BY_NAME["mnist"], files=(remote(server, "good"), two))

    def stop(name: str, done: int, total: int) -> None:
        if name == "two.gz":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_entry(entry, folder, stop)
    assert [path.name for path in folder.iterdir()] == ["file.gz"]
    server.asked.clear()
    download_entry(entry, folder)
    assert server.asked == ["/good/two.gz"]
    monkeypatch.setitem(sys.modules, "pooch", None)
    download_entry(entry, folder)  # all there and whole: nothing to import


def test_a_damaged_file_is_replaced_only_by_a_good_one(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(GOOD[:50])
    with pytest.raises(DataError):
        fetch(remote(server, "wrong"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == GOOD[:50]
    fetch(remote(server, "good"), tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == GOOD


def test_a_folder_that_cannot_be_written(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match=r"cannot be made .*; give another folder with --data-dir"):
        download("mnist", tmp_path / "taken")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.retrieve", full)
    with pytest.raises(DataError, match=r"cannot be written.*[Nn]o space.*--data-dir or MINIVAE_C"):
        fetch(remote(server, "good", "good"), tmp_path)


@pytest.mark.parametrize("name", ["mnist", "frey"])
def test_a_folder_that_is_read_only_is_told_with_the_fix(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """pooch finds it out of mnist, with an error without a number; of frey our scratch folder."""

    def refuse(*_: Any, dir: Any = None, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", dir)

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    with pytest.raises(DataError) as caught:
        download(name, tmp_path)
    fix = "cannot be written (Permission denied); give another folder with --data-dir or MINIVAE_"
    assert f"{tmp_path / name}: {fix}" in str(caught.value)


def test_names_that_cannot_be_downloaded(server: Any) -> None:
    with pytest.raises(DataError, match="did you mean mnist"):
        download("minst")
    with pytest.raises(DataError, match="built in"):
        download("shapes")


def test_without_pooch(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=r'pip install "minivae\[download\]"'):
        fetch(remote(server, "good"), tmp_path)


def test_every_mirror_is_an_address_of_the_file() -> None:
    for entry in ENTRIES:
        files = [*entry.files, *(file for _, group in entry.recipes for file in group)]
        for file in files:
            made = entry.recipes and file in entry.files
            assert made or file.urls
            for url in file.urls:
                assert url.startswith(("https://", "http://")) and url.endswith("/" + file.name)
    for name in ("mnist", "fashion-mnist"):
        assert all(len(file.urls) >= 2 for file in BY_NAME[name].files)

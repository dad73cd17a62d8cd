"""Where the files of named data sets lie: the user's folder first, then the cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from minivae.data.errors import DataError
from minivae.data.idx import file_errors
from minivae.data.registry import ENTRIES, DatasetEntry, RemoteFile

DATA_VARIABLE, CACHE_VARIABLE = "MINIVAE_DATA", "MINIVAE_CACHE"


def at_home(given: str | os.PathLike[str]) -> Path:
    """The path with ~ or ~name for a home folder; as it stands where there is none: ~x.csv is a
    file's name too, of a copy that an editor keeps."""
    path = Path(given)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def cache_dir() -> Path:
    """Where downloads are kept: MINIVAE_CACHE, else the user's cache folder (XDG)."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return at_home(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "minivae"
    except RuntimeError:
        raise DataError(f"no home folder is known; set {CACHE_VARIABLE} to a folder") from None


def roots(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """The folders searched, in order: ``data_dir`` or MINIVAE_DATA, then the cache.

    Raises:
        DataError: a folder that was asked for does not exist.
    """
    given = os.fspath(data_dir) if data_dir is not None else os.environ.get(DATA_VARIABLE)
    if not given:
        return [cache_dir()]
    folder = at_home(given)
    if not folder.is_dir():
        asked = "--data-dir" if data_dir is not None else DATA_VARIABLE
        raise DataError(f"{folder}: there is no such folder; {asked} must name one that exists")
    return [folder, cache_dir()]


def find(entry: DatasetEntry, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The first folder that holds all of ``entry``'s files, or None."""
    for folder in _candidates(entry, data_dir):
        if all((folder / file.name).is_file() for file in entry.files):
            return folder
    return None


def require(entry: DatasetEntry, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """As :func:`find`, or a DataError that says where was looked and how to get the files."""
    folder = find(entry, data_dir)
    if folder is not None:
        return folder
    searched = roots(data_dir)
    lacking = _lacking(entry, data_dir)
    raise DataError(
        f"{entry.name}: {lacking} not found in {' or '.join(str(root) for root in searched)}; run "
        f"`minivae data {entry.name}` to download it ({entry.bytes / 1e6:.1f} MB), or point "
        f"--data-dir or {DATA_VARIABLE} at a folder that has it"
    )


def verify(path: Path, file: RemoteFile, name: str) -> None:
    """DataError when ``path`` is not, byte for byte, the published file."""
    if file.sha256 is None:
        return
    found = sha256(path)
    if found == file.sha256:
        return
    owner = _owner(found)
    size = path.stat().st_size
    if owner is not None:
        what = f"is {owner}'s file, not {name}'s; name the data set {owner}"
    elif size != file.bytes:
        what = (
            f"has {size} bytes where the published file has {file.bytes}; delete it and run "
            f"`minivae data {name}`, or give its path to load it as your own data"
        )
    else:
        what = (
            f"is not the published file (sha256 {found[:12]}…, not {file.sha256[:12]}…); delete it "
            f"and run `minivae data {name}`, or give its path to load it as your own data"
        )
    raise DataError(f"{path}: {what}")


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with file_errors(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _candidates(entry: DatasetEntry, data_dir: str | os.PathLike[str] | None) -> list[Path]:
    found = []
    for root in roots(data_dir):
        found += [root / folder for folder in entry.folders] + [root]
    return found


def _lacking(entry: DatasetEntry, data_dir: str | os.PathLike[str] | None) -> str:
    """The missing files' names, from the folder that lacks the fewest."""
    lists = [
        [file.name for file in entry.files if not (folder / file.name).is_file()]
        for folder in _candidates(entry, data_dir)
    ]
    names = min(lists, key=len)
    return f"{names[0]} (and {len(names) - 1} more)" if len(names) > 1 else names[0]


def _owner(digest: str) -> str | None:
    for entry in ENTRIES:
        if any(file.sha256 == digest for file in entry.files):
            return entry.name
    return None

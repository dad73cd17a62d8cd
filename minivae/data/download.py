"""Downloads: several mirrors in turn, sha256 checked before a file takes its final name."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minivae.data.convert import CONVERTERS, keep
from minivae.data.errors import DataError
from minivae.data.load import unknown_name
from minivae.data.locate import CACHE_VARIABLE, at_home, cache_dir, sha256
from minivae.data.named import READERS
from minivae.data.registry import BY_NAME, DatasetEntry, RemoteFile, known_name

TIMEOUT = 30  # seconds without a byte before the next mirror is tried
MOST = 1 << 30  # bytes taken of a file whose size is not known
# Called with (file name, bytes so far, bytes in all or 0).
Progress = Callable[[str, int, int], None]


def download(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch a named data set's files and return their folder.

    Files that are there and whole are not fetched again, so an interrupted download goes on with
    the next missing file. A file takes its name only when its content is the published one.

    Args:
        name: a name of the catalogue.
        data_dir: keep the files under this folder; the user's cache when not given.
        progress: told of each chunk.

    Raises:
        DataError: unknown name, pooch not installed, every mirror failed, no room or no permission.
    """
    known = known_name(name)
    if known is None:
        raise unknown_name(name)
    entry = BY_NAME[known]
    if entry.embedded:
        raise DataError(f"{known} is built in, there is nothing to download; minivae train {known}")
    root = cache_dir() if data_dir is None else at_home(data_dir)
    return download_entry(entry, root / entry.folders[0], progress)


def download_entry(entry: DatasetEntry, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch ``entry``'s files into ``folder``, making them from their originals where needed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_kept(folder, "made", error) from None
    if entry.recipes:
        try:
            _make(entry, folder, progress)
        except OSError as error:
            raise _not_kept(folder, "written", error) from None
    for file in () if entry.recipes else entry.files:
        path = folder / file.name
        if not (path.is_file() and sha256(path) == file.sha256):
            fetch(file, folder, progress)
    return folder


def fetch(
    file: RemoteFile, folder: Path, progress: Progress | None = None, kept: Path | None = None
) -> Path:
    """One file into ``folder`` from the first mirror that gives it whole.

    ``kept`` is where a copy fetched by hand would be found, if not in ``folder``.

    Raises:
        DataError: what each mirror did wrong.
    """
    pooch = _pooch()
    failures = []
    for url in file.urls:
        watch = _Watch(file, progress)
        try:
            path = pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}" if file.sha256 else None,
                fname=file.name,
                path=folder,
                downloader=pooch.HTTPDownloader(progressbar=watch, timeout=TIMEOUT),
            )
            return Path(path)
        except (ValueError, OSError) as error:  # requests' errors are OSErrors
            number = getattr(error, "errno", None)
            # pooch raises a PermissionError of its own, without a number
            if number in (errno.EROFS, errno.ENOSPC, errno.EDQUOT) or isinstance(
                error, PermissionError
            ):
                raise _not_kept(kept or folder, "written", error) from None
            failures.append(f"{url}: {_reason(error)}")
    raise DataError(
        f"{file.name}: no mirror gave it ({'; '.join(failures)}); try again later, or put the file "
        f"into {kept or folder} by hand and run this again"
    )


def _not_kept(folder: Path, what: str, error: Exception) -> DataError:
    """What to say where the system refuses to keep a file in the folder."""
    number = getattr(error, "errno", None) or errno.EACCES
    return DataError(
        f"{folder}: cannot be {what} ({os.strerror(number)}); give another folder with --data-dir "
        f"or {CACHE_VARIABLE}"
    )


class _Watch:
    """What pooch takes for a progress bar; stops a mirror that sends far too much."""

    def __init__(self, file: RemoteFile, progress: Progress | None) -> None:
        self.file, self.progress = file, progress
        self.total = 0
        self.done = 0

    def update(self, count: int) -> None:
        self.done += count
        known = self.file.bytes
        if self.done > (2 * known + (1 << 20) if known else MOST):
            raise ValueError("sends far more than the file's known size")
        if self.progress is not None:
            total = self.total or self.file.bytes
            self.progress(self.file.name, min(self.done, total), total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _make(entry: DatasetEntry, folder: Path, progress: Progress | None) -> None:
    """Make ``entry``'s one file by the first recipe whose originals can be had."""
    if (folder / entry.files[0].name).is_file():
        try:
            READERS[entry.name](entry, folder, True)
            return
        except DataError:
            pass  # damaged: made anew, and replaced only when that has worked
    failures = []
    for recipe, originals in entry.recipes:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as scratch:
            try:
                paths = [_original(file, folder, Path(scratch), progress) for file in originals]
                keep(CONVERTERS[recipe](paths), entry, folder)
                return
            except DataError as error:
                failures.append(str(error))
    raise DataError(" | ".join(failures))


def _original(file: RemoteFile, folder: Path, scratch: Path, progress: Progress | None) -> Path:
    by_hand = folder / file.name
    return by_hand if by_hand.is_file() else fetch(file, scratch, progress, kept=folder)


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        raise DataError('downloads need pooch; pip install "minivae[download]"') from None
    pooch.get_logger().setLevel("ERROR")
    return pooch


def _reason(error: Exception) -> str:
    text = str(error)
    if "hash" in text.lower():
        return "its sha256 is wrong"
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    kind = type(error).__name__
    return {
        "ConnectionError": "no connection",
        "ConnectTimeout": "no answer",
        "ReadTimeout": "stopped sending",
        "ChunkedEncodingError": "broke off before the end",
    }.get(kind, " ".join(text.split())[:80] or kind)

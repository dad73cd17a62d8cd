"""Which files of a folder are its pictures: their parts, their labels, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from minivae.data.errors import DataError
from minivae.data.idx import file_errors

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
# Pictures as well, which Pillow alone does not read.
OTHERS = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw")
PART_FOLDERS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}


class PictureFiles(NamedTuple):
    """A folder's pictures by part, their labels (None where not all have one), what to say."""

    parts: dict[str, list[Path]]
    labels: dict[str, list[str]] | None
    notes: tuple[str, ...]


def has_pictures(folder: Path) -> bool:
    """Whether a folder, or one two levels below it, holds a file named as a picture."""
    return any(
        path.suffix.lower() in (*ENDINGS, *OTHERS)
        for pattern in ("*", "*/*", "*/*/*")
        for path in folder.glob(pattern)
    )


def closed_folders(folder: Path) -> list[Path]:
    """The folders in it that cannot be read, where there may be pictures."""
    with file_errors(folder):
        return [
            path for path in sorted(folder.iterdir())
            if path.is_dir() and not os.access(path, os.R_OK | os.X_OK)
        ]  # fmt: skip


def picture_files(folder: Path) -> PictureFiles:
    """The pictures below a folder; hidden files and folders (``.thumbnails``) are passed over.

    Sub-folders named train, test and valid are the parts; other ones are the labels.

    Raises DataError where there is no picture.
    """
    roots = _roots(folder)
    below, lost, closed = _below(folder, roots.values())
    every = [path for path in below if path.suffix.lower() in ENDINGS]
    parts = {part: [p for p in every if p.is_relative_to(root)] for part, root in roots.items()}
    parts = {part: files for part, files in parts.items() if files or part == "train"}
    unread = [path for path in below if path.suffix.lower() in OTHERS]
    not_read = (
        f"{_counted(unread, folder)} not read; save such files as PNG or JPEG" if unread else ""
    )
    if not parts["train"] and unread:
        raise DataError(f"{folder}: {not_read}")
    if not parts["train"] and closed:
        raise DataError(f"{closed[0]}: cannot be read; check its permissions")
    if not parts["train"]:
        raise DataError(f"{folder}: has no picture ({', '.join(ENDINGS)}); give a folder with some")
    labels = {part: [_label(file, roots[part]) for file in files] for part, files in parts.items()}
    bare = [f for part, files in parts.items() for f, label in zip(files, labels[part], strict=True)
            if label is None]  # fmt: skip
    taken = {file for files in parts.values() for file in files}
    outside = [path for path in every if path not in taken]
    notes = [not_read] if unread else []
    if lost:
        notes.append(f"{_counted(lost, folder, 'broken link')} left out")
    if closed:
        notes.append(f"{_counted(closed, folder, 'unreadable folder')} left out")
    if outside:
        train = f"the sub-folder {roots['train'].name} is taken for the training part"
        notes.append(f"{_counted(outside, folder)} left out, as {train}")
    if bare and len(bare) < len(taken):
        notes.append(f"{_counted(bare, folder)} in no sub-folder: the labels are not used")
    named = None if bare else {part: [str(n) for n in names] for part, names in labels.items()}
    return PictureFiles(parts, named, tuple(f"{folder}: {note}" for note in notes))


def _roots(folder: Path) -> Mapping[str, Path]:
    """The folder of each part; the whole folder is `train` where it has none for it."""
    with file_errors(folder):
        inside = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    found = {
        part: next(inside[name] for name in names if name in inside)
        for part, names in PART_FOLDERS.items()
        if any(name in inside for name in names)
    }
    return found if "train" in found else {"train": folder}


def _below(folder: Path, roots: Iterable[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """All pictures below a folder that are not hidden, nor in a hidden folder; sorted.

    Links to folders are followed, but not back to a folder that the link itself lies in, nor to
    one that is read anyway, below the same one of ``roots``. Second come links to pictures that are
    not there, third folders that cannot be read.
    """
    there: list[Path] = []
    lost: list[Path] = []
    closed: list[Path] = []
    tops = {root: os.path.realpath(root) for root in roots}
    within = {str(folder): {os.path.realpath(folder)}}  # the folders around each, and itself

    def pass_over(fault: OSError) -> None:
        closed.append(Path(fault.filename))

    for place, names, files in os.walk(folder, followlinks=True, onerror=pass_over):
        around = within.pop(place)
        top = next((tops[root] for root in tops if Path(place).is_relative_to(root)), None)
        real = {name: os.path.realpath(os.path.join(place, name)) for name in names}
        names[:] = [
            name for name in names
            if not name.startswith(".") and real[name] not in around
            and not (os.path.islink(os.path.join(place, name)) and _is_read(real[name], top))
        ]  # fmt: skip
        within |= {os.path.join(place, name): around | {real[name]} for name in names}
        for path in (Path(place, name) for name in files if not name.startswith(".")):
            if path.suffix.lower() in (*ENDINGS, *OTHERS):
                if path.is_file():
                    there.append(path)
                elif path.is_symlink():
                    lost.append(path)
    return sorted(there), sorted(lost), sorted(closed)


def _is_read(real: str, top: str | None) -> bool:
    """Whether a folder lies below the folder ``top``, and in no hidden one."""
    path = Path(real)
    return (
        top is not None and path.is_relative_to(top)
        and not any(part.startswith(".") for part in path.relative_to(top).parts)
    )  # fmt: skip


def _label(file: Path, root: Path) -> str | None:
    """The first folder between the part's own and the file; None where it lies there itself."""
    inner = file.relative_to(root).parts[:-1]
    return inner[0] if inner else None


def _counted(files: Iterable[Path], folder: Path, kind: str = "file") -> str:
    """ "1 file (a.heic) is" or "12 files (a.heic, …) are"."""
    files = list(files)
    first = files[0].relative_to(folder)
    return f"1 {kind} ({first}) is" if len(files) == 1 else f"{len(files)} {kind}s ({first}, …) are"

"""A folder of PNG and JPEG pictures as rows; sub-folders are labels, or the parts of the data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.arrays import from_file_arrays
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import file_errors
from minivae.data.reading import MOST_IN_MEMORY, Reading

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
PART_FOLDERS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I")  # Pillow's modes of 16 bits a pixel


class _Kind(NamedTuple):
    """What all pictures are brought to: height, width, in colour or not, 16 bits deep or not."""

    height: int
    width: int
    colour: bool
    deep: bool


def has_pictures(folder: Path) -> bool:
    """Whether a folder, or one two levels below it, holds a file named as a picture."""
    return any(
        path.suffix.lower() in ENDINGS
        for pattern in ("*", "*/*", "*/*/*")
        for path in folder.glob(pattern)
    )


def load_pictures(folder: Path, reading: Reading) -> Dataset:
    """All pictures below ``folder``, uint8 (or uint16 where all have 16 bits), in order of name.

    Grey where every picture is, else all in colour; transparency is laid on white. Sub-folders
    named train, test and valid are the parts; other ones are the labels.

    Raises:
        DataError: none there, one that is broken, sizes that differ where ``resize`` is not given.
    """
    reading.refuse(folder, "a folder of pictures, whose sub-folders are the labels", "label",
                   "one_hot")  # fmt: skip
    parts = _files_by_part(folder)
    everything = [file for files in parts.values() for file in files]
    kind = _common_kind(folder, everything, reading)
    names = {part: [_label(file, folder, part, parts) for file in files]
             for part, files in parts.items()}  # fmt: skip
    labelled = all(name is not None for part in names.values() for name in part)
    pixels = {part: _read_all(files, kind) for part, files in parts.items()}
    dataset = from_file_arrays(
        folder,
        reading,
        pixels["train"],
        pixels.get("test"),
        pixels.get("valid"),
        labels=names if labelled else None,
        shape=None,  # the pictures' own; another is refused below
    )
    if reading.shape not in (None, dataset.shape):
        raise DataError(
            f"{folder}: the pictures are {dataset.shape}, not {reading.shape}; leave --shape out, "
            "or give --resize HxW"
        )
    return dataset


def _files_by_part(folder: Path) -> dict[str, list[Path]]:
    with file_errors(folder):
        inside = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    found = {
        part: next(inside[name] for name in names if name in inside)
        for part, names in PART_FOLDERS.items()
        if any(name in inside for name in names)
    }
    roots = found if "train" in found else {"train": folder}
    parts = {
        part: sorted(
            path for path in root.rglob("*")
            if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
        )
        for part, root in roots.items()
    }  # fmt: skip
    parts = {part: files for part, files in parts.items() if files or part == "train"}
    if not parts["train"]:
        raise DataError(f"{folder}: has no picture ({', '.join(ENDINGS)}); give a folder with some")
    return parts


def _label(file: Path, folder: Path, part: str, parts: dict[str, list[Path]]) -> str | None:
    """The first folder between the part's own and the file; None where it lies there itself."""
    inner = file.relative_to(folder).parts[:-1]
    if len(parts) > 1 or (inner and inner[0].lower() in PART_FOLDERS[part]):
        inner = inner[1:]
    return inner[0] if inner else None


def _common_kind(folder: Path, files: Sequence[Path], reading: Reading) -> _Kind:
    """The size and mode for all, from the files' headers; DataError where sizes differ."""
    sizes: dict[tuple[int, int], list[Path]] = {}
    colour, deep = False, True
    for file in files:
        with _opened(file) as picture:
            turned = picture.getexif().get(0x0112, 1) >= 5  # EXIF: to be turned by a quarter
            width, height = picture.size[::-1] if turned else picture.size
            sizes.setdefault((height, width), []).append(file)
            deep &= picture.mode in DEEP_GREY
            grey = picture.mode in (*DEEP_GREY, "1", "L", "LA", "F")
            if not grey and not (picture.mode == "P" and _grey_palette(picture)):
                colour = True
    if reading.resize is None and len(sizes) > 1:
        often = sorted(sizes, key=lambda size: -len(sizes[size]))
        first, second = often[0], often[1]
        raise DataError(
            f"{folder}: pictures of {len(sizes)} sizes ({len(sizes[first])} of "
            f"{first[0]}x{first[1]}; {sizes[second][0].name} is {second[0]}x{second[1]}); "
            f"bring them to one with --resize {first[0]}x{first[1]}"
        )
    height, width = reading.resize or next(iter(sizes))
    kind = _Kind(height, width, colour, deep and not colour)
    needed = len(files) * height * width * (3 if colour else 1) * (2 if kind.deep else 1)
    if needed > MOST_IN_MEMORY:
        raise DataError(
            f"{folder}: {len(files)} pictures of {height}x{width} take {needed / 1e9:.1f} GB; make "
            f"them smaller, such as with --resize {height // 4 or 1}x{width // 4 or 1}"
        )
    return kind


def _grey_palette(picture: Any) -> bool:
    red, green, blue = np.array(picture.getpalette() or [0, 1, 2], np.int16).reshape(-1, 3).T
    return bool((red == green).all() and (green == blue).all())


def _read_all(files: Sequence[Path], kind: _Kind) -> NDArray[Any]:
    shape = (kind.height, kind.width, 3) if kind.colour else (kind.height, kind.width)
    out = np.empty((len(files), *shape), dtype=np.uint16 if kind.deep else np.uint8)
    for i, file in enumerate(files):
        with _opened(file) as picture:
            out[i] = _pixels(picture, kind)
    return out


def _pixels(picture: Any, kind: _Kind) -> NDArray[Any]:
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    size = (kind.width, kind.height)
    if picture.mode in DEEP_GREY:
        deep = np.asarray(picture).clip(0, 65535)
        if kind.deep and picture.size == size:
            return deep.astype(np.uint16)
        whole = Image.fromarray(deep.astype(np.float32))
        deep = np.asarray(whole.resize(size, Image.Resampling.BOX) if whole.size != size else whole)
        if kind.deep:
            return np.rint(deep).astype(np.uint16)
        picture = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    picture = picture.convert("RGB" if kind.colour else "L")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture)


class _opened:
    """A picture file opened by Pillow; whatever is wrong with it becomes one line.

    A class, as the faults show in the body, when the pixels are read.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> Any:
        from PIL import Image

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large picture, odd metadata: shown by what follows
            try:
                self.picture = Image.open(self.file)
            except Exception as error:
                raise self._broken(error) from None
        return self.picture

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.picture.close()
        if isinstance(error, Exception) and not isinstance(error, (DataError, MemoryError)):
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> DataError:
        if isinstance(error, PermissionError):
            return DataError(f"{self.file}: cannot be read (permission denied); check its rights")
        why = " ".join(str(error).replace(str(self.file), "").split())[:100]
        return DataError(
            f"{self.file}: is no whole picture ({type(error).__name__}: {why}); "
            "remove it or fetch it again"
        )

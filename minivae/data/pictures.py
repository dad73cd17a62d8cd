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
from minivae.data.picture_files import picture_files
from minivae.data.reading import MOST_IN_MEMORY, Reading

LONG_SIDE = 64  # pixels of the size that messages propose
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I")  # Pillow's modes of 16 bits a pixel


class _Kind(NamedTuple):
    """What all pictures are brought to: height, width, in colour or not, 16 bits deep or not."""

    height: int
    width: int
    colour: bool
    deep: bool


def load_pictures(folder: Path, reading: Reading) -> Dataset:
    """All pictures below ``folder``, uint8 (or uint16 where all have 16 bits), in order of name.

    Grey where every picture is, else all in colour; transparency is laid on white. Sub-folders
    named train, test and valid are the parts; other ones are the labels.

    Raises:
        DataError: none there, one that is broken, sizes that differ where ``resize`` is not given.
    """
    reading.refuse(folder, "a folder of pictures, whose sub-folders are the labels", "label",
                   "one_hot")  # fmt: skip
    found = picture_files(folder)
    everything = [file for files in found.parts.values() for file in files]
    kind, several = _common_kind(folder, everything, reading)
    pixels = {part: _read_all(files, kind) for part, files in found.parts.items()}
    dataset = from_file_arrays(
        folder,
        reading,
        pixels["train"],
        pixels.get("test"),
        pixels.get("valid"),
        labels=found.labels,
        shape=None,  # the pictures' own; another is refused below
    )
    if reading.shape not in (None, dataset.shape):
        raise DataError(
            f"{folder}: the pictures are {dataset.shape}, not {reading.shape}; leave --shape out, "
            "or give --resize HxW"
        )
    return dataset.with_parts(notes=(*found.notes, *several, *dataset.notes))


def _common_kind(
    folder: Path, files: Sequence[Path], reading: Reading
) -> tuple[_Kind, tuple[str, ...]]:
    """The size and mode for all, from the files' headers, and what to say of them.

    Raises DataError where sizes differ, or where all of them would not fit into memory.
    """
    sizes: dict[tuple[int, int], list[Path]] = {}
    colour, deep, several = False, True, []
    for file in files:
        with _opened(file) as picture:
            if getattr(picture, "is_animated", False):
                several.append(file)
            turned = picture.getexif().get(0x0112, 1) >= 5  # EXIF: to be turned by a quarter
            width, height = picture.size[::-1] if turned else picture.size
            sizes.setdefault((height, width), []).append(file)
            deep &= picture.mode in DEEP_GREY
            grey = picture.mode in (*DEEP_GREY, "1", "L", "LA", "F")
            if not grey and not (picture.mode == "P" and _grey_palette(picture)):
                colour = True
    height, width = reading.resize or _only_size(folder, sizes, reading.own)
    kind = _Kind(height, width, colour, deep and not colour)
    needed = len(files) * height * width * (3 if colour else 1) * (2 if kind.deep else 1)
    if needed > MOST_IN_MEMORY:
        raise DataError(
            f"{folder}: {len(files)} pictures of {height}x{width} take {needed / 1e9:.1f} GB; make "
            f"them smaller, such as with --resize {_small(height, width)}"
        )
    if not several:
        return kind, ()
    such = f" ({len(several)} such files)" if several[1:] else ""
    note = f"{several[0].name} holds several pictures, of which the first is read{such}"
    return kind, (f"{folder}: {note}",)


def _only_size(
    folder: Path, sizes: dict[tuple[int, int], list[Path]], own: bool
) -> tuple[int, int]:
    """The (height, width) that all files have; DataError where they differ."""
    often = sorted(sizes, key=lambda size: -len(sizes[size]))
    if len(often) > 1:
        first, second = often[0], often[1]
        fix = f"to one with --resize {_small(*first)}" if own else "all to the run's size first"
        raise DataError(
            f"{folder}: pictures of {len(sizes)} sizes ({len(sizes[first])} of "
            f"{first[0]}x{first[1]}; {sizes[second][0].name} is {second[0]}x{second[1]}); "
            f"bring them {fix}"
        )
    return often[0]


def _small(height: int, width: int) -> str:
    """HxW of the same shape, its longer side LONG_SIDE at most: a size that can be trained on."""
    shrink = max(1.0, max(height, width) / LONG_SIDE)
    return f"{max(1, round(height / shrink))}x{max(1, round(width / shrink))}"


def _grey_palette(picture: Any) -> bool:
    red, green, blue = np.array(picture.getpalette() or [0, 1, 2], np.int16).reshape(-1, 3).T
    return bool((red == green).all() and (green == blue).all())


def _read_all(files: Sequence[Path], kind: _Kind) -> NDArray[Any]:
    shape = (kind.height, kind.width, 3) if kind.colour else (kind.height, kind.width)
    out = np.empty((len(files), *shape), dtype=np.uint16 if kind.deep else np.uint8)
    for i, file in enumerate(files):
        with _opened(file) as picture:
            out[i] = _pixels(picture, kind, file)
    return out


def _pixels(picture: Any, kind: _Kind, file: Path) -> NDArray[Any]:
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    size = (kind.width, kind.height)
    if picture.mode in (*DEEP_GREY, "F"):
        deep = np.asarray(picture)
        if picture.mode == "F" or deep.min() < 0 or deep.max() > 65535:
            raise DataError(
                f"{file}: has values of 32 bits, from {deep.min():g} to {deep.max():g}, and what "
                "is white is not known; save it as a PNG of 8 or 16 bits"
            )
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
        if self.file.is_file() and self.file.stat().st_size == 0:
            why = "it is empty, 0 bytes"
        else:
            said = " ".join(str(error).replace(str(self.file), "").split())[:100]
            why = f"{type(error).__name__}: {said}"
        return DataError(f"{self.file}: is no whole picture ({why}); remove it or fetch it again")

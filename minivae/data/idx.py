"""The idx format (MNIST's): big-endian arrays with a small header, plain or gzip-compressed.

Layout: two zero bytes, one byte for the type, one for the number of dimensions, a 32-bit size for
each dimension, then the values. Nothing is allocated before the header has been held against the
file's size, and no more is ever decompressed than the header promises, plus one byte.
"""

from __future__ import annotations

import gzip
import math
import os
import shlex
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.reading import MOST_IN_MEMORY
from minivae.data.whole import write_whole

GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_RATIO = 1100  # deflate cannot expand a byte into more than 1032
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMS = 8


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in an idx or idx.gz file, in native byte order.

    Raises:
        DataError: not idx, not gzip where the name says so, a wrong type or size in the header,
            truncated, over-long, damaged, or unreadable.
    """
    path = Path(path)
    with file_errors(path), path.open("rb") as raw:
        on_disk = os.fstat(raw.fileno()).st_size
        compressed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        _require_name_fits(path, compressed)
        if compressed:
            with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
                return _read(stream, path, on_disk * DEFLATE_RATIO)  # type: ignore[arg-type]
        return _read(raw, path, on_disk)


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write ``array`` as idx, whole or not at all, compressed when the name ends in ``.gz``."""
    path = Path(path)
    kind = array.dtype.newbyteorder(">")
    codes = {np.dtype(name): code for code, name in TYPES.items()}
    if kind not in codes or not 1 <= array.ndim <= _MAX_DIMS:
        raise DataError(f"{path}: idx cannot hold dtype {array.dtype} of shape {array.shape}")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, codes[kind], array.ndim, *array.shape)
    content = header + np.ascontiguousarray(array, dtype=kind).tobytes()
    packed = gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content
    write_whole(path, lambda stream: stream.write(packed))


def _read(stream: IO[bytes], path: Path, available: int) -> NDArray[Any]:
    first = read_exactly(stream, 4, path, "its header")
    text, packed = all(9 <= byte < 127 for byte in first), path.suffix.lower() == ".gz"
    if packed and (text or first == b"\x93NUM"):
        kind = f"text (it begins with {first.decode()!r})" if text else "a .npy array"
        raise DataError(
            f"{path}: is not an idx file but {kind} in gzip; unpack it first: gunzip "
            f"{shlex.quote(str(path))}"
        )
    if text:
        raise DataError(
            f"{path}: is not an idx file but text (it begins with {first.decode()!r}); give a "
            "table as .csv"
        )
    if first[:2] != b"\0\0" or first[2] not in TYPES or not 1 <= first[3] <= _MAX_DIMS:
        raise DataError(
            f"{path}: is not an idx file (it begins with bytes {first.hex(' ')}, an idx file of "
            "pictures with 00 00 08 03); give a .npy, .npz, idx or idx.gz file"
        )
    dims = struct.unpack(f">{first[3]}I", read_exactly(stream, 4 * first[3], path, "its header"))
    dtype = np.dtype(TYPES[first[2]])
    array = read_array(stream, dtype, dims, path, available - 4 - 4 * first[3])
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_array(
    stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], where: object, available: int
) -> NDArray[Any]:
    """``shape`` values from ``stream``, and the certainty that nothing comes after them.

    ``available`` is the most bytes the stream can hold: a header that promises more is refused
    before anything is allocated.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > available:
        raise DataError(
            f"{where}: its header promises {size} bytes (shape {shape}) but the file can hold at "
            f"most {max(available, 0)}; it is truncated or not what its name says, fetch it again"
        )
    if size > MOST_IN_MEMORY:
        raise DataError(
            f"{where}: holds {size / 1e9:.1f} GB (shape {shape}), too much for memory; save the "
            "array with numpy.save: a .npy is read piece by piece"
        )
    try:
        array = np.empty(math.prod(shape), dtype=dtype)
    except (MemoryError, ValueError):
        raise DataError(
            f"{where}: {size} bytes (shape {shape}) do not fit in memory; use fewer rows"
        ) from None
    _fill(stream, memoryview(array.view(np.uint8).data), where)
    if stream.read(1):
        raise DataError(
            f"{where}: holds more than the {size} bytes its header promises (shape {shape}); "
            "it is damaged or not what its name says, fetch it again"
        )
    return array.reshape(shape)


def read_exactly(stream: IO[bytes], count: int, where: object, what: str) -> bytes:
    """``count`` bytes, or a DataError saying that the file ends inside ``what``."""
    found = stream.read(count)
    if len(found) < count:
        raise DataError(f"{where}: ends inside {what}; it is truncated, fetch it again")
    return found


def _fill(stream: IO[bytes], target: memoryview, where: object) -> None:
    done = 0
    while done < len(target):
        count = stream.readinto(target[done : done + (1 << 20)])  # type: ignore[attr-defined]
        if not count:
            raise DataError(
                f"{where}: ends after {done} of the {len(target)} bytes its header promises; "
                "it is truncated, fetch it again"
            )
        done += count


def _require_name_fits(path: Path, compressed: bool) -> None:
    if compressed and path.suffix.lower() != ".gz":
        raise DataError(f"{path}: is gzip-compressed though its name does not end in .gz; add .gz")
    if not compressed and path.suffix.lower() == ".gz":
        raise DataError(
            f"{path}: is not gzip-compressed though its name ends in .gz; "
            "fetch it again, or take .gz off the name"
        )


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turns what reading a bad file can raise into one clear line.

    A pipe or a device is refused before it is opened: it may never answer, or never end.
    """
    _refuse_no_file(path)
    try:
        yield
    except EOFError:
        raise DataError(f"{path}: its compressed data is truncated; fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: its gzip stream is damaged ({error}); fetch it again") from None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; check the path") from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{path}: cannot be read ({reason}); check the path and permissions"
        ) from None


def _refuse_no_file(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # said where it is opened
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"{path}: is a pipe or a device, no file, and data are read more than once; save them "
            "in a file and give that"
        )

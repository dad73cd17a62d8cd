"""Safe reading of .npy and .npz: NumPy's own reader, after sizes are held against headers.

Never a pickle, and nothing is allocated or unpacked that the file cannot hold.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from minivae.data.checks import no_real_numbers
from minivae.data.errors import DataError
from minivae.data.idx import DEFLATE_RATIO, file_errors
from minivae.data.names import as_seen
from minivae.data.reading import MOST_IN_MEMORY
from minivae.messages import shown

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
_END_MAGIC, _END_BYTES = b"PK\x05\x06", 22  # of a zip archive's last record, a comment follows
_ENCRYPTED = 1  # among a member's flags


class Header(NamedTuple):
    """What a .npy says of its array, and where its values begin."""

    shape: tuple[int, ...]
    fortran: bool  # column by column
    dtype: np.dtype[Any]
    offset: int

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in a .npy file.

    Raises:
        DataError: not .npy, Python objects or text inside, truncated or over-long.
    """
    path = Path(path)
    with file_errors(path), path.open("rb") as stream:
        return _read_npy(stream, str(path), os.fstat(stream.fileno()).st_size)


def npy_header(path: Path) -> Header:
    """What the array in a .npy file is, held against the file's size; DataError as `read_npy`."""
    with file_errors(path), path.open("rb") as stream:
        return _read_header(stream, str(path), os.fstat(stream.fileno()).st_size)


class Npz:
    """A .npz archive of which only the arrays asked for are read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with file_errors(self.path):
            try:
                with zipfile.ZipFile(self.path) as archive:
                    members = archive.infolist()
                    self._refuse_more_than_one(archive)
            except (OSError, DataError):
                raise
            except Exception as error:  # zipfile lets several kinds through
                raise DataError(
                    f"{self.path}: is not a whole .npz archive ({error}); fetch or save it again"
                ) from None
        names = [member.filename for member in members]
        self._refuse_doubtful([*names], [member.orig_filename for member in members])
        self.keys = [name[:-4] for name in names if name.endswith(".npy")]
        self.words: list[str] = []  # a .npy of text is among the keys
        self.other = [name for name in names if not name.endswith(".npy")]

    def _refuse_more_than_one(self, archive: zipfile.ZipFile) -> None:
        """DataError where anything stands before or after the archive: perhaps another one."""
        first = min((member.header_offset for member in archive.infolist()), default=0)
        with self.path.open("rb") as stream:
            stream.seek(-_END_BYTES - len(archive.comment), os.SEEK_END)
            ends = stream.read(len(_END_MAGIC)) == _END_MAGIC
        if first or not ends:
            place = "before" if first else "after"
            raise DataError(
                f"{self.path}: has other bytes {place} its archive, so what was meant cannot be "
                "told; fetch or save it again"
            )

    def _refuse_doubtful(self, names: list[str], written: list[str]) -> None:
        """DataError where a name could mean two members, or is read otherwise than written."""
        hidden = [name for name in written if "\0" in name]
        if hidden:
            raise DataError(
                f"{self.path}: has a member named {hidden[0]!r}, and what follows the NUL would "
                "be lost; save the arrays under plain names"
            )
        seen: dict[str, str] = {}
        for name in names:
            other = None if name.endswith("/") else seen.get(as_seen(name))  # a folder is no array
            if other is not None:
                one, two = (n if n.isascii() else ascii(n) for n in (other, name))
                both = f"two members named {one}" if one == two else f"{one} beside {two}"
                raise DataError(f"{self.path}: has {both}; keep the one that is meant")
            seen[as_seen(name)] = name

    def read(self, key: str) -> NDArray[Any]:
        """The array under ``key``; DataError as :func:`read_npy` does, and where it is too large.

        An archive is unpacked into memory: one of a few megabytes can hold gigabytes.
        """
        where = f"{self.path} ({key})"
        with file_errors(self.path):
            try:
                with zipfile.ZipFile(self.path) as archive:
                    info = archive.getinfo(f"{key}.npy")
                    if info.flag_bits & _ENCRYPTED:
                        raise DataError(f"{where}: is encrypted; save it without a password")
                    if info.file_size > (info.compress_size + 64) * DEFLATE_RATIO:
                        raise DataError(f"{where}: claims an impossible size; fetch it again")
                    if info.file_size > MOST_IN_MEMORY:
                        raise DataError(
                            f"{where}: unpacks to {info.file_size / 1e9:.1f} GB, too much for "
                            "memory; save the array with numpy.save: a .npy is read piece by piece"
                        )
                    with archive.open(info) as stream:
                        return _read_npy(stream, where, info.file_size)
            except (DataError, OSError, EOFError):
                raise
            except Exception as error:  # zipfile lets several kinds through
                raise DataError(f"{where}: is damaged ({error}); fetch or save it again") from None


def fold(name: str) -> str:
    """A key as it is looked up: without case, and with - read as _."""
    return name.lower().replace("-", "_")


def _read_npy(stream: IO[bytes], where: str, size: int) -> NDArray[Any]:
    header = _read_header(stream, where, size)
    stream.seek(0)
    try:
        array = npy_format.read_array(stream, allow_pickle=False)
    except MemoryError:
        raise DataError(
            f"{where}: {header.size} bytes (shape {header.shape}) do not fit in memory; "
            "use fewer rows"
        ) from None
    except ValueError as error:
        raise DataError(f"{where}: ended while it was read ({error}); fetch it again") from None
    stream.read(1)  # at its end an archive's member is held against its checksum
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def _read_header(stream: IO[bytes], where: str, size: int) -> Header:
    try:
        version = npy_format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = npy_format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = npy_format.read_array_header_2_0(stream)
        else:
            raise ValueError(f"version {version} is not read here")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError):
        raise
    except Exception as error:  # NumPy's parser lets tokenize's and ast's errors through
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"{where}: is not a .npy array ({reason}); save it with numpy.save"
        ) from None
    _require_numbers(dtype, where)
    if any(n < 0 for n in shape):
        raise DataError(f"{where}: its header has a negative size, {shown(shape)}; save it again")
    header = Header(shape, fortran, dtype, stream.tell())
    _require_size(header, size - header.offset, where)
    if any(type(n) is not int or n >= 2**62 for n in shape):
        raise DataError(
            f"{where}: its header has a size that no array has, {shown(shape)}; save it again"
        )
    return header


def _require_size(header: Header, available: int, where: str) -> None:
    """DataError unless the file holds what its header promises, no less and no more."""
    if header.size > available:
        raise DataError(
            f"{where}: its header promises {shown(header.size)} bytes (shape "
            f"{shown(header.shape)}) but the file can hold at most {max(available, 0)}; it is "
            "truncated or not what its name says, fetch it again"
        )
    if header.size < available:
        raise DataError(
            f"{where}: holds more than the {header.size} bytes its header promises (shape "
            f"{shown(header.shape)}); it is damaged or not what its name says, fetch it again"
        )


def _require_numbers(dtype: np.dtype[Any], where: str) -> None:
    if dtype.hasobject:
        raise DataError(
            f"{where}: holds Python objects (a pickle), which minivae never loads; "
            "save plain numbers, as X.astype('float32')"
        )
    if dtype.kind not in "buifUS":
        raise DataError(f"{where}: holds {no_real_numbers(dtype)}")

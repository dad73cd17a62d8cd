"""What a file is, by its first bytes, held against its name."""

from __future__ import annotations

import difflib
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from minivae.data.errors import DataError
from minivae.data.idx import GZIP_MAGIC, file_errors
from minivae.data.npy import NPY_MAGIC, ZIP_MAGIC
from minivae.data.tables import PARQUET_MAGIC
from minivae.data.text_tables import UTF16

FORMS = ".npy, .npz, .csv, .parquet, .mat, idx or idx.gz"
# The forms that are read: what each is called, and the endings that promise it.
_FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "npy": ("a .npy array", (".npy",)),
    "npz": ("a zip archive (.npz)", (".npz",)),
    "parquet": ("a Parquet table", (".parquet", ".pq")),
    "mat": ("a MATLAB file (.mat)", (".mat",)),
    "csv": ("a table in text (.csv)", (".csv", ".tsv", ".txt", ".tab", ".dat", ".data")),
    "idx": ("idx or gzip data", (".gz", ".idx", "")),
}
_SIGNS = (b",", b";", b"\t", b"|")  # between a table's cells
_PROMISED = (".npy", ".npz", ".gz", ".parquet", ".pq", ".mat", ".csv", ".tsv")
_JSON = "JSON; read it with pandas and write it with to_csv or to_parquet"
# What a file of another kind begins with, and what to do about it.
_STRANGERS = (
    (b"\x80", "a pickle, which minivae never loads; save the array with numpy.save"),
    (b"\x89PNG", "a single picture; give the folder that it lies in"),
    (b"\xff\xd8\xff", "a single picture (JPEG); give the folder that it lies in"),
    (b"GIF8", "a single picture (GIF); give the folder that it lies in"),
    (b"II*\0", "a single picture (TIFF); give the folder that it lies in"),
    (b"MM\0*", "a single picture (TIFF); give the folder that it lies in"),
    (b"\x89HDF", "HDF5; read it with h5py and save the array with numpy.save"),
    (b"ARROW1\0", "Arrow or Feather; write it with to_parquet in pandas or Polars"),
    (b"%PDF-", "a PDF document; save the table in it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"\xfd7zXZ", "a file packed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd; unpack it first"),
    (b"7z\xbc\xaf", "an archive of files (7z); unpack it, and give a file or folder of it"),
    (b"Rar!", "an archive of files (rar); unpack it, and give a file or folder of it"),
    (b"SQLite format", "an SQLite database; write the table as CSV"),
    (b"{", _JSON),
    (b"[", _JSON),
)
# A table's header may begin with < as well: <DATE>,<OPEN> of a broker's program, <5um of sizes.
_PAGE = "a web page or XML; the download went wrong, fetch the file again"
_PAGES = (b"<!doctype", b"<!--", b"<?", b"<html", b"<head", b"<body", b"<title", b"<script")
_TAG = re.compile(rb"<[A-Za-z/][^<>]*>")
# The same by what stands farther on: (from which byte, these bytes), for what else could be words.
_WITHIN = (
    (
        4,
        b"ftyp",
        "a telephone's picture (HEIC) or a film; save pictures as PNG or JPEG in a folder",
    ),
    (4, b"1AY&SY", "a file packed by bzip2; unpack it first", b"BZh"),
    (257, b"ustar", "an archive of files (tar); unpack it, and give a file or folder of it"),
    (6, b"\0\0\0\0", "a single picture (BMP); give the folder that it lies in", b"BM"),
    (8, b"WEBP", "a single picture (WebP); give the folder that it lies in", b"RIFF"),
)


# Archives that hold no arrays, by a member that gives them away.
_OTHER_ARCHIVES = {
    "[Content_Types].xml": "an Excel workbook (or another Office file); save the sheet as CSV",
    "data.pkl": "a PyTorch file, which holds pickles; save the array with numpy.save",
    "mimetype": "an OpenDocument file; save the sheet as CSV",
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg"), "a folder of pictures in a zip; unpack it and give the folder"
    ),
    **dict.fromkeys((".csv", ".tsv", ".parquet"), "a table in a zip; unpack it and give the table"),
}


def sniff(path: Path) -> str:
    """``npy``, ``npz``, ``idx``, ``parquet``, ``mat`` or ``csv`` by the file's first bytes.

    Raises:
        DataError: missing, empty, of no known form, or not what the name promises.
    """
    if not path.exists():
        raise missing_file(path)
    with file_errors(path), path.open("rb") as stream:
        first = stream.read(4096)
    if not first:
        raise DataError(f"{path}: is empty (0 bytes); give a {FORMS} file with data in it")
    found = _form_of(first, path.suffix.lower())
    suffix = path.suffix.lower()
    promised = next((form for form, (_, ends) in _FORMS.items() if suffix in ends), None)
    kept = suffix not in _PROMISED or found == promised
    if found is not None and kept:
        return found
    is_what = _stranger(first) if found is None else f"it is {_FORMS[found][0]}; rename it"
    if found == "npz":
        is_what = f"it looks like {other}" if (other := _archive(path)) else is_what
    if found == "csv" and suffix != ".gz":
        is_what = f"it is a table in text ({_header(first)}); rename it to .csv"
    claim = f"is not a {suffix} file: " if suffix in _PROMISED else ""
    raise DataError(f"{path}: {claim}{is_what}")


def other_archive(members: Iterable[str]) -> str | None:
    """What an archive of these members is, and what to do, where it is known and no .npz."""
    members = list(members)
    found = (
        words
        for end, words in _OTHER_ARCHIVES.items()
        if any(m.lower().endswith(end.lower()) for m in members)
    )
    return next(found, None)


def _archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return other_archive(archive.namelist())
    except Exception:  # zipfile raises many kinds for a bad file
        return None  # said where it is read


def _known_stranger(first: bytes, named: bool = False) -> str | None:
    """What a file of another kind is, and what to do about it; None where it is no known one.

    named: whether it is named as a table.
    """
    if _is_page(first.removeprefix(b"\xef\xbb\xbf").lstrip(), named):
        return _PAGE
    for magic, words in _STRANGERS:
        if first.startswith(magic):
            return words
    for start, magic, words, *begin in _WITHIN:
        if first.startswith(tuple(begin) or b"") and first[start:].startswith(magic):
            return words
    return None


def _is_page(text: bytes, named: bool) -> bool:
    """Whether this is a web page or XML, and no table whose first name begins with <."""
    if not text.startswith(b"<") or text[:16].lower().startswith(_PAGES):
        return text.startswith(b"<")
    cells = _TAG.sub(b"", text.splitlines()[0])
    return not (named and any(sign in cells for sign in _SIGNS))


def _form_of(first: bytes, suffix: str) -> str | None:
    named = suffix in _FORMS["csv"][1]
    if first.startswith(NPY_MAGIC):
        return "npy"
    if first.startswith((ZIP_MAGIC, b"PK\x05\x06")):
        return "npz"
    if first.startswith(PARQUET_MAGIC) and not (named and _is_table(first, suffix)):
        return "parquet"
    old = suffix == ".mat" and first[:1] in (b"\0", b"\x0a")  # of version 4, without words
    if old or (first.startswith(b"MATLAB ") and b"MAT-file" in first[:116]):
        return "mat"
    if _known_stranger(first, named) is not None and not (first[:1] == b"[" and named):
        return None
    if first.startswith(GZIP_MAGIC) or (first[:2] == b"\0\0" and len(first) >= 4):
        return "idx"
    return "csv" if _is_table(first, suffix) else None


def _is_table(first: bytes, suffix: str) -> bool:
    """Whether this is text that can be a table: named so, or numbers apart by signs."""
    text = first.removeprefix(b"\xef\xbb\xbf")
    if text.startswith(UTF16):
        text = text.decode("utf-16", "ignore").encode()
    if any(byte < 9 or 13 < byte < 32 for byte in text):
        return False
    named = suffix in _FORMS["csv"][1]
    lines = text.splitlines()
    apart = any(sign in lines[0] for sign in _SIGNS) if lines else False
    return bool(lines) and (named or apart)


def _header(first: bytes) -> str:
    encoding = "utf-16" if first.startswith(UTF16) else "utf-8-sig"
    line = first.decode(encoding, "replace").splitlines()[0][:60]
    return f"CSV, whose first line is {line!r}"


def _stranger(first: bytes) -> str:
    words = _known_stranger(first)
    if words is not None:
        return f"it looks like {words}"
    return f"its first bytes ({first[:4].hex(' ')}) are of no known form; give a {FORMS} file"


def missing_file(path: Path) -> DataError:
    """The error for a path that is not there, naming a near one if there is any."""
    folder = path.absolute().parent
    if path.name.startswith("pipe:["):  # what a shell's <( ) leads to
        return DataError(
            f"{path}: is a pipe, and data are read more than once; save them in a file"
        )
    if os.path.islink(path):
        return DataError(f"{path}: is a link to {os.readlink(path)}, which is not there; mend it")
    if not os.path.isdir(folder):  # false for a name too long, where Path.is_dir raises
        return DataError(f"{path}: there is no folder {folder}; check the path")
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "check the path"
    return DataError(f"{path}: there is no such file in {folder}; {hint}")

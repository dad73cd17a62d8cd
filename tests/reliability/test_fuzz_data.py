"""Data files with damaged or hostile headers: an array, or one line that names the file."""

from __future__ import annotations

import gzip
import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import strategies as st

from minivae.data import DataError, load
from tests.reliability.fuzzing import MOST, PARTS, Outcomes, try_mutants
from tests.reliability.mutations import byte_mutants
from tests.reliability.tiny_runs import memory_folder

DATA_PARTS = (10, PARTS)  # the first ten are of a run's files
ROWS = (np.arange(120, dtype=np.uint8).reshape(20, 6) * 2) % 251


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x_train=ROWS, y_train=np.arange(20), x_test=ROWS[:5])
    return stream.getvalue()


def idx() -> bytes:
    return struct.pack(">4B2I", 0, 0, 8, 2, 20, 6) + ROWS.tobytes()


FILES = {
    "a.npy": npy(ROWS),
    "f.npy": npy(ROWS.astype(np.float32) / 255),
    "a.npz": npz(),
    "train-images-idx2-ubyte": idx(),
    "train-images-idx2-ubyte.gz": gzip.compress(idx(), mtime=0),
}
SHAPES = ("(20, 6)", "(10, 12)", "(-1, 6)", "(20,)", "()", "(0, 6)", "(20, 0)", "(" * 200,
          "None", f"({2**62}, 6)", f"({10**30},)", "(True, 6)", "('a', 2)",
          "(20, 6, )" + " " * 300)  # fmt: skip
KINDS = ("'|u1'", "'<f4'", "'>f8'", "'|O'", "'<U9'", "'<c8'", "'<i8'", "'<M8[s]'", "[('a', '<f4')]",
         "'<f2'", "'|V6'", "''", "9", "'|b1'")  # fmt: skip


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, bytes]:
    """A .npy file whose header says something else than its bytes are."""
    order = draw(st.sampled_from(("False", "True", "None", "0")))
    kind, shape = draw(st.sampled_from(KINDS)), draw(st.sampled_from(SHAPES))
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    version = draw(st.sampled_from((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00")))
    size = draw(st.sampled_from((len(text), 0, 65535, len(text) - 3)))
    form = "<H" if version == b"\x01\x00" else "<I"
    body = ROWS.tobytes()[: draw(st.integers(0, ROWS.size))]
    return "a.npy", b"\x93NUMPY" + version + struct.pack(form, size) + text.encode() + body


@st.composite
def archives(draw: st.DrawFn) -> tuple[str, bytes]:
    """A .npz of members with names and contents of any kind."""
    names = st.sampled_from(("x.npy", "X.npy", "y.npy", "x_train.npy", "x-train.npy",
                             "x.npy\0b.npy", "../x.npy", "/x.npy", ".npy", "note.txt",
                             "\x1b[31m.npy"))  # fmt: skip
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name in draw(st.lists(names, max_size=4)):
            data = draw(st.sampled_from(tuple(FILES.values())))
            archive.writestr(zipfile.ZipInfo(name.replace("\0", "\1")), data)
    return "a.npz", stream.getvalue().replace(b"\1", b"\0")


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(list(FILES)))
    return name, draw(byte_mutants(FILES[name]))


KINDS_OF_MUTANTS = {
    "data files, by byte": damaged(),
    "data headers": headers(),
    "archives": archives(),
}


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """What is damaged, the file's name and its bytes."""
    kind = draw(st.sampled_from(("data files, by byte", *KINDS_OF_MUTANTS)))
    return kind, *draw(KINDS_OF_MUTANTS[kind])


def fuzz(
    folder: Path, count: int, part: int = 0, say: Callable[[str], None] = lambda words: None
) -> Outcomes:
    """Load so many files; each must give finite rows, or a DataError in one line naming it."""

    def attempt(mutant: tuple[str, str, bytes], number: int) -> tuple[str, str]:
        kind, name, data = mutant
        path = folder / name
        path.write_bytes(data)
        try:
            dataset = load(path)
        except DataError as error:
            text = str(error)
            assert path.name in text and "\n" not in text and len(text) <= 600, text
            assert text.isprintable()
            return kind, "refused in one line"
        assert dataset.train.ndim == 2 and len(dataset.train) > 0
        assert np.isfinite(dataset.values("train")).all()
        return kind, "loaded"

    return try_mutants(mutants(), attempt, count, part, say)


def test_hundreds_of_damaged_data_files(tmp_path: Path) -> None:
    assert fuzz(tmp_path, 500).total() >= 500


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(*DATA_PARTS))
def test_many_damaged_data_files(
    part: int, tmp_path: Path, tell: Callable[[str], None], count: Callable[[str, int], None]
) -> None:
    with memory_folder(tmp_path) as folder:
        tried = fuzz(folder, MOST // PARTS, part, lambda words: tell(f"damaged data: {words}"))
    count("mutants tried, each the same or one line (no traceback, nothing silent)", tried.total())

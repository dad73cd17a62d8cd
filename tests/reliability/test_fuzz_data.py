"""Data files with damaged or hostile headers: an array, or one line that names the file."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import strategies as st

from minivae.data import DataError, Dataset, load
from tests.reliability.fuzzing import MOST, PARTS, Outcomes, try_mutants
from tests.reliability.mutations import byte_mutants
from tests.reliability.tiny_runs import memory_folder

KEPT = Path(__file__).with_name("data_mutants.jsonl")
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
                             "x.npy\0b.npy", "x", "\uff58.npy", "./x.npy", "../x.npy", "/x.npy",
                             ".npy", "note.txt", "\x1b[31m.npy"))  # fmt: skip
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


@st.composite
def idx_headers(draw: st.DrawFn) -> tuple[str, bytes]:
    """An idx file of another type, other dimensions or other sizes than its bytes have."""
    kind = draw(st.sampled_from((0, 7, 8, 9, 0x0B, 0x0C, 0x0D, 0x0E, 255)))
    some = st.sampled_from((0, 1, 6, 20, 120, 2**16, 2**31, 2**32 - 1))
    sizes = draw(st.lists(some, max_size=9))
    count = draw(st.sampled_from((len(sizes), len(sizes), 0, 255)))
    data = struct.pack(f">4B{len(sizes)}I", 0, 0, kind, count, *sizes) + ROWS.tobytes()
    name = draw(st.sampled_from(("train-images-idx2-ubyte", "train-images-idx2-ubyte.gz")))
    return name, gzip.compress(data, 1, mtime=0) if name.endswith(".gz") else data


CELLS = (
    "inf", "-inf", "Infinity", "1e400", "nan", "", "9" * 400, "1e39", "-1", "1_0", "0x1", "1;2",
    "\u221e", "\x00", '"', "a", "1.5", "1+2j", "\u0663", "\x1b[31m", "2020-01-01", "\ufeff1",
    "9" * 25, "1,5", " 1 ", "\u22121", "x" * 5000,
)  # fmt: skip
HEADERS = ("a,b,y", "a,b,y", "a,b,y", "y,b,y", "a,,y", "a,b", "a,b,y,z", "")


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """A table with hostile cells among its labels or values, or with a wrong header."""
    rows = [[*map(str, row[:2]), str(i % 3)] for i, row in enumerate(ROWS.tolist())]
    for _ in range(draw(st.integers(0, 3))):
        row, column = draw(st.integers(0, 19)), draw(st.integers(0, 2))
        rows[row][column] = draw(st.sampled_from(CELLS))
    lines = [draw(st.sampled_from(HEADERS)), *map(",".join, rows)]
    return "a.csv", ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


KINDS_OF_MUTANTS = {
    "data files, by byte": damaged(),
    "data headers": headers(),
    "idx headers": idx_headers(),
    "archives": archives(),
}
if importlib.util.find_spec("pandas") is not None:
    KINDS_OF_MUTANTS["tables"] = tables()


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """What is damaged, the file's name and its bytes."""
    kind = draw(st.sampled_from(("data files, by byte", *KINDS_OF_MUTANTS)))
    return kind, *draw(KINDS_OF_MUTANTS[kind])


def label_of(table: bytes) -> str | None:
    """The labels' column, by its name or by its number; every second table has none."""
    return ("y" if table.startswith(b"a") else "2") if len(table) % 2 else None


def judge(path: Path, label: str | None = None) -> str:
    """Finite rows and whole labels, none of which was infinite; or one line that names the file."""
    try:
        dataset = load(path, label=label)
    except DataError as error:
        text = str(error)
        assert path.name in text and "\n" not in text and len(text) <= 600, text
        assert text.isprintable()
        return "refused in one line"
    assert dataset.train.ndim == 2 and len(dataset.train) > 0
    assert np.isfinite(dataset.values("train")).all()
    require_sound_labels(dataset, path)
    return "loaded"


def require_sound_labels(dataset: Dataset, path: Path) -> None:
    """Labels are used where every one is a word, or a whole number that int64 holds."""
    if dataset.train_labels is None or not path.read_bytes().startswith(b"a,"):
        return  # without a header, a first row with a word in it is one
    cells = [line.rpartition(",")[2].strip() for line in path.read_text("utf-8").splitlines()[1:]]
    found = [number_in(cell) for cell in cells]
    if dataset.label_names is None:
        assert None not in found and all(n == int(n) and abs(n) < 2**63 for n in found), cells
    elif len(set(dataset.label_names)) < 20:
        others = [n for n, cell in zip(found, cells, strict=True) if cell not in ("", "nan")]
        assert None in others or not any(np.isinf(n) for n in others), cells


def number_in(cell: str) -> float | None:
    """The number that a cell is read as; None where it is a word."""
    try:
        plain = cell.replace("\u221e", "inf").replace("\u2212", "-")
        return float(plain) if "_" not in cell else None
    except ValueError:
        return None


def fuzz(
    folder: Path, count: int, part: int = 0, say: Callable[[str], None] = lambda words: None
) -> Outcomes:
    """Load so many files; each must give finite rows, or a DataError in one line naming it."""

    def attempt(mutant: tuple[str, str, bytes], number: int) -> tuple[str, str]:
        kind, name, data = mutant
        path = folder / name
        path.write_bytes(data)
        return kind, judge(path, label=label_of(data) if kind == "tables" else None)

    return try_mutants(mutants(), attempt, count, part, say)


def test_hundreds_of_damaged_data_files(tmp_path: Path) -> None:
    assert fuzz(tmp_path, 500).total() >= 500


def kept() -> list[dict[str, str]]:
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("mutant", kept(), ids=lambda m: m["why"])
def test_data_that_once_went_wrong(tmp_path: Path, mutant: dict[str, str]) -> None:
    """Each was read as something else than it says, ended in a traceback, or was not named."""
    if mutant["name"].endswith(".csv"):
        pytest.importorskip("pandas")
    path = tmp_path / mutant["name"]
    path.write_bytes(zlib.decompress(base64.b64decode(mutant["bytes"])))
    label = "y" if path.suffix == ".csv" else None
    assert judge(path, label) == "refused in one line"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(*DATA_PARTS))
def test_many_damaged_data_files(
    part: int, tmp_path: Path, tell: Callable[[str], None], count: Callable[[str, int], None]
) -> None:
    with memory_folder(tmp_path) as folder:
        tried = fuzz(folder, MOST // PARTS, part, lambda words: tell(f"damaged data: {words}"))
    count("mutants tried, each the same or one line (no traceback, nothing silent)", tried.total())

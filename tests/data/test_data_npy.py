"""Reading .npy and .npz: sizes held against headers, no pickles, no bombs."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy_format

from minivae.data import DataError
from minivae.data.npy import Npz, read_npy
from tests.data.refusals import little_memory, refused

NO_FIXTURE_CHECK = [HealthCheck.function_scoped_fixture]


def npy_bytes(array: np.ndarray, **header: Any) -> bytes:
    """A .npy file whose header says something else than the array, where asked."""
    stream = io.BytesIO()
    said = npy_format.header_data_from_array_1_0(array) | header
    npy_format.write_array_header_1_0(stream, said)
    return stream.getvalue() + array.tobytes()


refuse = partial(refused, read_npy)


@settings(max_examples=60, deadline=None, suppress_health_check=NO_FIXTURE_CHECK)
@given(
    array=hnp.arrays(
        st.sampled_from(["?", "u1", "<i8", ">i4", "<f4", ">f8", "<f2"]),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
        elements={"allow_nan": False},
    ),
    order=st.sampled_from("CF"),
)
def test_what_numpy_saved_is_read(tmp_path: Path, array: np.ndarray, order: str) -> None:
    np.save(tmp_path / "x.npy", np.asarray(array, order=order))  # type: ignore[call-overload]
    np.savez_compressed(tmp_path / "x.npz", a=array)
    for found in (read_npy(tmp_path / "x.npy"), Npz(tmp_path / "x.npz").read("a")):
        assert found.dtype.isnative and found.flags.c_contiguous
        np.testing.assert_array_equal(found, array)


def test_version_two_headers_are_read(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    with (tmp_path / "x.npy").open("wb") as stream:
        npy_format.write_array(stream, array, version=(2, 0))
    np.testing.assert_array_equal(read_npy(tmp_path / "x.npy"), array)


X = np.arange(35, dtype=np.float32).reshape(5, 7)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy_bytes(X)[:-1], ["promises 140 bytes", "truncated"]),
        (npy_bytes(X) + b"\0", ["more than the 140 bytes"]),
        (npy_bytes(X, shape=(10**9, 10**9)), ["promises 4000000000000000000 bytes"]),
        (npy_bytes(X, shape=(10**30, 7)), ["promises"]),
        (npy_bytes(X, shape=(-5, -7)), ["negative size"]),
        (npy_bytes(X, shape=(10**4000, 10**4000)), ["promises (a number of about 8,0"]),
        (npy_bytes(X[:0], shape=(10**400, 0)), ["a size that no array has"]),
        (npy_bytes(X[:0], shape=(2**62, 0)), ["a size that no array has"]),
        (npy_bytes(X[:1], shape=(True, 7)), ["a size that no array has, (True, 7)"]),
        (npy_bytes(X, descr="|O"), ["Python objects", "never loads"]),
        (npy_bytes(X, descr="<c8"), ["complex numbers", "real numbers"]),
        (npy_bytes(X, descr="|V0"), ["real numbers"]),
        (npy_bytes(X)[:30], ["not a .npy array"]),
        (b"\x93NUMPY\x09\x00" + npy_bytes(X)[8:], ["not a .npy array"]),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': 1}    ", ["not a .npy array"]),
        (b"\x93NUMPY\x01\x00\x10\x00(((((((((((((((((", ["not a .npy array"]),
        (b"hello", ["not a .npy array"]),
        (b"", ["not a .npy array"]),
    ],
)
def test_a_wrong_npy_is_named(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    refuse(path, *words)


def test_a_pickle_inside_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    refuse(tmp_path / "trap.npy", "Python objects")
    np.savez(tmp_path / "trap.npz", train=np.array([Trap()], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        Npz(tmp_path / "trap.npz").read("train")
    assert not (tmp_path / "sprung").exists()


def zip_of(path: Path, content: bytes, name: str = "train.npy") -> Npz:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return Npz(path)


def test_an_npz_member_that_is_short_or_long(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.*promises 140 bytes"):
        zip_of(tmp_path / "a.npz", npy_bytes(X)[:-3]).read("train")
    with pytest.raises(DataError, match=r"train.*more than the 140 bytes"):
        zip_of(tmp_path / "b.npz", npy_bytes(X) + b"123").read("train")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "bomb.npz", npy_bytes(X) + bytes(64 << 20))
    with little_memory(), pytest.raises(DataError, match="more than the 140 bytes"):
        archive.read("train")


def test_a_zip_that_lies_about_its_size(tmp_path: Path) -> None:
    """The directory promises 4 GB behind a few hundred bytes: refused before reading."""
    path = tmp_path / "lie.npz"
    zip_of(path, npy_bytes(X))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the uncompressed size in the central directory
    content[at : at + 4] = (0xF0000000).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="impossible size"):
        Npz(path).read("train")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    np.savez(path, train=X)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(DataError, match="not a whole"):
        Npz(path)
    wrong = bytearray(whole)
    wrong[whole.index(X.tobytes()) + 9] ^= 1
    path.write_bytes(bytes(wrong))
    with pytest.raises(DataError, match=r"train.*damaged.*CRC"):
        Npz(path).read("train")


@settings(max_examples=150, deadline=None, suppress_health_check=NO_FIXTURE_CHECK)
@given(data=st.data(), ending=st.sampled_from([".npy", ".npz"]))
def test_no_damage_escapes_as_another_error(
    tmp_path: Path, data: st.DataObject, ending: str
) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, train=X)
    content = bytearray(stream.getvalue() if ending == ".npz" else npy_bytes(X))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"fuzz{ending}"
    path.write_bytes(bytes(content))
    try:
        if ending == ".npy":
            read_npy(path)
        else:
            archive = Npz(path)
            for key in archive.keys:
                archive.read(key)
    except DataError as error:
        assert "\n" not in str(error)

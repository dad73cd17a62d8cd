"""The idx format: round trips, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minivae.data import DataError, read_idx, write_idx
from tests.data.refusals import little_memory, refused

PICTURES = np.arange(5 * 3 * 7, dtype=np.uint8).reshape(5, 3, 7)
HEADER = struct.pack(">BBBB3I", 0, 0, 8, 3, 5, 3, 7)


refuse = partial(refused, read_idx)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    array=hnp.arrays(
        st.sampled_from([np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]),
        hnp.array_shapes(min_dims=1, max_dims=4, max_side=6),
        elements={"allow_nan": False},
    ),
    ending=st.sampled_from(["", ".gz"]),
)
def test_what_was_written_is_read(tmp_path: Path, array: np.ndarray, ending: str) -> None:
    path = tmp_path / f"any-idx{ending}"
    write_idx(path, array)
    found = read_idx(path)
    assert found.dtype == array.dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, array)


def test_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "three"
    path.write_bytes(bytes.fromhex("00000b01 00000003 0001 ff00 7fff".replace(" ", "")))
    np.testing.assert_array_equal(read_idx(path), np.array([1, -256, 32767], dtype=np.int16))


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["truncated"]),
        (b"\0\0\x08", ["truncated"]),
        (HEADER[:9], ["truncated"]),
        (b"\0\0\x07\x03" + HEADER[4:], ["not an idx file", "00 00 07 03"]),
        (b"\0\x01\x08\x03" + HEADER[4:], ["not an idx file"]),
        (b"\0\0\x08\x00", ["not an idx file"]),
        (b"\0\0\x08\x09" + HEADER[4:], ["not an idx file"]),
        (HEADER + PICTURES.tobytes()[:-1], ["105 bytes", "truncated"]),
        (HEADER + PICTURES.tobytes() + b"\0", ["more than the 105 bytes"]),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"abc", ["promises", "truncated"]),
    ],
)
def test_a_wrong_file_is_named(
    tmp_path: Path, ending: str, content: bytes, words: list[str]
) -> None:
    path = tmp_path / f"bad-images-idx3-ubyte{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    refuse(path, *words)


def whole_gzip() -> bytes:
    return gzip.compress(HEADER + PICTURES.tobytes(), mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (whole_gzip()[:-9], ["truncated"]),  # inside the values or their checksum
        (whole_gzip()[:-3], ["truncated"]),  # inside the trailer
        (whole_gzip()[:-8] + b"\0\0\0\0" + whole_gzip()[-4:], ["damaged"]),  # a wrong checksum
        (whole_gzip() + b"trailing", ["damaged"]),
        (whole_gzip() + gzip.compress(b"more", mtime=0), ["more than the 105 bytes"]),
        (whole_gzip()[:12] + b"\xff\xff\xff" + whole_gzip()[15:], ["damaged"]),
        (b"just text", ["not gzip-compressed", ".gz"]),
    ],
)
def test_a_wrong_gzip_stream_is_named(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "bad-idx.gz"
    path.write_bytes(content)
    refuse(path, *words)


def test_gzip_without_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "pictures-idx3-ubyte"
    path.write_bytes(whole_gzip())
    refuse(path, "gzip", "add .gz")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """64 MB of zeros behind a header that promises 105 bytes: refused in little memory."""
    path = tmp_path / "bomb-idx.gz"
    path.write_bytes(gzip.compress(HEADER + bytes(64 << 20)))
    with little_memory():
        refuse(path, "more than the 105 bytes")


def test_a_huge_promise_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "huge-idx.gz"
    header = struct.pack(">BBBB3I", 0, 0, 14, 3, 60000, 28, 28)  # 376 MB of float64
    path.write_bytes(gzip.compress(header + bytes(1000)))
    with little_memory():
        refuse(path, "promises 376320000 bytes")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere-idx", "no such file")
    refuse(tmp_path, "cannot be read")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), ending=st.sampled_from(["", ".gz"]))
def test_no_damage_escapes_as_another_error(
    tmp_path: Path, data: st.DataObject, ending: str
) -> None:
    """Any byte changed, any cut: an array or a DataError, never another exception."""
    content = bytearray(whole_gzip() if ending else HEADER + PICTURES.tobytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"fuzz-idx{ending}"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        assert read_idx(path).size <= 105
    except DataError as error:
        assert "\n" not in str(error)


def test_what_idx_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="idx cannot hold dtype int64"):
        write_idx(tmp_path / "x", np.arange(3, dtype=np.int64))


def test_the_ending_of_a_packed_file_may_be_in_capitals(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    write_idx(tmp_path / "x.GZ", rows)
    assert (tmp_path / "x.GZ").read_bytes().startswith(b"\x1f\x8b")
    np.testing.assert_array_equal(read_idx(tmp_path / "x.GZ"), rows)

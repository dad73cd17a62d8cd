"""Data that is converted from its originals after a download."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError
from minivae.data.download import download_entry
from minivae.data.named import content_sha256
from minivae.data.registry import BY_NAME, DatasetEntry, RemoteFile

pytest.importorskip("pooch")


FRAMES = np.arange(6 * 560, dtype=np.uint8).reshape(6, 560)
BITS = {
    part: np.random.default_rng(rows).integers(0, 2, (rows, 784), dtype=np.uint8)
    for part, rows in (("train", 11), ("valid", 5), ("test", 7))
}


def frey_entry(server: Any) -> DatasetEntry:
    scipy_io = pytest.importorskip("scipy.io")
    stream = io.BytesIO()
    scipy_io.savemat(stream, {"ff": FRAMES.T})
    server.pages["frey_rawface.mat"] = stream.getvalue()
    mat = RemoteFile("frey_rawface.mat", 4000, (f"{server.url}/good/frey_rawface.mat",))
    return replace(
        BY_NAME["frey"], recipes=(("frey_mat", (mat,)),), arrays={"": content_sha256(FRAMES)}
    )


def test_frey_from_its_matlab_file(server: Any, tmp_path: Path) -> None:
    entry = frey_entry(server)
    folder = download_entry(entry, tmp_path / "frey")
    assert [path.name for path in folder.iterdir()] == ["freyfaces_uint8.npy"]
    np.testing.assert_array_equal(np.load(folder / "freyfaces_uint8.npy"), FRAMES)
    server.asked.clear()
    download_entry(entry, folder)
    assert server.asked == []  # whole already
    (folder / "freyfaces_uint8.npy").write_bytes(b"damaged")
    download_entry(entry, folder)
    np.testing.assert_array_equal(np.load(folder / "freyfaces_uint8.npy"), FRAMES)


def test_an_original_fetched_by_hand_will_do(server: Any, tmp_path: Path) -> None:
    entry = frey_entry(server)
    (tmp_path / "frey_rawface.mat").write_bytes(server.pages.pop("frey_rawface.mat"))
    download_entry(entry, tmp_path)
    assert server.asked == [] and (tmp_path / "freyfaces_uint8.npy").is_file()


@pytest.mark.parametrize("content", [b"<html>moved</html>", b"", b"MATLAB 5.0 MAT-file" * 40])
def test_an_original_that_is_something_else(server: Any, tmp_path: Path, content: bytes) -> None:
    entry = frey_entry(server)
    server.pages["frey_rawface.mat"] = content
    with pytest.raises(DataError, match="frey_rawface"):
        download_entry(entry, tmp_path)
    assert list(tmp_path.glob("*")) in ([], [tmp_path / "cache"])


def test_values_that_are_not_the_published_ones(server: Any, tmp_path: Path) -> None:
    entry = replace(frey_entry(server), arrays={"": content_sha256(FRAMES + 1)})
    with pytest.raises(DataError, match="not the published ones"):
        download_entry(entry, tmp_path / "frey")
    assert list((tmp_path / "frey").iterdir()) == []


def amat(bits: np.ndarray) -> bytes:
    return b"".join(b" ".join(b"%d" % v for v in row) + b" \n" for row in bits)


def binarized_entry(server: Any, *recipes: str) -> DatasetEntry:
    for part, bits in BITS.items():
        server.pages[f"binarized_mnist_{part}.amat"] = amat(bits)
    stream = io.BytesIO()
    np.savez(stream, **{f"{part}_data": bits.astype(np.float32) for part, bits in BITS.items()})
    server.pages["binarized_mnist.npz"] = stream.getvalue()
    known = BY_NAME["binarized-mnist"]
    here = tuple(
        (name, tuple(replace(f, urls=(f"{server.url}/good/{f.name}",)) for f in files))
        for name, files in known.recipes
        if name in recipes
    )
    sums = {part: content_sha256(np.packbits(bits, axis=1)) for part, bits in BITS.items()}
    return replace(known, recipes=here, arrays=sums)


@pytest.mark.parametrize("recipe", ["binarized_amat", "binarized_made"])
def test_binarized_mnist_from_its_originals(server: Any, tmp_path: Path, recipe: str) -> None:
    folder = download_entry(binarized_entry(server, recipe), tmp_path / "b")
    with np.load(folder / "binarized_mnist_packbits.npz") as found:
        for part, bits in BITS.items():
            np.testing.assert_array_equal(np.unpackbits(found[part], axis=1), bits)


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:-3], lambda text: text.replace(b"1", b"2", 1), lambda text: b""]
)
def test_a_bad_original_leads_to_the_next_recipe(
    server: Any, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    entry = binarized_entry(server, "binarized_amat", "binarized_made")
    server.pages["binarized_mnist_valid.amat"] = spoil(server.pages["binarized_mnist_valid.amat"])
    folder = download_entry(entry, tmp_path / "b")
    assert (folder / "binarized_mnist_packbits.npz").is_file()
    assert server.asked[-1] == "/good/binarized_mnist.npz"
    server.pages["binarized_mnist.npz"] = b"PK nothing"
    (folder / "binarized_mnist_packbits.npz").unlink()
    with pytest.raises(DataError, match=r"valid.amat.*binarized_mnist.npz"):
        download_entry(entry, folder)
    assert list(folder.iterdir()) == []

"""Folders of pictures and stacks of pictures: their shape, their scale, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minivae.data import from_arrays, load
from minivae.data.shape import guessed_shape
from tests.data.refusals import refused

rng = np.random.default_rng(7)
COLOUR = rng.integers(0, 256, (20, 5, 7, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty colour pictures of 5x7, ten cats and ten dogs."""
    for i, pixels in enumerate(COLOUR):
        save(tmp_path / ("cats" if i < 10 else "dogs") / f"{i:02}.png", pixels)
    return tmp_path


def test_sub_folders_are_labels_and_colours_are_kept(folder: Path) -> None:
    found = load(folder, split=False)
    assert found.shape == (5, 7, 3) and found.scale == 1 / 255 and found.train.dtype == np.uint8
    np.testing.assert_array_equal(found.train.reshape(COLOUR.shape), COLOUR)
    assert found.label_names == ("cats", "dogs")
    np.testing.assert_array_equal(found.train_labels, np.repeat([0, 1], 10))


def test_train_and_test_folders_are_parts(folder: Path) -> None:
    (folder / "train").mkdir()
    for name in ("cats", "dogs"):
        (folder / name).rename(folder / "train" / name)
    save(folder / "test" / "dogs" / "a.png", COLOUR[3])
    found = load(folder)
    assert len(found.train) == 20 and len(found.test) == 1
    assert found.label_names == ("cats", "dogs") and found.test_labels.tolist() == [1]  # type: ignore[union-attr]


def test_sizes_that_differ_name_the_option(folder: Path) -> None:
    save(folder / "cats" / "odd.jpg", np.zeros((9, 7), dtype=np.uint8))
    refused(load, folder, "2 sizes", "20 of 5x7", "odd.jpg is 9x7", "--resize 5x7")
    found = load(folder, resize=(4, 6))
    assert found.shape == (4, 6, 3) and len(found.train) + len(found.test) == 21


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"hello", b"\xff\xd8\xff\xe0cut"])
def test_a_broken_picture_is_named(folder: Path, content: bytes) -> None:
    bad = folder / "dogs" / "bad.png"
    bad.write_bytes(content)
    refused(lambda _: load(folder), bad, "no whole picture")
    whole = (folder / "dogs" / "11.png").read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    refused(lambda _: load(folder), bad, "no whole picture", "truncated")


def test_folders_without_pictures(tmp_path: Path) -> None:
    refused(load, tmp_path, "without pictures", "nothing")
    (tmp_path / "notes.txt").write_text("hello")
    refused(load, tmp_path, "notes.txt")


def test_grey_deep_and_transparent_pictures(tmp_path: Path) -> None:
    grey = save(tmp_path / "grey" / "a.png", COLOUR[0, :, :, 0]).parent
    assert load(grey).shape == (5, 7)
    deep = rng.integers(0, 65536, (5, 7)).astype(np.uint16)
    found = load(save(tmp_path / "deep" / "a.png", deep).parent)
    np.testing.assert_allclose(found.values().reshape(5, 7), deep / 65535, atol=1e-6)
    clear = np.zeros((5, 7, 4), dtype=np.uint8)
    on_white = load(save(tmp_path / "clear" / "a.png", clear).parent)
    assert on_white.shape == (5, 7, 3) and on_white.values().min() == 1.0


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    save(tmp_path / "a.jpg", np.zeros((5, 7, 3), dtype=np.uint8), exif=exif)
    assert load(tmp_path).shape == (7, 5, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float64, np.float32])
def test_stacks_of_pictures_are_scaled_by_their_white(kind: Any) -> None:
    for stack, shape in (
        (COLOUR, (5, 7, 3)),
        (COLOUR[..., :1], (5, 7)),
        (COLOUR[..., 0], (5, 7)),
        (COLOUR.transpose(0, 3, 1, 2), (5, 7, 3)),
    ):
        found = from_arrays(stack.astype(kind), split=False)
        assert found.shape == shape and found.scale == pytest.approx(1 / 255)
        expected = COLOUR[..., : 3 if len(shape) == 3 else 1].reshape(20, -1) / 255
        np.testing.assert_allclose(found.values(), expected, atol=1e-6)
    flat = from_arrays(COLOUR.reshape(20, -1).astype(kind), shape=(5, 7, 3), split=False)
    np.testing.assert_allclose(flat.values(), COLOUR.reshape(20, -1) / 255, atol=1e-6)


def test_other_whites() -> None:
    deep = (COLOUR.astype(np.uint16) * 257)[..., 0]
    assert from_arrays(deep).scale == 1 / 65535
    assert from_arrays(COLOUR[..., 0] % 17).scale == 1 / 255  # bytes count to 255, always
    assert from_arrays((COLOUR[..., 0] % 17).astype(float)).scale == 1 / 16
    assert from_arrays(COLOUR[..., 0] / 255).scale == 1.0
    assert from_arrays(COLOUR[..., 0] / 255 - 0.5).scale == 1.0


def test_a_square_is_guessed_only_where_the_rows_look_like_one() -> None:
    def blurred(h: int, w: int, c: int = 1) -> np.ndarray:
        x = rng.normal(size=(60, h, w, c))
        for axis in (1, 2):
            x = x + np.roll(x, 1, axis) + np.roll(x, -1, axis)
        return x.reshape(60, -1)

    assert guessed_shape(blurred(12, 12), "x")[0] == (12, 12)
    for rows in (
        blurred(24, 32, 3),  # 48x48 numbers
        rng.normal(size=(50, 64)),
        rng.normal(size=(50, 64)) * np.arange(64) ** 3,
        np.cumsum(rng.normal(size=(50, 64)), axis=1),
        np.ones((3, 64)),
    ):
        found, note = guessed_shape(rows, "x")
        assert found is None and "--shape H,W" in note
    assert guessed_shape(rng.normal(size=(5, 60)), "x") == (None, "")


def test_hidden_files_and_folders_are_passed_over(folder: Path) -> None:
    save(folder / ".thumbnails" / "00.png", COLOUR[0, :2, :2])
    (folder / "cats" / "._00.png").write_bytes(b"of macOS")
    (folder / "cats" / "Thumbs.db").write_bytes(b"of Windows")
    found = load(folder, split=False)
    assert len(found.train) == 20 and found.label_names == ("cats", "dogs") and not found.notes


def test_ending_out_is_said(folder: Path) -> None:
    (folder / "cats" / "new.HEIC").write_bytes(b"of a telephone")
    save(folder / "loose.png", COLOUR[0])
    found = load(folder, split=False)
    said = " ".join(found.notes)
    assert "1 file (cats/new.HEIC) is not read; save such files as PNG or JPEG" in said
    assert "1 file (loose.png) is in no sub-folder: the labels are not used" in said
    assert found.train_labels is None and len(found.train) == 21
    (folder / "dogs").rename(folder / "train")
    note = " ".join(load(folder).notes)
    assert "11 files (cats/00.png, …) are left out" in note and "the training part" in note


def test_linked_folders_are_read_and_lead_nowhere_twice(tmp_path: Path) -> None:
    inside = tmp_path / "photos"
    for kind in ("cat", "dog"):
        save(inside / kind / "a.png", COLOUR[0])
    save(tmp_path / "elsewhere" / "b.png", COLOUR[1])
    (inside / "eel").symlink_to(tmp_path / "elsewhere")
    (inside / "cat" / "round").symlink_to(inside)
    (inside / "dog" / "gone.png").symlink_to(tmp_path / "gone.png")
    found = load(inside, split=False)
    assert found.label_names == ("cat", "dog", "eel") and len(found.train) == 3
    np.testing.assert_array_equal(found.train[2].reshape(COLOUR[1].shape), COLOUR[1])
    assert found.notes[0].endswith("1 broken link (dog/gone.png) is left out")


@pytest.mark.parametrize("link", ["latest", "best/latest", "cat/latest"])
def test_what_is_linked_beside_itself_is_read_once(tmp_path: Path, link: str) -> None:
    for number, kind in enumerate(("cat", "dog")):
        save(tmp_path / kind / "a.png", COLOUR[number])
    (tmp_path / "best").mkdir()
    (tmp_path / link).symlink_to(tmp_path / "dog")
    found = load(tmp_path, split=False)
    assert found.label_names == ("cat", "dog") and len(found.train) == 2


def test_links_into_the_folder_are_read_where_nothing_else_reads_them(tmp_path: Path) -> None:
    for number, place in enumerate((".store", "all/a", "all/b")):
        save(tmp_path / place / "x.png", COLOUR[number])
    (tmp_path / "cat").symlink_to(tmp_path / ".store")
    assert load(tmp_path, split=False).label_names == ("all", "cat")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "cat").symlink_to(tmp_path / "all" / "a")
    (tmp_path / "test").symlink_to(tmp_path / "all" / "b")
    found = load(tmp_path)
    assert (len(found.train), len(found.test)) == (1, 1)
    np.testing.assert_array_equal(found.train[0].reshape(COLOUR[1].shape), COLOUR[1])


def test_pictures_in_closed_folders_alone_are_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only" / "cat").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "cat")
    refused(lambda _: load(tmp_path / "only"), tmp_path / "only" / "cat", "check its permissions")
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith(("cats", "dogs")):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("minivae.data.picture_files.os.scandir", closed)
    monkeypatch.setattr("minivae.data.files.has_pictures", lambda folder: True)
    refused(lambda _: load(folder), folder / "cats", "cannot be read; check its permissions")


def test_a_folder_that_cannot_be_read_is_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lost+found").mkdir()
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = load(folder, split=False)
    assert len(found.train) == 20
    assert found.notes[0].endswith(": 1 unreadable folder (lost+found) is left out")


def test_of_several_pictures_in_a_file_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((5, 7), 90 * k, np.uint8)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = load(tmp_path)
    assert found.train.max() == 0 and "a.gif holds several pictures" in found.notes[0]


def test_a_size_is_proposed_that_can_be_trained_on(tmp_path: Path) -> None:
    for name, shape in (("a", (300, 400)), ("b", (300, 400)), ("c", (400, 300))):
        save(tmp_path / f"{name}.png", np.zeros(shape, np.uint8))
    refused(load, tmp_path, "2 of 300x400; c.png is 400x300", "--resize 48x64")


@pytest.mark.parametrize("values", [np.eye(4, dtype=np.float32), np.full((4, 4), 70_000, np.int32)])
def test_pictures_whose_white_is_not_known_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = save(tmp_path / "a.tif", values)
    refused(lambda _: load(tmp_path), path, "white is not known", "PNG of 8 or 16 bits")

"""The pictures: what is laid out where, and that every one of them is written whole."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from minivae import plots
from minivae.plots.images import look_of, manifold_codes, tile
from minivae.plots.style import LABEL_COLOURS, plain

rng = np.random.default_rng(0)
SHAPE = (5, 4)
PICTURES = rng.random((30, 20))


def is_png(path: Path, least_bytes: int = 3000) -> bool:
    data = path.read_bytes()
    assert not list(path.parent.glob("*.tmp"))
    return data.startswith(b"\x89PNG") and len(data) >= least_bytes


def test_tile_puts_each_picture_where_it_belongs() -> None:
    sheet = tile(PICTURES[:5], SHAPE, 3, paper=-1.0, gap=2)
    assert sheet.shape == (2 * 5 + 2, 3 * 4 + 2 * 2)
    np.testing.assert_array_equal(sheet[7:12, 6:10], PICTURES[4].reshape(SHAPE))
    assert (sheet[5:7] == -1).all() and (sheet[:, 4:6] == -1).all()
    assert (sheet[7:, 12:] == -1).all()  # the place of the sixth, which is not there


def test_manifold_codes_read_like_a_map() -> None:
    codes = manifold_codes(5, 4, (1, 3)).reshape(5, 5, 4)
    quantiles = [NormalDist().inv_cdf((i + 0.5) / 5) for i in range(5)]
    np.testing.assert_allclose(codes[0, :, 1], quantiles, rtol=1e-6)  # left to right rises
    np.testing.assert_allclose(codes[:, 0, 3], quantiles[::-1], rtol=1e-6)  # top to bottom falls
    assert (codes[:, :, [0, 2]] == 0).all()
    one = manifold_codes(3, 1, (0, 0)).reshape(3, 3)
    assert (one == one[0]).all() and one[0, 0] < one[0, 2]


def test_look_is_ink_for_strokes_and_keeps_faces_as_they_are() -> None:
    strokes = np.where(rng.random((9, 20)) < 0.2, 1.0, 0.0)
    assert look_of(strokes) == (0.0, 1.0, True)
    assert look_of(strokes).paper == 0.0
    faces = 0.3 + 0.4 * rng.random((9, 20))
    assert look_of(faces) == (0.0, 1.0, False)
    wide = look_of(faces * 10 - 5)
    assert wide.low < 0 and wide.high <= 2 and not wide.ink
    assert look_of(np.zeros((2, 3))).high > 0


def test_label_colours_are_ten_different_ones() -> None:
    assert len(set(LABEL_COLOURS)) == 10


@pytest.mark.parametrize("shape", [SHAPE, None])
def test_pictures_of_data(tmp_path: Path, shape: tuple[int, int] | None) -> None:
    look = look_of(PICTURES)
    made = [
        plots.reconstructions(tmp_path / "r.png", PICTURES, PICTURES * 0.9, shape, "caption"),
        plots.reconstructions(tmp_path / "r1.png", PICTURES[:1], PICTURES[:1], shape, "one"),
        plots.reconstructions(tmp_path / "r13.png", PICTURES[:13], PICTURES[:13], shape, "13"),
        plots.samples(tmp_path / "s.png", PICTURES, shape, look, "caption"),
        plots.samples(tmp_path / "s1.png", PICTURES[:1], shape, look, "caption"),
        plots.interpolations(
            tmp_path / "i.png", [("a", PICTURES[:7]), ("b", PICTURES[7:14])], shape, look, "c"
        ),
    ]
    assert all(is_png(path) for path in made)


def test_manifold_and_scatter(tmp_path: Path) -> None:
    look = look_of(PICTURES)
    path = plots.manifold(tmp_path / "m.png", PICTURES[:25], SHAPE, look, (0, 1), "caption")
    assert is_png(path)
    with pytest.raises(ValueError, match="needs pictures"):
        plots.manifold(tmp_path / "n.png", PICTURES[:25], None, look, (0, 1), "caption")
    codes, labels = rng.normal(size=(50, 2)), np.arange(50) % 12
    for name, args in {
        "l": (labels, None),
        "n": (labels % 2, ("no", "yes")),
        "u": (None, None),
    }.items():
        path = tmp_path / f"{name}.png"
        assert is_png(plots.latent_scatter(path, codes, args[0], (0, 2), "caption", args[1]))


@pytest.mark.parametrize("epochs", [1, 2, 40])
@pytest.mark.parametrize("held_out", [True, False])
def test_curves(tmp_path: Path, epochs: int, held_out: bool) -> None:
    def figures(e: int) -> dict[str, float]:
        return {"elbo": -100 / e, "reconstruction": 80 / e, "kl": 20 / e}

    records = [
        {"epoch": e, "train": figures(e), "held_out": figures(e) if held_out else None}
        for e in range(1, epochs + 1)
    ]
    assert is_png(plots.training_curves(tmp_path / "c.png", records, "caption"))


def test_kl_bars(tmp_path: Path) -> None:
    kl = rng.random(50)
    assert is_png(plots.kl_bars(tmp_path / "k.png", kl, kl > 0.3, "caption"))


def test_the_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    look = look_of(PICTURES)
    a = plots.samples(tmp_path / "a.png", PICTURES, SHAPE, look, "caption")
    b = plots.samples(tmp_path / "b.png", PICTURES, SHAPE, look, "caption")
    assert a.read_bytes() == b.read_bytes()
    c = plots.samples(tmp_path / "c.png", PICTURES, SHAPE, look, "another caption")
    assert a.read_bytes() != c.read_bytes()


def test_importing_plots_loads_no_matplotlib() -> None:
    code = "import sys, minivae.plots; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    plots.samples(tmp_path / "a.png", PICTURES, SHAPE, look_of(PICTURES), "caption")
    import matplotlib

    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]


def test_colour_pictures_are_laid_out_and_drawn_in_colour(tmp_path: Path) -> None:
    from PIL import Image

    red = np.zeros((6, 5 * 4 * 3))
    red[:, ::3] = 1.0
    sheet = tile(red, (5, 4, 3), 3, paper=1.0, gap=1)
    assert sheet.shape == (11, 14, 3)
    assert (sheet[0, 0] == [1, 0, 0]).all() and (sheet[5, 0] == 1).all()
    look = look_of(red)
    assert look.ink and not look.of_shape((5, 4, 3)).ink
    drawings = [
        plots.samples(tmp_path / "s.png", red, (5, 4, 3), look, "c"),
        plots.reconstructions(tmp_path / "r.png", red, red, (5, 4, 3), "c"),
        plots.manifold(tmp_path / "m.png", red[:4], (5, 4, 3), look, (0, 1), "c"),
        plots.interpolations(tmp_path / "i.png", [("a", red)], (5, 4, 3), look, "c"),
    ]
    for path in drawings:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert ((pixels[:, 0] > 250) & (pixels[:, 1:] < 5).all(axis=1)).sum() > 500, path


@pytest.mark.parametrize("columns", [1, 13])
def test_tables_are_drawn_column_by_column(tmp_path: Path, columns: int) -> None:
    names = [f"a column with a long name {j}" for j in range(columns)]
    data = rng.normal(size=(40, columns)) * 10.0 ** np.arange(columns)
    data[:, 0] = 3.0  # one that never varies
    look = look_of(data)
    rebuilt = data + rng.normal(size=data.shape)
    made = [
        plots.reconstructions(tmp_path / "r.png", data, rebuilt, None, "c", names),
        plots.samples(tmp_path / "s.png", rebuilt, None, look, "c", names, data),
        plots.interpolations(tmp_path / "i.png", [("a", data[:9])], None, look, "c", names),
    ]
    assert all(is_png(path) for path in made)


def test_the_share_explained_is_one_minus_the_share_missed() -> None:
    from minivae.plots.columns import explained

    data = rng.normal(size=(50, 3))
    data[:, 2] = 7.0
    found = explained(data, np.c_[data[:, 0], np.full(50, data[:, 1].mean()), data[:, 2]])
    assert found[0] == pytest.approx(1) and found[1] == pytest.approx(0, abs=1e-12)
    assert np.isnan(found[2])


def test_many_labels_are_a_scale_of_colours(tmp_path: Path) -> None:
    codes, years = rng.normal(size=(90, 2)), rng.integers(1900, 2000, 90)
    assert is_png(plots.latent_scatter(tmp_path / "l.png", codes, years, (0, 1), "caption"))


@pytest.mark.parametrize("name", ["a$_{b$", "cost $ for $x_1^2", "two\nlines", "数据", "x" * 300])
def test_a_users_words_are_drawn_as_they_stand(tmp_path: Path, name: str) -> None:
    rows = rng.random((20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.reconstructions(tmp_path / "r.png", rows, rows, None, name, [name, "b"])
        labels = np.arange(20) % 2
        plots.latent_scatter(tmp_path / "l.png", rows, labels, (0, 1), name, [name, "other"])
    assert plain("two\n$lines$") == r"two \$lines\$"


@pytest.mark.parametrize("count", [1, 5, 12, 13, 23, 24])
def test_every_pair_is_on_the_sheet_of_reconstructions(count: int) -> None:
    """Those of a last row that is not full, too; what is empty there is paper."""
    from minivae.plots.images import gap_of, pairs_of_rows

    data = 2.0 + np.arange(count * 20.0).reshape(count, 20)
    sheet = pairs_of_rows(data, -data, SHAPE, paper=0.5)
    h, w, gap = *SHAPE, gap_of(SHAPE)
    for i, row in enumerate(data):
        top, left = i // 12 * (2 * h + 4 * gap), i % 12 * (w + gap)
        above = sheet[top : top + h, left : left + w]
        below = sheet[top + h + gap : top + 2 * h + gap, left : left + w]
        assert (above == row.reshape(SHAPE)).all() and (below == -row.reshape(SHAPE)).all()
    assert (sheet != 0.5).sum() == 2 * data.size


def test_a_caption_says_how_many_are_drawn(tmp_path: Path, monkeypatch) -> None:
    from minivae.plots import columns, images, latent

    said: list[tuple[str, str]] = []
    for module in (images, latent, columns):
        monkeypatch.setattr(
            module, "save", lambda f, p, caption, title: said.append((caption, title))
        )
    rows, look = rng.random((30, 20)), look_of(PICTURES)
    plots.samples(tmp_path / "s.png", rows, None, look, "30.")
    plots.samples(tmp_path / "s.png", rows[:8], None, look, "8.")
    plots.reconstructions(tmp_path / "r.png", rows, rows, None, "30.")
    plots.interpolations(tmp_path / "i.png", [("arc", rows[:11])], None, look, "walk.")
    assert [caption for caption, _ in said] == [
        "30. The first 8 are drawn.", "8.", "30. The first 8 are drawn.",
        "walk. Drawn: arc, 8 of 11 steps.",
    ]  # fmt: skip
    said.clear()
    monkeypatch.setattr(latent, "MAX_POINTS", 20)
    monkeypatch.setattr(columns, "POINTS", 20)
    plots.latent_scatter(tmp_path / "l.png", rows[:, :2], np.arange(30), (0, 1), "30.")
    names = [str(j) for j in range(20)]
    plots.reconstructions(tmp_path / "r.png", rows, rows, None, "30.", names)
    plots.interpolations(tmp_path / "i.png", [("a", rows)], None, look, "walk.", names)
    assert [caption for caption, _ in said] == ["30. The first 20 are drawn."] * 2 + ["walk."]
    assert said[2][1].endswith(": of 20 columns the 12 that change most")


def test_a_walk_drawn_as_lines_ends_where_it_ends(tmp_path: Path, monkeypatch) -> None:
    from minivae.plots import images

    drawn: list[np.ndarray] = []
    monkeypatch.setattr(images, "profiles", lambda path, rows, *more: drawn.append(rows))
    walk = rng.random((11, 20))
    plots.interpolations(tmp_path / "i.png", [("a", walk)], None, look_of(walk), "c")
    assert (drawn[0][[0, -1]] == walk[[0, -1]]).all() and len(drawn[0]) == 8

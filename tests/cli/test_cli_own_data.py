"""People's own data at the command line: pictures in colour, tables, units, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minivae.models.config import ModelConfig
from minivae.models.units import in_user_units
from minivae.models.vae import layout_of
from tests.cli.conftest import SMALL, Command

rng = np.random.default_rng(5)
QUICK = ("train", *SMALL, "--latent", "2", "--out", "run", "--no-pictures", "--json")


def folder_of_pictures() -> Path:
    """Thirty colour pictures of 9x7, in two sub-folders, reddish and bluish."""
    for i in range(30):
        pixels = rng.integers(0, 60, (9, 7, 3), dtype=np.uint8)
        pixels[..., 2 * (i % 2)] += 150
        path = Path("photos") / ("red", "blue")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return Path("photos")


def table() -> Path:
    """A table of an age, an income and a kind, their units far apart."""
    age, kind = rng.normal(40, 9, 120), rng.choice(["cat", "dog"], 120)
    income = 1000 * age + rng.normal(0, 2000, 120)
    rows = zip(age, income, kind, strict=True)
    lines = [f"{a:.2f},{b:.1f},{c}" for a, b, c in rows]
    Path("people.csv").write_text("\n".join(["age,income,kind", *lines]) + "\n")
    return Path("people.csv")


def test_pictures_are_drawn_in_colour_by_every_command(command: Command) -> None:
    folder_of_pictures()
    told = command(*QUICK, "photos")
    assert told.code == 0, told.err
    for words in (("generate",), ("reconstruct",), ("manifold", "-n", "4"), ("interpolate",)):
        done = command(words[0], "run", *words[1:], "--out", f"{words[0]}.png")
        assert done.code == 0, done.err
        with Image.open(f"{words[0]}.png") as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(pixels[..., 0] - pixels[..., 2]).max() > 30, words  # red or blue, not grey
    assert command("explore", "run", "--no-beside", "--rows", "10").code == 0
    assert command("trace", "run").code == 0
    renamed = Path("photos").rename("elsewhere")
    assert command("evaluate", "run", "--samples", "2", "--data", renamed, "--quiet").err == ""


def test_a_table_keeps_its_names_and_units(command: Command) -> None:
    pytest.importorskip("pandas")
    table()
    plain = command(*QUICK, "people.csv", "--label", "kind", "--epochs", "1")
    assert plain.code == 0
    assert "'income' spans" in plain.err and "--standardise" in plain.err
    settings = ("--label", "kind", "--standardise", "--epochs", "60", "--lr", "0.01")
    told = command(*QUICK, "people.csv", "--out", "scaled", *settings)
    assert told.code == 0, told.err
    assert "'income'" not in told.err
    measured = command("evaluate", "scaled", "--samples", "5", "--json").json
    assert set(measured["r2"]) == {"age", "income"} and measured["r2"]["income"] > 0.5
    assert 8 < measured["log_volume"] < 13 and -measured["elbo"] == pytest.approx(12, abs=3)
    assert "income" in command("evaluate", "scaled", "--samples", "5").out
    assert command("generate", "scaled", "--draw", "--n", "500", "--out", "x.npy").code == 0
    drawn = np.load("x.npy")
    assert 30 < drawn[:, 0].mean() < 50 and 5e3 < drawn[:, 1].std() < 2e4
    for words in (("generate",), ("reconstruct",), ("interpolate",)):
        assert command(*words, "scaled", "--out", "p.png").code == 0
    again = command("train", "--resume", "scaled", "--epochs", "61", "--no-pictures", "--json")
    assert again.code == 0 and again.json["epochs"] == 61
    Path("new.csv").write_text("age,income\n41,41000\n50,50000\n")
    assert command("encode", "scaled", "new.csv", "--out", "z.npy").code == 0
    assert np.load("z.npy").shape == (2, 2)
    Path("moved.csv").write_text("income,age\n41000,41\n50000,50\n")
    assert command("encode", "scaled", "moved.csv", "--out", "moved.npy").code == 0
    np.testing.assert_array_equal(np.load("moved.npy"), np.load("z.npy"))
    refused = command("manifold", "scaled")
    assert refused.code == 2 and "no height and width" in refused.err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("people.csv",), "'kind' holds text"),
        (("people.csv", "--label", "kin"), "did you mean kind?"),
        (
            ("people.csv", "--label", "kind", "--standardise", "--likelihood", "bernoulli"),
            "below 0",
        ),
        (("people.csv", "--label", "kind", "--shape", "2,2"), "2x2 need 4 features"),
        (("people.csv", "--label", "kind", "--shape", "2"), "height,width"),
        (("photos", "--resize", "9"), "--resize 32x32"),
        (("photos", "--label", "x"), "sub-folders are the labels"),
        (("digits", "--one-hot"), "known by name"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    command: Command, words: tuple[str, ...], fault: str
) -> None:
    pytest.importorskip("pandas")
    table()
    folder_of_pictures()
    done = command(*QUICK, *words)
    assert done.code == 2 and done.err.count("\n") == 1 and fault in done.err, done.err
    assert not Path("run").exists()


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_a_model_of_standardised_data_folds_into_one_of_the_data(hidden: tuple[int, ...]) -> None:
    from minivae.backend import load_backend
    from minivae.data.standard import Standard
    from minivae.sampling import decode_all, encode_all

    config = ModelConfig(data_dim=4, latent_dim=2, hidden=hidden, likelihood="gaussian")
    layout, K = layout_of(config), load_backend("numpy")
    p = layout.views(rng.normal(size=layout.size).astype(np.float32))
    x = (rng.normal(size=(20, 4)) * [1, 20, 0.1, 5] + [3, -40, 0, 100]).astype(np.float32)
    standard = Standard.of(x)
    folded = in_user_units(p, config, standard)
    expected, _ = encode_all(K, p, standard.apply(x), config)
    found, _ = encode_all(K, folded, x, config)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    decoded = decode_all(K, folded, expected, config)
    inner = standard.invert(decode_all(K, p, expected, config))
    np.testing.assert_allclose(decoded, inner, rtol=1e-4, atol=1e-3)
    assert in_user_units(p, config, None) is p


def test_other_data_need_not_be_of_the_kind_that_the_options_were_for(command: Command) -> None:
    folder_of_pictures()
    assert command(*QUICK, "photos", "--resize", "4x5").code == 0
    np.save("rows.npy", rng.uniform(size=(8, 60)))
    told = command("encode", "run", "rows.npy", "--out", "codes.npy")
    assert told.code == 0 and np.load("codes.npy").shape == (8, 2), told.err
    given = command(*QUICK, "rows.npy", "--resize", "4x5", "--out", "rows")  # for these very data
    assert given.code == 2 and "--resize does not belong to" in given.err
    assert given.err.count("\n") == 1 and not Path("rows").exists()
    frame = ("--label", "kind", "--likelihood", "gaussian")
    assert command(*QUICK, str(table()), *frame, "--out", "people").code == 0
    np.save("plain.npy", rng.normal(40, 9, size=(8, 2)))
    told = command("encode", "people", "plain.npy", "--out", "codes.npy")
    assert told.code == 0 and np.load("codes.npy").shape == (8, 2), told.err


def test_other_data_are_refused_without_options_that_the_command_lacks(command: Command) -> None:
    pandas = pytest.importorskip("pandas")
    numbers = pandas.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    numbers.to_csv("t.csv", index=False)
    numbers.assign(town="x").to_csv("new.csv", index=False)
    assert command(*QUICK, "t.csv", "--epochs", "1").code == 0
    told = command("encode", "run", "new.csv", "-o", "z.npy")
    assert told.code == 2 and "'town' holds text" in told.err and "--" not in told.err
    folder = folder_of_pictures()
    assert command(*QUICK, folder, "--epochs", "1", "--out", "pictures").code == 0
    Image.new("RGB", (5, 5)).save(folder / "red" / "odd.png")
    told = command("encode", "pictures", folder, "-o", "z.npy")
    assert told.code == 2 and "to the run's size" in told.err and "--" not in told.err
    extra = command("train", "a.csv", "b.csv")
    assert extra.code == 2 and "got b.csv; quote names with spaces" in extra.err
    many = command("train", *(f"photos/{i}.png" for i in range(300)))
    assert many.code == 2 and "3.png and more; give the folder" in many.err and len(many.err) < 250


def test_pixels_in_whole_numbers_are_told_of_their_shape(command: Command) -> None:
    np.save("pixels.npy", rng.integers(0, 256, size=(30, 24)))
    told = command(*QUICK, "pixels.npy")
    assert told.code == 0 and "--shape H,W or H,W,3 divides them by their white" in told.err
    np.save("kilos.npy", rng.uniform(0, 250, size=(30, 24)))
    told = command(*QUICK[:-4], "kilos.npy", "--no-pictures")
    assert told.code == 0 and "--standardise" in told.err and "--shape" not in told.err


def test_a_short_training_says_that_it_tells_little(command: Command) -> None:
    np.save("rows.npy", rng.uniform(size=(30, 6)))
    told = command(*QUICK[:-1], "rows.npy")
    assert "Only 2 updates, which tell little yet: --epochs 1000 makes" in told.out
    told = command(*QUICK[:-1], "rows.npy", "--epochs", "200", "--out", "long")
    assert told.code == 0 and "updates, which" not in told.out


def test_what_is_no_picture_is_told_what_draws_it(command: Command) -> None:
    np.save("rows.npy", rng.uniform(size=(30, 6)))
    assert command(*QUICK, "rows.npy").code == 0
    for name in ("manifold", "explore"):
        done = command(name, "run")
        assert done.code == 2 and done.err.count("\n") == 1, done.err
        assert f"minivae interpolate {Path('run').absolute()} draws rows" in done.err


def test_a_run_trained_on_row_numbers_reads_its_table_again(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"]).to_csv("t.csv")
    with monkeypatch.context() as earlier:  # as versions did that left no column out
        earlier.setattr("minivae.data.tables.without_leavings", lambda frame, *_: (frame, []))
        assert command(*QUICK, "t.csv", "--epochs", "1").code == 0
    on = command("train", "--resume", "run", "--epochs", "2", "--no-pictures", "--json")
    assert on.code == 0, on.err
    assert "Unnamed: 0" in command("evaluate", "run").out
    assert command("encode", "run", "t.csv", "-o", "z.npy").code == 0
    assert command(*QUICK, "t.csv", "--epochs", "1", "--out", "new").code == 0
    assert "Unnamed: 0" not in command("evaluate", "new").out


@pytest.mark.parametrize("index", [[0], ["x"], [7, 7]], ids=str)
def test_rows_written_with_their_index_fit_a_run_without_it(command: Command, index) -> None:
    """A new row, or some whose numbers repeat, as pandas writes them."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"])
    frame.to_csv("t.csv", index=False)
    assert command(*QUICK, "t.csv", "--epochs", "1").code == 0
    new = frame[: len(index)].set_axis(index)
    new.to_csv("new.csv")
    done = command("encode", "run", "new.csv", "-o", "new.npy")
    assert done.code == 0, done.err
    new.to_csv("plain.csv", index=False)
    assert command("encode", "run", "plain.csv", "-o", "plain.npy").code == 0
    assert (np.load("new.npy") == np.load("plain.npy")).all()


def recorded_data(run: str) -> dict[str, Any]:
    return dict(json.loads(Path(run, "config.json").read_text())["data"])


def same_bits(one: str, other: str) -> bool:
    last = (json.loads(Path(run, "checkpoints", "last.json").read_text()) for run in (one, other))
    a, b = ((found["tensors"], found["data"]["sha256"]) for found in last)
    return bool(a == b)


@pytest.mark.parametrize(
    "reading",
    [("table", "--label", "kind", "--standardise"), ("table", "--one-hot", "--standardise"),
     ("pictures", "--resize", "5x4"), ("rows", "--shape", "3,2", "--label", "-1")],
    ids=" ".join,
)  # fmt: skip
def test_a_runs_own_settings_repeat_how_it_read_its_data(command: Command, reading) -> None:
    what, *words = reading
    if what == "table":
        pytest.importorskip("pandas")
    np.save("rows.npy", rng.integers(0, 9, (40, 7)))
    data = {"table": table, "pictures": folder_of_pictures, "rows": lambda: "rows.npy"}[what]()
    assert command(*QUICK, data, *words, "--epochs", "1").code == 0
    again = ("train", "--config", "run/config.json", "--no-pictures", "--json")
    assert command(*again, "--out", "again").code == 0
    assert same_bits("run", "again")
    Path(data).rename("elsewhere" + Path(data).suffix)
    moved = command(*again, "--data", "elsewhere" + Path(data).suffix, "--out", "moved")
    assert moved.code == 0 and same_bits("run", "moved"), moved.err
    digits = command("train", "digits", *again[1:], "--out", "other")  # read as they always are
    assert digits.code == 0 and "reading" not in recorded_data("other")
    other = "elsewhere" + Path(data).suffix
    on = command("train", "--resume", "run", "--data", other, *again[1:], "--epochs", "2")
    assert on.code == 0, on.err


def test_a_label_in_a_runs_settings_that_other_data_lack_is_named(command: Command) -> None:
    pytest.importorskip("pandas")
    table()
    assert command(*QUICK, "people.csv", "--label", "kind", "--epochs", "1").code == 0
    Path("other.csv").write_text("a,b\n" + "1,2\n3,4\n" * 20)
    done = command("train", "other.csv", "--config", "run/config.json", "--out", "new")
    assert done.code == 2 and "has no column 'kind'" in done.err and not Path("new").exists()
    assert "(--config run/config.json says how to read them, by label: take out" in done.err
    np.save("rows.npy", rng.integers(0, 9, (40, 7)))
    own = command("train", "rows.npy", "--config", "run/config.json", "--label", "kinds")
    assert own.code == 2 and "kinds" in own.err and own.err.count("\n") == 1
    assert "config.json" not in own.err  # it is the user's own word


def test_a_named_data_set_is_read_as_another_run_read_it_where_it_is_that_runs_own(
    command: Command,
) -> None:
    quick = (*QUICK, "digits", "--standardise", "--epochs", "1")
    assert command(*quick).code == 0
    again = ("--config", "run/config.json", "--no-pictures", "--quiet")
    for words, standardised in (((), True), (("Digits",), True), (("shapes",), False)):
        out = "-".join(("out", *words))
        done = command("train", *words, *again, "--out", out)
        assert done.code == 0, done.err
        assert ("standard" in recorded_data(out)) is standardised

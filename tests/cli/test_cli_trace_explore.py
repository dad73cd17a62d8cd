"""trace and explore on a small run: the numbers, the page, and what they refuse."""

from __future__ import annotations

import time
from pathlib import Path

import pytest


def test_trace_prints_every_equation_and_both_values(command, trained: Path) -> None:
    r = command("trace", trained, "--row", 5, "--json").json
    assert r["row"] == 5 and r["split"] == "test"
    assert {"E5", "E15", "E26"} <= {e for call in r["forward"] for e in call["equations"]}
    assert all(g["worst"] <= 5e-15 for g in r["gradients"])
    assert {"encoder.mu", "encoder.logvar", "decoder.out"} <= {g["layer"] for g in r["gradients"]}
    text = command("trace", trained, "--row", 5, "--entries", 1).out
    assert "Loss (E28)" in text and "The worst of all" in text
    assert text.count("\n") < 120
    for words in ("noise eps", "sigma = exp(logvar / 2)", "squared error", "from the KL (E16) ="):
        assert words in text, words


def test_trace_follows_the_row(command, trained: Path) -> None:
    losses = {command("trace", trained, "--row", row, "--json").json["loss"] for row in (0, 1, 2)}
    assert len(losses) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trace", "--row", 297), "outside 0 to 296"),
        (("trace", "--entries", 0), "--entries is 0"),
        (("explore",), "--dims auto"),
        (("explore", "--dims", "1,1"), "two different dimensions"),
        (("explore", "--dims", "1,3"), "outside 0 to 2"),
        (("explore", "--dims", "0,1,1"), "two different dimensions"),
        (("explore", "--dims", "auto", "--out", "no/x.html"), "no folder no"),
        (("explore", "--dims", "auto", "--rows", 2), "--rows is 2"),
        (("explore", "--dims", "auto", "--against", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(command, trained, arguments, words) -> None:
    before = sorted(trained.rglob("*"))
    done = command(arguments[0], trained, *arguments[1:])
    assert done.code == 2 and words in done.err and done.err.count("\n") == 1
    assert sorted(trained.rglob("*")) == before


def test_explore_shows_a_run_trained_already(command, trained: Path, tmp_path: Path) -> None:
    """With --against nothing is trained; a run of other sizes is refused by name."""
    page = tmp_path / "page.html"
    done = command("explore", trained, "--dims", "auto", "--against", trained, "-o", page)
    assert done.code == 0 and "training" not in done.out
    assert "small, beside" in page.read_text(encoding="utf-8")
    small = ("--backend", "numpy", "--hidden", "4", "--epochs", "1", "--latent", "2", "--quiet")
    assert command("train", *small, "--out", "two").code == 0
    done = command("explore", trained, "--dims", "auto", "--against", "two", "-o", "no.html")
    assert done.code == 2 and "same --latent" in done.err and not Path("no.html").exists()


def test_explore_trains_an_autoencoder_in_seconds(command, trained: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    began = time.process_time()
    done = command("explore", trained, "--dims", "auto", "-o", page)
    assert time.process_time() - began <= 20  # this small one takes about two
    assert "training a plain autoencoder" in done.out
    text = page.read_text(encoding="utf-8")
    assert "squared error alone" in text and "decode to something near the data" in text


def test_explore_writes_one_closed_page(command, trained: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    r = command("explore", trained, "--dims", "auto", "--no-beside", "-o", page, "--json").json
    text = page.read_text(encoding="utf-8")
    assert r["bytes"] == page.stat().st_size and r["data"] == 297 and len(set(r["dims"])) == 2
    assert "default-src 'none'" in text and "http" not in text.replace("http-equiv", "")

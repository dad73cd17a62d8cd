"""trace and explore on a small run: the numbers, the page, and what they refuse."""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.cli.trace import forward_lines, meeting_lines
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.trace import walk
from tests.cli.conftest import SMALL


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


def test_what_is_printed_suffices_to_recompute_it_by_hand() -> None:
    """Plain Python on the text alone, nine latent dimensions: draw, nll, KL, loss, both paths."""
    config = ModelConfig(7, 9, (5,), likelihood="gaussian", c=0.3)
    layout, rng = layout_of(config), np.random.default_rng(5)
    theta = initialise(config, 1, "float64") + 0.2 * rng.normal(size=layout.size)
    x, eps = rng.uniform(size=(1, 7)), rng.normal(size=(1, 1, 9))
    walked = walk(load_backend("numpy"), layout.views(theta), x, eps, 0.7, config)
    lines = forward_lines(walked)

    def printed(words: str) -> list[float]:
        at = next(i for i, line in enumerate(lines) if words in line)
        more = itertools.takewhile(lambda line: line.startswith(" " * 40), lines[at + 1 :])
        text = " ".join([re.split(r"\)  +", lines[at])[-1], *more])
        return [float(word) for word in text.split()]

    mu, logvar, noise = (printed(w) for w in ("encoder.mu ", "bound the log-", "noise eps"))
    square, c, nll = (printed(w)[0] for w in ("squared error |", "variance c", "-log p(x | z)"))
    sigma = [math.exp(v / 2) for v in logvar]
    kl = [0.5 * (m * m + math.exp(v) - 1 - v) for m, v in zip(mu, logvar, strict=True)]
    pairs = [
        (printed("sigma = exp"), sigma),
        (printed("draw z"), [m + s * e for m, s, e in zip(mu, sigma, noise, strict=True)]),
        (printed("KL of each"), kl),
        ([nll], [square / (2 * c) + 3.5 * math.log(2 * math.pi * c)]),
        ([walked.loss], [nll + 0.7 * sum(kl)]),
    ]
    found = re.findall(
        r" ([-+][.\d]+) (?=from|\n|$)| = ([-+][.\d]+)", "\n".join(meeting_lines(walked))
    )
    numbers = [float(one or other) for one, other in found]
    draw, by_kl, total = numbers[0::3], numbers[1::3], numbers[2::3]
    assert len(draw) == len(by_kl) == len(total) == 18
    pairs += [
        (by_kl[:9], [0.7 * m for m in mu]),
        (by_kl[9:], [0.35 * (math.exp(v) - 1) for v in logvar]),
        (draw[9:], [0.5 * s * e * d for s, e, d in zip(sigma, noise, draw[:9], strict=True)]),
        (total, [a + b for a, b in zip(draw, by_kl, strict=True)]),
    ]
    for said, by_hand in pairs:
        assert max(abs(a - b) for a, b in zip(said, by_hand, strict=True)) <= 5e-5  # seven digits


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


def test_a_standardised_run_and_a_plain_one_keep_their_own_units(command) -> None:
    """Each panel carries the deviations that its own run's c belongs to."""
    x = np.random.default_rng(0).normal(size=(60, 4, 3)) * [1, 20, 300] + 7
    np.savez("wide.npz", train=x.astype(np.float32), test=x[:20].astype(np.float32))
    words = ("wide.npz", *SMALL, "--latent", "2", "--likelihood", "gaussian", "--quiet")
    assert command("train", *words, "--standardise", "--out", "scaled").code == 0
    assert command("train", *words, "--out", "plain").code == 0
    for run, other in (("scaled", "plain"), ("plain", "scaled")):
        done = command("explore", run, "--against", other, "-o", "page.html")
        assert done.code == 0, done.err
        content = re.search(r'id="content">(.*?)</script>', Path("page.html").read_text("utf-8"))
        found = [model["deviation"] for model in json.loads(content[1])["models"]]
        found = found if run == "scaled" else found[::-1]
        assert found[1] is None
        deviation = np.frombuffer(base64.b64decode(found[0]), np.float32)
        np.testing.assert_allclose(deviation, x.reshape(60, 12).std(axis=0), rtol=1e-5)


def test_a_single_datum_has_no_neighbours_and_the_fix_is_named(command) -> None:
    data = np.random.default_rng(0).uniform(size=(12, 5, 4)).astype(np.float32)
    np.savez("few.npz", train=data[1:], test=data[:1])
    words = ("--hidden", "4", "--latent", "2", "--epochs", "1", "--backend", "numpy")
    assert command("train", "few.npz", *words, "--no-pictures", "--out", "run").code == 0
    done = command("explore", "run", "--no-beside", "-o", "x.html")
    assert done.code == 2 and done.err.count("\n") == 1 and not Path("x.html").exists()
    assert "the test split has 1 datum, and nearness needs 2: --split train" in done.err
    done = command("explore", "run", "--no-beside", "--split", "train", "-o", "x.html")
    assert done.code == 0, done.err


def test_the_note_says_of_how_many_data_the_shading_tells(monkeypatch) -> None:
    from minivae import explore
    from minivae.cli.explore import note_of
    from minivae.cli.pictures import DataSplit

    shown = DataSplit("d", "test", np.zeros((9, 2)), None, None)
    assert "from every one of these than" in note_of(2, shown, 9)
    assert "the shading is for 0" in note_of(3, shown, 9)
    assert "rest at 0" not in note_of(2, shown, 9)
    monkeypatch.setattr(explore, "NEIGHBOURS", 5)
    assert "from every one of the first 5 of these than" in note_of(2, shown, 9)

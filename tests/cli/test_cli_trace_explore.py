"""trace and explore on a small run: the numbers, the page, and what they refuse."""

from __future__ import annotations

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
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(command, trained, arguments, words) -> None:
    before = sorted(trained.rglob("*"))
    done = command(arguments[0], trained, *arguments[1:])
    assert done.code == 2 and words in done.err and done.err.count("\n") == 1
    assert sorted(trained.rglob("*")) == before


def test_explore_writes_one_closed_page(command, trained: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    r = command("explore", trained, "--dims", "auto", "--no-beside", "-o", page, "--json").json
    text = page.read_text(encoding="utf-8")
    assert r["bytes"] == page.stat().st_size and r["data"] == 297 and len(set(r["dims"])) == 2
    assert "default-src 'none'" in text and "http" not in text.replace("http-equiv", "")

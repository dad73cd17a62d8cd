"""`minivae play`: one file, and a name that cannot be is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_play_writes_one_closed_page(command) -> None:
    r = command("play", "-o", "page.html", "--json").json
    page = Path("page.html")
    assert r["bytes"] == page.stat().st_size
    assert "default-src 'none'" in page.read_text(encoding="utf-8")
    assert command("play").code == 0 and Path("play.html").read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    ("out", "words"),
    [("no/page.html", "no folder no"), ("page.png", "must end in .html"), (".", "is a directory")],
)
def test_bad_names_are_one_line_and_write_nothing(command, out: str, words: str) -> None:
    done = command("play", "-o", out)
    assert done.code == 2 and words in done.err and done.err.count("\n") == 1
    assert list(Path().iterdir()) == []

"""The README's worked example, run as it stands: its code, and the lines it says come out."""

import re
from pathlib import Path

import pytest

import minivae.verify

PAGE = Path(minivae.verify.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_example_does_what_the_page_says(capsys):
    pytest.importorskip("hypothesis")
    start = PAGE.index("## A worked example")
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE[start:], flags=re.S)
    assert [kind for kind, _ in blocks].count("text") == 2
    space = {"__name__": "example"}
    for kind, text in blocks:
        if kind == "python":
            # no name of a file, from which Hypothesis would read the function
            exec(compile(text, "<README.md>", "exec"), space)
        else:
            assert capsys.readouterr().out == text

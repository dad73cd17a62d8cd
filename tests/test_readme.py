"""The README holds: its commands exist, its links lead somewhere, its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def test_the_first_block_is_the_two_commands():
    lines = blocks("sh")[0].splitlines()
    assert lines == ["pip install . && minivae train", 'pip install ".[test]" && pytest']


def test_links_and_pictures_are_there():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target


def test_every_command_it_names_exists():
    import typer.main

    from minivae.cli.main import build_app

    known = set(typer.main.get_command(build_app()).commands)
    named = set(re.findall(r"minivae ([a-z][a-z-]+)", " ".join(blocks("sh"))))
    assert named
    assert named <= known


def test_the_gradient_example_runs():
    example = next(block for block in blocks("python") if "verify import check" in block)
    exec(compile(example, "README.md", "exec"), {})


def test_the_gradient_example_bites():
    example = next(block for block in blocks("python") if "verify import check" in block)
    wrong = example.replace("x.T @ da", "2 * x.T @ da")
    assert wrong != example
    with pytest.raises(AssertionError, match="W"):
        exec(compile(wrong, "README.md", "exec"), {})

"""A chapter as a Jupyter notebook: the same text and cells, to run and to change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from minivae.study.runner import CELL, OPTION, Chapter

FRONT = "---\n"
BOX = re.compile(
    r"^```\{admonition\} (?P<title>[^\n]*)\n(?P<body>.*?)^```\n", re.DOTALL | re.MULTILINE
)


def notebook_of(chapter: Chapter) -> dict[str, Any]:
    """The chapter in the notebook format, version 4.5, nothing run yet."""
    text = chapter.text
    if text.startswith(FRONT):  # jupytext's settings
        text = text[text.index(FRONT, len(FRONT)) + len(FRONT) :]
    text = with_how_to_check(chapter.name, text)
    text = text.replace("](../../MATHS.md)", "](maths.html)")  # its neighbour in the book
    cells: list[dict[str, Any]] = []
    end = 0
    for match in CELL.finditer(text):
        add(cells, "markdown", quoted(text[end : match.start()]))
        add(cells, "code", OPTION.sub("", match["code"]))
        end = match.end()
    add(cells, "markdown", quoted(text[end:]))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def with_how_to_check(name: str, text: str) -> str:
    """The chapter's text, and above its exercises how they are checked."""
    how = (
        f"`minivae study check {name}` writes a file to fill in; name the file as well, and it is "
        "marked, with a hint for each mistake that it knows."
    )
    return text.replace("## Exercises\n", f"## Exercises\n\n{how}\n", 1)


def quoted(text: str) -> str:
    """Boxes as quotations: plain Markdown has no other."""

    def quotation(match: re.Match[str]) -> str:
        lines = [f"**{match['title']}**", "", *match["body"].strip().splitlines()]
        return "\n".join(f"> {line}".rstrip() for line in lines) + "\n"

    return BOX.sub(quotation, text)


def add(cells: list[dict[str, Any]], kind: str, source: str) -> None:
    """Append a cell, unless there is nothing in it."""
    source = source.strip("\n")
    if not source.strip():
        return
    cell: dict[str, Any] = {
        "id": f"cell-{len(cells)}",
        "cell_type": kind,
        "metadata": {},
        "source": source.splitlines(keepends=True),
    }
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    cells.append(cell)


def write_notebook(chapter: Chapter, path: Path) -> Path:
    """Write the notebook; returns its path."""
    text = json.dumps(notebook_of(chapter), ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path

"""Folds away code that teaches nothing: imports, and what only fills a table or shows it."""

from __future__ import annotations

import ast
import re
from itertools import groupby

from minivae.study.runner import CELL

SHOWING = frozenset({"picture", "table", "show_source", "rows.append"})
FOR_TABLES = frozenset({"rows", "cells", "columns"})  # they hold nothing but what is shown
OPTIONS = re.compile(r"\A(?:[ \t]*:\w[^\n]*\n)+")


def folded(chapter: str) -> str:
    """The chapter's text with every cell cut into visible and folded ones, in the same order.

    A cell with options of its own is left as it is.
    """
    return CELL.sub(lambda match: cells_of(match["code"]), chapter)


def cells_of(code: str) -> str:
    """One cell's code as cells: `hide-input` where all statements are imports or only show."""
    if OPTIONS.match(code):
        return cell(code, fold=False)
    return "\n".join(cell(text, fold=fold) for fold, text in stretches(code))


def cell(code: str, *, fold: bool) -> str:
    """A code cell in MyST Markdown."""
    options = ":tags: [hide-input]\n\n" if fold else ""
    return f"```{{code-cell}} ipython3\n{options}{code.strip(chr(10))}\n```\n"


def stretches(code: str) -> list[tuple[bool, str]]:
    """The code in stretches of statements of one kind; comments go with what follows them."""
    lines = code.splitlines()
    pieces, start = [], 0
    for node in ast.parse(code).body:
        end = node.end_lineno or node.lineno
        pieces.append((carries_no_idea(node), "\n".join(lines[start:end])))
        start = end
    found = []
    for fold, group in groupby(pieces, key=lambda piece: piece[0]):
        found.append((fold, "\n".join(text for _, text in group)))
    if start < len(lines) and "".join(lines[start:]).strip():  # a comment at the very end
        found.append((False, "\n".join(lines[start:])))
    return found


def carries_no_idea(node: ast.stmt) -> bool:
    """Whether a statement is an import, or only puts something on the page or into its tables."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Assign):
        return all(isinstance(t, ast.Name) and t.id in FOR_TABLES for t in node.targets)
    if isinstance(node, ast.For):
        return all(carries_no_idea(each) for each in node.body)
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in SHOWING

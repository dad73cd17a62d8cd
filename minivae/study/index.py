"""The two-way index of equations and code, made from MATHS.md and the docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent
MATHS = PACKAGE / "MATHS.md"

BLOCK = re.compile(r"\$\$\n(?P<latex>.*?)\\tag\{E(?P<number>\d+)\}\s*\n\$\$", re.DOTALL)
LINK = re.compile(r"\[`(?P<name>\w+)`\]\((?P<path>[\w/]+\.py)\)")
MENTION = re.compile(r"\bE(\d{1,2})(?:\s*(?:to|–|-)\s*E(\d{1,2}))?\b")


class Equation(NamedTuple):
    """A numbered equation: its LaTeX, and the (function, file) pairs that MATHS.md names."""

    number: int
    latex: str
    named: tuple[tuple[str, str], ...]


class Place(NamedTuple):
    """A function or class whose docstring carries equation numbers."""

    path: str  # relative to the package
    name: str  # qualified: Class.method
    line: int
    numbers: frozenset[int]


def equations(text: str | None = None) -> list[Equation]:
    """Every numbered equation of MATHS.md, in order, with the code links that follow it."""
    text = MATHS.read_text(encoding="utf-8") if text is None else text
    blocks = list(BLOCK.finditer(text))
    found = []
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        after = text[block.end() : following.start() if following else len(text)]
        links = tuple((m["name"], m["path"]) for m in LINK.finditer(after))
        found.append(Equation(int(block["number"]), block["latex"].strip(), links))
    return found


def mentioned(docstring: str) -> frozenset[int]:
    """The equation numbers in a docstring: E5, or a range such as E10 to E13."""
    numbers: set[int] = set()
    for match in MENTION.finditer(docstring):
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def places(root: Path = PACKAGE) -> list[Place]:
    """Every function and class under `root` whose docstring carries an equation number."""
    found = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, node in _definitions(tree):
            numbers = mentioned(ast.get_docstring(node) or "")
            if numbers:
                relative = path.relative_to(root).as_posix()
                found.append(Place(relative, name, node.lineno, numbers))
    return found


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield prefix + child.name, child
            yield from _definitions(child, f"{prefix}{child.name}.")


def problems(text: str | None = None, root: Path = PACKAGE) -> list[str]:
    """What keeps the index from being complete both ways, one line each; empty when it is."""
    derived, code = equations(text), places(root)
    numbers = [e.number for e in derived]
    lines = []
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        wrong = next(n for n in range(1, len(numbers) + 2) if numbers.count(n) != 1)
        lines.append(f"the equations are not numbered 1, 2, 3, …: (E{wrong}) is missing or twice")
    carried = frozenset().union(*(p.numbers for p in code))
    lines += [f"(E{n}) is in no docstring" for n in numbers if n not in carried]
    lines += [
        f"{p.path}: {p.name} carries (E{n}), which MATHS.md does not derive"
        for p in code
        for n in sorted(p.numbers - set(numbers))
    ]
    for equation in derived:
        if not equation.named:
            lines.append(f"(E{equation.number}) names no function")
        for name, path in equation.named:
            match = [p for p in code if p.path == path and p.name == name]
            if not any(equation.number in p.numbers for p in match):
                lines.append(
                    f"(E{equation.number}) names {name} in {path}, "
                    "which is not there or does not carry the number"
                )
    return lines


def render() -> str:
    """The index as Markdown: equations to code, then code to equations.

    Only the functions that compute an equation stand here, those that MATHS.md names; others
    mention a number in passing.
    """
    derived = equations()
    named = {(path, name) for e in derived for name, path in e.named}
    lines = ["# Equations and code", "", "## From equation to code", ""]
    lines += ["| equation | computed by |", "|---|---|"]
    for e in derived:
        functions = ", ".join(f"`{name}` ({path})" for name, path in e.named)
        lines.append(f"| (E{e.number}) | {functions} |")
    lines += ["", "## From code to equation", "", "| file | function or class | equations |"]
    lines.append("|---|---|---|")
    for p in places():
        if (p.path, p.name) in named:
            numbers = ", ".join(f"(E{n})" for n in sorted(p.numbers))
            lines.append(f"| {p.path}:{p.line} | `{p.name}` | {numbers} |")
    return "\n".join(lines) + "\n"


def latex(number: int) -> str:
    """The LaTeX of one equation, without its number. Raises KeyError where there is none."""
    for equation in equations():
        if equation.number == number:
            return equation.latex
    raise KeyError(f"MATHS.md has no equation (E{number})")

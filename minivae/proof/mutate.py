"""Plants small bugs in a function's syntax tree, one at a time: the checker's own examination."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minivae.proof.mutations import expression_changes, statement_changes, stored


class Mutant(NamedTuple):
    """One planted bug: where, what was changed, and the changed function's source.

    within: the expression or statement around what was changed; '' for a whole statement.
    """

    function: str
    line: int
    kind: str
    before: str
    after: str
    within: str
    source: str

    @property
    def label(self) -> str:
        return f"{self.function}: {self.before} -> {self.after}"


def scaled(value: Any, k: float) -> Any:
    """value * (1 + k), or each of a tuple's members: the run-time half of a factor mutant."""
    if isinstance(value, tuple):
        return tuple(scaled(v, k) for v in value)
    if isinstance(value, (np.ndarray, np.floating, float)):
        return value * (1 + k)
    return value


def negated(value: Any) -> Any:
    """-value, or each of a tuple's members."""
    return tuple(negated(v) for v in value) if isinstance(value, tuple) else -value


def slots(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every (parent, field, position, child) that may be replaced; signatures and indices stay."""
    for field, value in ast.iter_fields(tree):
        if isinstance(tree, (ast.FunctionDef, ast.arg)) and field not in ("body",):
            continue
        if isinstance(tree, ast.Subscript) and field == "slice":
            continue
        if isinstance(tree, ast.Attribute) and tree.attr == "shape":
            continue  # sizes are not numbers of the gradient
        if isinstance(tree, ast.Call) and ast.unparse(tree.func) == "len":
            continue
        if field in ("targets", "target", "keywords", "annotation", "op", "ops", "ctx"):
            continue
        if isinstance(tree, ast.Call) and field == "func" and not isinstance(value, ast.Attribute):
            continue
        for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield tree, field, place, child
                yield from slots(child)


def bound_at(function: ast.FunctionDef) -> dict[int, list[str]]:
    """By each statement's first line: the names that are bound whenever it is reached.

    A bug that uses another name, or leaves a statement out, still runs: it has to be found by its
    numbers. What is bound in a branch or a loop counts within it only.
    """
    found: dict[int, list[str]] = {}

    def visit(block: list[ast.stmt], known: list[str]) -> None:
        for statement in block:
            found[statement.lineno] = known
            inner = [getattr(statement, field, []) for field in ("body", "orelse")]
            if any(inner):
                target = getattr(statement, "target", None)  # a loop's
                visit(inner[0], [*known, *(stored(target) if target else [])])
                visit(inner[1], known)
            else:
                known = [*known, *stored(statement)]

    visit(function.body, [a.arg for a in function.args.args])
    return found


NO_ARRAYS = {"K", "p", "g", "config", "kind", "depth", "name", "L", "B", "J", "i", "unused"}
NO_ARRAYS |= {"objective", "likelihood", "terms", "d", "columns"}  # records, and a slice


def known_at(bound: dict[int, list[str]], node: ast.AST) -> list[str]:
    """The names bound before the statement that a node is in."""
    line = getattr(node, "lineno", 0)
    return bound[max((first for first in bound if first <= line), default=min(bound))]


def arrays(names: list[str]) -> list[str]:
    """Those of the names that are of arrays, each once."""
    return list(dict.fromkeys(name for name in names if name not in NO_ARRAYS))


def mutants(function: Callable[..., Any]) -> Iterator[Mutant]:
    """Every planted bug of one function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    if isinstance(definition.body[0], ast.Expr) and isinstance(
        definition.body[0].value, ast.Constant
    ):
        del definition.body[0]  # the docstring
    bound = bound_at(definition)
    upstream = next(a.arg for a in definition.args.args if a.arg.startswith("d"))
    seen = {ast.unparse(tree)}
    for parent, field, place, child in list(slots(definition)):
        known = known_at(bound, child)
        changes = [*expression_changes(child, arrays(known), upstream)]
        if isinstance(child, ast.stmt):
            changes += statement_changes(child, known)
        if silent(parent, child):
            changes = [c for c in changes if c[0] not in ("constant", "sign")]
        for kind, new in changes:
            text = plant(tree, parent, field, place, new)
            if text not in seen:
                seen.add(text)
                before, after, within = ast.unparse(child), ast.unparse(new), around(parent, child)
                line = getattr(child, "lineno", 0)
                yield Mutant(function.__name__, line, kind, before, after, within, text)


def around(parent: ast.AST, child: ast.AST) -> str:
    """The source of what a changed expression stands in."""
    return "" if isinstance(child, ast.stmt) else ast.unparse(parent)


def silent(parent: ast.AST, child: ast.AST) -> bool:
    """Whether a factor would change nothing: beside a comparison, in a condition, on a
    statement's value."""
    if isinstance(parent, (ast.Compare, ast.Expr, ast.If)):
        return True
    inside = isinstance(parent, ast.Attribute) and parent.attr == "real"
    where = isinstance(parent, ast.Call) and ast.unparse(parent.func) == "np.where"
    if isinstance(parent, ast.Call) and where:
        return bool(parent.args) and parent.args[0] is child
    return inside


def plant(tree: ast.Module, parent: ast.AST, field: str, place: int | None, new: ast.AST) -> str:
    """The source with one child replaced."""
    old = getattr(parent, field) if place is None else getattr(parent, field)[place]
    put(parent, field, place, new)
    try:
        return ast.unparse(tree)
    finally:
        put(parent, field, place, old)


def put(parent: ast.AST, field: str, place: int | None, value: ast.AST) -> None:
    if place is None:
        setattr(parent, field, value)
    else:
        getattr(parent, field)[place] = value


def build(mutant: Mutant, original: Callable[..., Any]) -> Callable[..., Any]:
    """The mutant as a function in the original's own globals."""
    space = {**original.__globals__, "_scaled": scaled, "_negated": negated, "np": np}
    code = compile(
        mutant.source, f"<mutant of {mutant.function}>", "exec", flags=annotations_flag()
    )
    exec(code, space)
    result: Callable[..., Any] = space[mutant.function]
    return result


def annotations_flag() -> int:
    import __future__

    return __future__.annotations.compiler_flag

"""Plants small bugs in a function's syntax tree, one at a time: the checker's own examination."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

FACTORS = (1e-3, 1e-5, 1e-7, 1e-9)
CACHES = {"trunk", "decoder", "encoder", "caches"}  # tuples of records, not numbers


class Mutant(NamedTuple):
    """One planted bug: where, what was changed, and the changed function's source."""

    function: str
    line: int
    kind: str
    before: str
    after: str
    source: str

    @property
    def label(self) -> str:
        return f"{self.function}: {self.before} -> {self.after}"


Change = tuple[str, ast.AST]


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


def parse(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def factors(node: ast.AST) -> tuple[float, float]:
    """Two of the factors, large and small, taken in turn from place to place."""
    turn = getattr(node, "col_offset", 0) % 2
    return FACTORS[turn], FACTORS[3 - turn]


def expression_changes(node: ast.AST, names: list[str], upstream: str) -> Iterator[Change]:
    """The bugs that one expression can carry."""
    if isinstance(node, ast.BinOp):
        yield from binary_changes(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and node.value not in (0, True)
    ):
        for k in factors(node):
            yield "constant", ast.Constant(node.value * (1 + k))
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transpose", node.value
    if isinstance(node, ast.Call):
        yield from call_changes(node)
    if isinstance(node, ast.Compare):
        other = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}.get(
            type(node.ops[0])
        )
        if other:
            yield "comparison", ast.Compare(node.left, [other()], node.comparators)
        strict = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}.get(
            type(node.ops[0])
        )
        if strict:
            yield "comparison", ast.Compare(node.left, [strict()], node.comparators)
    if isinstance(node, ast.Name) and node.id in names:
        yield from name_changes(node, names, upstream)


def binary_changes(node: ast.BinOp) -> Iterator[Change]:
    left, right, op = node.left, node.right, node.op
    if isinstance(op, ast.BitOr):
        return
    if isinstance(op, (ast.Add, ast.Sub)):
        yield "dropped term", left
        yield "dropped term", right
        yield "sign", ast.BinOp(left, ast.Sub() if isinstance(op, ast.Add) else ast.Add(), right)
    if isinstance(op, (ast.Mult, ast.Div)):
        yield "dropped factor", left
    if isinstance(op, ast.Mult):
        yield "dropped factor", right
        yield "operator", ast.BinOp(left, ast.Div(), right)
    if isinstance(op, ast.Div):
        yield "operator", ast.BinOp(left, ast.Mult(), right)
    if isinstance(op, (ast.Sub, ast.Div, ast.MatMult)):
        yield "swapped operands", ast.BinOp(right, op, left)
    for k in factors(node):
        yield "constant", ast.BinOp(ast.Constant(1 + k), ast.Mult(), node)


def call_changes(node: ast.Call) -> Iterator[Change]:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "sum":
        yield (
            "sum/mean",
            ast.Call(ast.Attribute(function.value, "mean", ast.Load()), node.args, node.keywords),
        )
        yield "axis", ast.Call(function, [], [])
        for axis in (0, 1, -1):
            other = ast.keyword("axis", ast.Constant(axis))
            if not any(ast.unparse(k.value) == str(axis) for k in node.keywords):
                yield "axis", ast.Call(function, [], [other])
    name = ast.unparse(function)
    if name == "np.where" and len(node.args) == 3:
        condition, yes, no = node.args
        yield "branch", ast.Call(function, [condition, no, yes], [])
        yield "branch", yes
        yield "branch", ast.BinOp(no, ast.Add(), ast.BinOp(ast.Constant(0), ast.Mult(), yes))
    swap = {"np.exp": "np.expm1", "np.expm1": "np.exp"}.get(name)
    if swap:
        yield "function", ast.Call(parse(swap), node.args, [])
    if name.startswith(("K.", "np.")) and len(node.args) > 1 and name != "np.where":
        swapped = [node.args[1], node.args[0], *node.args[2:]]
        yield "swapped operands", ast.Call(function, swapped, node.keywords)
    if name.split(".")[-1].endswith(("_backward", "_input", "_params", "_forward")):
        for k in factors(node):
            yield "constant", parse(f"_scaled({ast.unparse(node)}, {k})")
        yield "sign", parse(f"_negated({ast.unparse(node)})")


def name_changes(node: ast.Name, names: list[str], upstream: str) -> Iterator[Change]:
    if node.id == upstream:
        yield "dropped upstream", parse(f"np.ones_like({upstream})")
        if upstream != "dloss":  # a scalar is its own mean
            yield "upstream mean", parse(f"(0 * {upstream} + np.mean({upstream}))")
    if node.id in CACHES:
        return
    for k in factors(node):
        yield "constant", parse(f"_scaled({node.id}, {k})")
    place = names.index(node.id)
    for step in (1, 2):
        other = names[(place + step) % len(names)]
        if other != node.id:
            yield "wrong cache field", ast.Name(other, ast.Load())


def statement_changes(node: ast.stmt) -> Iterator[Change]:
    """A statement that is simply forgotten, or an update that overwrites."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "dropped statement", ast.Pass()
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = ast.unparse(node.targets[0])
        if target in ast.unparse(node.value):
            yield "dropped statement", ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield "overwritten", ast.Assign([node.target], node.value)


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


def scope(function: ast.FunctionDef) -> list[str]:
    """The names of arrays in scope: arguments and what they are unpacked into."""
    names = [a.arg for a in function.args.args]
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
    skip = {"K", "p", "g", "config", "kind", "depth", "name", "L", "B", "J", "i", "unused"}
    return list(dict.fromkeys(n for n in names if n not in skip))


def mutants(function: Callable[..., Any]) -> Iterator[Mutant]:
    """Every planted bug of one function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    if isinstance(definition.body[0], ast.Expr) and isinstance(
        definition.body[0].value, ast.Constant
    ):
        del definition.body[0]  # the docstring
    names = scope(definition)
    upstream = next(a.arg for a in definition.args.args if a.arg.startswith("d"))
    seen = {ast.unparse(tree)}
    for parent, field, place, child in list(slots(definition)):
        changes = [*expression_changes(child, names, upstream)]
        if isinstance(child, ast.stmt):
            changes += statement_changes(child)
        if silent(parent, child):
            changes = [c for c in changes if c[0] not in ("constant", "sign")]
        for kind, new in changes:
            text = plant(tree, parent, field, place, new)
            if text not in seen:
                seen.add(text)
                line = getattr(child, "lineno", 0)
                yield Mutant(
                    function.__name__, line, kind, ast.unparse(child), ast.unparse(new), text
                )


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

"""The small bugs that one expression or statement of a syntax tree can carry.

`_scaled` and `_negated` in the planted text are functions that `mutate.build` puts beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

FACTORS = (1e-3, 1e-5, 1e-7, 1e-9)
CACHES = {"trunk", "decoder", "encoder", "caches"}  # tuples of records, not numbers

Change = tuple[str, ast.AST]  # the kind of bug, and what stands there instead


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


def stored(node: ast.AST) -> list[str]:
    """The names that a statement binds; a comprehension's are its own."""
    loops = [part.target for part in ast.walk(node) if isinstance(part, ast.comprehension)]
    inner = {id(name) for target in loops for name in ast.walk(target)}
    return [
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and id(part) not in inner
    ]


def statement_changes(node: ast.stmt, known: list[str]) -> Iterator[Change]:
    """A statement that is simply forgotten, or an update that overwrites.

    known: the names bound before it. What the statement gives its first value cannot be forgotten.
    """
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "dropped statement", ast.Pass()
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        names = stored(node.targets[0])
        if names and set(names) <= set(known):
            yield "dropped statement", ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield "overwritten", ast.Assign([node.target], node.value)

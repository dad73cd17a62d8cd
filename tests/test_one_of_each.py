"""No second list, no second name, no long list of parameters: read from the source."""

from __future__ import annotations

import ast
import re

import pytest

from tests.test_architecture import BENCHMARKS, KERNELS, MINIVAE, ROOT, place

pytestmark = pytest.mark.skipif(not KERNELS, reason="the source tree is not beside the tests")


def too_many_parameters(source: str, most: int = 12) -> dict[str, int]:
    """Functions of a source that take more than `most` parameters, and how many."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            a = node.args
            count = len(a.posonlyargs + a.args + a.kwonlyargs)
            if count > most:
                found[getattr(node, "name", "lambda")] = count
    return found


@pytest.mark.parametrize("path", KERNELS + BENCHMARKS, ids=place)
def test_no_function_takes_more_than_twelve_parameters(path):
    """A command's options and an estimator's settings are its parameters: minivae/ has those."""
    assert not too_many_parameters(path.read_text(encoding="utf-8"))


def test_too_many_parameters_would_be_seen():
    thirteen = ", ".join(f"a{i}" for i in range(13))
    assert too_many_parameters(f"def f({thirteen}): pass") == {"f": 13}
    assert too_many_parameters(f"lambda {thirteen}: 0") == {"lambda": 13}
    assert not too_many_parameters("def f(a, b, /, c, *, d): pass")


PARTS = [p for p in MINIVAE if "parts" in p.parts]


def names_of_parts() -> set[str]:
    from minivae import parts

    tables = (parts.ACTIVATIONS, parts.LIKELIHOODS, parts.OPTIMISERS, parts.OBJECTIVES)
    return {name for table in tables for name in table}


def compared_names(source: str, names: set[str]) -> list[str]:
    """Comparisons with a part's name: `x == "relu"`, `x in ("adam", …)`, and match cases."""
    found = []
    for node in ast.walk(ast.parse(source)):
        operands: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        for operand in operands:
            members = (
                operand.elts if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]
            )
            found += [m.value for m in members if isinstance(m, ast.Constant) and m.value in names]
    return found


@pytest.mark.parametrize(
    "path", [p for p in MINIVAE + KERNELS + BENCHMARKS if p not in PARTS], ids=place
)
def test_no_part_is_compared_by_name_outside_its_record(path):
    assert compared_names(path.read_text(encoding="utf-8"), names_of_parts()) == []


@pytest.mark.parametrize(
    "source",
    ['x == "relu"', '"adam" != rule', 'x in ("bernoulli", "gaussian")', 'x not in ["elbo"]',
     'match x:\n    case "tanh":\n        pass'],
)  # fmt: skip
def test_a_comparison_with_a_name_would_be_seen(source):
    assert compared_names(source, names_of_parts())
    assert not compared_names('x == "blue" or f("relu")', names_of_parts())


def op_names_in(source: str, ops: set[str]) -> set[str]:
    """Names of ops that stand as plain text in one literal list, set, dictionary or string."""
    most: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        members: list[ast.AST] = []
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            members = list(node.elts)
        elif isinstance(node, ast.Dict):
            members = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Constant):
            members = [node]
        words = " ".join(
            m.value for m in members if isinstance(m, ast.Constant) and isinstance(m.value, str)
        )
        named = {word for word in words.split() if word in ops}
        most = named if len(named) > len(most) else most
    return most


@pytest.mark.parametrize("path", MINIVAE + KERNELS + BENCHMARKS, ids=place)
def test_there_is_no_second_list_of_ops(path):
    """Six names in one literal are a list kept by hand; the table of ops is the one there is."""
    from minivae import ops

    assert len(op_names_in(path.read_text(encoding="utf-8"), set(ops.OPS))) < 6, place(path)


def test_a_second_list_of_ops_would_be_seen():
    from minivae import ops

    for source in ('("relu_forward", "kl_forward", "gather")',
                   '{"relu_forward": 1, "kl_forward": 2, "gather": 3}',
                   '"relu_forward kl_forward gather".split()'):  # fmt: skip
        assert len(op_names_in(source, set(ops.OPS))) == 3


# One refusal on both sides of a border that only minivae/backend.py crosses.
TWICE = {"Unsupported"}


def classes_defined_twice(sources: dict[str, str]) -> dict[str, list[str]]:
    """Class names that more than one place defines, and where."""
    found: dict[str, list[str]] = {}
    for where, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(where)
    return {name: places for name, places in found.items() if len(places) > 1}


def test_a_class_name_means_one_thing():
    sources = {place(p): p.read_text(encoding="utf-8") for p in MINIVAE + KERNELS + BENCHMARKS}
    assert classes_defined_twice(sources).keys() == TWICE


def test_a_class_name_with_two_meanings_would_be_seen():
    sources = {"a.py": "class Case: pass", "b.py": "def f():\n    class Case: pass", "c.py": "Case"}
    assert classes_defined_twice(sources) == {"Case": ["a.py", "b.py"]}


def test_the_guide_for_contributors_names_files_that_exist():
    """Every path in CONTRIBUTING.md that is a link, or stands in backticks with its folder."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = ("minivae/", "kernels/", "benchmarks/", "tests/", ".ci/")
    named = re.findall(r"\]\(([^)#]+)\)|`([\w./-]+)`", text)
    paths = {a or b for a, b in named if a or (b.startswith(folders) and "/" in b)}
    missing = sorted(p for p in paths if "://" not in p and not (ROOT / p).exists())
    assert len(paths) > 20 and not missing

"""The checker stands on NumPy and `minivae.types` alone, in ten files and 2,200 lines."""

import ast
import sys

import pytest

from tests.test_architecture import MINIVAE, imported, place, roots

CHECKER = [p for p in MINIVAE if place(p).startswith("minivae/verify/")]
TYPES = [p for p in MINIVAE if place(p).startswith("minivae/types/")]
FILES, LINES = 10, 2200


def needed(source, *own):
    """What a file imports, beyond Python, NumPy and these packages of the project's own; packages
    other than the project's only when the file itself is imported, those of the project ever."""
    tree = ast.parse(source)
    others = roots(imported(tree, top_level=True)) - {"numpy", "minivae", *sys.stdlib_module_names}
    mine = {name for name in imported(tree) if roots({name}) == {"minivae"}}
    return others | {m for m in mine if not any(f"{m}.".startswith(f"{p}.") for p in own)}


def beyond(sources):
    """By how many files and lines the checker is beyond its limits."""
    return len(sources) - FILES, sum(len(text.splitlines()) for text in sources) - LINES


@pytest.mark.parametrize("path", CHECKER, ids=place)
def test_verify_stands_on_numpy(path):
    assert not needed(path.read_text(encoding="utf-8"), "minivae.verify", "minivae.types")


@pytest.mark.parametrize("path", TYPES, ids=place)
def test_types_stand_on_nothing_else(path):
    """What the checker may lean on leans on nothing: no way round by what `types` imports."""
    assert not needed(path.read_text(encoding="utf-8"), "minivae.types")


@pytest.mark.parametrize(
    "source",
    [
        "from minivae.ops import relu", "import minivae.proof.cases", "import minivae",
        "def f():\n    from minivae.parts import register", "from minivae.verify_more import x",
        "import scipy", "from minivae import backend",
    ],
)  # fmt: skip
def test_a_new_dependency_would_be_seen(source):
    assert needed(source, "minivae.verify", "minivae.types")
    fine = "import math\nimport numpy\nfrom minivae.types.shapes import points\n"
    assert not needed(fine + "def f():\n    import hypothesis", "minivae.verify", "minivae.types")


@pytest.mark.skipif(not CHECKER, reason="the source tree is not beside the tests")
def test_the_checker_stays_small():
    """Ten files, one of them the procedure, and no more lines than that."""
    sources = [path.read_text(encoding="utf-8") for path in CHECKER]
    files, lines = beyond(sources)
    assert files <= 0, f"{files} files too many"
    assert lines <= 0, f"{lines} lines too many"
    room = -lines
    assert beyond([*sources, "x = 1\n" * (room + 1)])[1] > 0

"""The checker stands on NumPy alone, in ten files, and may only become shorter."""

import sys

import pytest

from tests.test_architecture import MINIVAE, imports, place, roots

CHECKER = [p for p in MINIVAE if place(p).startswith("minivae/verify/")]


@pytest.mark.parametrize("path", CHECKER, ids=place)
def test_verify_stands_on_numpy(path):
    top = roots(imports(path, top_level=True))
    assert top <= {"numpy", "minivae"} | set(sys.stdlib_module_names)
    mine = {n for n in imports(path) if n.startswith("minivae")}
    assert all(n.startswith(("minivae.verify", "minivae.types")) for n in mine)


@pytest.mark.skipif(not CHECKER, reason="the source tree is not beside the tests")
def test_the_checker_stays_small():
    """Ten files, one of them the procedure; it may only become shorter."""
    assert len(CHECKER) <= 10
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in CHECKER) <= 2417

"""MATHS.md and the docstrings name each other, completely and both ways."""

import ast

import pytest

from minivae.study import index


def test_the_index_is_complete_both_ways():
    assert index.problems() == []


def test_equations_are_numbered_in_order():
    numbers = [e.number for e in index.equations()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1)) and len(numbers) >= 46


def test_every_public_op_carries_a_number():
    """The ops are where the maths is: no function there without its equation."""
    from minivae import ops

    numbered = {p.name for p in index.places() if p.path.startswith("ops/")}
    silent = {"bound_logvar_forward", "bound_logvar_backward"}  # a guard, not an equation
    assert set(ops.OPS) - numbered <= silent


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.replace(r"\tag{E7}", r"\tag{E947}"), "not numbered"),
        (lambda t: t.replace("[`relu_forward`]", "[`relu_fprward`]"), "not there"),
        (lambda t: t.replace("Code: [`kl_forward`](ops/latent.py)", ""), "names no function"),
        (lambda t: t[: t.index("Two subspaces")], "MATHS.md does not derive"),
    ],
)
def test_a_broken_page_is_noticed(change, complaint):
    text = index.MATHS.read_text(encoding="utf-8")
    assert change(text) != text
    assert any(complaint in line for line in index.problems(change(text)))


def test_a_docstring_that_lost_its_number_is_noticed(tmp_path):
    (tmp_path / "ops").mkdir()
    source = 'def kl_forward(mu):\n    """The divergence."""\n'
    ast.parse(source)
    (tmp_path / "ops" / "latent.py").write_text(source, encoding="utf-8")
    assert "(E15) is in no docstring" in index.problems(root=tmp_path)


def test_mentions_and_ranges():
    assert index.mentioned("(E5), (E10 to E13) and E40–E42") == {5, 10, 11, 12, 13, 40, 41, 42}
    assert index.mentioned("1E5 E123 e7 EE8 1e-3") == set()


def test_the_rendered_index_has_both_tables():
    text = index.render()
    assert "| (E15) | `kl_forward` (ops/latent.py) |" in text
    assert "`gaussian_kl_forward` | (E14) |" in text

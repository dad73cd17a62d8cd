"""The checker's own score, and the tester tested: faults planted in the checker show."""

import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from minivae import ops
from minivae.parts import OBJECTIVES, objectives
from minivae.proof import cases, corpus, exact_gradients, mutate
from minivae.proof import mutation_score as scoring
from minivae.proof.equivalent_mutants import EQUIVALENT, reason_for
from minivae.proof.tolerances import tol
from minivae.verify import check, contract, oracles, suspects
from tests.verify.zoo_wrong import CASES as WRONG


def test_every_mutant_that_changes_something_is_killed(board):
    assert len(board.outcomes) >= tol("mutants")
    assert [o.mutant.label for o in board.survivors] == []
    assert board.killed + len(board.equivalent) == len(board.outcomes)


def test_the_mutants_are_planted_quickly(board):
    assert board.seconds <= 3 * tol("mutant_seconds")  # the figure itself is for an idle machine


def test_mutants_reach_every_backward_pass(board):
    planted = {o.mutant.function for o in board.outcomes}
    passes = {n for n in cases.model_passes() if n.endswith("_backward")}
    passes |= {o.backward.__name__ for o in OBJECTIVES.built_in()}
    passes |= {n for n in vars(objectives) if n.endswith("_backward")}  # and what these share
    assert planted >= set(scoring.derivative_ops()) | passes
    kinds = {o.mutant.kind for o in board.outcomes}
    wanted = "sign|dropped term|dropped factor|constant|transpose|swapped operands|sum/mean|axis"
    wanted += "|wrong cache field|comparison|dropped upstream"
    assert kinds >= set(wanted.split("|"))


def test_every_survivor_has_its_reason_and_no_reason_is_idle(board):
    for known in EQUIVALENT:
        assert known.why and any(known.fits(o.mutant) for o in board.equivalent), known


def test_a_reason_holds_where_it_stands_only():
    """0 * r lends its shape; r.real, beside it on the line, is what decides the sign."""
    found = list(mutate.mutants(ops.laplace_nll_backward))
    assert any(m.before == "r" and m.within == "0 * r" and reason_for(m) for m in found)
    elsewhere = [m for m in found if m.before == "r" and m.within != "0 * r"]
    assert elsewhere and [m.label for m in elsewhere if reason_for(m)] == []


def test_mutants_run_rather_than_look_for_names(board):
    """A bug that the interpreter finds says nothing about the checks."""
    words = ("NameError", "UnboundLocalError")
    assert [o.mutant.label for o in board.outcomes if o.killed_by.endswith(words)] == []
    assert 0 < board.raised < board.killed / 4  # shapes that do not fit are found so


def late(dy, x):
    a = dy * x
    if len(a) > 1:
        b = a + dy
        a = a + b
    c = [d * x for d in a]
    a = a + c
    return -a


def test_a_planted_name_is_bound_and_a_first_value_is_never_forgotten():
    found = list(mutate.mutants(late))
    wrong = {(m.line, m.after) for m in found if m.kind == "wrong cache field"}
    first = min(m.line for m in found)
    assert {name for line, name in wrong if line == first} == {"dy", "x"}
    assert not {name for _, name in wrong} & {"d"}  # the comprehension's own
    assert "b" not in {name for line, name in wrong if line > first + 3}  # bound in the branch only
    dropped = [m.before for m in found if m.kind == "dropped statement"]
    assert dropped == ["a = a + b", "a = a + c"]


def test_a_pass_that_is_wrong_already_gets_no_marks():
    """Every bug in it would count as killed."""
    bug = next(b for b in corpus.BUGS if b.label == "kl_backward")
    with scoring.planted(bug.edits[0].place, corpus.edited(bug.edits[0])):
        with pytest.raises(scoring.WrongAlready, match=r"^kl is wrong before any bug .*mend that"):
            scoring.score(["kl_backward"])
        with pytest.raises(scoring.WrongAlready, match=r"^kl is wrong before any bug"):
            corpus.run_corpus()


def test_a_pass_that_raises_is_wrong_already():
    def broken(*args):
        raise IndexError("no rows")

    wrong = pytest.raises(scoring.WrongAlready, match=r"relu is wrong .*raises IndexError")
    with scoring.planted("ops.relu_backward", broken), wrong:
        scoring.score(["relu_backward"])


def test_names_mean_functions_pairs_and_rows_and_each_is_looked_up():
    places = {place for place, _, _ in scoring.targets(["dense", "nll_backward"])}
    assert places == {
        "ops.dense_backward_params", "ops.dense_backward_input", "models.vae.nll_backward",
    }  # fmt: skip
    assert [f.__name__ for _, f, _ in scoring.targets(["linear vae"])] == ["linear_vae_backward"]
    assert "layers.mlp_backward" in {place for place, _, _ in scoring.targets(["layer"])}
    with pytest.raises(KeyError, match="no bugs are planted in kll"):
        scoring.targets(["kl", "kll"])


def test_the_curated_bugs_are_caught_and_named():
    found = corpus.run_corpus()
    assert len(found.results) >= tol("corpus")
    assert [c.bug.name for c in found.results if not c.named] == []
    assert found.attributed >= tol("attribution")


def test_a_stale_corpus_says_so():
    with pytest.raises(ValueError, match="renew the corpus"):
        corpus.edited(corpus.Edit("ops.relu_backward", "no such text", ""))


def test_planting_leaves_nothing_behind():
    before = ops.relu_backward
    mutant = next(iter(mutate.mutants(ops.relu_backward)))
    with scoring.planted("ops.relu_backward", mutate.build(mutant, ops.relu_backward)):
        assert ops.relu_backward is not before
    assert ops.relu_backward is before


# -- faults planted in the checker ---------------------------------------------------------------
def wrong_passes_noticed():
    """How many of some wrong passes the checker as it is now calls wrong."""
    names = ("sign_W", "one_entry_x", "constant_1e-9", "half_W", "nan_b", "sign_x", "double_x")
    return sum(not check(*WRONG[name][:3]).ok for name in names), len(names)


def audit():
    """What a checker must satisfy; a list of what it does not."""
    from tests.verify.zoo_right_dense import B, W, X, dense, dense_back

    problems = []
    caught, count = wrong_passes_noticed()
    if caught < count:
        problems.append("misses")
    report = check(dense, dense_back, (X, W, B))
    if [row.tensor for row in report.rows] != ["x", "W", "b"]:
        problems.append("tensors")
    if any(row.checked != row.size for row in report.rows):
        problems.append("entries")
    return problems


def test_the_checker_passes_its_audit():
    assert audit() == []


def test_a_checker_that_compares_nothing_is_caught(monkeypatch):
    monkeypatch.setattr(
        suspects, "strict_tolerance", lambda trial: np.full(len(trial.entries), np.inf)
    )
    assert "misses" in audit()


@pytest.fixture
def vote(monkeypatch):
    """Puts another function in place of the checker's vote, and hands it the real one first."""
    module = sys.modules["minivae.verify.check"]  # the package's `check` is the function
    real = module.vote

    def replace(other):
        monkeypatch.setattr(module, "vote", partial(other, real))

    return replace


def test_a_checker_that_skips_a_tensor_is_caught(vote):
    def lazy(real, job, wide, dy, native, hands, report, *more):
        real(job, wide, dy, native, hands, report, *more)
        report.rows.pop()

    vote(lazy)
    assert "tensors" in audit()


def test_a_checker_that_visits_one_tensor_twice_is_caught(vote):
    def twice(real, job, wide, dy, native, hands, report, *more):
        real(job, wide, dy, native, hands, report, *more)
        report.rows[-1] = report.rows[0]

    vote(twice)
    assert "tensors" in audit()


def test_a_checker_that_lets_nan_pass_is_caught(vote, monkeypatch):
    monkeypatch.setattr(contract, "not_finite", lambda *_: [])

    def blind(real, job, wide, dy, native, hands, report, *more):
        native = [None if g is None else np.nan_to_num(g) for g in native]
        hands = [None if g is None else np.nan_to_num(g) for g in hands]
        real(job, wide, dy, native, hands, report, *more)
        report.faults.clear()
        for row in report.rows:
            row.verdict = "right"

    vote(blind)
    assert "misses" in audit()


def test_a_checker_that_visits_half_the_entries_is_caught(monkeypatch):
    def half(trial, seconds):
        trial.entries = np.arange(0, trial.leaf.value.size, 2)

    monkeypatch.setattr(oracles, "choose_entries", half)
    assert "entries" in audit()


def test_truth_lets_no_nan_pass():
    case = cases.find(["relu"])[0]
    known = exact_gradients.ExactGradients(case)
    K = SimpleNamespace(**{name: getattr(ops, name) for name in ops.OPS})
    K.relu_backward = lambda dy, x: np.full_like(dy, np.nan)
    assert known.wrong(K) == "x" and known.wrong() == ""

"""`minivae verify`: exit status, JSON, the page, wrong usage."""

import json
import math
import sys
from types import SimpleNamespace

import pytest

from minivae import ops
from minivae.cli import proofs
from minivae.cli.main import run
from minivae.proof import cases, corpus, meaning, mutation_score
from minivae.proof.identity import Meaning


@pytest.fixture
def verify(capsys):
    def call(*args):
        code = run(["verify", *map(str, args)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_some_rows_by_name(verify):
    code, out, _ = verify("dense", "kl")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["op", "tensor"] and "worst of 5 tensors" in out
    assert lines[-1] == "all right"


def test_json(verify):
    code, out, _ = verify("layer", "--json")
    data = json.loads(out)
    assert code == 0 and data["ok"] is True
    assert {r["name"] for r in data["passes"]["reports"]} >= {"layer linear", "layer mlp relu"}
    assert data["passes"]["worst_complex_step"] <= 5e-15


def test_a_wrong_op_exits_with_1_and_is_named_last(verify):
    bug = next(b for b in corpus.BUGS if b.name == "sign of the mean's pull")
    with mutation_score.planted("ops.kl_backward", corpus.edited(bug.edits[0])):
        code, out, _ = verify("kl")
    assert code == 1 and "sign is flipped" in out
    worst = out.splitlines()[-2]
    assert worst.split()[:2] == ["kl", "mu"] and worst.endswith("wrong")
    assert ops.kl_backward.__module__ == "minivae.ops.latent"


def test_an_op_whose_forward_raises_is_a_wrong_one(verify, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("no numbers")

    monkeypatch.setattr(ops, "dense_forward", broken)
    code, out, err = verify("dense")
    assert code == 1 and "forward raised ValueError: no numbers" in out and "max()" not in err
    code, out, _ = verify("dense", "--json")
    assert code == 1 and json.loads(out)["passes"]["worst"] is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--full-size", "--mutants"), "--full-size and --mutants are proofs of their own"),
        (("--figures", "--mutants"), "--figures and --mutants are proofs"),
        (("--full-size", "--backend", "numba"), "--backend and --full-size are proofs"),
        (("--tf32", "--figures"), "--tf32 and --figures are proofs"),
        (("kl", "--full-size"), "--full-size takes no names (kl)"),
        (("kl", "--figures"), "--figures takes no names (kl)"),
        (("--threads", "2"), "--threads belongs to --backend or --tf32 or --bf16"),
        (("--threads", "2", "--backend", "numpy"), "--threads belongs to --backend"),
        (("--plants", "3", "--mutants"), "--plants belongs to --full-size or --figures"),
        (("--plants", "0", "--full-size"), "--plants is 0"),
        (("--examples", "3", "--full-size"), "--examples belongs to --figures"),
        (("--full-size", "--html", "p.html"), "leave it out beside --full-size"),
        (("--backend", "numba", "--html", "p.html"), "leave it out beside --backend"),
        (("--tf32", "--html", "p.html"), "leave it out beside --tf32"),
        (("--bf16", "--html", "p.html"), "leave it out beside --bf16"),
    ],
)
def test_options_that_do_not_go_together(verify, args, words):
    code, out, err = verify(*args)
    assert code == 2 and words in err and err.count("\n") == 1 and out == ""


def test_an_unknown_name(verify):
    code, _, err = verify("densse")
    assert code == 2 and "densse" in err and err.count("\n") == 1


def test_a_page(verify, tmp_path, board, monkeypatch):
    monkeypatch.setattr(proofs, "score", lambda: board)
    page = tmp_path / "page.html"
    code, out, _ = verify("dense", "--html", page)
    assert code == 0 and str(page) in out
    assert page.read_text(encoding="utf-8").count("<svg") == 3


def test_a_page_of_planted_bugs_shows_every_pass(verify, tmp_path, monkeypatch):
    """Names are of functions then, and mean no rows."""
    monkeypatch.setattr(proofs, "run_corpus", lambda: SimpleNamespace(
        results=[None], caught=1, attributed=1.0))  # fmt: skip
    monkeypatch.setattr(proofs, "print_corpus", lambda *_: None)
    monkeypatch.setattr(cases, "find", lambda names: cases.op_cases()[:2])
    page = tmp_path / "page.html"
    code, out, err = verify("kl_backward", "--mutants", "--html", page)
    assert code == 0, out + err
    text = page.read_text(encoding="utf-8")
    assert "2 of 2 passes are right." in text and "identities that the maths" in text


@pytest.mark.parametrize("what", ["identity", "survivor"])
def test_a_page_is_green_only_where_all_of_it_is_right(verify, tmp_path, board, monkeypatch, what):
    """And then the exit status is 1 as well."""
    page = tmp_path / "page.html"
    if what == "identity":
        wrong = [Meaning("KL of <nothing>", "kl_forward", float("nan"), 1.0)]
        monkeypatch.setattr(meaning, "checks", lambda: wrong)
        words = ("identities of meaning that fail: 1", "KL of &lt;nothing&gt;")
    else:
        alive = board.equivalent[0]._replace(reason="")
        board = board._replace(outcomes=[alive, *board.outcomes])
        words = ("planted bugs that nobody noticed: 1", "SURVIVED")
    monkeypatch.setattr(proofs, "score", lambda: board)
    monkeypatch.setattr(cases, "find", lambda names: cases.op_cases()[:2])
    code, out, _ = verify("--html", page)
    text = page.read_text(encoding="utf-8")
    assert code == 1 and out.splitlines()[-1].startswith("WRONG")
    assert "<p class=bad>2 of 2 passes are right; " in text
    assert all(word in text for word in words)


def test_planted_bugs_in_a_pass_that_is_wrong_already(verify, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    monkeypatch.setattr(cases, "find", lambda names: cases.op_cases()[:2])
    monkeypatch.setattr(meaning, "checks", list)
    bug = next(b for b in corpus.BUGS if b.name == "sign of the mean's pull")
    with mutation_score.planted("ops.kl_backward", corpus.edited(bug.edits[0])):
        code, out, _ = verify("kl", "--mutants", "--html", page)
    assert "<p class=bad>2 of 2 passes are right; no bugs were planted" in page.read_text("utf-8")
    assert code == 1 and "kl is wrong before any bug is planted (mu): mend that first" in out


def test_figures_say_first_what_they_need(verify, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    code, out, err = verify("--figures")
    assert code == 2 and out == "" and "needs mpmath: pip install" in err


def test_what_was_not_measured_is_no_zero():
    assert proofs.largest([None, None]) is None
    assert proofs.largest([None, 2e-16]) == 2e-16
    assert math.isnan(proofs.largest([1.0, math.nan, None, 2.0]))


def test_a_page_that_cannot_be_written_is_refused_before_the_work(verify, tmp_path):
    for page, words in ((tmp_path / "none" / "page.html", "no folder"), (tmp_path, "directory")):
        code, out, err = verify("dense", "--html", page)
        assert code == 2 and out == "" and words in err


def test_mutants_of_one_function(verify):
    code, out, _ = verify("kl_backward", "--mutants", "--json")
    data = json.loads(out)["mutants"]
    assert code == 0 and data["survivors"] == [] and data["killed"] > 30
    assert data["curated_attributed"] >= 0.95


def test_mutants_of_a_row_and_of_nothing(verify):
    code, out, _ = verify("kl", "--mutants", "--json")
    assert code == 0 and json.loads(out)["mutants"]["killed"] > 30
    code, out, err = verify("kll", "--mutants")
    assert code == 2 and out == "" and "no bugs are planted in kll" in err


def test_full_size(verify):
    code, out, _ = verify("--full-size", "--plants", 1)
    assert code == 0 and "all 10 tensors" in out and "1 of 1 planted" in out


def test_kernels_of_a_backend(verify):
    pytest.importorskip("numba")
    code, out, err = verify("kl_forward", "--backend", "numba")
    assert code == 0, out + err
    assert "kl_forward" in out


def test_a_backend_chosen_by_auto_is_named_and_a_wrong_name_is_no_wrong_kernel(verify):
    pytest.importorskip("numba")
    code, out, err = verify("--backend", "auto", "--json")
    assert code == 0, out + err
    assert '"backend": "numba"' in out
    assert json.loads(out)["kernels"]["thread_dependent"] == []
    code, out, err = verify("relu", "reluu", "--backend", "numba")
    assert code == 2 and "no op called reluu" in err and "WRONG" not in out
    code, out, err = verify("gaussian_kl_forward", "--backend", "numba")
    assert code == 2 and "no kernel of gaussian_kl_forward" in err
    code, out, err = verify("dense", "--backend", "numba", "--json")
    kernels = json.loads(out)["kernels"]
    assert {"dense_forward", "dense_backward_params"} <= {row["op"] for row in kernels["rows"]}
    assert kernels["thread_dependent"] is None


@pytest.mark.slow
def test_every_figure_is_reached(verify):
    code, out, _ = verify("--figures", "--plants", 20, "--examples", 500)
    assert code == 0 and "MISSED" not in out

"""`minivae verify`: exit status, JSON, the page, wrong usage."""

import json

import pytest

from minivae import ops
from minivae.cli import proofs
from minivae.cli.main import run
from minivae.proof import corpus, mutation_score


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
    code, out, err = verify("reluu", "--backend", "numba")
    assert code == 2 and "no op called reluu" in err and "WRONG" not in out


@pytest.mark.slow
def test_every_figure_is_reached(verify):
    code, out, _ = verify("--figures", "--plants", 20, "--examples", 500)
    assert code == 0 and "MISSED" not in out

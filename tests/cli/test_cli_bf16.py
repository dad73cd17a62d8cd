"""`--bf16` from the command line to the products: refused elsewhere, recorded, kept on resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minivae.backend import BackendUnavailable, load_backend
from minivae.cli.main import run

TRAIN = ("train", "--hidden", "9", "--batch-size", "300", "--no-pictures", "--json")


@pytest.fixture
def has_bf16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder to train in; the test is skipped where the processor has no AVX512-BF16."""
    try:
        load_backend("numba", bf16=True)
    except BackendUnavailable as reason:
        pytest.skip(str(reason))
    monkeypatch.chdir(tmp_path)


def refused(command: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with these words, exit code 2, and no run begun."""
    assert run(command) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", [("train",), ("verify",)])
@pytest.mark.parametrize(
    "other",
    [("--backend", "numpy"), ("--backend", "cupy"), ("--backend", "cupy", "--tf32"), ("--tf32",)],
)
def test_refused_elsewhere_in_one_line(
    command: tuple[str, ...], other: tuple[str, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    refused([*command, *other, "--bf16"], "belongs to --backend", capsys)


def test_refused_where_the_processor_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minivae_kernels.cpu.gemm.bfloat16.available", lambda: False)
    refused(["train", "--bf16"], "this processor has no AVX512-BF16", capsys)


def test_a_run_records_it_and_a_resume_keeps_it(
    has_bf16: None, capsys: pytest.CaptureFixture[str]
) -> None:
    sums = {}
    for name, epochs, more in (
        ("a", "1", ()),
        ("b", "1", ("--bf16",)),
        ("whole", "2", ("--bf16",)),
    ):
        assert run([*TRAIN, "--epochs", epochs, *more, "--backend", "numba", "--out", name]) == 0
        out = capsys.readouterr()
        facts = json.loads(out.out)
        assert facts["bf16"] is facts["train_config"]["bf16"] is bool(more)
        assert ("numba, bfloat16" in out.err) is bool(more)
        assert json.loads(Path(name, "config.json").read_text())["train"]["bf16"] is bool(more)
        sums[name] = facts["checkpoints"]["last"]["sha256"]
    assert sums["a"] != sums["b"]
    manifest = json.loads(Path("b/checkpoints/last.json").read_text())
    assert manifest["train"]["bf16"] is True

    again = ("train", "--resume", "b", "--epochs", "2", "--no-pictures", "--json")
    assert run(again) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bf16"] is True and facts["checkpoints"]["last"]["sha256"] == sums["whole"]
    assert run([*again[:3], "--backend", "numpy"]) == 2
    assert "--no-bf16 for a run that was started with it" in capsys.readouterr().err
    assert run([*again[:3], "--epochs", "3", "--no-bf16", "--no-pictures"]) == 0
    assert "had bf16 True and goes on with False" in "".join(capsys.readouterr())

    words = ("evaluate", "b", "--samples", "1", "--limit", "20", "--backend", "numba", "--bf16")
    assert run(words) == 0
    assert "products          bfloat16, not float32" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bf16"] is True


def test_verify_says_so(has_bf16: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "dense_forward", "relu", "--backend", "numba", "--bf16"]) == 0
    said = capsys.readouterr().out
    assert "bfloat16: products may be off by" in said and "u = 2**-8" in said
    assert run(["verify", "dense_forward", "--bf16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kernels"]["bf16"] is True

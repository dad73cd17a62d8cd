"""The command line: fast help, clear errors, JSON, and the peers where they are installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from minivae_kernels import Unavailable

from benchmarks import ROOT, gate, machine, step
from benchmarks.__main__ import main, parser
from benchmarks.cases import parse_arch
from benchmarks.products import shapes_of
from benchmarks.step_options import rule_of


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    heavy = ("numba", "jax", "torch", "numpy", "matplotlib")
    code = "import sys, benchmarks.__main__ as m; m.parser(); "
    code += f"print([n for n in {heavy} if n in sys.modules])"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert time.perf_counter() - start < 20  # generous: it is the imports that count


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["step", "--arch", "784-q", "--no-store"], "sizes must be integers"),
        (["step", "--peers", "tensorflow", "--no-store"], "unknown peer 'tensorflow'"),
        (["step", "--peers", "torch-graph", "--no-store"], "unknown peer 'torch-graph'"),
        (["step", "--tf32", "--no-store"], "--tf32 belongs to --backend cupy, not numba"),
        (["step", "--bf16", "--backend", "cupy"], "--bf16 belongs to --backend numba, not cupy"),
        (["step", "--bf16", "--peers", "jax-unrolled"], "unknown peer 'jax-unrolled'"),
        (["step", "--scaling", "--backend", "cupy"], "--scaling belongs to --backend numba"),
        (["step", "--seconds", "0"], "--seconds must be positive"),
        (["step", "--seconds", "nan"], "--seconds must be positive"),
        (["step", "--threads", "4096"], "--threads is 4096; this machine has 1 to"),
        (["step", "--plot", "p.svg"], "--plot belongs to --phases"),
        (["step", "--phases", "--plot", "no/such/p.svg"], "there is no folder"),
        (["step", "--phases", "--peers", "none", "--cold"], "--peers, --cold: of a race"),
        (["step", "--phases", "--seconds", "9"], "--seconds: of a race"),
        (["products", "--batch", "128,0"], "batch 0"),
        (["products", "--threads", "4096"], "--threads is 4096"),
        (["bandwidth", "--rows", "0"], "--rows is 0; it must be at least 1"),
        (["alarm", "nosuchop"], "unknown op 'nosuchop'"),
        (["alarm", "--seconds", "0"], "--seconds must be positive"),
        (["mpi", "--batch", "0"], "--batch is 0"),
        (["mpi", "--seconds", "-1"], "--seconds must be positive"),
        (["roofline", "--plot", "no/such/roof.svg"], "there is no folder"),
        (["roofline", "--plot", "roof.txt"], "a picture ends in .svg, .png, .pdf"),
        (["history", "--csv", "no/such/file.csv"], "there is no folder"),
        (["history", "--html", "."], "is a folder, not a file"),
        (["checkers", "--write", "pyproject.toml"], "has no <!-- checkers -->"),
        (["checkers", "--write", "no/such/page.md"], "No such file"),
        (["card", "--out", "README.md/there"], "Not a directory"),
        (["ladder", "--backend", "cupy", "--threads", "1"], "--threads belongs to --backend numba"),
        (["ladder", "--backend", "cupy", "--predict", "--rows", "2"], "no --rows"),
        (["ops", "adam"], "unknown op 'adam'"),
        (["ops", "--threads", "-1"], "--threads is -1; it must be at least 1"),
        (["ladder", "exp", "--threads", "0"], "--threads is 0"),
        (["ops", "relu_forward", "--threads", "4096"], "--threads is 4096; this machine has 1 to"),
        (["ladder", "--predict"], "--predict belongs to --backend cupy"),
        (["ladder", "adamw"], "unknown ladder 'adamw'"),
        (["compare", "nothing", "nowhere"], "no"),
        (["report", "--readme", "no/such/README.md"], "no such file"),
    ],
)
def test_a_mistake_is_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: ") and message in err and "\n" not in err


@pytest.mark.parametrize("option", [["--threads", "1"], ["--no-store"]])
@pytest.mark.parametrize("command", ["bandwidth", "report", "history", "card-facts", "checkers"])
def test_an_option_that_would_mean_nothing_is_refused(
    command: str, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, *option])
    assert ended.value.code == 2
    assert f"unrecognized arguments: {option[0]}" in capsys.readouterr().err


def test_a_case_has_rounds_enough_for_an_interval() -> None:
    for given, seconds in (([], 30.0), (["--seconds", "0.25"], 0.25)):
        rule = rule_of(parser().parse_args(["step", *given]))
        assert rule.seconds == seconds and rule.reason([[1.0, 2.0] * 2], 99.0) == ""
        assert rule.reason([[1.0, 2.0] * 3], 99.0).startswith("time limit")


def test_missing_peers_are_said_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("benchmarks.entrants.importlib.util.find_spec", lambda name: None)
    names = step.contenders_of(step.StepOptions(backend="numpy", say=said.append))
    assert names == ["minivae-numpy", "minivae-numpy:again", "fma-peak"]
    assert len(said) == 3 and all("pip install minivae[bench]" in line for line in said)


def test_in_bfloat16_the_peers_race_and_our_own_float32() -> None:
    options = step.StepOptions(bf16=True, say=lambda text: None, again=False)
    names = step.contenders_of(options)
    assert names[0] == "minivae-numba" and names[-1] == "minivae-numba:float32"
    assert set(options.rivals) == {"jax", "torch-compile", "torch-eager"}


def test_a_peer_without_the_card_does_not_race_against_one_with_it() -> None:
    assert "install its CUDA build" in step.on_wrong_device("gpu", {"device": "TFRT_CPU_0"})
    assert step.on_wrong_device("gpu", {"device": "cuda:0"}) == ""
    assert step.on_wrong_device("cpu", {"device": "TFRT_CPU_0"}) == ""
    options = step.StepOptions(backend="cupy", peers=())
    assert step.contenders_of(options) == ["minivae-cupy", "minivae-cupy:again", "cublas-peak"]


@pytest.mark.parametrize("what", [["step"], ["ops", "relu_forward"]])
def test_without_a_card_no_race_begins(
    what: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the fix, before any peer is timed or any result is kept."""

    def no_cupy(load: object = None) -> None:
        raise Unavailable("CuPy is not installed: pip install cupy-cuda12x")

    monkeypatch.setattr("minivae_kernels.gpu.faults.import_cupy", no_cupy)
    monkeypatch.setattr("benchmarks.step.run", lambda *args, **options: pytest.fail("it ran"))
    assert main([*what, "--backend", "cupy", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "pip install cupy-cuda12x" in said.err


def test_the_header_says_what_a_reader_needs() -> None:
    head = machine.header()
    for key in ("processor", "cores", "threads", "blas", "versions", "commit", "time"):
        assert head[key], key
    assert "numpy" in head["versions"] and len(machine.lines(head)) == 3
    json.dumps(head)


def test_the_products_of_a_model_leave_out_what_no_one_computes() -> None:
    shapes = shapes_of("784-400-20:relu", 128)
    assert ("input", [128, 784, 400]) not in shapes  # the data need no gradient
    assert ("input", [128, 400, 784]) in shapes and ("weights", [128, 784, 400]) in shapes


@pytest.mark.slow
@pytest.mark.parametrize(
    "peer", ["jax", "jax-unrolled", "torch-eager", "torch-compile", "torch-graph"]
)
@pytest.mark.parametrize(
    "arch", ["31-17-5:relu", "31-13-11-5:tanh:gaussian", "29-11-3:tanh:dynamic"]
)
def test_a_peer_passes_its_gates(peer: str, arch: str, tmp_path: Path) -> None:
    package = step.known_peers("gpu")[peer]  # those of a card run here without its graphs
    pytest.importorskip(package, reason=f"{peer} is not installed (extra `bench`)")
    from benchmarks.parent import Contender

    case, steps = parse_arch(arch, 11), 40
    data = gate.shared_data(case.data_dim)
    worker = Contender(peer)
    try:
        np.save(tmp_path / "data.npy", data)
        worker.ask("load", threads=None)
        data_path = str(tmp_path / "data.npy")
        ready = worker.ask("prepare", case=case.to_dict(), data=data_path, steps=steps)
        gate.check_block(ready["loss"], gate.reference_block_loss(case, steps), False)
        errors = worker.gate(case, 71, False, tmp_path)
        assert worker.block(1) > 0
        assert worker.gate(case, 72, False, tmp_path)["gradient"] < 1e-4 > errors["loss"]
    finally:
        worker.close()

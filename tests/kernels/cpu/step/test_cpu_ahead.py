"""The helper that compiles beside a first run: for the same arguments, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import Unsupported
from minivae_kernels.cpu.compile import folders, helper
from minivae_kernels.cpu.ops import output_nll, row_likelihood_kernel
from minivae_kernels.cpu.step import ahead

from minivae.metrics.likelihood import reconstruction_nll
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.parts import LIKELIHOODS
from tests.conftest import usable_cores
from tests.kernels.cpu.step.test_cpu_step import problem, schedule


def test_a_run_compiles_what_the_helper_compiles_and_nothing_else(K: Any) -> None:
    from minivae_kernels.cpu.step.train import LEARN_KINDS, TRAIN_KINDS, learn, train

    for dtype in (np.uint8, np.float32):
        plan, theta, moments, data = problem("relu", 13)
        step = K.make_step(plan, theta, moments, np.asarray(data).astype(dtype))
        step(*schedule(13))
    assert train.signatures == [TRAIN_KINDS]
    assert learn.signatures == [LEARN_KINDS]


@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_the_helper_calls_what_measuring_calls(K: Any, binarise: str) -> None:
    for activation in ("relu", "softplus"):
        for likelihood in LIKELIHOODS:
            for call in ahead.measurement(activation, likelihood, "uint8", binarise):
                call()


def test_scoring_is_what_measuring_does_last(K: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every likelihood: the same kernel, which is there to be compiled, and the same loop."""
    asked: list[tuple[str, Any]] = []
    for module, name in (
        (output_nll, "output_nll_kernel"),
        (row_likelihood_kernel, "scaled_kernel"),
        (row_likelihood_kernel, "grouped_kernel"),
    ):
        monkeypatch.setattr(
            module, name, lambda _, loop, *rest, name=name: asked.append((name, loop))
        )
    x, z = np.ones((3, 4), np.float32), np.zeros((2, 3, 2), np.float32)
    for name, part in LIKELIHOODS.items():
        groups = {"groups": (4,)} if part.grouped else {}
        model = ModelConfig(data_dim=4, hidden=(3,), latent_dim=2, likelihood=name, **groups)
        reconstruction_nll(K, layout_of(model).views(initialise(model, 1)), z, x, model)
        ahead.scoring(name)
        assert len(asked) == 2 and asked[0] == asked[1], name
        asked.clear()
    with pytest.raises(Unsupported, match="cauchy"):
        ahead.scoring("cauchy")


def test_who_comes_early_waits_for_the_file_and_then_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.3)"])
    monkeypatch.setattr(helper, "_helper", [process])
    monkeypatch.setattr(helper, "_names", {"slow"})
    assert helper.waited_for("other", lambda: 1 / 0) is None
    looks = iter([None, None, "there"])
    assert helper.waited_for("slow", lambda: next(looks)) == "there"
    assert helper.waited_for("slow", lambda: None) is None  # the helper ended without it
    assert helper.waited_for("slow", lambda: 1 / 0) is None


def test_a_helper_that_hangs_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"])
    monkeypatch.setattr(helper, "_helper", [process])
    monkeypatch.setattr(helper, "_names", {"slow", "other"})
    monkeypatch.setattr(helper, "_LIMIT", 0.1)
    looks: list[int] = []
    assert helper.waited_for("slow", lambda: looks.append(1)) is None
    assert len(looks) > 1
    said = "note: the process that compiles beside this one made no 'slow' in 0.1 s: all is "
    assert capsys.readouterr() == ("", said + "compiled here\n")
    assert process.wait(60) != 0
    assert helper.waited_for("other", lambda: 1 / 0) is None  # nor is anything else


def test_a_helper_runs_nothing_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hashlib.py").write_text("open('mark', 'w').close()\n")
    monkeypatch.setattr(sys, "path", [path or os.getcwd() for path in sys.path])
    monkeypatch.setattr(helper, "_helper", [])
    monkeypatch.setattr(helper, "_names", set())
    monkeypatch.setattr(helper, "allowed_cores", lambda: 2)
    monkeypatch.delenv(helper._IS_HELPER, raising=False)
    monkeypatch.chdir(tmp_path)
    helper.start(folders.__name__, [], [])  # it imports hashlib, as all that compiles does
    (process,) = helper._helper
    assert process.wait(60) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hashlib.py"]


def test_what_a_run_will_need_is_begun_before_numba_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, minivae_kernels\n"
        "from minivae_kernels.cpu.compile import helper\n"
        "helper.subprocess.Popen = lambda command, **_: print(*command[1:])\n"
        "helper.atexit.register = lambda *_: None\n"
        "helper.allowed_cores = lambda: 2\n"
        "minivae_kernels.expect_training('relu', 'gaussian', 'uint8', 'none')\n"
        "print('numba' in sys.modules)"
    )
    said = []
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path, tmp_path / "file"):  # where a file is, no folder can be
        env = {**child_environment(), "XDG_CACHE_HOME": str(place)}
        run = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        said.append(run.stdout.split("\n"))
        folder = tmp_path / "minivae" / f"kernels-{folders.HASH}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train-0.bin").touch()
    command = "-m minivae_kernels.cpu.step.ahead relu gaussian uint8 none"
    # nothing is begun where it is there, or where it could not be kept
    assert said == [[command, "False", ""], ["False", ""], ["False", ""]]


@pytest.mark.slow
def test_a_first_run_with_a_helper_is_the_same_run(tmp_path: Path) -> None:
    code = (
        "import json, hashlib\n"
        "from minivae.backend import load_backend\n"
        "from tests.kernels.cpu.step.test_cpu_step import problem, schedule\n"
        "from minivae_kernels.cpu.compile import helper\n"
        "from minivae_kernels.cpu.compile.decorators import statistics\n"
        "K = load_backend('numba', 2)\n"
        "plan, theta, moments, data = problem('relu', 13)\n"
        "step = K.make_step(plan, theta, moments, data)\n"
        "step(*schedule(13))\n"
        "print(json.dumps([hashlib.sha256(step.state()[0].tobytes()).hexdigest(),"
        " len(helper._helper), statistics()['hits']]))"
    )
    answers = []
    for folder, more in (("a", {}), ("b", {helper._IS_HELPER: "1"}), ("a", {})):
        env = {**child_environment(), "XDG_CACHE_HOME": str(tmp_path / folder), **more}
        run = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        answers.append(json.loads(run.stdout))
    (with_it, started, hits), (alone, none, _), (again, never, _) = answers
    assert with_it == alone == again
    assert none == never == 0  # a helper starts none, and a filled cache needs none
    # at least a product and the second half came from it; on one core there is none
    assert (started, hits > 1) == ((1, True) if usable_cores() > 1 else (0, False))


def child_environment() -> dict[str, str]:
    """This environment without a cache of its own, and with these sources."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    return {**environment, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}

"""Whatever keeps a card from being used: one line with its fix, at every way in.

Shown: that nothing on the way (command line, estimator, benchmarks) swallows, adds to, or shows a
traceback of it. NOT shown: that real machines answer as the stand-in is made to here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import install
from fake_cupy import FakeCupy
from minivae_kernels.gpu import faults
from minivae_kernels.gpu.buffers import WORKSPACES

from benchmarks.__main__ import main as benchmarks_main
from minivae import VAE, BackendUnavailable
from minivae.cli.main import run

IMPORT = faults.import_cupy


def answer(name: str, value: Any) -> Callable[[FakeCupy, pytest.MonkeyPatch], None]:
    """A runtime function that gives this, or raises it."""

    def function(*args: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return lambda cupy, patch: setattr(cupy.cuda.runtime, name, function)


def importing(problem: ImportError) -> Callable[[FakeCupy, pytest.MonkeyPatch], None]:
    """CuPy that cannot be imported."""

    def load(name: str) -> Any:
        raise problem

    return lambda cupy, patch: patch.setattr(faults, "import_cupy", lambda: IMPORT(load))


def failing(where: str, problem: Exception) -> Callable[[FakeCupy, pytest.MonkeyPatch], None]:
    """Something else that raises."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise problem

    return lambda cupy, patch: patch.setattr(where, fail)


def compiling(message: str) -> Callable[[FakeCupy, pytest.MonkeyPatch], None]:
    """NVRTC that raises."""
    return failing("fake_cupy.FakeCupy.RawModule", RuntimeError(message))


def built_for(version: int) -> Callable[[FakeCupy, pytest.MonkeyPatch], None]:
    """CuPy of another CUDA version."""
    driver = SimpleNamespace(get_build_version=lambda: version)
    return lambda cupy, patch: setattr(cupy.cuda, "driver", driver)


OLD = {"name": b"Old Card", "major": 6, "minor": 1}
WAYS: dict[str, tuple[Callable[[FakeCupy, pytest.MonkeyPatch], None], str]] = {
    "no CuPy": (
        importing(ModuleNotFoundError("No module named 'cupy'", name="cupy")),
        "CuPy is not installed: pip install 'cupy-cuda12x[ctk]'",
    ),
    "broken CuPy": (
        importing(ImportError("libcudart.so.11.0: cannot open\n  more\n  and more")),
        "does not load (libcudart.so.11.0: cannot open): uninstall every cupy-* package",
    ),
    "broken CuPy's page": (
        importing(ImportError("=" * 64 + "\nFailed to import CuPy.\n\nmore")),
        "does not load (Failed to import CuPy.): uninstall every cupy-* package",
    ),
    "no driver": (answer("driverGetVersion", 0), "no NVIDIA driver: install one"),
    "old driver": (answer("driverGetVersion", 10020), "11.2 is needed: update the NVIDIA driver"),
    "CuPy too new": (built_for(13000), "pip install cupy-cuda12x in place of the other"),
    "no card": (
        answer("getDeviceCount", RuntimeError("cudaErrorNoDevice: no CUDA-capable device")),
        "no NVIDIA card is visible: see nvidia-smi",
    ),
    "old card": (answer("getDeviceProperties", OLD), "Old Card has compute capability 6.1"),
    "no cuBLAS": (
        failing("minivae_kernels.gpu.cublas.find", OSError("libcublas.so.12")),
        "pip install 'cupy-cuda12x[ctk]'",
    ),
    "no NVRTC": (
        compiling("libnvrtc.so.12 not found\nmore"),
        "compiling the kernels with NVRTC failed (libnvrtc.so.12 not found)",
    ),
    "taken": (
        compiling("cudaErrorDevicesUnavailable: busy"),
        "another program has the card to itself: end it",
    ),
    "full": (
        compiling("CUDA_ERROR_OUT_OF_MEMORY"),
        "was full at compiling the kernels with NVRTC: end what else uses the card",
    ),
}
COMMANDS = {
    "train": ("train", "digits", "--backend", "cupy", "--out", "new"),
    "resume": ("train", "--resume", "r", "--epochs", "2", "--backend", "cupy"),
    "evaluate": ("evaluate", "r", "--backend", "cupy"),
    "verify": ("verify", "--backend", "cupy"),
    "generate": ("generate", "r", "--backend", "cupy"),
    "manifold": ("manifold", "r", "--backend", "cupy"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in r, by the reference."""
    folder = tmp_path_factory.mktemp("runs")
    settings = ("--hidden", "4", "--epochs", "1", "--batch-size", "500", "--no-pictures", "-q")
    place = ("--backend", "numpy", "--out", str(folder / "r"))
    assert run(["train", "digits", *settings, *place]) == 0
    return folder


@pytest.fixture
def trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def is_one_line(text: str, words: str, start: str = "error: ") -> None:
    assert text.startswith(start) and words in text, text
    assert text.count("\n") == 1 and "Traceback" not in text


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in(
    trained: None, built: None, way: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    spoil, words = WAYS[way]
    spoil(install(monkeypatch), monkeypatch)
    capsys.readouterr()
    for command in COMMANDS.values():
        assert run(list(command)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        is_one_line(err, words)
    assert not Path("new").exists()
    assert benchmarks_main(["bandwidth"]) == 2
    is_one_line(capsys.readouterr().err, words)
    for command in (["ops", "relu_forward"], ["step", "--batch", "9"], ["ladder"]):
        assert benchmarks_main([*command, "--backend", "cupy", "--no-store"]) == 2
        is_one_line(capsys.readouterr().err, words)
    if way != "full":
        assert run(["info", "--backend", "cupy"]) == 0  # it is asked what there is
        assert words in capsys.readouterr().out
    wrong = faults.OutOfDeviceMemory if way == "full" else BackendUnavailable
    with pytest.raises(wrong) as caught:
        VAE(backend="cupy").fit(np.ones((5, 3)))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_card(
    trained: None,
    built: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    """Enough to load the backend, and no more."""
    install(monkeypatch, memory=20_000)
    capsys.readouterr()
    assert run(list(COMMANDS[command])) == 2
    words = "batch" if command in ("train", "resume") else "nvidia-smi"
    is_one_line(capsys.readouterr().err.splitlines(keepends=True)[-1], words)
    assert not Path("new").exists()


def test_the_batch_that_would_fit_does(
    built: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The figure in the refusal, taken at its word."""
    monkeypatch.chdir(tmp_path)
    cupy = install(monkeypatch, memory=WORKSPACES + (34 << 20))
    command = ["train", "digits", "--epochs", "1", "--backend", "cupy", "--no-pictures", "-q",
               "--hidden", "1000", "--latent", "4"]  # fmt: skip
    assert run([*command, "--batch-size", "1500", "--out", "a"]) == 2
    err = capsys.readouterr().err
    is_one_line(err, "batch 1500 needs")
    fits = int(err.split("a batch of ")[1].split()[0])
    assert 1 <= fits < 1500
    assert run([*command, "--batch-size", str(fits), "--out", "b"]) == 0
    cupy.pool.check()

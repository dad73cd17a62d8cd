"""Every way in which a card may be missing is one line with its fix; asked of stand-in runtimes.

Not shown: that a real CUDA runtime reports these states in just these ways.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import minivae_kernels
import pytest
from minivae_kernels import Unavailable
from minivae_kernels.gpu import faults

from minivae.backend import BackendUnavailable, load_backend


def runtime(**answers: Any) -> SimpleNamespace:
    """A machine where everything is well, but for the answers given."""

    def answer(value: Any) -> Any:
        def ask(*_: Any) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return ask

    well = {
        "driverGetVersion": 12040,
        "getDeviceCount": 1,
        "getDevice": 0,
        "getDeviceProperties": {"name": b"Some Card", "major": 9, "minor": 0},
    }
    return SimpleNamespace(**{name: answer(value) for name, value in {**well, **answers}.items()})


OLD_CARD = {"name": b"Old Card", "major": 6, "minor": 1}
VOLTA = {"name": b"V100", "major": 7, "minor": 0}
TURING = {"name": b"T4", "major": 7, "minor": 5}
# CuPy's own page round what is wrong, which it gives as the cause.
PAGE = """
================================================================
Failed to import CuPy.

If you installed CuPy via wheels (cupy-cudaXXX), make sure that the package matches.

Original error:
  ImportError: libcudart.so.12: cannot open shared object file
================================================================
"""


def page(kind: type[Exception], cause: Exception | None) -> Exception:
    problem = kind(PAGE)
    problem.__cause__ = cause
    return problem


@pytest.mark.parametrize(
    ("answers", "built_for", "words"),
    [
        ({"driverGetVersion": 0}, 12040, "no NVIDIA driver: install one"),
        ({"driverGetVersion": OSError("libcuda.so.1")}, 12040, "no NVIDIA driver"),
        ({"driverGetVersion": 10020}, 12040, "knows CUDA 10.2 at most; 11.2 is needed: update"),
        ({}, 13000, "built for CUDA 13.0, the driver knows 12.4 at most: .*cupy-cuda12x"),
        ({"getDeviceCount": 0}, 12040, "no NVIDIA card is visible.*CUDA_VISIBLE_DEVICES"),
        ({"getDeviceCount": RuntimeError("cudaErrorNoDevice")}, 12040, "no NVIDIA card is visible"),
        ({"getDeviceProperties": OLD_CARD}, 12040, "Old Card has compute capability 6.1; 7.0"),
        (
            {"driverGetVersion": 13000, "getDeviceProperties": VOLTA},
            13000,
            "V100 has compute capability 7.0, which CUDA 13 .*: pip install 'cupy-cuda12x.ctk",
        ),
    ],
)
def test_each_fault_has_its_line(answers: dict[str, Any], built_for: int, words: str) -> None:
    with pytest.raises(Unavailable, match=words) as caught:
        faults.examine(runtime(**answers), built_for)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("built_for", [0, 11080, 12000, 12080])
def test_what_fits_passes(built_for: int) -> None:
    """CUDA of one major version fits together, and older CuPy fits newer drivers."""
    faults.examine(runtime(), built_for)
    faults.examine(runtime(getDeviceProperties=VOLTA), built_for)
    faults.examine(runtime(driverGetVersion=13000, getDeviceProperties=TURING), 13000)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            ModuleNotFoundError("No module named 'cupy'", name="cupy"),
            "pip install 'cupy-cuda12x.ctk",
        ),
        (ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"), "reinstall it"),
        (ImportError("libcudart.so.11: cannot open\nlong story"), "does not load .libcudart.so.11"),
        (
            page(ImportError, ImportError("libnvrtc.so.12: gone")),
            "does not load .libnvrtc.so.12: g",
        ),
        (page(ImportError, None), r"does not load \(Failed to import CuPy\.\): uninstall"),
        (page(ImportError, ImportError()), r"does not load \(Failed to import CuPy\.\): uninstall"),
        (ImportError("===\n"), "does not load .ImportError.: uninstall"),
    ],
)
def test_cupy_missing_or_broken(problem: ImportError, words: str) -> None:
    def load(name: str) -> Any:
        raise problem

    with pytest.raises(Unavailable, match=words) as caught:
        faults.import_cupy(load)
    assert "\n" not in str(caught.value)


def test_cupy_that_breaks_at_its_first_use() -> None:
    class Late:
        @property
        def cuda(self) -> Any:
            raise page(RuntimeError, ImportError("libcudart.so: gone"))

    with pytest.raises(Unavailable, match=r"not load \(libcudart.so: gone\): un") as caught:
        faults.import_cupy(lambda name: Late())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("problem", [OSError("libcublas.so.12\nmore"), RuntimeError()])
def test_missing_cuda_libraries(problem: Exception) -> None:
    def fail() -> None:
        raise problem

    with pytest.raises(Unavailable, match=r"cuBLAS failed \(.+\): .*cupy-cuda12x\[ctk\]") as caught:
        faults.required(fail, "cuBLAS")
    assert "\n" not in str(caught.value)
    assert faults.required(lambda: 7, "cuBLAS") == 7


def test_the_backend_passes_the_reason_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here() -> Any:
        raise Unavailable("CuPy is not installed: pip install it")

    monkeypatch.setattr(faults, "import_cupy", none_here)
    with pytest.raises(BackendUnavailable, match="'cupy' cannot run here: CuPy is not installed"):
        load_backend("cupy")
    with pytest.raises(minivae_kernels.Unavailable):
        minivae_kernels.load("cupy", 2)


def test_memory_is_counted_before_it_is_asked_for() -> None:
    faults.check_memory(fixed=100, per_datum=10, batch=90, free=1000)
    with pytest.raises(faults.OutOfDeviceMemory, match="a batch of 90 would fit"):
        faults.check_memory(fixed=100, per_datum=10, batch=91, free=1000)
    with pytest.raises(faults.OutOfDeviceMemory, match="alone take"):
        faults.check_memory(fixed=995, per_datum=10, batch=1, free=1000)


@pytest.mark.parametrize("variable", faults.LOCAL_RANKS)
def test_each_process_of_a_machine_takes_its_own_card(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four processes on two cards: 0, 1, 0, 1. Without a launcher the current card stays."""
    for name in faults.LOCAL_RANKS:
        monkeypatch.delenv(name, raising=False)
    current = [0]
    machine = runtime(getDeviceCount=2)
    machine.setDevice = lambda number: current.__setitem__(0, number)
    taken = []
    for rank in (None, "0", "1", "2", "3"):
        current[0] = 0
        if rank is not None:
            monkeypatch.setenv(variable, rank)
        faults.examine(machine, 12040)
        taken.append(current[0])
    assert taken == [0, 0, 1, 0, 1]

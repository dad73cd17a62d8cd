"""The stand-in held against the real CuPy: names, parameters, views, and what is refused.

Where CuPy can be imported no card is needed: its arrays can be laid over an address that nobody
reads, and then tell their shapes, strides and flags, make views, and refuse what they refuse. What
gets as far as asking the driver ends there; of that the comparison says nothing. Skipped, saying
so, without CuPy; that the stand-in offers nothing beside its list is tested everywhere.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_names as names
from cupy_questions import ASKED, h
from fake_arrays import Array
from fake_cupy import FakeCupy
from fake_memory import MemoryPointer
from fake_streams import Event, Graph, Stream

# The stand-in's own business, by class; everything else that is public must be in fake_names.py.
OWN = {
    FakeCupy: "host order pool private allocating_captures default current modules made CARD blas "
    "queue refuse_in_capture elementwise reduce ndarray cuda RawModule".split(),
    Array: ["cupy", "buffer", "memory", "span"],
    Stream: "order queue cupy ptr non_blocking legacy clock recording".split(),
    Event: "cupy timing clock recorded".split(),
    Graph: ["cupy", "items", "origin"],
    MemoryPointer: [],
}


@pytest.fixture(scope="module")
def real() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sees no CUDA toolkit here
        return pytest.importorskip("cupy", reason="compares with the real CuPy: pip install it")


def parameters(function: Any) -> list[str]:
    """The parameters' names, of compiled functions too: those say them in their first line."""
    try:
        found = list(inspect.signature(function).parameters)
    except ValueError:
        listed = re.search(r"\w\(([^)]*)\)", function.__doc__ or "")
        assert listed is not None, function
        found = [p.split("=")[0].split()[-1].strip("*") for p in listed[1].split(",") if p.strip()]
    return [name for name in found if name != "self"]


def offered(thing: Any) -> set[str]:
    own = OWN[thing if isinstance(thing, type) else type(thing)]
    return {name for name in dir(thing) if name[0] != "_" and name not in own}


# What the stand-in offers, everywhere


def test_the_stand_in_offers_what_its_list_says(cupy: FakeCupy) -> None:
    assert offered(cupy) == set(names.FUNCTIONS) | set(names.MATMUL)
    assert offered(Array) == set(names.METHODS) | set(names.ATTRIBUTES)
    assert offered(Stream) == set(names.STREAM)
    assert offered(Event) == set(names.EVENT) | set(names.EVENT_STATE)
    assert offered(Graph) == set(names.GRAPH)
    assert offered(MemoryPointer) == set(names.POINTER)
    assert set(vars(cupy.cuda)) == set(names.CUDA)
    assert set(vars(cupy.cuda.runtime)) == set(names.RUNTIME)
    assert set(vars(cupy.get_default_memory_pool())) == set(names.POOL)


@pytest.mark.parametrize(
    ("thing", "listed"),
    [
        (FakeCupy, names.FUNCTIONS | names.MATMUL),
        (Array, names.METHODS),
        (Stream, names.STREAM),
        (Event, names.EVENT),
        (Graph, names.GRAPH),
        (MemoryPointer, names.POINTER),
    ],
)
def test_its_parameters_are_those_of_the_list(thing: Any, listed: dict[str, Any]) -> None:
    for name, expected in listed.items():
        assert tuple(parameters(getattr(thing, name))) == expected, name


# The same names in the real one


def test_functions_exist(real: Any) -> None:
    for name in names.UFUNCS:
        assert isinstance(getattr(real, name), real.ufunc), name
    for name, expected in names.FUNCTIONS.items():
        assert set(expected) <= set(parameters(getattr(real, name))), name
    assert callable(real.matmul) and callable(real.RawModule)


def test_methods_exist(real: Any) -> None:
    for name, expected in names.METHODS.items():
        assert set(expected) <= set(parameters(getattr(real.ndarray, name))), name
    for name in names.ATTRIBUTES:
        assert hasattr(real.ndarray, name), name
    missing = "ctypes __index__ __round__ setflags tostring nditer __array_interface__".split()
    for name in missing:  # NumPy has them
        assert not hasattr(real.ndarray, name) and not hasattr(Array, name), name


def test_streams_events_and_graphs_exist(real: Any) -> None:
    groups = ((real.cuda.Stream, names.STREAM), (real.cuda.Event, names.EVENT),
              (real.cuda.Graph, names.GRAPH), (real.cuda.MemoryPointer, names.POINTER))  # fmt: skip
    for thing, listed in groups:
        for name, expected in listed.items():
            assert set(expected) <= set(parameters(getattr(thing, name))), name
    assert all(hasattr(real.cuda.Event, name) for name in names.EVENT_STATE)
    for name in names.CUDA:
        assert hasattr(real.cuda, name), name
    for name in names.RUNTIME:
        assert callable(getattr(real.cuda.runtime, name)), name
    for name in names.POOL:
        assert callable(getattr(real.cuda.MemoryPool, name)), name
    assert callable(real.cuda.driver.get_build_version)
    assert "non_blocking (bool)" in real.cuda.Stream.__doc__
    assert "disable_timing (bool)" in real.cuda.Event.__doc__
    assert "code=None" in real.RawModule.__doc__ and "options=()" in real.RawModule.__doc__
    assert issubclass(real.cuda.memory.OutOfMemoryError, MemoryError)


# The same answers


def outcome(ask: Callable[..., Any], xp: Any, arrays: tuple[Any, ...]) -> Any:
    """What comes of it, in words that do not depend on who answered."""

    def words(value: Any) -> Any:
        if not isinstance(value, xp.ndarray):
            return value
        starts = {a.data.ptr for a in arrays if a.size}
        beyond = min(
            (value.data.ptr - start for start in starts if value.data.ptr >= start), default=0
        )
        return (value.shape, value.strides, str(value.dtype), bool(value.flags.c_contiguous),
                beyond if value.size else 0)  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return words(ask(xp, *arrays))
        except Exception as refusal:
            return type(refusal).__name__


@pytest.mark.parametrize("what", ASKED)
def test_answers_as_the_real_one(real: Any, cupy: FakeCupy, what: str) -> None:
    shapes = ((3, 5), (0, 5), (), (15,))
    fake = tuple(cupy.empty(shape, np.float32) for shape in shapes)
    nowhere = [real.cuda.UnownedMemory(1 << 20 | i << 12, 1 << 10, None, 0) for i in range(4)]
    true = tuple(
        real.ndarray(shape, np.float32, memptr=real.cuda.MemoryPointer(memory, 0))
        for shape, memory in zip(shapes, nowhere, strict=True)
    )
    expected = outcome(ASKED[what], real, true)
    assert expected != "CUDARuntimeError", "this one asks the driver: nothing to compare"
    assert outcome(ASKED[what], cupy, fake) == expected


# What no comparison can reach without a card: read in CuPy's sources (cupy/_core/core.pyx)


@pytest.mark.parametrize("other", [h, np.float32([2.0])[0:1], np.asarray(2.0)])
def test_host_arrays_do_not_mix(cupy: FakeCupy, other: np.ndarray) -> None:
    a = cupy.zeros((3, 5), np.float32)
    for mix in (lambda: a + other, lambda: other * a, lambda: a.__iadd__(other),
                lambda: np.maximum(a, other), lambda: np.exp(a, out=np.ones((3, 5)))):  # fmt: skip
        with pytest.raises(TypeError, match="Unsupported type"):
            mix()
    host = np.ones((3, 5), np.float32)
    with pytest.raises(TypeError):
        host += a
    for function in (np.save, np.median, np.linalg.norm, np.stack):
        with pytest.raises(TypeError):
            function([a, a]) if function is np.stack else function(a)


def test_results_stay_on_the_card(cupy: FakeCupy) -> None:
    a = cupy.zeros((3, 5), np.float32) + 2
    for result in (
        a.sum(),
        a.sum(axis=0),
        a.mean(),
        a[0, 0],
        2.0 * a,
        np.log(a),
        -a,
        a @ a.T,
        a > 1,
    ):
        assert isinstance(result, Array)
    assert a.sum().shape == () and float(a.sum()) == 30 and bool((a > 1)[0, 0])
    assert (a * np.float32(2)).dtype == np.float32 and (a + 1).dtype == np.float32
    assert f"{a.sum():.1f}" == "30.0" and a.max().item() == 2 and a[0].tolist() == [2.0] * 5

"""Object code out of Numba and back into a process: only what bytes and names can carry."""

from __future__ import annotations

import ast
import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from minivae_kernels.cpu.compile import decorators, disk_cache, object_code, simd

CPU = Path(simd.__file__).parents[1]


pytestmark = pytest.mark.usefixtures("cache_folder")


def again(function: Callable[..., Any]) -> Any:
    """The function as a new dispatcher; with a second one it comes from the disk, if kept."""
    return decorators.entry(function)


def plus(x):  # type: ignore[no-untyped-def]
    return x + 2


def test_numbers_and_arrays_go_in_and_out() -> None:
    def scale(a, factor, out):  # type: ignore[no-untyped-def]
        for i in range(len(a)):
            out[i] = a[i] * factor
        return np.float32(factor)

    for hits in (0, 1):
        kernel, out = again(scale), np.zeros(5)
        assert kernel(np.arange(5.0), np.float32(1.5), out) == np.float32(1.5)
        assert out.tolist() == [0.0, 1.5, 3.0, 4.5, 6.0]
        assert kernel._cache.hits == hits


def test_arguments_of_another_type_are_another_file(cache_folder: Path) -> None:
    assert (again(plus)(1), again(plus)(1.5)) == (3, 3.5)
    assert len(list(cache_folder.iterdir())) == 2
    kernel = again(plus)
    assert (kernel(1), kernel(1.5), kernel(2), kernel(2.5)) == (3, 3.5, 4, 4.5)
    assert kernel._cache.hits == 2
    with pytest.raises(TypeError):
        kernel("text", "and more")


def test_what_a_kernel_raises_is_raised() -> None:
    def fill(a, b):  # type: ignore[no-untyped-def]
        a[:] = b

    for hits in (0, 1):
        kernel = again(fill)
        with pytest.raises(ValueError, match="assign slice"):
            kernel(np.ones(3), np.ones(2))
        assert kernel._cache.hits == hits


def test_a_kernel_may_print(capfd: pytest.CaptureFixture[str]) -> None:
    """Printing needs what Numba calls environments, the caller's and the called one's."""

    @numba.njit
    def show(x):  # type: ignore[no-untyped-def]
        print(x)

    def shows(x):  # type: ignore[no-untyped-def]
        show(x)
        print(x + 1)

    for hits in (0, 1):
        kernel = again(shows)
        kernel(3)
        assert kernel._cache.hits == hits
    assert capfd.readouterr().out.split() == ["3", "4", "3", "4"]


LARGE = np.arange(300_000.0)
COSINE: Any = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x + 1)


def large(x):  # type: ignore[no-untyped-def]
    return LARGE[x]


def by_address(x):  # type: ignore[no-untyped-def]
    return COSINE(x)


def new_array(x):  # type: ignore[no-untyped-def]
    return np.zeros(x)


def pair(x):  # type: ignore[no-untyped-def]
    return x, x


def printed_array(x):  # type: ignore[no-untyped-def]
    print(np.zeros(x))


@pytest.mark.parametrize("function", [large, by_address, new_array, pair, printed_array])
def test_more_than_code_is_not_kept(function: Callable[..., Any], cache_folder: Path) -> None:
    """An address of this process, or a Python object that the code holds on to."""
    for _ in range(2):
        kernel = again(function)
        kernel(3)
        assert kernel._cache.misses == 1
    assert list(cache_folder.iterdir()) == []


def test_code_that_calls_what_is_not_there_is_never_loaded(cache_folder: Path) -> None:
    """LLVM would link it to nowhere, and the process would crash."""
    again(plus)(1)
    (path,) = cache_folder.iterdir()
    about, code = disk_cache.read(path)
    names = {**about["names"], "needs": [*about["names"]["needs"], "no_such_function"]}
    disk_cache.write(path, about["identity"], names, code)
    kernel = again(plus)
    assert kernel(1) == 3
    assert kernel._cache.misses == 1


def test_what_only_all_of_numba_defines_is_looked_for_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again(plus)(1)
    answers, kernel = [["numba_of_a_module_not_imported_yet"], []], again(plus)
    monkeypatch.setattr(object_code, "missing", lambda names: answers.pop(0))
    assert kernel(1) == 3
    assert kernel._cache.hits == 1
    assert not answers


def test_another_numba_may_refuse(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its inside has changed, kernels compile as well; only nothing is kept."""

    def refuse(*_: Any) -> None:
        raise AttributeError("renamed")

    again(plus)(1)
    monkeypatch.setattr(disk_cache, "put_together", refuse)
    monkeypatch.setattr(disk_cache, "take_apart", refuse)
    kernel = again(plus)
    assert (kernel(1), kernel(1.5)) == (3, 3.5)
    assert kernel._cache.misses == 2
    assert len(list(cache_folder.iterdir())) == 1


def test_a_numba_without_these_names_compiles_without_a_cache() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(CPU.parents[1])!r})\n"
        "sys.modules['minivae_kernels.cpu.compile.disk_cache'] = None\n"
        "from minivae_kernels.cpu import is_cached\n"
        "from minivae_kernels.cpu.compile import decorators\n"
        "kernel = decorators.entry(lambda x: x + 2)\n"
        "assert kernel(1) == 3 and decorators.DiskCache is None and not is_cached()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def decorators_of(node: ast.FunctionDef) -> set[str]:
    return {ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list}


def entries_called(sources: list[str]) -> set[str]:
    """Entries that a compiled function calls."""
    functions = [
        node
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]
    entries = {node.name for node in functions if "entry" in decorators_of(node)}
    compiled = [n for n in functions if decorators_of(n) & {"entry", "inner", "inline", "njit"}]
    called = {
        ast.unparse(call.func).rsplit(".", 1)[-1]
        for node in compiled
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    }
    return entries & called


def test_no_kernel_calls_an_entry() -> None:
    """It would work until the entry comes from the disk, which cannot be linked."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(CPU.parent.rglob("*.py"))]
    assert entries_called(sources) == set()
    assert entries_called(["@entry\ndef f(): pass\n@inner\ndef g(): f()"]) == {"f"}

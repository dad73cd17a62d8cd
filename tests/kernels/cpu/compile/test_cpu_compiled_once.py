"""Functions compiled once and linked by name: found again, in any order, by any process."""

from __future__ import annotations

from pathlib import Path

from tests.kernels.cpu.children import outcome

SHARES = """
import numpy as np
from numba import types
from minivae_kernels.cpu.compile import decorators
from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.compile.compiled_once import compiled_once
@compiled_once(ARRAY, types.int64)
def add_all(a, n):
    for i in range(len(a)):
        a[i] = a[i] + np.float32(n)
def first(a):
    add_all(a, 1)
def second(a):
    add_all(a, 20)
a = np.zeros(2, np.float32)
for function in (first, second):
    decorators.entry(function)(a)
print(*a, *decorators.statistics().values())
"""


def test_a_shared_function_is_compiled_once_and_linked_wherever_its_callers_come_from(
    tmp_path: Path,
) -> None:
    def said() -> list[str]:
        return outcome(SHARES, NUMBA_CACHE_DIR=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "none"))

    assert said() == ["21.0", "21.0", "0", "3"]
    assert said() == ["21.0", "21.0", "3", "0"]
    for name, hits, misses in (("add_all", "2", "1"), ("second", "2", "1"), ("first", "2", "1")):
        (path,) = tmp_path.rglob(f"{name}-*.bin")
        path.unlink()
        assert said() == ["21.0", "21.0", hits, misses], name

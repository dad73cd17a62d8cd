"""Why two cold compilations can differ in bytes, and that no instruction differs.

Numba names the texts in a kernel (what its exceptions say) by Python's `hash`, which every
process salts anew. The names stand in the object file's string table and nowhere else: they are
local, and nothing that runs reads them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from llvmlite import binding
from minivae_kernels.cpu.compile import disk_cache

from tests.kernels.cpu.children import outcome

MOVES = """
import numpy as np
from minivae_kernels.cpu.compile import decorators
def moves(a, n):
    a[:n] = a[n:]
a = np.arange(4)
decorators.entry(moves)(a, 2)
print(*a)
"""


def compiled(folder: Path, salt: int) -> bytes:
    """The kernel's object code as a process whose hashes are salted so compiles it."""
    assert outcome(MOVES, NUMBA_CACHE_DIR=str(folder), PYTHONHASHSEED=str(salt)) == list("2323")
    (path,) = folder.rglob("moves-*.bin")
    return disk_cache.read(path)[1]


def sections(code: bytes) -> list[tuple[str, int]]:
    """Name and hash of what each section holds, without the two tables of names."""
    parts = binding.object_file.ObjectFileRef.from_data(code).sections()
    held = [((p.name() or b"").decode(), hash(p.data())) for p in parts]
    return [(name, data) for name, data in held if name not in (".strtab", ".symtab")]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_only_names_differ_between_two_cold_compilations(tmp_path: Path) -> None:
    one, two, again = (
        compiled(tmp_path / name, salt) for name, salt in (("a", 1), ("b", 2), ("c", 1))
    )
    assert one == again, "the same salt gives the same bytes"
    assert one != two and b".bytes." in one, "the salt is the cause"
    assert sections(one) == sections(two) and len(sections(one)) > 4

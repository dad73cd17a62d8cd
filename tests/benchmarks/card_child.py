"""`python card_child.py -m MODULE …`, with the strict stand-in in place of CuPy."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels" / "gpu"))
import minivae_kernels.gpu.cublas as cublas
import minivae_kernels.gpu.faults as faults
from fake_cublas import FakeCublas
from fake_cupy import FakeCupy

module = FakeCupy()
module.blas = FakeCublas(module)
module.allocating_captures = True
faults.import_cupy = lambda: module
cublas.find = lambda major: module.blas

assert sys.argv[1] == "-m"
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

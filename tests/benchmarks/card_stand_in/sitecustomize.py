"""With this folder first in PYTHONPATH every Python process has the strict stand-in for a card.

Read by Python itself when it starts, so that what `card` starts, and what that starts, has it too.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("minivae_kernels"):
    sys.path.insert(0, str(Path(__file__).parents[2] / "kernels" / "gpu"))
    import minivae_kernels.gpu.cublas as cublas
    import minivae_kernels.gpu.faults as faults
    from fake_cublas import FakeCublas
    from fake_cupy import FakeCupy

    module = FakeCupy()
    module.blas = FakeCublas(module)
    module.allocating_captures = True
    faults.import_cupy = lambda: module
    cublas.find = lambda major: module.blas

"""The limit on a card: cuBLAS on large float32 matrices, as many operations as the model counts."""

from __future__ import annotations

import os

import numpy as np

from ..cases import Case

SIDE = 4096  # 2 · 4096³ operations a product: large enough to keep every multiprocessor busy


class CublasPeak:
    """Runs the counted FLOPs of a block as large matrix products; TF32 off unless asked for."""

    limit = True

    def __init__(self, option: str = "", threads: int | None = None, tf32: bool = False) -> None:
        os.environ["CUPY_TF32"] = str(int(tf32))  # read by CuPy when it is imported
        import cupy

        self.cupy = cupy
        rng = np.random.default_rng(1)  # random: zeros would be multiplied faster than data are
        self.a, self.b = (
            cupy.asarray(rng.standard_normal((SIDE, SIDE), dtype=np.float32)) for _ in range(2)
        )
        self.c = cupy.empty((SIDE, SIDE), cupy.float32)

    def versions(self) -> dict[str, str]:
        return {"cupy": self.cupy.__version__}

    def prepare(self, case: Case, data: np.ndarray, theta: np.ndarray) -> None:
        self.case = case

    def reset(self, theta: np.ndarray) -> None:
        """Nothing is kept."""

    def run(self, rows: np.ndarray) -> float:
        """At least one product; a smaller remainder runs on fewer rows."""
        left = self.case.flops() * len(rows)
        while left > 0:
            n = int(min(SIDE, max(128, left // (2 * SIDE * SIDE))))
            self.cupy.matmul(self.a[:n], self.b, out=self.c[:n])
            left -= 2 * n * SIDE * SIDE
        self.cupy.cuda.Device().synchronize()
        return 0.0

"""The limit on a card: cuBLAS on large float32 matrices, as many operations as the model counts."""

from __future__ import annotations

import numpy as np

from ..cases import StepCase

SIDE = 4096  # 2 · 4096³ operations a product: large enough to keep every multiprocessor busy


class CublasPeak:
    """Runs the counted FLOPs of a block as large matrix products; TF32 off unless asked for."""

    limit = True

    def __init__(self, option: str = "", threads: int | None = None, tf32: bool = False) -> None:
        from minivae_kernels.gpu.cupy_device import CupyDevice

        self.device = CupyDevice(tf32=tf32)
        rng = np.random.default_rng(1)  # random: zeros would be multiplied faster than data are
        self.a, self.b = (
            self.device.to_device(rng.standard_normal((SIDE, SIDE), dtype=np.float32))
            for _ in range(2)
        )
        self.c = self.device.empty((SIDE, SIDE), np.float32)

    def versions(self) -> dict[str, str]:
        """What the products are run by."""
        return {"cupy": self.device.xp.__version__}

    def prepare(self, case: StepCase, data: np.ndarray, theta: np.ndarray) -> None:
        """The model whose operations are counted."""
        self.case = case

    def reset(self, theta: np.ndarray) -> None:
        """Nothing is kept."""

    def run(self, rows: np.ndarray) -> float:
        """At least one product; a smaller remainder runs on fewer rows."""
        left = self.case.flops() * len(rows)
        while left > 0:
            n = int(min(SIDE, max(128, left // (2 * SIDE * SIDE))))
            self.device.matmul(self.a[:n], self.b, self.c[:n])
            left -= 2 * n * SIDE * SIDE
        self.device.synchronise()
        return 0.0

"""The limit, raced like a contender: the products' multiply-adds, done in registers alone."""

from __future__ import annotations

import numpy as np

from minivae.racing.roofs import FmaPeak as Spin

from ..cases import StepCase


class FmaPeakContender:
    """Runs the counted FLOPs of a block at whatever speed the cores allow just now."""

    limit = True

    def __init__(self, option: str = "", threads: int | None = None) -> None:
        self.spin = Spin(threads)

    def versions(self) -> dict[str, str]:
        return {"width": str(self.spin.width), "threads": str(self.spin.threads)}

    def prepare(self, case: StepCase, data: np.ndarray, theta: np.ndarray) -> None:
        self.case = case

    def reset(self, theta: np.ndarray) -> None:
        """Nothing is kept."""

    def run(self, rows: np.ndarray) -> float:
        self.spin.run(self.case.flops() * len(rows))
        return 0.0

"""The strongest PyTorch on a card: a compiled model, fused Adam, one CUDA graph captured by hand.

The capture has run on one H200 (benchmarks/results/step.jsonl); tests run the same update on the
processor, without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..cases import StepCase
from .torch_step import TorchStep

WARM_UP = 3  # updates before the capture: compiling, and memory that is allocated at first use


class TorchGraph(TorchStep):
    """The whole update replayed from one graph; `torch-graph:MODE` compiles in that mode.

    Which rows are next is counted on the card, so that a replay needs no copy and no argument.
    """

    def prepare(self, case: StepCase, data: np.ndarray, theta: np.ndarray) -> None:
        steps = case.block_steps("gpu")
        self.rows = torch.zeros((steps, case.batch), dtype=torch.int64, device=self.device)
        self.cursor = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.total = torch.zeros((), device=self.device)
        super().prepare(case, data, theta)

    def tune(self, rows: np.ndarray) -> str:
        """There is one form."""
        return "loss compiled, Adam fused, one CUDA graph"

    def make(self) -> None:
        """Compile, warm up and capture; the parameters that this spoils are set afterwards."""
        on_card = self.device.type == "cuda"
        self.opt = self.adam(fused=True, capturable=on_card)
        options: dict[str, Any] = {"mode": self.option} if self.option else {}
        self.loss_of = torch.compile(self._loss, dynamic=False, **options)
        self.again = self._captured() if on_card else self._warmed_up()

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Gather, noise and loss in one compiled function."""
        loss: torch.Tensor = self.model(*self.draw(rows))
        return loss

    def _static_update(self) -> None:
        """One update that reads and writes the same memory every time."""
        loss = self.loss_of(self.rows.index_select(0, self.cursor)[0])
        loss.backward()  # type: ignore[no-untyped-call]
        self.opt.step()
        self.total += loss.detach()
        self.cursor += 1

    def _warm_up(self) -> None:
        for _ in range(WARM_UP):
            self.cursor.zero_()
            self.opt.zero_grad(set_to_none=True)
            self._static_update()

    def _captured(self) -> Callable[[], None]:
        """As PyTorch's notes on CUDA graphs say: warm up aside, no gradients, then capture."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._warm_up()
        torch.cuda.current_stream().wait_stream(aside)
        self.opt.zero_grad(set_to_none=True)  # backward then writes anew instead of adding
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._static_update()
        return graph.replay

    def _warmed_up(self) -> Callable[[], None]:
        """Without a card: the same update, launched every time (for the tests)."""
        self._warm_up()

        def again() -> None:
            self.opt.zero_grad(set_to_none=True)
            self._static_update()

        return again

    def run(self, rows: np.ndarray) -> float:
        """All the updates of `rows` (n, B); the mean loss is read once, at the end."""
        self.total.zero_()
        for start in range(0, len(rows), len(self.rows)):
            part = torch.from_numpy(rows[start : start + len(self.rows)])
            self.rows[: len(part)].copy_(part)
            self.cursor.zero_()
            for _ in range(len(part)):
                self.again()
        return float(self.total) / len(rows)  # waits for the device

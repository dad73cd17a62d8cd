"""One contender in a process of its own: reads commands as JSON lines, answers in kind.

    python -m benchmarks.worker NAME

Separate processes keep the contenders' thread pools apart; a worker waiting for its next line
uses no processor. Arrays travel as .npz files, since the gate judges them in the parent.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from minivae.racing.worker import converse

from .cases import StepCase, make_rows, make_theta


class StepWorker:
    """The commands a parent may send; each returns a dict that becomes the answer."""

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, threads: int | None, **rounded: bool) -> dict[str, Any]:
        """Import the contender and report its versions."""
        from .contenders import create

        start = time.perf_counter()
        more = {option: True for option, on in rounded.items() if on}  # not all know the words
        self.contender = create(self.name, threads=threads, **more)
        return {"versions": self.contender.versions(), "import_s": time.perf_counter() - start}

    def prepare(self, case: dict[str, Any], data: str, steps: int) -> dict[str, Any]:
        """Build, compile and run the first block, timed; then start afresh."""
        self.case, self.steps = StepCase.from_dict(case), steps
        self.theta = make_theta(self.case)
        start = time.perf_counter()
        self.contender.prepare(self.case, np.load(data), self.theta.copy())
        loss = self.contender.run(make_rows(self.case, 0, steps))
        seconds = time.perf_counter() - start
        tune = getattr(self.contender, "tune", None)  # a peer tries its forms, and the best races
        form = tune(make_rows(self.case, 0, steps)) if tune else ""
        self.contender.reset(self.theta.copy())
        return {
            "first_run_s": seconds,
            "loss": loss,
            "form": form,
            "exact_noise": self._exact_noise(),
        }

    def _exact_noise(self) -> bool:
        """Whether the reference can replay the contender's own noise."""
        return bool(getattr(self.contender, "exact_noise", False))

    def block(self, number: int) -> dict[str, Any]:
        """Time one block of updates: seconds for all of it, and its mean loss."""
        rows = make_rows(self.case, number, self.steps)
        start = time.perf_counter()
        loss = self.contender.run(rows)
        return {"seconds": time.perf_counter() - start, "steps": len(rows), "loss": loss}

    def updates(self, number: int, stem: str) -> dict[str, Any]:
        """Two updates on the timed object itself, with its state before and after each.

        Each by itself: Adam divides by sqrt(v), so after two the rounding of the first has moved
        some parameters by the whole rate, and with them units across relu's kink.
        """
        rows = make_rows(self.case, number, steps=2)
        for part in (0, 1):
            np.savez(f"{stem}-{part}.npz", **self.contender.check(rows[part : part + 1]))
        return {}

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Any other method that the contender offers and that answers with a dict."""
        answer: dict[str, Any] = getattr(self.contender, method)(**arguments)
        return answer

    def gradient(self, number: int, inputs: str, path: str) -> dict[str, Any]:
        """Loss and gradient at given parameters: of given inputs and noise, or our own of them."""
        given = np.load(inputs)
        if self._exact_noise():
            rows = make_rows(self.case, number, steps=1)
            loss, grad = self.contender.gradient_of(given["theta"], rows)
        else:
            loss, grad = self.contender.loss_and_grad(given["theta"], given["x"], given["eps"])
        np.savez(path, loss=np.array(loss), grad=grad)
        return {}


def main() -> None:
    """The contender that the command line names."""
    converse(StepWorker(sys.argv[1]))


if __name__ == "__main__":
    main()

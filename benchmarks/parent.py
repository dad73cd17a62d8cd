"""The parent's side of a worker: start it, ask it, gate it, end it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing.conversation import Conversation, StandError

from . import ROOT, gate
from .cases import StepCase

# Before each block of a contender that has a process of its own. OpenMP's and MKL's threads go on
# spinning for up to 200 ms after their work is done, on the cores that the next one needs: without
# this rest, a product measured 12 GFLOP/s or 100 by who came before it (two cores of a Zen 4).
REST_SECONDS = 0.25
# Seconds after which a worker that does not answer is ended: a peer that hangs must not take the
# others' figures with it. The first run compiles, which may take minutes.
PATIENCE = {"prepare": 1200.0}
PATIENCE_ELSE = 300.0


class WorkerError(StandError):
    """A contender that could not be run; the message is its own error, in one line."""


def environment(threads: int | None, device: str, extra: dict[str, str]) -> dict[str, str]:
    """What a worker sees: as many threads as asked for, and the GPU only when it is raced."""
    places = (str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", ""))
    env = {
        **os.environ,
        **extra,
        "PYTHONPATH": os.pathsep.join(p for p in places if p),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if device == "cpu":
        env |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        env["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    else:
        env["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the card is shared by the contenders
    if threads:
        env |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return env


class Contender(Conversation):
    """A worker process holding one contender, driven by `ask`."""

    def __init__(
        self,
        name: str,
        threads: int | None = None,
        device: str = "cpu",
        extra: dict[str, str] | None = None,
    ) -> None:
        self.pause = REST_SECONDS if device == "cpu" else 0.0  # a card has no threads that spin
        self.losses: list[float] = []
        command = [sys.executable, "-m", "benchmarks.worker", name]
        if threads and hasattr(os, "sched_setaffinity"):
            # XLA sizes its pool from the cores it sees, so they are taken away before it starts
            cores = sorted(os.sched_getaffinity(0))[:threads]
            pin = f"import os; os.sched_setaffinity(0, {cores})"
            serve = "from benchmarks.worker import main; main()"
            command = [sys.executable, "-c", f"{pin}; {serve}", name]
        super().__init__(name, command, environment(threads, device, extra or {}), ROOT)

    def patience(self, do: str) -> float:
        """A hanging peer must not take the others' figures with it; the first run compiles."""
        return PATIENCE.get(do, PATIENCE_ELSE)

    def ask(self, do: str, **message: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; raises WorkerError with the contender's own."""
        try:
            return super().ask(do, **message)
        except StandError as error:
            raise WorkerError(f"{self.name}: {error}") from None

    def block(self, number: int) -> float:
        """Milliseconds per update of one timed block; its loss is kept. Others rest first."""
        time.sleep(self.pause)
        answer = self.ask("block", number=number)
        if not np.isfinite(answer["loss"]):
            raise gate.GateError(f"{self.name}: the loss of block {number} is {answer['loss']}")
        self.losses.append(answer["loss"])
        return 1e3 * float(answer["seconds"]) / int(answer["steps"])

    def gate(
        self,
        case: StepCase,
        number: int,
        exact: bool,
        folder: Path,
        limits: gate.Limits = gate.FLOAT32,
    ) -> dict[str, float]:
        """Check the contender at fresh inputs against the float64 reference; raises GateError.

        Everybody's gradient at the same point; besides, where the reference can replay the noise,
        updates of the very object that is timed.
        """
        stem = str(folder / f"{self.name.replace(':', '-')}-{number}")
        given = gate.peer_inputs(case, number)
        inputs = folder / "inputs.npz"
        np.savez(inputs, allow_pickle=False, **given)
        try:
            self.ask("gradient", number=number, inputs=str(inputs), path=f"{stem}.npz")
            answer = np.load(f"{stem}.npz")
            found = [gate.check_gradient(case, given, answer["loss"], answer["grad"], limits)]
            if exact:
                self.ask("updates", number=number, stem=stem)
                parts = (dict(np.load(f"{stem}-{part}.npz")) for part in (0, 1))
                found += [gate.check_updates(case, seen, limits) for seen in parts]
        except gate.GateError as error:
            raise gate.GateError(f"{self.name}: {error}") from None
        return {what: max(e.get(what, 0.0) for e in found) for what in {**found[0], **found[-1]}}

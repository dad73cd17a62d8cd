"""`step`: the whole training step against JAX and PyTorch, interleaved, gated before and after."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing.load import LoadWatch, seconds_of
from minivae.racing.statistics import SAME, interleave, percentiles, verdict

from . import gate, machine, results
from .busy import busy
from .cases import StepCase
from .entrants import PEERS, StepOptions, caches, contenders_of, known_peers, on_wrong_device
from .parent import Contender, WorkerError

__all__ = [
    "PEERS",
    "StepOptions",
    "StepRace",
    "contenders_of",
    "known_peers",
    "on_wrong_device",
    "run",
]
GATE_BEFORE, GATE_AFTER = 100_001, 100_002  # numbers of batches that no timed block uses


class NotOnCard(WorkerError):
    """A contender that would run on the processor while the others run on the card."""


def failure(name: str, error: Exception) -> dict[str, Any]:
    """The row of a contender that is out of the race, labelled with the reason."""
    if isinstance(error, NotOnCard):
        return {"contender": name, "skipped": str(error)}
    return {"contender": name, "failed": f"{type(error).__name__}: {error}"}


class StepRace:
    """One case: start the workers, gate, time in interleaved rounds, gate again, judge."""

    def __init__(self, case: StepCase, options: StepOptions, data: Path, folder: Path) -> None:
        self.case, self.options, self.data, self.folder = case, options, data, folder
        self.steps = options.block_steps or case.block_steps(options.device)
        self.runners: dict[str, Contender] = {}
        self.entered: list[Contender] = []  # those who are out, too
        self.rows: dict[str, dict[str, Any]] = {}

    def limits(self, name: str) -> gate.Limits:
        """How far a contender's numbers may be off: as it rounds its products' inputs."""
        plain = name.endswith(":float32")
        return gate.FLOAT32 if plain else gate.limits_of(**self.options.rounded)

    def run(self) -> list[dict[str, Any]]:
        """The result rows of every contender, ours first."""
        names = contenders_of(self.options)
        self.block_loss = gate.reference_block_loss(self.case, self.steps)
        with ExitStack() as stack:
            for name in names:
                self._enter(name, stack)
            self._race()
            for name in list(self.runners):
                self._guard(name, self._gate, name, GATE_AFTER, "gate_after")
        self.used = sum(worker.seconds_used() for worker in self.entered)
        return self._judged(names)

    def _guard(self, name: str, act: Callable[..., None], *args: Any) -> None:
        """Run one stage of one contender; if it fails, it leaves the race with a labelled row.

        Whatever it fails with: the others' figures must never be lost with it.
        """
        try:
            act(*args)
        except Exception as error:
            self._out(name, error)

    def _out(self, name: str, error: Exception) -> None:
        self.options.say(f"  {name}: OUT, {error}")
        self.rows[name] = failure(name, error)
        self.runners.pop(name, None)

    def _enter(self, name: str, stack: ExitStack) -> None:
        extra = caches(self.options.cold, self.folder)
        worker = Contender(name, self.options.threads, self.options.device, extra)
        stack.callback(worker.close)
        self.entered.append(worker)
        self.runners[name] = worker
        self._guard(name, self._start, name)
        if name in self.runners and not name.endswith("-peak"):
            self._guard(name, self._gate, name, GATE_BEFORE, "gate_before")

    def _start(self, name: str) -> None:
        worker = self.runners[name]
        loaded = worker.ask("load", threads=self.options.threads, **self.options.rounded)
        reason = on_wrong_device(self.options.device, loaded["versions"])
        if reason:
            raise NotOnCard(f"{name} {reason}")
        ready = worker.ask(
            "prepare", case=self.case.to_dict(), data=str(self.data), steps=self.steps
        )
        self.rows[name] = {
            "contender": name,
            "versions": loaded["versions"],
            "import_s": loaded["import_s"],
            "first_run_s": ready["first_run_s"],
            "exact_noise": ready["exact_noise"],
            "form": ready.get("form", ""),
            "cache": "cold" if self.options.cold else "as found",
            "first_block_loss": ready["loss"],
        }
        self.options.say(f"  {name}: ready, first run {ready['first_run_s']:.1f} s")
        if not name.endswith("-peak"):
            limits = self.limits(name)
            gate.check_block(ready["loss"], self.block_loss, ready["exact_noise"], limits)

    def _gate(self, name: str, number: int, key: str) -> None:
        if name.endswith("-peak"):
            return
        exact = bool(self.rows[name]["exact_noise"])
        errors = self.runners[name].gate(self.case, number, exact, self.folder, self.limits(name))
        self.rows[name][key] = errors

    def _race(self) -> None:
        if not self.runners:
            return
        blocks = {name: self._block_of(name) for name in self.runners}
        samples, why = interleave(blocks, self.options.rule)
        for name, words in self._idle().items():
            self._out(name, gate.GateError(words))
        for name, times in samples.items():
            if name in self.runners:
                self._summarise(name, times, why)

    def _block_of(self, name: str) -> Callable[[int], float]:
        def block(number: int) -> float:
            if name not in self.runners:
                return float("nan")
            try:
                time.sleep(0.02)  # the last contender's threads stop spinning
                return self.runners[name].block(number)
            except Exception as error:
                self._out(name, error)
                return float("nan")

        return block

    def _idle(self) -> dict[str, str]:
        """Who skipped the work of timed blocks after the first, which alone has a reference."""
        seen = {name: runner.losses for name, runner in self.runners.items()
                if not name.endswith("-peak")}  # fmt: skip
        return gate.idle({name: (told[0], told[-1]) for name, told in seen.items() if told})

    def _summarise(self, name: str, times: list[float], why: str) -> None:
        losses = self.runners[name].losses
        p = percentiles(times)
        self.rows[name] |= {
            "ms": p,
            "n": len(times),
            "stop": why,
            "samples_ms": [round(t, 5) for t in times],
            "block_steps": self.steps,
            "gflops": self.case.flops() / p["p50"] / 1e6,
            "loss_first": losses[0],
            "loss_last": losses[-1],
        }

    def _judged(self, names: list[str]) -> list[dict[str, Any]]:
        """Shares of the peak, and our verdict against the fastest peer that passed its gates."""
        timed = {n: r for n, r in self.rows.items() if "ms" in r}
        peak = next((r for n, r in timed.items() if n.endswith("-peak")), None)
        for row in timed.values():
            if peak:
                row["peak_share"] = peak["ms"]["p50"] / row["ms"]["p50"]
                row["peak_gflops"] = peak["gflops"]
        margin = SAME
        ours, alone = timed.get(names[0]), timed.get(f"{names[0]}:1")
        again = timed.get(f"{names[0]}:again")
        if ours and again:
            ours["a_a"] = verdict(ours["samples_ms"], again["samples_ms"])
            margin = max(SAME, abs(ours["a_a"]["ratio"] - 1), abs(1 / ours["a_a"]["ratio"] - 1))
        if ours and alone:
            ours["scaling"] = verdict(ours["samples_ms"], alone["samples_ms"])
        float32 = timed.get(f"{names[0]}:float32")
        if ours and float32:
            ours["float32"] = verdict(ours["samples_ms"], float32["samples_ms"])
        rivals = [timed[n] for n in self.options.rivals if n in timed]
        if ours and rivals:
            best = min(rivals, key=lambda r: r["ms"]["p50"])
            judged = verdict(ours["samples_ms"], best["samples_ms"], margin)
            ours |= {"fastest_peer": best["contender"], **judged}
        common = {
            "case": self.case.to_dict(),
            "arch": self.case.arch,
            "batch": self.case.batch,
            "flops": self.case.flops(),
            **self.options.rounded,
            "reference_block_loss": self.block_loss,
        }
        return [{**common, **self.rows[n]} for n in names if n in self.rows]


def run(cases: list[StepCase], options: StepOptions, store: bool = True) -> list[dict[str, Any]]:
    """Race every case; the rows go to results/step.jsonl, or cold.jsonl, unless `store` is off."""
    head = machine.header(options.threads)
    for line in machine.lines(head):
        options.say(line)
    if options.tf32:
        options.say("TF32: every contender's products round their inputs; not float32's figures")
    if options.bf16:
        options.say("bfloat16: every contender's products but :float32's round their inputs")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="minivae-bench-") as name:
        folder = Path(name)
        for case in cases:
            steps = options.block_steps or case.block_steps(options.device)
            options.say(f"{case.arch}, batch {case.batch}, {steps} updates a block")
            data = folder / f"data-{case.data or 'synthetic'}-{case.data_dim}.npy"
            if not data.exists():
                np.save(data, gate.shared_data(case.data_dim, case.data))
            for count in options.busy:
                raced = _beside(count, case, options, data, folder)
                raced = [{"machine": head, **row} for row in raced]
                if store:
                    results.append("cold" if options.cold else "step", raced)
                rows += raced
    return rows


def _beside(
    count: int, case: StepCase, options: StepOptions, data: Path, folder: Path
) -> list[dict[str, Any]]:
    """One race with so many busy processes beside it; what else ran is in every row."""
    if count:
        options.say(f"beside {count} busy processes")
    watch, began = LoadWatch(), time.process_time()
    with busy(count) as beside:
        race = StepRace(case, options, data, folder)
        rows = race.run()
        spun = sum(map(seconds_of, beside))  # they share the cores, so less than a core each
    load = watch.report(race.used + time.process_time() - began + spun)
    common = {"backend": options.backend, "device": options.device, "busy": count, "load": load}
    return [{**common, **row} for row in rows]

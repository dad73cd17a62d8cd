"""`step`: the whole training step against JAX and PyTorch, interleaved, gated before and after."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import gate, machine, results
from .cases import Case
from .parent import Contender, WorkerError
from .timing import StopRule, interleave, percentiles, verdict

PEERS = {"jax": "jax", "torch-compile": "torch", "torch-eager": "torch"}
GATE_BEFORE, GATE_AFTER = 100_001, 100_002  # numbers of batches that no timed block uses


@dataclass
class Options:
    """What a run is told: who races, on how many threads, and when to stop."""

    backend: str = "numba"
    peers: tuple[str, ...] = tuple(PEERS)
    threads: int | None = None
    rule: StopRule = field(default_factory=StopRule)
    cold: bool = False
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)
    extra_contenders: tuple[str, ...] = ()
    block_steps: int | None = None  # updates in a timed block, when not chosen by the work

    @property
    def device(self) -> str:
        return "gpu" if self.backend == "cupy" else "cpu"


def contenders_of(options: Options) -> list[str]:
    """Ours, the peers that are installed, and the limit; what is missing is said."""
    names = [f"minivae-{options.backend}"]
    for peer in options.peers:
        if importlib.util.find_spec(PEERS[peer]) is None:
            options.say(
                f"{peer}: left out, {PEERS[peer]} is not installed "
                "(`pip install minivae[bench]` brings the peers)"
            )
        else:
            names.append(peer)
    limit = "fma-peak" if options.device == "cpu" else "cublas-peak"
    return [*names, *options.extra_contenders, limit]


def caches(cold: bool, folder: Path) -> dict[str, str]:
    """Where compiled code is kept: the user's own caches, or empty ones when timed cold."""
    if not cold:
        return {}
    names = {"NUMBA_CACHE_DIR": "numba", "TORCHINDUCTOR_CACHE_DIR": "inductor"}
    names["XDG_CACHE_HOME"] = "cache"  # where minivae keeps its compiled kernels
    return {key: str(folder / name) for key, name in names.items()}


def on_wrong_device(device: str, versions: dict[str, str]) -> str:
    """Why a contender must not race: it would run elsewhere than the others, or ''."""
    found = versions.get("device", "")
    if device == "gpu" and found and "cuda" not in found.lower():
        return f"runs on {found}, not on the card: install its CUDA build"
    return ""


def failure(name: str, error: Exception) -> dict[str, Any]:
    """The row of a contender that is out of the race, labelled with the reason."""
    return {"contender": name, "failed": f"{type(error).__name__}: {error}"}


class Race:
    """One case: start the workers, gate, time in interleaved rounds, gate again, judge."""

    def __init__(self, case: Case, options: Options, data: Path, folder: Path) -> None:
        self.case, self.options, self.data, self.folder = case, options, data, folder
        self.steps = options.block_steps or case.block_steps(options.device)
        self.runners: dict[str, Contender] = {}
        self.rows: dict[str, dict[str, Any]] = {}

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
        return self._judged(names)

    def _guard(self, name: str, act: Callable[..., None], *args: Any) -> None:
        """Run one stage of one contender; if it fails, it leaves the race with a labelled row."""
        try:
            act(*args)
        except (gate.GateError, WorkerError) as error:
            self.options.say(f"  {name}: OUT, {error}")
            self.rows[name] = failure(name, error)
            self.runners.pop(name, None)

    def _enter(self, name: str, stack: ExitStack) -> None:
        extra = caches(self.options.cold, self.folder)
        worker = Contender(name, self.options.threads, self.options.device, extra)
        stack.callback(worker.close)
        self.runners[name] = worker
        self._guard(name, self._start, name)
        if name in self.runners and not name.endswith("-peak"):
            self._guard(name, self._gate, name, GATE_BEFORE, "gate_before")

    def _start(self, name: str) -> None:
        worker = self.runners[name]
        loaded = worker.ask("load", threads=self.options.threads)
        reason = on_wrong_device(self.options.device, loaded["versions"])
        if reason:
            raise WorkerError(f"{name} {reason}")
        ready = worker.ask(
            "prepare", case=self.case.to_dict(), data=str(self.data), steps=self.steps
        )
        self.rows[name] = {
            "contender": name,
            "versions": loaded["versions"],
            "import_s": loaded["import_s"],
            "first_run_s": ready["first_run_s"],
            "exact_noise": ready["exact_noise"],
            "cache": "cold" if self.options.cold else "as found",
            "first_block_loss": ready["loss"],
        }
        self.options.say(f"  {name}: ready, first run {ready['first_run_s']:.1f} s")
        if not name.endswith("-peak"):
            gate.check_block(ready["loss"], self.block_loss, ready["exact_noise"])

    def _gate(self, name: str, number: int, key: str) -> None:
        if name.endswith("-peak"):
            return
        exact = bool(self.rows[name]["exact_noise"])
        errors = self.runners[name].gate(self.case, number, exact, self.folder)
        self.rows[name][key] = errors

    def _race(self) -> None:
        if not self.runners:
            return
        blocks = {name: self._block_of(name) for name in self.runners}
        samples, why = interleave(blocks, self.options.rule)
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
            except (gate.GateError, WorkerError) as error:
                self.rows[name] = failure(name, error)
                self.runners.pop(name)
                return float("nan")

        return block

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
        ours, alone = timed.get(names[0]), timed.get(f"{names[0]}:1")
        if ours and alone:
            ours["scaling"] = verdict(ours["samples_ms"], alone["samples_ms"])
        rivals = [timed[n] for n in PEERS if n in timed]
        if ours and rivals:
            best = min(rivals, key=lambda r: r["ms"]["p50"])
            judged = verdict(ours["samples_ms"], best["samples_ms"])
            ours |= {"fastest_peer": best["contender"], **judged}
        common = {
            "case": self.case.to_dict(),
            "arch": self.case.arch,
            "batch": self.case.batch,
            "flops": self.case.flops(),
            "reference_block_loss": self.block_loss,
        }
        return [{**common, **self.rows[n]} for n in names if n in self.rows]


def run(cases: list[Case], options: Options, store: bool = True) -> list[dict[str, Any]]:
    """Race every case; the rows go to results/step.jsonl, or cold.jsonl, unless `store` is off."""
    head = machine.header(options.threads)
    for line in machine.lines(head):
        options.say(line)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="minivae-bench-") as name:
        folder = Path(name)
        for case in cases:
            steps = options.block_steps or case.block_steps(options.device)
            options.say(f"{case.arch}, batch {case.batch}, {steps} updates a block")
            data = folder / f"data-{case.data_dim}.npy"
            if not data.exists():
                np.save(data, gate.shared_data(case.data_dim))
            raced = Race(case, options, data, folder).run()
            backend = {"backend": options.backend, "device": options.device}
            raced = [{"machine": head, **backend, **row} for row in raced]
            if store:
                results.append("cold" if options.cold else "step", raced)
            rows += raced
    return rows

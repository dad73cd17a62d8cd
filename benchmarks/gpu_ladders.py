"""`ladder --backend cupy`: the rungs of the GPU's ladders, gated and timed on this machine's card.

The rungs of an op are recorded as graphs, so that the card's time is compared and not Python's; the
step's rungs are timed as they are called, for there the difference is who makes the launches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from minivae_kernels import Unavailable
from minivae_kernels.ladder.base import Ladder, Version
from minivae_kernels.ladder.gpu import NAMES, load

from minivae.racing.gate import check
from minivae.racing.statistics import StopRule, interleave, percentiles

from . import bandwidth, machine, results
from .cases import LR, StepCase, make_rows, make_theta, parse_arch
from .contenders.minivae_step import plan_of
from .gate import check_updates, shared_data
from .ladders import LadderError, problem_of

RULE = StopRule(least=7, most=25, seconds=10.0)
REHEARSAL = StopRule(least=3, most=3, seconds=10.0)  # of a few rows: no figures
STEP_CASE = "784-400-20:relu"
STEP_BATCH, STEP_UPDATES = 128, 100
REPEATS = 10  # calls in one block

Block = Callable[[int], float]  # seconds of one call


def the_card() -> Any:
    """This machine's card; LadderError, one line, where there is none."""
    from minivae_kernels.gpu.cupy_device import CupyDevice

    try:
        return CupyDevice()
    except Unavailable as reason:
        raise LadderError(f"the GPU's ladders need a card: {reason}") from None


class OpRungs:
    """The versions of one op on a device; `rows` in place of the ladder's own, for tests."""

    def __init__(self, ladder: Ladder, device: Any, rows: int | None = None) -> None:
        self.ladder, self.device = ladder, device
        self.repeats = REPEATS if rows is None else 1
        args = ladder.inputs(np.random.default_rng(5), rows or ladder.rows)
        self.work = ladder.work(args)
        with device.working():
            self.given = tuple(map(device.to_device, args))

    def gate(self, version: Version, seed: int) -> float:
        """Two fresh inputs against the reference in float64, judged after the second call."""

        def call(*args: Any) -> tuple[Any, ...]:
            with self.device.working():
                result = version(*self._there(args))
                several = result if isinstance(result, tuple) else (result,)
                return tuple(map(self.device.to_host, several))

        return check(problem_of(self.ladder, 33, version.rough), call, seed)

    def _there(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(map(self.device.to_device, args))

    def block(self, version: Version) -> tuple[Block, str]:
        """Seconds of one call by the card's clock, and how it was made."""

        def call() -> Any:
            return version.call(*self.given)

        with self.device.working():
            try:
                play, how = bandwidth.recorded(self.device, call), "graph"
            except MemoryError:  # no reason to time it otherwise than the others
                raise
            except Exception as error:  # an array call that CUDA does not let into a graph
                line = (str(error).strip().splitlines() or [type(error).__name__])[0]
                play, how = call, f"eager: {line}"

        def seconds(_: int) -> float:
            with self.device.working():
                return bandwidth.seconds(self.device, play, self.repeats)

        return seconds, how


class StepRungs:
    """The versions of the whole step: updates at batch 128, the loss read at the end of a block."""

    def __init__(
        self, ladder: Ladder, device: Any, rows: int | None = None, case: StepCase | None = None
    ) -> None:
        self.ladder, self.device, self.work = ladder, device, 1.0
        self.updates = STEP_UPDATES if rows is None else 3
        self.case = case or parse_arch(STEP_CASE, rows or STEP_BATCH)
        self.steps: dict[int, Any] = {}

    def _step(self, version: Version) -> Any:
        if version.number not in self.steps:
            theta = make_theta(self.case)
            moments = np.zeros((2, theta.size), np.float32)
            data = shared_data(self.case.data_dim)
            self.steps[version.number] = version.call(plan_of(self.case), theta, moments, data)
        return self.steps[version.number]

    def gate(self, version: Version, seed: int) -> float:
        """Two updates from wherever the step stands, each against the float64 reference."""
        rows = make_rows(self.case, 100_000 + seed, 2)
        return max(self._update(self._step(version), rows[k : k + 1], 7 + k) for k in (0, 1))

    def _update(self, step: Any, rows: np.ndarray, t: int) -> float:
        """The largest error of update t: rounding of one must not move the next one's start."""
        theta, moments = step.state()
        step.metrics()
        step(rows, t, np.full(1, LR), np.ones(1))
        sums = step.metrics()
        after, moments_after = step.state()
        seen = {
            "theta": theta, "moments": moments, "rows": rows, "t": np.array(t),
            "loss": np.array(sums["loss"] / sums["samples"]),
            "theta_after": after, "moments_after": moments_after,
        }  # fmt: skip
        return max(check_updates(self.case, seen).values())

    def block(self, version: Version) -> tuple[Block, str]:
        """Seconds of one update, launched as the rung launches it."""
        step, n = self._step(version), self.updates
        rates, weights = np.full(n, LR), np.ones(n)

        def call(rows: Any) -> None:
            step(rows, 9, rates, weights)
            step.metrics()  # waits

        def seconds(number: int) -> float:
            rows = make_rows(self.case, number, n)
            return bandwidth.wall_seconds(lambda: call(rows)) / n

        seconds(0)  # records the graph
        return seconds, "as called"


def rungs_of(name: str, device: Any, **how: Any) -> OpRungs | StepRungs:
    """One ladder made ready for a device."""
    ladder = load(name, device)
    return (StepRungs if name == "step" else OpRungs)(ladder, device, **how)


def race(name: str, device: Any, rule: StopRule | None = None, **how: Any) -> list[dict[str, Any]]:
    """All versions of one ladder, gated, interleaved, gated again; ns per unit of work."""
    rule = rule or (RULE if how.get("rows") is None else REHEARSAL)
    rungs = rungs_of(name, device, **how)
    ladder = rungs.ladder
    blocks: dict[str, Block] = {}
    rows: dict[str, dict[str, Any]] = {}
    for version in ladder.versions:
        label = f"v{version.number}"
        rows[label] = {"ladder": name, "version": version.number, "idea": version.idea,
                       "unit": ladder.unit, "chosen": version is ladder.versions[-1]}  # fmt: skip
        try:
            rows[label]["error"] = rungs.gate(version, 1)
            blocks[label], rows[label]["timed"] = rungs.block(version)
        except Exception as error:  # whatever it is, the other rungs stay
            rows[label]["failed"] = f"{type(error).__name__}: {error}"
    samples, why = interleave(blocks, rule) if blocks else ({}, "")
    for label, seconds in samples.items():
        try:
            rows[label]["error_after"] = rungs.gate(ladder.versions[rows[label]["version"]], 2)
        except Exception as error:  # then its time says nothing
            rows[label]["failed"] = f"{type(error).__name__}: {error}"
            continue
        ns = percentiles([1e9 * s / rungs.work for s in seconds])
        first = rows["v0"].get("ns", ns)
        rows[label] |= {"ns": ns, "n": len(seconds), "stop": why, "part": 1}
        rows[label]["gain"] = first["p50"] / ns["p50"]
    return list(rows.values())


def run(name: str, store: bool, device: Any = None, **how: Any) -> list[dict[str, Any]]:
    """One ladder, or all of them; the card's name and versions stand in every row.

    A ladder is stored when it is done: what ends a later one does not take it along. A rung that
    failed is not, nor a rehearsal of a few rows.
    """
    if name and name not in NAMES:
        raise LadderError(f"unknown GPU ladder {name!r}: choose {', '.join(NAMES)}")
    device = device or the_card()
    common = {"machine": machine.header(), "backend": "cupy", **bandwidth.header(device)}
    rows: list[dict[str, Any]] = []
    for ladder in [name] if name else NAMES:
        raced = [{**common, **row} for row in race(ladder, device, **how)]
        if store and how.get("rows") is None:
            results.append("ladder-gpu", [row for row in raced if "failed" not in row])
        rows += raced
    return rows

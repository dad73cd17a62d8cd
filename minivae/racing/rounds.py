"""The race itself: rounds in random order, every block judged, one contestant twice (A against A).

A contestant that is wrong, raises, hangs or crashes leaves with a row that says why; the others'
rows are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minivae.racing.buffers import chained, made, replayed
from minivae.racing.conversation import StandError, said
from minivae.racing.gate import GateError, judge
from minivae.racing.lane import STATES, Block
from minivae.racing.load import LoadWatch
from minivae.racing.problem import Args, Problem
from minivae.racing.result import AGAIN, Result
from minivae.racing.stand import Stand
from minivae.racing.statistics import (
    SAME,
    StopRule,
    kept_answers,
    median_interval,
    percentiles,
    unpaired,
    verdict,
)

LAST = 10**6  # the number of the block after the last round
GATE_SHARE = 0.5  # of the race's time; beyond it, blocks to be judged are drawn
DRAWN = 0.25
SLOW = 0.1  # seconds of a call beyond which nobody is asked for two dozen more
# So much longer, surely, must a call take to be out: where every number is new, after a pause.
NEW, PAUSED = 1.0, 3.0
RULE = StopRule(seconds=20.0)


@dataclass
class Options:
    """states: how a call is met: "hot" (always), "woken" after a sleep, "cold" caches.

    repeats: how often a race beside other work is run again. parts: contestants too slow for the
    whole problem: name -> (a smaller one, by how much its time is scaled up).
    """

    rule: StopRule = RULE
    states: tuple[str, ...] = ("hot",)
    seed: int = 0
    repeats: int = 0
    parts: Mapping[str, tuple[Problem, float]] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None


class Race:
    """Contestants on one problem. `makers` open a contestant's stand; they may raise."""

    def __init__(
        self, problem: Problem, makers: Mapping[str, Callable[[], Stand]], options: Options
    ) -> None:
        self.problem, self.makers, self.options = problem, makers, options
        self.rng = np.random.default_rng(options.seed)
        self.stands: dict[str, Stand] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.samples: dict[str, dict[str, list[float]]] = {}
        self.gating = 0.0
        self.kept: tuple[tuple[Problem, int], Args] | None = None
        self.opened: list[Stand] = []
        self.begin = time.perf_counter()

    def run(self) -> tuple[dict[str, dict[str, Any]], str]:
        """(rows by name, why it stopped)."""
        try:
            for name, make in self.makers.items():
                self.rows[name] = {"name": name}
                self._guard(name, self._enter, name, make)
            why = self._rounds()
            for name in list(self.stands):  # and once more, after the last round
                self._guard(name, self._last, name)
        finally:
            for stand in self.opened:
                stand.close()
            # of those who are out, too: what they took was no neighbour's
            self.used = sum(stand.seconds_used() for stand in self.opened)
        for name in self.stands:
            self._summarise(name)
        return self.rows, why

    def _enter(self, name: str, make: Callable[[], Stand]) -> None:
        stand = make()
        self.opened.append(stand)
        self.rows[name]["first_call_us"] = 1e6 * stand.warm()
        self.stands[name] = stand
        self.samples[name] = {state: [] for state in self.options.states}

    def _guard(self, name: str, act: Callable[..., Any], *args: Any) -> Any:
        """Run one stage of one contestant; whatever it fails with costs its own row only."""
        try:
            return act(*args)
        except Exception as error:
            kind, _, line = said(error).partition(": ")
            known = isinstance(error, (GateError, StandError, ValueError))
            self.rows[name]["failed"] = line if known else f"{kind}: {line}"
            self.options.say(f"{name}: OUT, {self.rows[name]['failed']}")
            self.stands.pop(name, None)
            return None

    def _rounds(self) -> str:
        self.begin, number, why = time.perf_counter(), 0, "nobody is left"
        while self.stands:
            number += 1
            for name in self.rng.permutation(list(self.stands)):
                self._guard(str(name), self._turn, str(name), number)
            hot = [self.samples[name]["hot"] for name in self.stands]
            why = self.options.rule.reason(hot, time.perf_counter() - self.begin) if hot else why
            if hot and why:
                return why
        return "nobody is left"

    def _turn(self, name: str, number: int) -> None:
        for state in self.options.states:
            at = len(STATES) * number + STATES.index(state)
            found = self._block(name, at, state, number == 1)
            self.samples[name][state].append(1e6 * found.seconds * self._part(name)[1])

    def _last(self, name: str) -> None:
        """A last block, and one in which some calls meet numbers that are new, every one of them.

        A kernel that keeps its answers, and mends them where its inputs differ, takes longer there;
        one that hides it by doing all the work whenever something has gone on, takes longer then.
        """
        hot = self._block(name, LAST, "hot", True)
        if hot.seconds > SLOW:
            return
        words = [self._slower(name, self._block(name, LAST + k, "new", True)) for k in (1, 2)]
        if all(words):
            raise GateError(f"it takes {words[0]}: it keeps its answers")

    def _slower(self, name: str, found: Block) -> str:
        """How much longer a call took that could not be known, or ''; once may be the machine's."""
        if not (found.new and found.again):
            raise GateError("its block of new numbers is not whole")
        if longer := kept_answers(found.new, found.again, NEW):
            return f"{longer:.1f} times as long where all its numbers are new"
        if len(getattr(self.stands[name], "cores", ())) == 1:  # several threads fall asleep
            scale = 1e6 * self._part(name)[1]
            usual = [us / scale for us in self.samples[name]["hot"]]
            told = unpaired(found.again, usual, PAUSED)
            unsure = told["interval"][0] is None and told["ratio"] < 1 / (1 + PAUSED)
            if told["verdict"] == "slower" or unsure:  # too few rounds: by the medians alone
                return f"{1 / told['ratio']:.1f} times as long after a pause"
        return ""

    def _block(self, name: str, number: int, state: str, sure: bool) -> Block:
        """One block; judged always as long as judging takes less time than racing."""
        found = self.stands[name].block(number, state)
        if found.fault:
            raise GateError(found.fault)
        elapsed = time.perf_counter() - self.begin
        if sure or self.gating <= GATE_SHARE * elapsed or self.rng.random() < DRAWN:
            begin = time.perf_counter()
            error = judge(*self._asked(self._part(name)[0], number, found), found.got)
            row = self.rows[name]
            row["error"] = max(error, row.get("error", 0.0))
            row["judged"] = row.get("judged", 0) + 1
            self.gating += time.perf_counter() - begin
        return found

    def _part(self, name: str) -> tuple[Problem, float]:
        return self.options.parts.get(name, (self.problem, 1.0))

    def _asked(self, problem: Problem, number: int, found: Block) -> tuple[Problem, Args]:
        """What the judged call was to compute, and its arguments, made here.

        What an op changes in place is judged after the whole block.
        """
        if self.kept is None or self.kept[0] != (problem, number):
            self.kept = ((problem, number), made(problem, number))
        begin = self.kept[1]
        if problem.mutates:
            return chained(problem, found.moves), begin
        return problem, replayed(problem, begin, found.moves[: found.at + 1])

    def _summarise(self, name: str) -> None:
        samples = self.samples[name]
        if not samples["hot"]:
            return
        interval = median_interval(samples["hot"])
        self.rows[name] |= {
            "us": {state: percentiles(s) for state, s in samples.items()},
            "interval_us": [b if np.isfinite(b) else None for b in interval[:2]],
            "n": len(samples["hot"]),
            "samples_us": [round(s, 4) for s in samples["hot"]],
        }


def run_race(
    problem: Problem,
    makers: Mapping[str, Callable[[], Stand]],
    *,
    baseline: str,
    options: Options | None = None,
    against: tuple[str, ...] = (),
) -> Result:
    """Race everybody, the baseline twice; each is judged against `against` (the baseline).

    A race beside other work is flagged, and run again as often as the options allow; the calmest
    is kept.
    """
    options = options or Options()
    entered = dict(makers)
    if baseline in entered:
        entered[baseline + AGAIN] = entered[baseline]
    calmest: Result | None = None
    for turn in range(options.repeats + 1):
        found = _once(problem, entered, baseline, options, against or (baseline,))
        found.load["repeated"] = turn
        if calmest is None or found.load.get("other_cores", 0) < calmest.load["other_cores"]:
            calmest = found
        if not calmest.load["busy"]:
            break
        if turn < options.repeats:
            options.say(f"{calmest.load['busy']}: the race is run again")
    assert calmest is not None
    return calmest


def _once(
    problem: Problem, entered: Mapping[str, Callable[[], Stand]], baseline: str,
    options: Options, against: tuple[str, ...],
) -> Result:  # fmt: skip
    watch, began = LoadWatch(), time.process_time()
    race = Race(problem, entered, options)
    rows, why = race.run()
    load = watch.report(race.used + time.process_time() - began)
    timed = {name: row for name, row in rows.items() if "us" in row and "failed" not in row}
    margin, twice = SAME, None
    if baseline in timed and baseline + AGAIN in timed:
        twice = verdict(*(timed[n]["samples_us"] for n in (baseline, baseline + AGAIN)))
        margin = max(SAME, abs(twice["ratio"] - 1), abs(1 / twice["ratio"] - 1))
        timed[baseline + AGAIN]["a_a"] = twice
    for row in timed.values():
        row["against"] = {
            rival: verdict(row["samples_us"], timed[rival]["samples_us"], margin)
            for rival in against
            if rival in timed and rival != row["name"]
        }
    return Result(problem.name, list(rows.values()), why, margin, load, twice)

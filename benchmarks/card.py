"""`card`: everything that only a card can tell, in one command and inside a given time.

    python -m benchmarks card [--seconds 480] [--out DIR] [--rehearse]

Each stage is a process of its own with a share of the time and a log; one that fails, hangs or
finds nothing installed costs itself only. card.json and card.txt are written after every stage, so
that whatever ends the run leaves what was found before.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import ROOT, machine
from .card_page import line, page
from .cases import has_pixels

TAIL = 12  # lines of a log that the page shows
FEW_STEPS = "step_within and bernoulli and adam"  # under a sanitiser each takes tens of seconds
LEAST = 5.0  # seconds below which a stage is not begun
PYTHON = (sys.executable,)
# In a block of CuPy's pool an overrun hits no end; and no option of the caller's brings back xdist,
# whose processes are not the one that is watched.
WATCHED = {"MINIVAE_WITHOUT_POOL": "1", "PYTEST_ADDOPTS": ""}


@dataclass(frozen=True)
class Stage:
    """A command, its share of the time, and what its log is read for.

    needs, data: a program, or a data set, without which the stage is skipped. shows: the log's
    text -> facts. environment: variables of its own.
    """

    name: str
    command: tuple[str, ...]
    share: float
    needs: str = ""
    data: str = ""
    shows: Callable[[str], Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def last_json(text: str) -> Any:
    """Every line of a log that is a JSON object, as a list."""
    found = []
    for each in text.splitlines():
        if each.startswith("{"):
            with suppress(json.JSONDecodeError):
                found.append(json.loads(each))
    return found


@dataclass(frozen=True)
class StageSizes:
    """How much each stage has to do: words of its command."""

    tests: tuple[str, ...] = ()
    train: tuple[str, ...] = ("mnist", "--latent", "20", "--hidden", "400", "--epochs", "10")
    bandwidth: tuple[str, ...] = ()
    # The races with these peers took 92 s and 136 s on an H200, most of it compiling. With all
    # peers 117 s did not suffice for the first: JAX unrolled by eight was still compiling.
    step: tuple[str, ...] = ("--batch", "128,8192", "--arch", "784-400-20:relu", "--seconds", "8",
                             "--peers", "jax,torch-compile,torch-graph")  # fmt: skip
    ladders: tuple[str, ...] = ()


# Every stage at its smallest: shows that all of them run, on a stand-in for a card too. No figures.
SMALLEST = StageSizes(
    tests=("-k", "noise or branches or bad_loss"),
    train=("digits", "--latent", "4", "--hidden", "16", "--epochs", "2"),
    bandwidth=("--rows", "3"),
    step=("--batch", "12", "--arch", "31-17-5:relu", "--seconds", "2", "--block-steps", "9"),
    ladders=("--rows", "2"),
)


def stages(
    python: Sequence[str] = PYTHON, root: Path = ROOT, *, rehearse: bool = False
) -> list[Stage]:
    """What is run, in this order; the shares of the time add up to one."""
    sizes = SMALLEST if rehearse else StageSizes()
    tests = str(root / "tests" / "kernels" / "gpu")
    pytest = (*python, "-m", "pytest", "-q", "-W", "default", "-m", "gpu", "-p", "no:cacheprovider")
    beside = ("-n", "4") if importlib.util.find_spec("xdist") else ()
    bench = (*python, "-m", "benchmarks")
    out = str(Path(tempfile.gettempdir()) / f"minivae-card-{os.getpid()}" / "run")
    train = ("train", *sizes.train, "--backend", "cupy", "--batch-size", "128", "--lr", "1e-3",
             "--seed", "0", "--json", "--no-pictures", "--out", out)  # fmt: skip
    step = ("step", "--backend", "cupy", "--json", "--no-store", *sizes.step)
    ladder = ("ladder", "--backend", "cupy", "--json", "--no-store")
    sanitizer = ("compute-sanitizer", "--tool", "memcheck", "--target-processes", "all",
                 "--error-exitcode", "1")  # fmt: skip
    return [
        Stage("card", (*bench, "card-facts"), 0.04, shows=last_json),
        Stage("gpu-tests", (*pytest, *beside, "-rs", "--timeout", "120", *sizes.tests, tests),
              0.14),
        Stage("verify", (*python, "-m", "minivae", "verify", "--backend", "cupy"), 0.06),
        Stage("mnist", (*python, "-m", "minivae", *train), 0.05, data=sizes.train[0],
              shows=last_json),
        Stage("bandwidth", (*bench, "bandwidth", "--json", *sizes.bandwidth), 0.08,
              shows=last_json),
        Stage("step", (*bench, *step), 0.40, shows=last_json),
        Stage("ladders", (*bench, *ladder, *sizes.ladders), 0.13, shows=last_json),
        Stage("memcheck", (*sanitizer, *pytest, "-p", "no:xdist", "-x", "-k", FEW_STEPS, tests),
              0.10, needs="compute-sanitizer", environment=WATCHED),
    ]  # fmt: skip


def facts() -> list[dict[str, Any]]:
    """The card and the versions, as CuPy sees them; raises Unavailable, one line, without one."""
    from minivae_kernels.gpu.cupy_device import CupyDevice

    from .bandwidth import header

    return [{**machine.header(), **header(CupyDevice())}]


def run_stage(stage: Stage, seconds: float, out: Path) -> dict[str, Any]:
    """One stage, ended when its time is up; what it came to."""
    log, begin = out / f"{stage.name}.log", time.perf_counter()
    found: dict[str, Any] = {"stage": stage.name, "limit_s": round(seconds, 1), "log": log.name}
    if stage.needs and shutil.which(stage.needs) is None:
        return {**found, "skipped": f"{stage.needs} is not installed"}
    if stage.data not in ("", "digits") and not has_pixels(stage.data):
        return {**found, "skipped": f"{stage.data} is not at hand: set MINIVAE_DATA"}
    if seconds < LEAST:
        words = f"its share of the time was {seconds:.1f} s: less than {LEAST:.0f} s is not begun"
        return {**found, "skipped": words}
    places = (str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", ""))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in places if p), "MPLBACKEND": "Agg",
           "PYTHONUNBUFFERED": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
           **stage.environment}  # fmt: skip
    with log.open("w", encoding="utf-8") as file:
        try:
            process = subprocess.Popen(stage.command, stdout=file, stderr=subprocess.STDOUT,
                                       env=env, cwd=ROOT, start_new_session=True)  # fmt: skip
        except OSError as error:
            return {**found, "failed": f"{stage.command[0]}: {error.strerror}"}
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it started as well
            process.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    found |= {"seconds": round(time.perf_counter() - begin, 1), "exit": code,
              "tail": [line[:300] for line in text.splitlines()[-TAIL:]]}  # fmt: skip
    if stage.shows is not None:
        found["facts"] = stage.shows(text)
    if code is None:
        found["failed"] = f"not done within {seconds:.0f} s"
    elif code:
        found["failed"] = f"exit code {code}"
    return found


def run(
    seconds: float, out: Path, planned: list[Stage] | None = None,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> list[dict[str, Any]]:  # fmt: skip
    """All stages within the time; what a stage leaves over goes to those after it."""
    out.mkdir(parents=True, exist_ok=True)
    planned = stages() if planned is None else planned
    end, left = time.perf_counter() + seconds, sum(stage.share for stage in planned)
    found: list[dict[str, Any]] = []
    for stage in planned:
        rest = max(0.0, end - time.perf_counter())
        found.append(run_stage(stage, rest * stage.share / left, out))
        left -= stage.share
        say(line(found[-1]))
        (out / "card.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        (out / "card.txt").write_text(page(found) + "\n", encoding="utf-8")
    return found

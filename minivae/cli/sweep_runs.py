"""One run of a sweep: what decides its bits, and its training in whatever process an engine has."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer

from minivae.cli.command import add_command
from minivae.cli.console import Console
from minivae.cli.options import UsageError
from minivae.cli.train_settings import TrainRequest
from minivae.messages import shown
from minivae.parts.register import PARTS_FILES, parts_of_no_file, share_parts
from minivae.runs.config import FREE_ON_RESUME
from minivae.runs.errors import Interrupted, RunError
from minivae.sweeps import plan
from minivae.sweeps.engines import Engine, Work
from minivae.sweeps.grid import Point, require_names_apart
from minivae.sweeps.identity import DATA, data_of, or_arithmetic, recorded_data

MOST_ROWS = 10_000  # held out, of which the squared error is taken
PATIENCE = 30.0  # seconds that a run which another process still has is waited for
EVERY = 20.0  # seconds between two lines that say how far the runs are


def train_command() -> Any:
    """`minivae train` as its command line knows it."""
    from minivae.cli.train import train

    app = typer.Typer(add_completion=False)
    add_command(app, train)
    return typer.main.get_command(app)


def options_of_train() -> dict[str, Any]:
    """Its options by their first names, with _ for -: "batch_size", and "set" for --set."""
    named = ((param, param.opts[0]) for param in train_command().params)
    return {name[2:].replace("-", "_"): param for param, name in named if name.startswith("--")}


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """The arguments of `minivae train` by name, as its command line reads them."""
    command = train_command()
    with command.make_context("train", list(argv[1:])) as context:
        return dict(context.params)


class Silent(Console):
    """Says nothing: what a run would say of its data, its sweep has said."""

    def warn(self, text: str) -> None:
        """Says nothing: a sweep's table says what became of a run."""


def settle_points(
    dataset: str, shared: Sequence[str], points: Sequence[Point], console: Console
) -> dict[str, dict[str, Any]]:
    """Every run's settings, settled without training it, by the run's name: what cannot be is said
    before anything runs. Raises ConfigError, UsageError or DataError, one line."""
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_settings import load_asked, record_name, settle, tell_of_data

    require_names_apart(points)
    readings: dict[Any, list[tuple[str, TrainOptions]]] = {}  # each is loaded once, in turn
    for point in points:
        asked = TrainOptions.of(parse(["train", dataset, *shared, *point.options]))
        readings.setdefault((asked.reading, asked.data_dir), []).append((point.name, asked))
    found: dict[str, dict[str, Any]] = {}
    for runs in readings.values():
        loaded = load_asked(record_name(dataset), runs[0][1])
        more = {DATA: data_of(loaded)}
        for number, (name, asked) in enumerate(runs):
            model, config = settle(loaded, dataset, asked.settings, "numpy")
            if number == 0:
                tell_of_data(loaded, model, console)
            settled = {**model.to_dict(), **config.for_checkpoint(), "epochs": config.epochs}
            found[name] = settled | {"backend": asked.backend or "auto"} | more
    return {point.name: found[point.name] for point in points}


def work_of(engine: Engine, settled: Mapping[str, Mapping[str, Any]]) -> Work:
    """What the engine's processes do with each run."""
    parts = {} if engine.threads is None else parts_of_workers(settled.values())
    return functools.partial(
        train_one, settled=settled, parts=parts, stop_with_parent=engine.outlived
    )


def parts_of_workers(settled: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The files of parts, and their text, that other processes must run to train these runs.

    Raises UsageError where a run's part was registered by no file: only this process has it.
    """
    own = parts_of_no_file()
    for settings in settled:
        for kind, name in own:
            if settings.get(kind) == name:
                raise UsageError(
                    f"{kind} {name!r} is registered in this process alone: put it into a file and "
                    "give that by --parts FILE (minivae.parts.load_parts), or leave out --jobs and "
                    "--engine"
                )
    return {file: ran.source for file, ran in PARTS_FILES.items()}


def train_one(
    job: tuple[str, list[str]],
    settled: Mapping[str, Mapping[str, Any]],
    parts: Mapping[str, str],
    stop_with_parent: bool = False,
) -> dict[str, Any]:
    """Train one run of a sweep in this process: {"name", "facts"}, {"name", "error"}, or
    {"name", "stopped"} where it was saved and stopped by a signal.

    settled: every run's settings by its name, against which what lies in its directory is held.
    parts: files with parts of the user's own and their text, for a process that begins without.
    stop_with_parent: save and stop when the process that began this one is gone.
    """
    name, argv = job
    parent, began = os.getppid(), time.monotonic()
    orphaned = lambda: stop_with_parent and os.getppid() != parent  # noqa: E731
    while True:
        try:
            share_parts(parts)
            return {"name": name, "facts": trained(plan.begun(argv), settled[name], orphaned)}
        except Interrupted as stopped:
            return {"name": name, "stopped": str(stopped)}
        except RunError as fault:
            held = "is in use by process" in str(fault)
            if not held or time.monotonic() - began > PATIENCE:
                return failed(name, fault)
            time.sleep(0.5)  # a killed sweep's worker saves its run and lets go of it
        except Exception as fault:  # a run that fails is the sweep's result, not its end
            return failed(name, fault)


def failed(name: str, fault: Exception) -> dict[str, Any]:
    """The outcome of a run that failed."""
    return {"name": name, "error": f"{type(fault).__name__}: {fault}".splitlines()[0]}


def trained(argv: Sequence[str], settled: Mapping[str, Any], stop: Any) -> dict[str, Any]:
    """Train, or go on with training -> the figures that a sweep keeps."""
    from minivae.cli.train_options import TrainOptions
    from minivae.cli.train_run import run_training
    from minivae.cli.train_settings import settle_request

    console = Silent(as_json=True, quiet=True)
    request = settle_request(TrainOptions.of(parse(argv)), console)
    require_settled(request, settled)
    facts, _ = run_training(request, console, stop=stop)
    require_data_of(request.path, settled)
    facts["squared_error"] = squared_error(request, facts["measured_on"])
    keep = ("run", "epochs", "measured_on", facts["measured_on"], "active_units", "seconds",
            "squared_error", "model")  # fmt: skip
    return {key: facts[key] for key in keep}


def require_settled(request: TrainRequest, settled: Mapping[str, Any]) -> None:
    """RunError where the directory of a run that was begun holds another than is asked for."""
    there = {**request.model.to_dict(), **request.config.to_dict()}
    free = FREE_ON_RESUME - {"epochs"}
    for key, wanted in settled.items():
        if key not in free and there.get(key, wanted) != wanted:
            raise RunError(
                f"{request.path} holds another run ({key} {shown(there[key])}, not "
                f"{shown(wanted)}): move it away, and give the same sweep again"
            )


def require_data_of(path: Path, settled: Mapping[str, Any]) -> None:
    """RunError where a run was trained on other data than its sweep was begun with."""
    there = recorded_data(path)
    if there is not None and there["sha256"] != settled[DATA]["sha256"]:
        raise RunError(
            f"{path} was trained on other data than the sweep was begun with: "
            f"they{or_arithmetic(there)} have changed meanwhile; give the sweep again, with "
            "another --out"
        )


def squared_error(request: TrainRequest, split: str) -> float:
    """Mean over held-out data of the squared distance to the decoder's mean, at one draw  (E44).

    Unlike the reconstruction in nats it means the same for every c.
    """
    from minivae.backend import load_backend
    from minivae.cli.trained_run import open_run
    from minivae.metrics.rate_distortion import rate_and_distortion
    from minivae.models.vae import layout_of
    from minivae.ops.philox import EVALUATE

    run, K = open_run(request.path, "last"), load_backend("numpy")
    rows = getattr(request.dataset, split)[:MOST_ROWS]
    x = rows.astype(np.float32) * np.float32(request.dataset.scale)
    J = run.model.latent_dim
    eps = K.normals(run.training.seed, EVALUATE, 0, np.arange(len(x)), J)[None]
    p = layout_of(run.model).views(run.theta)
    return rate_and_distortion(K, p, x, eps.astype(np.float32), run.model).distortion


class SweepWatch:
    """Says now and then how far the runs are that are being trained."""

    def __init__(self, out: Path, names: Sequence[str], console: Console) -> None:
        self.out, self.names, self.console = out, names, console
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> SweepWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(EVERY):
            running = [f"{name} epoch {n}" for name in self.names if (n := self._epochs(name))]
            if running:
                self.console.say(f"training  {'; '.join(running)}")

    def _epochs(self, name: str) -> int:
        """Epochs in the log of a run that has begun and is not done."""
        run = plan.runs_of(self.out) / name
        with contextlib.suppress(OSError):
            if not (run / plan.RESULT).exists():
                return (run / "metrics.jsonl").read_bytes().count(b"\n")
        return 0

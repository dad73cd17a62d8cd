"""Training an experiment's runs: each an ordinary run directory, within a budget, resumable."""

from __future__ import annotations

import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from minivae.data.dataset import Dataset
from minivae.data.load import load
from minivae.models.config import ModelConfig
from minivae.published.bench import Bench, Trained
from minivae.published.measured import MEASURED, Measured
from minivae.published.order import Order
from minivae.published.run import Run
from minivae.runs import files
from minivae.runs.config import TrainConfig
from minivae.runs.directory import CHECKPOINTS, is_begun
from minivae.runs.errors import Interrupted, RunError
from minivae.runs.fsck import check_run
from minivae.runs.load import load_model, load_run
from minivae.runs.resume import other_settings
from minivae.runs.strict_json import JsonFault, parse, record, text
from minivae.settings import ConfigError
from minivae.training.loop import train

RUNS, DATA = "runs", "data"
PROTOCOL = f"{RUNS}/protocol.json"  # beside the runs: a kept result comes without either
PROTOCOL_SCHEMA = record({"protocol": text}, open_=True)  # of a result too
TEST_ROWS = 1_000  # kept where only some of the training rows are

Load = Callable[[str], Dataset]


def carry_out(order: Order) -> Bench:
    """Train what is not yet trained, as far as the budget goes; the bench to measure on.

    The budget is shared out evenly among the runs that are not finished; what one leaves over goes
    to the others. Raises ConfigError or DataError, one line, before anything is written, or where
    the budget ended before any run finished an epoch.
    """
    claim(order)

    @lru_cache(maxsize=2)
    def load_named(name: str) -> Dataset:
        return load(name, order.data_dir)

    bench = Bench(load_named, order.K, Measured(order.folder / MEASURED), order.seed, order.say)
    require_possible(order, load_named)
    runs = [run.seeded(order.seed) for run in order.protocol.runs]
    write_protocol(order)
    todo = [run for run in runs if not is_done(order, run, part_of(order, run, load_named))]
    end = math.inf if order.minutes is None else time.monotonic() + 60 * order.minutes
    bench.until, bench.of = end, len(runs)
    while todo and time.monotonic() < end:
        todo = [run for run, until in shares(todo, end)
                if not train_one(order, run, part_of(order, run, load_named), until)]  # fmt: skip
    for run in runs:
        trained = read_back(order, run, part_of(order, run, load_named), bench.measured)
        if trained is not None:
            bench.runs[run.name] = trained
    if order.minutes is not None and runs and not bench.runs:
        raise order.too_short("one epoch of any run")
    return bench


def require_possible(order: Order, load_named: Load) -> None:
    """Raise ConfigError or DataError, one line, for what would fail only after hours otherwise.

    Data that are missing, a seed past the generator's, settings that cannot be on this machine.
    """
    protocol, beyond = order.protocol, 2**64
    last = protocol.seeds(order.seed)[-1]
    if not last < beyond:
        raise ConfigError(
            f"--seed {order.seed}: the last of its runs would have seed {last}, which is not below "
            f"2**64; give at most {beyond - 1 - last + order.seed}"
        )
    for name in protocol.datasets:
        load_named(name)
    for run in protocol.runs:
        data_dim = load_named(run.dataset).data_dim
        run.seeded(order.seed).configs(data_dim, backend=order.K.name, threads=order.threads)


def shares(runs: Sequence[Run], end: float) -> Iterator[tuple[Run, float]]:
    """Each run with the second until which it may train: an even share of what is left by then."""
    for number, run in enumerate(runs):
        now = time.monotonic()
        if now >= end:
            return
        yield run, now + (end - now) / (len(runs) - number)


def claim(order: Order) -> None:
    """Raise ConfigError where the folder holds another protocol's runs, or `resume` was not said.

    A kept result without its runs is no obstacle.
    """
    file = order.folder / PROTOCOL
    if not os.path.lexists(file):
        return
    there = protocol_in(file)
    if there is None:
        raise ConfigError(
            f"{file}: is damaged; remove it where {order.folder} holds runs of this very protocol, "
            "or give another --out"
        )
    if there != order.protocol.digest(order.seed):
        raise ConfigError(
            f"{order.folder} holds runs of another protocol (other settings, seed or size); "
            "give another --out"
        )
    if not order.resume:
        raise ConfigError(
            f"{order.folder} holds runs of {order.experiment.name} already: go on with --resume, "
            "or give another --out"
        )


def protocol_in(file: Path) -> str | None:
    """The protocol's sum that a result or a folder's note holds; None where it holds none."""
    try:
        return str(parse(files.read_file(file), PROTOCOL_SCHEMA)["protocol"])
    except (OSError, JsonFault):
        return None


def write_protocol(order: Order) -> None:
    """Say in the folder whose runs it holds."""
    (order.folder / RUNS).mkdir(parents=True, exist_ok=True)
    facts = {
        "experiment": order.experiment.name,
        "small": order.small,
        "seed": order.seed,
        "protocol": order.protocol.digest(order.seed),
    }
    text = json.dumps(facts, indent=1) + "\n"
    files.write_atomically(order.folder / PROTOCOL, text.encode())


def part_of(order: Order, run: Run, load_named: Load) -> tuple[Dataset, str]:
    """The run's data, and their name in its record: a file where rows are left out."""
    whole = load_named(run.dataset)
    if run.rows is None:
        return whole, run.dataset
    file = order.folder / DATA / f"{run.dataset}-{run.rows}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (-1, *(whole.shape or ()))
        train, test = (whole.values(*some) for some in (("train", run.rows), ("test", TEST_ROWS)))
        packed = io.BytesIO()  # a kill must not leave half a file under this name
        np.savez_compressed(packed, x_train=train.reshape(shape), x_test=test.reshape(shape))
        files.write_atomically(file, packed.getvalue())
    return load(str(file)), str(file.resolve())


def configs_of(
    order: Order, run: Run, data: tuple[Dataset, str]
) -> tuple[ModelConfig, TrainConfig]:
    """The run's configurations, on this machine."""
    dataset, name = data
    data_dir = None if order.data_dir is None else str(order.data_dir.resolve())
    return run.configs(
        dataset.data_dim,
        dataset=name,
        data_dir=data_dir,
        backend=order.K.name,
        threads=order.threads,
    )


def is_done(order: Order, run: Run, data: tuple[Dataset, str]) -> bool:
    """Whether the run is there, and finished."""
    path = order.folder / RUNS / run.name
    return is_begun(path) and is_finished(path, *configs_of(order, run, data))


def train_one(order: Order, run: Run, data: tuple[Dataset, str], until: float) -> bool:
    """Train a run until it is finished or its time is over; whether it is finished."""
    path = order.folder / RUNS / run.name
    model, config = configs_of(order, run, data)
    there = is_begun(path)
    order.say(f"{run.name}: {'goes on' if there else 'begins'} ({config.epochs} epochs in all)")
    try:
        result = train(
            model,
            config,
            data[0],
            order.K,
            path,
            resume=there,
            reporter=order.reporter(),
            stop=lambda: time.monotonic() >= until,
        )
    except Interrupted as stopped:
        raise Interrupted(
            f"stopped in {run.name}; saved. Go on with: {order.command}", stopped.exit_code, path
        ) from None
    return result.reason != "stopped"


def is_finished(path: Path, model: ModelConfig, config: TrainConfig) -> bool:
    """Whether its checkpoints are sound, the last of this very run, and of its last epoch.

    Where it is none of these, to go on with the run mends it, or says what is wrong.
    """
    try:
        theirs, trained, _, manifest = load_model(path, "last")
        report = check_run(path)
    except RunError:
        return False
    amiss = [f.file for f in report.findings if f.state == "damaged"] + report.left
    if any(file.startswith(CHECKPOINTS) for file in amiss):
        return False
    other = theirs != model or other_settings(trained.for_checkpoint(), config.to_dict())
    return not other and int(manifest["progress"]["epoch"]) >= config.epochs


def read_back(
    order: Order, run: Run, data: tuple[Dataset, str], measured: Measured
) -> Trained | None:
    """A run as far as it came; None where it has not finished an epoch."""
    path = order.folder / RUNS / run.name
    if not is_begun(path):
        return None
    info = load_run(path)
    if not info.metrics:
        return None
    model, _, theta, manifest = load_model(path, "last")
    epochs = int(run.settings["epochs"])
    per_epoch = math.ceil(len(data[0].train) / info.train.batch_size)
    return Trained(
        run,
        path,
        model,
        info.train.with_changes(epochs=epochs),
        data[0],
        order.K,
        theta,
        int(manifest["progress"]["t"]),
        epochs * per_epoch,
        info.metrics,
        measured,
    )

"""The work behind `minivae train`: settle, train, measure, draw, and say what came of it."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from minivae.cli.common import Speaker, UsageFault, choose_backend
from minivae.cli.pictures import draw_all
from minivae.cli.runs import choose_split, scene_of
from minivae.cli.settings import parse_options, read_config_file, settings_of_run, settle
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.training.config import TrainConfig
from minivae.training.loop import TrainResult, train
from minivae.training.progress import (
    NullReporter,
    PlainReporter,
    Reporter,
    RichReporter,
    Start,
)

SMALL_PRODUCT = 20_000_000  # operations; below, one BLAS thread is at least as fast as two


class Order(NamedTuple):
    """Everything settled: what is trained, on what, where, by which backend."""

    model: ModelConfig
    config: TrainConfig
    dataset: Dataset
    K: Any
    path: Path
    resumed: bool
    data_dir: Path | None


def run_training(
    options: dict[str, Any], place: dict[str, Any], speaker: Speaker
) -> tuple[dict[str, Any], str]:
    """Train as asked; the result as plain values and as text. Faults rise before disk changes."""
    order = settle_order(options, place, speaker)
    began = time.monotonic()
    if compiles_first(order.K):
        speaker.say("compiling the kernels for this processor (once; later runs start at once)")
    with blas_threads(order):
        result = train(
            order.model,
            order.config,
            order.dataset,
            order.K,
            order.path,
            resume=order.resumed,
            reporter=reporter_for(speaker),
        )
    facts = describe(order, result, time.monotonic() - began)
    if place["pictures"]:
        speaker.say("drawing pictures")
        facts["pictures"] = draw(order, result)
    return facts, as_text(order, facts, speaker.quiet)


def settle_order(options: dict[str, Any], place: dict[str, Any], speaker: Speaker) -> Order:
    """Settings, data, backend and place; every fault that can be known is raised here."""
    from minivae.data.load import load

    given = {} if place["config"] is None else read_config_file(place["config"])
    given |= parse_options(options)
    name = place["dataset"] or given.pop("dataset", None)
    data_dir = place["data_dir"] or given.pop("data_dir", None)
    out = place["out"] or given.pop("out", None)
    backend = given.pop("backend", None)
    if place["resume"] is not None:
        return settle_resume(place["resume"], name, out, data_dir, given, backend, speaker)
    name = record_name(name or "digits")
    dataset = load(name, data_dir)
    # the settings are checked before a backend is loaded, which may take seconds
    settle(dataset, name, given, "numpy")
    K = choose_backend(backend or "auto", given.get("threads"), speaker)
    model, config = settle(dataset, name, given, K.name)
    path = Path(out) if out is not None else next_path(dataset.name)
    return Order(model, config, dataset, K, path, False, data_dir)


def settle_resume(
    path: Path,
    name: str | None,
    out: Path | None,
    data_dir: Path | None,
    given: dict[str, Any],
    backend: str | None,
    speaker: Speaker,
) -> Order:
    """The order that goes on with the run in `path`."""
    from minivae.data.load import load

    if out is not None and Path(out) != path:
        raise UsageFault(f"--resume {path} continues in {path}; leave --out away")
    model, config, _ = settings_of_run(path, given)
    if name is not None and record_name(name) != config.dataset:
        raise UsageFault(
            f"{path} was trained on {config.dataset}, not {name}; leave the data set away"
        )
    dataset = load(config.dataset, data_dir)
    K = choose_backend(backend or config.backend, config.threads, speaker)
    return Order(model, config.with_changes(backend=K.name), dataset, K, path, True, data_dir)


def record_name(name: str) -> str:
    """The data set's name as a run records it: a file by its whole path, to be found again."""
    from minivae.data.registry import known_name

    known = known_name(name)
    if known is not None:
        return known
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def next_path(name: str) -> Path:
    """runs/NAME-1, or the first number that is free."""
    from minivae.training.run import next_run_path

    return next_run_path(Path(name).stem or "run")


def blas_threads(order: Order) -> contextlib.AbstractContextManager[Any]:
    """Hold NumPy's BLAS to the threads asked for, or to one where its products are small.

    Threads that wait for each other at every small product cost more than they bring: on a busy
    two-core machine the default run on digits was 20 times slower with two.
    """
    if order.K.name != "numpy":
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    threads = order.config.threads
    if threads is None and largest_product(order.model, order.config.batch_size) < SMALL_PRODUCT:
        threads = 1
    return threadpool_limits(threads, "blas")


def compiles_first(K: Any) -> bool:
    """Whether the backend's training step has to be compiled before it can start."""
    is_cached = getattr(inspect.getmodule(K.make_step), "is_cached", None)
    return is_cached is not None and not is_cached()


def largest_product(model: ModelConfig, batch: int) -> int:
    """Operations of the largest matrix product of one update."""
    sizes = (model.data_dim, *model.hidden, model.latent_dim)
    widest = max(a * b for a, b in itertools.pairwise(sizes))
    return 2 * batch * model.draws * widest


class Lines(PlainReporter):
    """A line per epoch, after one that says where the run is kept."""

    def start(self, start: Start) -> None:
        self._line(f"run      {start.run_dir}")
        super().start(start)


class Bar(RichReporter):
    """A progress bar, after a line that says where the run is kept."""

    def start(self, start: Start) -> None:
        self.console.print(f"run      {start.run_dir}", highlight=False)
        super().start(start)


def reporter_for(speaker: Speaker) -> Reporter:
    """A bar on a terminal, lines elsewhere, nothing with --quiet; stdout kept free for --json."""
    if speaker.quiet:
        return NullReporter()
    if sys.stderr.isatty() and (speaker.as_json or sys.stdout.isatty()):
        return Bar()
    return Lines(sys.stderr if speaker.as_json else sys.stdout)


def describe(order: Order, result: TrainResult, seconds: float) -> dict[str, Any]:
    """What training came to, as plain values; losses in nats per datum."""
    trained = sum(record["seconds"] for record in result.history)
    speeds = [record["samples_per_second"] for record in result.history]
    last = result.history[-1] if result.history else None
    return {
        "run": str(order.path),
        "model": order.model.to_dict(),
        "train_config": order.config.to_dict(),
        "resumed": order.resumed,
        "epochs": result.epochs,
        "updates": result.updates,
        "reason": result.reason,
        "message": result.message,
        "best_epoch": result.best_epoch,
        "monitor": result.monitor,
        "train": None if last is None else losses(last["train"]),
        **measure_test(order, result),
        "seconds": round(seconds, 3),
        "seconds_training": round(trained, 3),
        "samples_per_second": sorted(speeds)[len(speeds) // 2] if speeds else None,
        "backend": order.K.name,
        "threads": order.config.threads,
        "checkpoints": checkpoints(order.path),
    }


def losses(figures: dict[str, Any]) -> dict[str, float]:
    """The four figures of an epoch's record."""
    return {key: figures[key] for key in ("reconstruction", "kl", "elbo", "loss")}


def measure_test(order: Order, result: TrainResult) -> dict[str, Any]:
    """One draw per datum on the whole test split (the training split where there is none)."""
    from minivae.data.targets import binarise_fixed
    from minivae.metrics.latent import latent_report
    from minivae.metrics.likelihood import evaluate
    from minivae.models.vae import layout_of
    from minivae.training.heldout import figures

    K, model, config = order.K, order.model, order.config
    dataset = order.dataset
    if config.binarise == "fixed":
        dataset = binarise_fixed(dataset, config.seed)
    split = choose_split(dataset, None)
    dynamic = config.binarise == "dynamic"
    p = layout_of(model).views(K.to_device(result.theta))
    e = evaluate(K, p, getattr(dataset, split), model, seed=config.seed, scale=dataset.scale,
                 binarise=dynamic)  # fmt: skip
    n = len(e.reconstruction)
    report = latent_report(e.mu, e.kl)
    grey = model.likelihood == "bernoulli" and not dynamic and not dataset.fixed_binary
    return {
        split: losses(figures(float(e.reconstruction.sum()), e.kl.sum(axis=0), n, model)),
        "measured_on": split,
        "targets": "binarised" if dynamic else "grey" if grey else "as given",
        "active_units": report.active_units,
        "kl_per_dimension": report.kl_per_dimension,
        "diagnosis": report.diagnosis,
    }


def checkpoints(path: Path) -> dict[str, Any]:
    """Where `last` and `best` lie, and the sha256 of each one's tensors."""
    from minivae.training.checkpoint import read_checkpoint
    from minivae.training.store import CheckpointStore

    found = {}
    for which in ("last", "best"):
        checkpoint = CheckpointStore(path / "checkpoints").load(which)
        sums = read_checkpoint(checkpoint.path).manifest["tensors"]
        found[which] = {
            "path": str(checkpoint.path),
            "sha256": checkpoint.manifest["sha256"],
            "tensors": {name: entry["sha256"] for name, entry in sums.items()},
        }
    return found


def draw(order: Order, result: TrainResult) -> dict[str, str]:
    """The run's pictures, from the parameters after the last update."""
    from minivae.data.targets import binarise_fixed

    dataset = order.dataset
    if order.config.binarise == "fixed":
        dataset = binarise_fixed(dataset, order.config.seed)
    scene = scene_of(order.K, order.model, result.theta, dataset, None)
    drawn, _ = draw_all(scene, order.path / "pictures", result.history)
    return {name: str(path) for name, path in drawn.items()}


def as_text(order: Order, facts: dict[str, Any], quiet: bool) -> str:
    """The end of a run for a person: figures, pictures, and what to try next."""
    lines = [facts["message"] if quiet else ""]
    for part in ("train", facts["measured_on"]):
        f = facts.get(part)
        if f is not None and (part != "train" or facts["measured_on"] != "train"):
            name = f"{part:<8}"
            lines.append(
                f"{name} reconstruction {f['reconstruction']:.3f} + KL {f['kl']:.3f} "
                f"= -ELBO {-f['elbo']:.3f} nats per datum"
            )
    speed = facts["samples_per_second"]
    lines.append(
        f"time     {facts['seconds']:.1f} s"
        + (f", {speed:,.0f} samples/s" if speed else "")
        + f" ({facts['backend']})"
    )
    lines += ["", facts["diagnosis"], ""]
    for name, path in facts.get("pictures", {}).items():
        lines.append(f"{name:<16} {path}")
    run = order.path
    lines += ["", "next", f"  minivae evaluate {run}", f"  minivae generate {run} --n 64",
              f"  minivae interpolate {run}", f"  minivae explain-loss {run}"]  # fmt: skip
    if facts["reason"] == "finished":
        lines.append(f"  minivae train --resume {run} --epochs {2 * order.config.epochs}")
    return "\n".join(lines)

"""The work behind `minivae train`: settle what is asked, train, and draw."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import sys
import time
from pathlib import Path
from typing import Any

from minivae.cli.common import UNREAD, Speaker, UsageFault, choose_backend
from minivae.cli.outcome import Order, as_text, describe
from minivae.cli.pictures import draw_all
from minivae.cli.runs import scene_of
from minivae.cli.settings import parse_options, read_config_file, settings_of_run, settle
from minivae.models.config import ModelConfig
from minivae.runs.errors import Interrupted
from minivae.training.loop import TrainResult, train
from minivae.training.progress import (
    NullReporter,
    PlainReporter,
    Reporter,
    RichReporter,
    Start,
)

SMALL_PRODUCT = 20_000_000  # operations; below, one BLAS thread is at least as fast as two


def run_training(
    options: dict[str, Any], place: dict[str, Any], speaker: Speaker
) -> tuple[dict[str, Any], str]:
    """Train as asked; the result as plain values and as text. Faults rise before disk changes.

    Raises Interrupted, with the state saved, once nobody reads what is printed.
    """
    order = settle_order(options, place, speaker)
    began = time.monotonic()
    if compiles_first(order.K):
        speaker.say("compiling the kernels for this processor (once; later runs start at once)")
    reporter = reporter_for(speaker)
    with blas_threads(order):
        result = train(
            order.model,
            order.config,
            order.dataset,
            order.K,
            order.path,
            resume=order.resumed,
            reporter=reporter,
            stop=lambda: isinstance(reporter, Lines) and reporter.unread,
        )
    if result.reason == "stopped":
        message = f"stopped, as nobody reads its output, {result.message}"
        raise Interrupted(message, UNREAD, order.path)
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
    name = given.pop("dataset", None) if place["dataset"] is None else place["dataset"]
    data_dir = place["data_dir"] or given.pop("data_dir", None)
    out = place["out"] or given.pop("out", None)
    backend = given.pop("backend", None)
    if place["resume"] is not None:
        return settle_resume(place["resume"], name, out, data_dir, given, backend, speaker)
    name = record_name("digits" if name is None else name)
    dataset = load(name, data_dir)
    # the settings are checked before a backend is loaded, which may take seconds
    settle(dataset, name, given, "numpy")
    tf32 = bool(given.get("tf32"))
    K = choose_backend(backend or "auto", given.get("threads"), speaker, tf32=tf32)
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
    chosen = backend or config.backend
    K = choose_backend(chosen, config.threads, speaker, tf32=config.tf32)
    return Order(model, config.with_changes(backend=K.name), dataset, K, path, True, data_dir)


def record_name(name: str) -> str:
    """The data set's name as a run records it: a file by its whole path, to be found again."""
    from minivae.data.registry import known_name

    known = known_name(name)
    if known is not None:
        return known
    path = Path(name).expanduser()
    return str(path.resolve()) if name and path.exists() else name


def next_path(name: str) -> Path:
    """runs/NAME-1, or the first number that is free."""
    from minivae.runs.directory import next_run_path

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
    """A line per epoch, after one that says where the run is kept; as long as they are read."""

    unread = False

    def _line(self, text: str) -> None:
        try:
            if not self.unread:
                super()._line(text)
        except BrokenPipeError:  # the pipe's reader (head, a pager) went away
            self.unread = True

    def start(self, start: Start) -> None:
        self._line(f"run      {start.run_dir}")
        super().start(start)


class Bar(RichReporter):
    """A progress bar, after a line that says where the run is kept."""

    def start(self, start: Start) -> None:
        self.console.print(f"run      {start.run_dir}", highlight=False)
        super().start(start)


class Notes(NullReporter):
    """What --quiet leaves: notes, on stderr, such as that a damaged checkpoint is passed over."""

    def note(self, text: str) -> None:
        print(f"note: {text}", file=sys.stderr, flush=True)


def reporter_for(speaker: Speaker) -> Reporter:
    """A bar on a terminal, lines elsewhere, notes with --quiet; stdout kept free for --json."""
    if speaker.quiet:
        return Notes()
    if sys.stderr.isatty() and (speaker.as_json or sys.stdout.isatty()):
        return Bar()
    return Lines(sys.stderr if speaker.as_json else sys.stdout)


def draw(order: Order, result: TrainResult) -> dict[str, str]:
    """The run's pictures, from the parameters after the last update."""
    from minivae.data.targets import binarise_fixed

    dataset = order.dataset
    if order.config.binarise == "fixed":
        dataset = binarise_fixed(dataset, order.config.seed)
    scene = scene_of(order.K, order.model, result.theta, dataset, None)
    drawn, _ = draw_all(scene, order.path / "pictures", result.history)
    return {name: str(path) for name, path in drawn.items()}

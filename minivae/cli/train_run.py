"""The work behind `minivae train`, once everything is settled: train, measure and draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from minivae.cli.backends import blas_threads, compiles_first
from minivae.cli.console import UNREAD, Console
from minivae.cli.pictures import DataSplit, Scene, draw_all
from minivae.cli.run_data import default_split
from minivae.cli.train_progress import Lines, reporter_for
from minivae.cli.train_report import as_text, describe, measure_test
from minivae.cli.train_settings import TrainRequest
from minivae.models.vae import layout_of
from minivae.plots.images import look_of
from minivae.runs.errors import Interrupted
from minivae.training.loop import TrainResult, train
from minivae.training.serve import serving
from minivae.training.sharded import EVALUATE, ask
from minivae.training.world import World


def run_training(
    request: TrainRequest,
    console: Console,
    world: World | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, Any], str]:
    """Train as settled; the result as plain values and as text. Faults rise before disk changes.

    world: the processes that serve this one, until all is measured.
    Raises Interrupted, with the state saved, once `stop` says so or nobody reads what is printed.
    """
    began = time.monotonic()
    if (said := compiles_first(request.K)) is not None:
        console.say(said)
    reporter = reporter_for(console)
    with blas_threads(request.K, request.model, request.config), serving(world):
        result = train(
            request.model,
            request.config,
            request.dataset,
            request.K,
            request.path,
            resume=request.resumed,
            reporter=reporter,
            stop=lambda: stop() or (isinstance(reporter, Lines) and reporter.unread is not None),
            world=world,
        )
        test = {} if result.reason == "stopped" else measured(request, result, world)
    if result.reason == "stopped":
        why = reporter.why_unread if isinstance(reporter, Lines) else "it was asked to"
        message = f"stopped, as {why}, {result.message}"
        raise Interrupted(message, UNREAD, request.path)
    facts = describe(request, result, time.monotonic() - began, test)
    if request.pictures:
        console.say("drawing pictures")
        facts["pictures"] = draw(request, result)
    return facts, as_text(request, facts, console.quiet)


def measured(request: TrainRequest, result: TrainResult, world: World | None) -> dict[str, Any]:
    """The test figures, whose rows the processes share out."""
    if world is None:
        return measure_test(request, result.theta)
    ask(world, EVALUATE)
    return measure_test(request, world.spread(result.theta), world.share_out)


def draw(request: TrainRequest, result: TrainResult) -> dict[str, str]:
    """The run's pictures, from the parameters after the last update."""
    from minivae.data.targets import binarise_fixed

    dataset = request.dataset
    if request.config.binarise == "fixed":
        dataset = binarise_fixed(dataset, request.config.seed)
    K, model = request.K, request.model
    p = layout_of(model).views(K.to_device(result.theta))
    shown = DataSplit.of(dataset, default_split(dataset))
    look, names = look_of(shown.x), dataset.columns
    scene = Scene(K, p, model, dataset.name, dataset.shape, look, names, dataset.standard)
    drawn, _ = draw_all(scene, shown, request.path / "pictures", result.history)
    return {name: str(path) for name, path in drawn.items()}

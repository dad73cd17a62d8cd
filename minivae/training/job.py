"""What a run computes: which rows each update sees, at what rate, by which step.

Everything here is a function of the configuration and the data alone, never of what happened
before, so that a resumed run and a replay see exactly what the first run saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minivae.backend import ROUNDED, most_threads
from minivae.data.dataset import Dataset
from minivae.data.targets import binarise_fixed, check_targets
from minivae.data.window import local_order
from minivae.models.config import ConfigError, ModelConfig
from minivae.ops.philox import permutation
from minivae.parts import OBJECTIVES
from minivae.runs.config import TrainConfig, check_together
from minivae.runs.state import State
from minivae.training.heldout import Split, settle_validation, split_rows
from minivae.training.memory import check_memory
from minivae.training.plan import StepPlan, make_plan
from minivae.training.schedule import Rate, Schedule
from minivae.training.sharded import ShardedStep
from minivae.training.step import make_step
from minivae.training.windowed import step_on
from minivae.training.world import World
from minivae.types import Array

# A chunk of updates is what one call of the step does, and the longest a stop has to wait: sized
# for about a tenth of a second by the operations that two cores at 100 GFLOP/s, or a card at 10
# TFLOP/s, do in it. The sums behind the progress line are read once a chunk. Smaller chunks cost:
# 2 updates a call instead of 16 took a tenth longer an epoch (784-400-20, batch 128, two Zen 4
# cores), for between calls the kernels' threads fall asleep.
CHUNK_FLOPS = {"cupy": 1e12}
CHUNK_FLOPS_CPU = 1e10
MOST_UPDATES = {"cupy": 1024}
MOST_UPDATES_CPU = 64


@dataclass(frozen=True)
class Job:
    """A model, its training settings, the data (binarised, if once) and who computes."""

    model: ModelConfig
    config: TrainConfig
    data: Dataset
    K: Any
    split: Split
    schedule: Schedule
    plan: StepPlan
    chunk: int  # updates
    note: str = ""  # what the user should know, or nothing
    world: World | None = None  # the processes that train it together

    @property
    def rows(self) -> int:
        """How many rows are trained on."""
        return len(self.split.train_rows)

    @property
    def updates_per_epoch(self) -> int:
        """Updates in an epoch, the smaller last one counted."""
        return math.ceil(self.rows / self.config.batch_size)

    def order(self, epoch: int) -> Array:
        """The rows in this epoch's order, a function of (seed, epoch): (n,) int64."""
        if self.config.order == "blocks":
            row_bytes = self.data.data_dim * self.data.train.dtype.itemsize
            return self.split.train_rows[local_order(self.config.seed, epoch, self.rows, row_bytes)]
        return self.split.train_rows[permutation(self.config.seed, epoch, self.rows)]

    def next_rows(self, order: Array, update: int) -> Array:
        """The rows (n, B) of the chunk that starts at this update of the epoch.

        Chunks end at fixed places of the epoch. The sums of losses are added chunk by chunk, so
        this keeps even their last bits the same wherever the run was stopped.
        """
        B = self.config.batch_size
        full = len(order) // B
        if update >= full:
            return order[full * B :].reshape(1, -1)
        end = min(full, (update // self.chunk + 1) * self.chunk)
        return order[update * B : end * B].reshape(-1, B)

    def step(self, state: State, say: Callable[[str], None] = lambda line: None) -> Any:
        """The backend's training step, a copy of this state in it; `say` hears of a slower one."""
        return self.step_from(state.theta, state.moments, say)

    def step_from(
        self, theta: Array, moments: Array, say: Callable[[str], None] = lambda line: None
    ) -> Any:
        """The backend's training step from theta (P,) and moments (M, P)."""

        def make(rows: Array) -> Any:
            given = self.K, self.plan, theta, moments, rows
            if self.config.shards > 1:
                return ShardedStep(*given, shards=self.config.shards, world=self.world, say=say)
            return make_step(*given, say, self.data.weight)

        # of a pool's blocks each process has some rows: it reads these, not the blocks
        local = self.config.order == "blocks" and self.world is None
        most = self.chunk * self.plan.max_batch
        rows, used = self.data.train, self.split.train_rows
        return step_on(self.K, rows, make, used, most=most, local=local)


def make_job(
    model: ModelConfig,
    config: TrainConfig,
    dataset: Dataset,
    K: Any,
    lr: Rate | None,
    world: World | None = None,
) -> Job:
    """Check model, settings, data and memory against each other, and lay out the run.

    Raises ConfigError or DataError, one line, before anything is written.
    """
    check_together(model, config)
    check_targets(dataset, model.likelihood, config.binarise, model.groups)
    if dataset.data_dim != model.data_dim:
        raise ConfigError(
            f"data_dim = {model.data_dim}: {dataset.name} has {dataset.data_dim} features a row"
        )
    if config.backend != K.name:
        raise ConfigError(f"backend = {config.backend!r}: the backend given is {K.name!r}")
    for key in ROUNDED:
        if (asked := getattr(config, key)) != getattr(K, key, False):
            raise ConfigError(
                f"{key} = {asked!r}: the backend given is {K!r}; load_backend and the "
                "configuration must agree"
            )
    check_threads(config, K)
    data = binarise_fixed(dataset, config.seed) if config.binarise == "fixed" else dataset
    config, note = settle_validation(data, config)
    split = split_rows(data, config)
    B = min(config.batch_size, len(split.train_rows))
    data = weighed(data, split, model, config)
    plan = make_plan(
        model,
        scale=data.scale,
        seed=config.seed,
        max_batch=B,
        optimiser=config.optimiser,
        settings=config.settings,
        binarise="dynamic" if config.binarise == "dynamic" else "none",
        threads=config.threads or 0,
        weighted=data.weight is not None,
    )
    check_memory(plan, K.name)
    per_epoch = math.ceil(len(split.train_rows) / config.batch_size)
    schedule = Schedule.of(config.lr, model.beta, config.warmup, per_epoch, config.lr_steps)
    if lr is not None:
        schedule = Schedule(lr, schedule.beta, schedule.warmup_updates)
    chunk = chunk_size(plan, K.name)
    return Job(model, config, data, K, split, schedule, plan, chunk, note, world)


def check_threads(config: TrainConfig, K: Any) -> None:
    """Raise ConfigError for more threads than the backend's kernels can be run by."""
    if config.threads is not None and config.threads > (most := most_threads(K.name)):
        raise ConfigError(f"threads = {config.threads}: must be at most {most:g}")


def weighed(data: Dataset, split: Split, model: ModelConfig, config: TrainConfig) -> Dataset:
    """The data with weights (E64), if there are any, whose mean over the training rows is 1.

    Raises ConfigError where an objective or shards know of no weights.
    """
    if data.weight is None:
        return data
    if not OBJECTIVES[model.objective].weighs:
        raise ConfigError(
            f"objective = {model.objective!r}: counts all rows alike and takes no sample_weight"
        )
    if config.shards > 1:
        raise ConfigError(f"shards = {config.shards}: shards take no sample_weight; use one")
    return data.with_parts(weight=data.weight / data.weight[split.train_rows].mean())


def chunk_size(plan: StepPlan, backend: str) -> int:
    """Updates in a chunk: a power of two, from the model's size alone, never from the clock."""
    parameters = sum(math.prod(shape) for _, _, shape in plan.layout)
    flops = 6.0 * parameters * plan.max_batch * plan.draws  # 2 forward, 4 backward a parameter
    budget = CHUNK_FLOPS.get(backend, CHUNK_FLOPS_CPU)
    most = MOST_UPDATES.get(backend, MOST_UPDATES_CPU)
    return min(most, 1 << math.floor(math.log2(max(1.0, budget / flops))))

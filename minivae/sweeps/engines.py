"""Who trains a sweep's runs: processes of this machine (joblib), or a Dask cluster.

An engine takes a function and jobs, and hands back (job, result) as each is done. A worker that is
lost costs its run what came after its last checkpoint: the run is given to another and resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

from minivae.processes import threads_each
from minivae.settings import ConfigError

TRIES = 3  # of a run whose worker was lost

Job = tuple[str, list[str]]  # a run's name and its command line
Outcome = dict[str, Any]
Work = Callable[[Job], Outcome]


class Engine(NamedTuple):
    """What runs the jobs, and the threads that each may use so that no core is asked for twice."""

    run: Callable[[Work, Sequence[Job]], Iterator[Outcome]]
    threads: int | None  # None leaves it to the run: it is alone
    outlived: bool = False  # whether its workers could go on when this process is killed


def lost(job: Job) -> Outcome:
    """The outcome of a run whose worker died each time."""
    return {"name": job[0], "error": f"its worker was lost {TRIES} times"}


def run_joblib(work: Work, jobs: Sequence[Job], processes: int) -> Iterator[Outcome]:
    """By `processes` processes of this machine, as each is done."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting, tries = list(jobs), dict.fromkeys((name for name, _ in jobs), 0)
    while waiting:
        pool = Parallel(n_jobs=processes, backend="loky", return_as="generator_unordered",
                        pre_dispatch=processes)  # fmt: skip
        try:
            for outcome in pool(delayed(work)(job) for job in waiting):
                waiting = [job for job in waiting if job[0] != outcome["name"]]
                yield outcome
        except TerminatedWorkerError:  # the whole pool ends with one of its processes
            for name, _ in waiting[:processes]:
                tries[name] += 1
            for job in [job for job in waiting if tries[job[0]] >= TRIES]:
                waiting.remove(job)
                yield lost(job)


def dask_engine(address: str) -> Engine:
    """The workers of the Dask scheduler at `address`, which all see the directory of the runs.

    Raises ConfigError, one line, where Dask is missing, nobody answers or nobody works.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"--engine dask needs Dask ({error}): pip install 'minivae[cluster]'"
        ) from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"--engine dask:{address}: no scheduler answers there ({text})") from None
    try:
        client.wait_for_workers(1, timeout=10)
    except OSError:  # a TimeoutError
        client.close()
        raise ConfigError(
            f"--engine dask:{address}: that scheduler has no workers; start one: dask worker "
            f"{address}"
        ) from None
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    slots: dict[str, int] = {}  # runs at once on each machine
    for worker in workers:
        slots[worker["host"]] = slots.get(worker["host"], 0) + int(worker["nthreads"])
    cores = client.run(threads_each, 1)
    threads = max(1, min(cores.values()) // max(slots.values()))
    return Engine(lambda work, jobs: run_dask(client, work, jobs), threads)


def run_dask(client: Any, work: Work, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """By a Dask client's workers, as each is done. Raises RuntimeError where the scheduler ends."""
    from distributed import as_completed

    # of a scheduler that ends it would print a traceback; what is said below is one line
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with client:
        futures = {client.submit(work, job, retries=TRIES - 1, pure=False): job for job in jobs}
        try:
            for future in as_completed(futures):
                well = future.exception() is None
                yield future.result() if well else lost(futures[future])
        except CancelledError:
            raise RuntimeError(
                "the Dask scheduler has gone; with a new one the same sweep goes on, each run from "
                "its last checkpoint"
            ) from None


def run_here(work: Work, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """In this process, one after another."""
    for job in jobs:
        yield work(job)


def choose_engine(engine: str, processes: int) -> Engine:
    """The engine called "local" or "dask:ADDRESS". Raises ConfigError for another name."""
    name, _, address = engine.partition(":")
    if name == "local" and not address:
        if processes == 1:
            return Engine(run_here, None)
        return Engine(
            lambda work, jobs: run_joblib(work, jobs, processes), threads_each(processes), True
        )
    if name == "dask" and address:
        return dask_engine(address)
    raise ConfigError(f"--engine {engine!r}: choose local, or dask:ADDRESS (dask:tcp://host:8786)")

"""Fixed shards: the batch's own gradient, and the same bits for any number of processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.data.stream import POSSIBLE, FileRows, RowFile
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.runs.config import TrainConfig, check_together
from minivae.settings import ConfigError
from minivae.training.plan import make_plan
from minivae.training.sharded import ShardedStep
from minivae.training.step import ReferenceStep
from minivae.training.windowed import step_on

sys.path.insert(0, str(Path(__file__).parent))
from fake_ranks import on_ranks

from tests.training.mpi_jobs import Job, command, digest, environment, fresh

EPOCHS = 8  # so many that a rank is killed before the last of them, on a fast machine too


def problem(dtype=np.float64):
    model = ModelConfig(11, 3, hidden=(7,), draws=2, beta=0.7)
    plan = make_plan(model, scale=1 / 255, seed=4, max_batch=13, binarise="dynamic")
    theta = initialise(model, 0).astype(dtype)
    data = np.random.default_rng(0).integers(0, 256, (40, 11)).astype(np.uint8)
    return plan, theta, np.zeros((2, theta.size), dtype), data


def run(step):
    rows = np.random.default_rng(1).integers(0, 40, (5, 13))
    step(rows, 3, np.full(5, 1e-2), np.full(5, 0.7))
    return step.state()[0], step.metrics()


@pytest.mark.parametrize("shards", [1, 2, 4, 16])  # 16: more shards than data in the batch
def test_the_shards_add_up_to_the_batch(shards):
    K = load_backend("numpy")
    theta, metrics = run(ReferenceStep(K, *problem()))
    mine, sums = run(ShardedStep(K, *problem(), shards=shards))
    assert np.abs(mine - theta).max() <= 1e-12
    for key in ("loss", "nll", "kl", "samples", "updates"):
        assert sums[key] == pytest.approx(metrics[key], rel=1e-12)


def test_a_lost_shard_would_be_seen():
    class Lossy(ShardedStep):
        def _shard(self, rows, t, beta, number, level, *, add):
            kept = self.room[level].copy()
            sums = super()._shard(rows, t, beta, number, level, add=add)
            if number == 1:
                self.room[level][...] = kept
            return sums

    K = load_backend("numpy")
    theta, _ = run(ReferenceStep(K, *problem()))
    assert not np.abs(run(Lossy(K, *problem(), shards=4))[0] - theta).max() <= 1e-12


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"shards": 3}, "power of two"), ({"shards": 64, "batch_size": 96}, "divides the batch"),
     ({"shards": 0}, "at least 1")],
)  # fmt: skip
def test_shards_that_cannot_be(settings, says):
    with pytest.raises(ConfigError, match=says):
        TrainConfig(**settings)


def test_settings_that_do_not_go_with_shards():
    with pytest.raises(ConfigError, match="leave free bits or shards out"):
        check_together(ModelConfig(4, free_bits=0.1), TrainConfig(shards=2))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_any_number_of_ranks_ends_in_the_same_bits(backend):
    """Each rank a thread; slices and whole sums, a batch that the shards do not divide."""
    plan, theta, moments, data = problem(np.float32)
    rows = np.random.default_rng(1).integers(0, 40, (3, 13))

    def train(world, slices=True):
        K = load_backend(backend, 1)
        step = ShardedStep(K, plan, theta, moments, data, shards=4, world=world, slices=slices)
        step(rows, 3, np.full(3, 1e-2), np.full(3, 0.7))
        return step.state()[0].tobytes(), step.state()[1].tobytes(), step.metrics()["loss"]

    alone = train(None)
    for size in (2, 4):
        for slices in (True, False):
            found = on_ranks(size, lambda world, s=slices: as_equals(world, train, s))
            assert all(each == alone for each in found)


def as_equals(world, train, *more):
    """Every rank calls the step itself, so rank 0's announcements to servers are left out."""
    spread = world.spread

    def quiet(buffer, **how):
        served = buffer.dtype == np.int64 or buffer.dtype == np.float64
        return buffer if served else spread(buffer, **how)

    world.spread = quiet
    return train(world, *more)


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_any_number_of_processes_and_a_kill_end_in_the_same_bytes(backend, tmp_path):
    for P in (1, 2, 4):
        words = command(P, *fresh(tmp_path / str(P), backend, EPOCHS))
        subprocess.run(words, check=True, env=environment(), timeout=120)
    assert digest(tmp_path / "1") == digest(tmp_path / "2") == digest(tmp_path / "4")
    cut = tmp_path / "cut"
    job = Job(2, cut, backend=backend, epochs=EPOCHS)
    job.signal(1, signal.SIGKILL)
    code, _ = job.ended()
    reached = json.loads((cut / "checkpoints" / "last.json").read_text())["progress"]["epoch"]
    assert code != 0 and 1 <= reached < EPOCHS
    resume = command(4, "--resume", str(cut))
    subprocess.run(resume, check=True, env=environment(), timeout=120)
    assert digest(cut) == digest(tmp_path / "1")
    assert evaluated(1, cut) == evaluated(2, cut)


def evaluated(processes: int, out: Path) -> dict:
    words = ["mpiexec", "-n", str(processes), sys.executable, "-m", "minivae", "evaluate", str(out),
             "--samples", "20", "--backend", "numpy", "--json"]  # fmt: skip
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout) | {"seconds": None}


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
@pytest.mark.parametrize(("processes", "more"), [(3, ["--shards", "4"]), (2, [])])
def test_processes_that_do_not_fit_the_shards_are_one_line(tmp_path, processes, more):
    words = ["digits", "--out", str(tmp_path / "r"), "--epochs", "1", *more]
    done = subprocess.run(
        command(processes, *words),
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "cannot share them out" in errors[0]
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
@pytest.mark.parametrize(
    ("other", "says"),
    [(["shapes"], "error: rank 1 has data that differ"), (["digits", "--lr", "0"], "rank 1: lr"),
     (["digits", "--bta"], "error: rank 1: No such option")],
)  # fmt: skip
def test_what_one_rank_alone_has_wrong_is_one_line_with_its_rank(other, says, tmp_path):
    def words(*more):
        return [sys.executable, "-m", "minivae", "train", *more, "--shards", "2", "--epochs", "1",
                "--backend", "numpy", "--out", str(tmp_path / "r")]  # fmt: skip

    both = ["mpiexec", "-n", "1", *words("digits"), ":", "-n", "1", *words(*other)]
    done = subprocess.run(both, env=environment(), capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2 and len(errors) == 1 and says in errors[0]
    assert not (tmp_path / "r").exists()


@pytest.mark.skipif(not POSSIBLE, reason="this system cannot read rows piece by piece")
def test_of_data_on_disk_each_rank_reads_just_its_rows(tmp_path, monkeypatch):
    plan, theta, moments, data = problem(np.float32)
    np.save(tmp_path / "x.npy", data)
    source = RowFile(tmp_path / "x.npy", 128, data.dtype, data.shape)
    rows = np.random.default_rng(1).permutation(40)[:26].reshape(2, 13)
    K, given = load_backend("numpy"), (np.full(2, 1e-2), np.full(2, 0.7))

    def train(world):
        make = lambda x: ShardedStep(K, plan, theta, moments, x, shards=4, world=world)  # noqa: E731
        if world is None:
            step = make(data)
        else:
            read = FileRows(source)
            step = step_on(K, read, make, np.arange(40), most=26, local=False)
            seen = []
            monkeypatch.setattr(
                step.window, "show", lambda r, show=step.window.show: seen.append(r) or show(r)
            )
        step(rows, 3, *given)
        if world is not None:  # 13 rows in 4 shards: 3, 3, 3, 4
            first, last = ((0, 6), (6, 13))[world.rank]
            assert np.array_equal(seen[0], rows[:, first:last])
        return step.state()[0].tobytes()

    alone = train(None)
    assert on_ranks(2, lambda world: as_equals(world, train)) == [alone, alone]

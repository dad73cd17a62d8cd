"""The team of threads, the cache on disk, other vector widths, and a machine without Numba."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import minivae_kernels
import numpy as np
import pytest
from minivae_kernels.cpu import compiler, is_cached, pool, settings, simd

from minivae import ops

ROOT = Path(__file__).resolve().parents[3]

RUN = """
import hashlib, sys
import numpy as np
from minivae_kernels.cpu import make_step, load, compiler, simd
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.training.plan import make_plan
digest = hashlib.sha256()
for activation, likelihood in (("relu", "bernoulli"), ("tanh", "gaussian")):
    config = ModelConfig(data_dim=67, latent_dim=5, hidden=(37, 50), activation=activation,
                         likelihood=likelihood, c="learned" if likelihood == "gaussian" else 1.0)
    plan = make_plan(config, scale=1 / 255, seed=3, max_batch=45, binarise="dynamic", threads=2)
    theta = initialise(config, 1)
    rng = np.random.default_rng(2)
    data = rng.integers(0, 256, (99, 67)).astype(np.uint8)
    step = make_step(plan, theta, np.zeros((2, theta.size), np.float32), data)
    step(rng.integers(0, 99, (30, 45)), 0, np.full(30, 1e-3), np.ones(30))
    for a in step.state():
        digest.update(a.tobytes())
print(simd.WIDTH, compiler.statistics()["misses"], digest.hexdigest())
"""


SMALL = """
import hashlib
import numpy as np
from minivae_kernels.cpu import compiler, load
y = load(2)["tanh_forward"](np.linspace(-3, 3, 1001, dtype=np.float32))
print(0, compiler.statistics()["misses"], hashlib.sha256(y.tobytes()).hexdigest())
"""


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": paths, **env},
    )  # fmt: skip


def outcome(code: str = RUN, **env: str) -> list[str]:
    done = python(code, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_kernel_has_its_ops_signature() -> None:
    kernels = minivae_kernels.load("numba", 2)
    make_step = kernels.pop("make_step")
    assert callable(make_step)
    assert set(kernels) == set(ops.OPS)
    for name, kernel in kernels.items():
        theirs = list(inspect.signature(getattr(ops, name)).parameters)
        assert list(inspect.signature(kernel).parameters) == theirs, name


def test_unknown_kernels() -> None:
    with pytest.raises(ValueError, match="numba or cupy"):
        minivae_kernels.load("numbra")


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", 10**8])
def test_threads_that_cannot_be(threads: Any) -> None:
    with pytest.raises(ValueError, match="threads"):
        minivae_kernels.load("numba", threads)
    minivae_kernels.load("numba", 2)


def test_importing_the_package_imports_no_numba() -> None:
    code = "import sys, minivae_kernels; print('numba' in sys.modules, 'cupy' in sys.modules)"
    assert outcome(code) == ["False", "False"]


def test_without_numba() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import minivae_kernels\n"
        "try:\n    minivae_kernels.load('numba')\n"
        "except minivae_kernels.Unavailable as e:\n    print(e)"
    )
    assert "pip install numba" in " ".join(outcome(code))


@pytest.mark.parametrize(
    "cpu",
    [
        "haswell",
        pytest.param("nehalem", marks=pytest.mark.slow),  # four lanes, no FMA instruction
        pytest.param("skylake-avx512", marks=pytest.mark.slow),
        pytest.param("znver2", marks=pytest.mark.slow),
    ],
)
def test_vector_width_changes_no_bit(cpu: str) -> None:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("names x86-64 processors")
    have = simd.binding.get_host_cpu_features()
    if not have.get("avx2") or ("512" in cpu and not have.get("avx512f")):
        pytest.skip(f"this processor cannot run code for {cpu}")
    native, other = outcome(), outcome(NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="")
    assert other[0] == {"nehalem": "4", "skylake-avx512": "16"}.get(cpu, "8")
    assert native[2] == other[2]


def test_errors_in_a_member_reach_the_caller() -> None:
    def fail(member: int, team: int, sync: Any) -> None:
        if member == 1:
            raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        pool.run(fail, 2)
    seen: list[int] = []
    pool.run(lambda member, team, sync: seen.append(member), 4)
    assert sorted(seen) == [0, 1, 2, 3]


def test_an_interrupt_before_the_start_lets_all_go(K: Any) -> None:
    """Members that wait for one that never comes must not wait for ever."""
    from minivae_kernels.cpu.elementwise import unary_kernel

    x = np.zeros(8, dtype=np.float32)
    unary_kernel(0, 1, np.zeros(48, np.int64), 0, x, x)

    def start(member: int, team: int, sync: Any) -> None:
        if member == 0:
            raise KeyboardInterrupt
        unary_kernel(member, team, sync, 0, x, x)

    with pytest.raises(KeyboardInterrupt):
        pool.run(start, 3)
    assert K.relu_forward(np.full((700, 700), 3, np.float32)).sum() == 3 * 700 * 700


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_team(K: Any) -> None:
    code = (
        "import os, numpy as np\n"
        "from minivae_kernels import load\n"
        "K = load('numba', 2)\n"
        "x = np.ones((600, 600), np.float32)\n"
        "K['tanh_forward'](x)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if abs(K['tanh_forward'](x)[0, 0] - 0.7615942) < 1e-6 else 1)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "PYTHONPATH": paths})  # fmt: skip
    assert done.stdout.split() == ["0"], done.stderr


def test_blas_is_held_to_one_thread() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    inside: list[int] = []

    def look(member: int, team: int, sync: Any) -> None:
        if member == 0:
            found = threadpoolctl.threadpool_info()
            inside.extend(lib["num_threads"] for lib in found if lib["user_api"] == "blas")

    pool.run(look, 2)
    assert inside
    assert set(inside) == {1}


def test_small_work_stays_on_one_thread() -> None:
    assert settings.team_for(100) == 1
    assert settings.team_for(10**7) == 2


def test_second_run_compiles_nothing(tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "none")}
    first = outcome(SMALL, **env)
    assert int(first[1]) > 0
    again = outcome(SMALL, **env)
    assert again[1] == "0"
    assert first[2] == again[2]
    (directory,) = [p for p in tmp_path.iterdir() if p.name.startswith("kernels-")]
    for path in directory.iterdir():  # damage: half of one, another byte in the next
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2])
    assert outcome(SMALL, **env)[2] == first[2]
    assert outcome(SMALL, **env)[1] == "0"


@pytest.mark.slow
def test_two_processes_fill_the_cache_at_once(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    env = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path)}
    env["XDG_CACHE_HOME"] = str(tmp_path / "none")
    both = [subprocess.Popen([sys.executable, "-W", "error", "-c", RUN], env=env,
                             stdout=subprocess.PIPE, text=True) for _ in range(2)]  # fmt: skip
    said = [p.communicate(timeout=300)[0].split() for p in both]
    assert said[0][2] == said[1][2]
    (directory,) = [p for p in tmp_path.iterdir() if p.name.startswith("kernels-")]
    assert all(p.suffix == ".bin" for p in directory.iterdir()), "no temporary file stays"
    third = outcome(NUMBA_CACHE_DIR=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "none"))
    assert third[1] == "0"


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the cache's folders would be made: nothing is kept, nothing fails."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert compiler.cache_dir() is None

    def local(x):  # type: ignore[no-untyped-def]
        return x + 1

    kernel = compiler.entry(local)
    assert kernel(2) == 3
    assert not is_cached()


def test_a_read_only_cache_still_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))

    def served(x):  # type: ignore[no-untyped-def]
        return x + 2

    assert compiler.entry(served)(2) == 4
    monkeypatch.setattr(compiler, "cache_dir", lambda: None)
    again = compiler.entry(served)
    assert again(3) == 5
    assert again._cache.hits == 1


def test_a_full_disk_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler.os, "replace", full)

    def stored(x):  # type: ignore[no-untyped-def]
        return x + 3

    assert compiler.entry(stored)(2) == 5
    (directory,) = tmp_path.iterdir()
    assert list(directory.iterdir()) == []


def test_an_edit_anywhere_makes_the_cache_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiler.sources_hash()
    assert before == compiler.sources_hash()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: read(p) + (b"#" if p.name == "tile.py" else b"")
    )
    assert compiler.sources_hash() != before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinities here")
def test_cores_are_free_again_after_long_work() -> None:
    everywhere = os.sched_getaffinity(0)
    within: list[set[int]] = []
    look = lambda member, team, sync: within.append(os.sched_getaffinity(0))  # noqa: E731
    pool.run(look, len(everywhere), apart=True)
    assert os.sched_getaffinity(0) == everywhere
    assert set().union(*within) == everywhere
    if len(everywhere) > 1:
        assert all(len(cores) == 1 for cores in within)
    within.clear()
    pool.run(look, len(everywhere) + 1, apart=True)
    assert all(cores == everywhere for cores in within)

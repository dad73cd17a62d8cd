"""Kernels in processes of their own: what the tests of caches and processors run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])


# Trains a little: the vector width, the functions compiled, a digest of the parameters.
RUN = """
import hashlib, sys
import numpy as np
from minivae_kernels.cpu import make_step, load
from minivae_kernels.cpu.compile import decorators, simd
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
print(simd.WIDTH, decorators.statistics()["misses"], digest.hexdigest())
"""


# Runs an op, and one that allocates: the functions compiled, a digest of the results, what was
# unpickled on the way, whether all of Numba had to be imported.
SMALL = """
import sys
unpickled = []
sys.addaudithook(lambda event, _: event == "pickle.find_class" and unpickled.append(event))
import hashlib
import numpy as np
from minivae_kernels.cpu import load
from minivae_kernels.cpu.compile import decorators
K, x = load(2), np.linspace(-3, 3, 1000, dtype=np.float32)
y = K["tanh_forward"](x)
z = K["bernoulli_nll_forward"](x.reshape(1, 10, 100), abs(y).reshape(10, 100))
said = hashlib.sha256(y.tobytes() + z.tobytes()).hexdigest()
print(decorators.statistics()["misses"], said, len(unpickled), "numba.np.arraymath" in sys.modules)
"""


def start(code: str, **env: str) -> subprocess.Popen[str]:
    """Run the code in a process of its own, where every warning is an error."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PATHS, **env},
    )  # fmt: skip


def outcome(code: str = RUN, **env: str) -> list[str]:
    """The words that the code prints."""
    process = start(code, **env)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.split()

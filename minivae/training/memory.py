"""Whether a run fits into memory: asked before it starts, when the answer can still be a line."""

from __future__ import annotations

import math
from pathlib import Path

from minivae.models.config import ConfigError
from minivae.training.plan import StepPlan

FLOAT = 4  # bytes
STATES = 2 * 3  # θ and its two moments, of the state and of the last good one
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # what a container may use, or "max"
SYSTEM = Path("/proc/meminfo")  # Linux's account; other systems swap as far as their disk reaches


def check_memory(plan: StepPlan, backend: str) -> None:
    """Raise ConfigError where this machine cannot hold what every backend must hold.

    Only what is certain is counted, so that nothing is refused that could run. What a step holds
    on a card lies in the card's memory, of which its backend keeps count.
    """
    parameters = sum(math.prod(shape) for _, _, shape in plan.layout)
    activations = activation_floats(plan)
    step = 0 if backend == "cupy" else 3 * parameters + activations
    needed, there = FLOAT * (STATES * parameters + step), memory_bytes()
    if there is None or needed <= there:
        return
    fix = "fewer draws or a smaller batch"
    if STATES * parameters > activations:
        fix = "smaller or fewer hidden layers, or fewer latent dimensions"
    raise ConfigError(
        f"this run needs at least {gigabytes(needed)} of memory and the machine has "
        f"{gigabytes(there)}: choose {fix}"
    )


def activation_floats(plan: StepPlan) -> int:
    """Floats that outlive the forward pass, as the backward one reads them: x, a and h, z, out."""
    per_row = plan.data_dim + 2 * sum(plan.hidden) + 2 * plan.latent_dim
    return plan.max_batch * (1 + plan.draws) * per_row  # the encoder's rows, the decoder's


def memory_bytes() -> int | None:
    """Memory and swap, or the part that this process's container may use; None: unknown."""
    try:
        account = dict(line.split(":", 1) for line in SYSTEM.read_text().splitlines())
        machine = 1024 * sum(int(account[k].split()[0]) for k in ("MemTotal", "SwapTotal"))
    except (OSError, ValueError, KeyError):
        return None
    try:
        return min(machine, int(CONTAINER.read_text()))
    except (OSError, ValueError):
        return machine


def gigabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:,.1f} GB" if size < 10**18 else "a billion GB"

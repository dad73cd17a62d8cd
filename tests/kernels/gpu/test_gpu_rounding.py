"""The host build with a card's habits of rounding: what a card showed, seen without one.

Sums of a product rounded once, numbers below 1.2e-38 taken for 0. Not shown: its own exp and log.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.descent import OPTIMISERS
from minivae_kernels.gpu.host_build import AS_ON_A_CARD
from minivae_kernels.gpu.host_device import HostDevice

from minivae import ops
from minivae.backend import Backend
from minivae.proof.kernels import check_kernels

sys.path.insert(0, str(Path(__file__).parent))
from gpu_cases import SHAPES, cases
from gpu_checks import check_noise, check_op
from gpu_steps import ACTIVATED, LIKELY, MODELS, WEIGHED, check_step

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the flags are an x86 processor's"
)


@pytest.fixture
def rounded(built: None) -> Backend:
    return Backend("cupy", gpu.table(HostDevice(rounding=AS_ON_A_CARD)))


def test_verify_finds_nothing_wrong(rounded: Backend) -> None:
    wrong = [f"{row.op}: {row.problem}" for row in check_kernels(rounded) if not row.ok]
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", sorted(cases("odd")))
def test_ops_within_their_budgets(rounded: Backend, op: str, shape: str) -> None:
    check_op(rounded, op, shape)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("model", [*MODELS, *ACTIVATED, *LIKELY, *WEIGHED])
def test_step_within_its_budget(rounded: Backend, model: str, optimiser: str) -> None:
    check_step(rounded, model, optimiser)


def test_noise_keeps_its_bits(rounded: Backend) -> None:
    """What is written with __fmul_rn and __fadd_rn is not contracted, and nothing in it is tiny."""
    check_noise(rounded, 512)


def test_a_tiny_number_is_nothing(rounded: Backend) -> None:
    """gelu_tanh far to the left: a card's 0, where float32 has a number without all its digits."""
    x = np.full(64, -10.05, np.float32)
    exact = ops.gelu_tanh_forward(x.astype(np.float64))
    assert 0 < -exact[0] < 1.2e-38 * 10.05
    assert not np.any(rounded.gelu_tanh_forward(x))

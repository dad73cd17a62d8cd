"""Every rung of the GPU's ladders against the reference, on the host build; not their speed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from minivae_kernels import Unavailable, gpu
from minivae_kernels.gpu import nvrtc, sources
from minivae_kernels.gpu.host_device import HostDevice
from minivae_kernels.ladder import gpu as ladders

from minivae import ops

sys.path.insert(0, str(Path(__file__).parent))
from gpu_steps import MODELS, problem, run


@pytest.mark.parametrize("rows", [1, 9, 33])
@pytest.mark.parametrize("name", ["likelihood", "latent"])
def test_every_rung_equals_the_reference(device: HostDevice, name: str, rows: int) -> None:
    ladder = ladders.load(name, device)
    for seed in (1, 2):
        args = ladder.inputs(np.random.default_rng(seed), rows)
        exact = getattr(ops, ladder.op)(*(a.astype(np.float64) for a in args))
        for version in ladder.versions:
            there = tuple(device.to_device(a) for a in args)
            for got, truth in zip(version(*there), exact, strict=True):
                np.testing.assert_allclose(got, truth, rtol=2e-6, atol=2e-6, err_msg=version.idea)
    device.check_guards()


def test_all_steps_have_the_same_bits(device: HostDevice) -> None:
    """Recording changes who launches, branches when: neither what is launched."""
    given = problem(MODELS["relu bernoulli"])
    versions = ladders.load("step", device).versions
    states = [run(version.call(*given), n=11)[0] for version in versions]  # 8 and 3
    assert len(states) == 3 and len({theta.tobytes() for theta, _ in states}) == 1


def test_the_top_rungs_are_the_products_own(device: HostDevice) -> None:
    table = gpu.table(device)
    for name, op in (("likelihood", "bernoulli_nll_grad"), ("latent", "latent_forward")):
        top = ladders.load(name, device).versions[-1].call
        bound = [cell.cell_contents for cell in top.__closure__]
        assert any(getattr(b, "__func__", None) is table[op].__func__ for b in bound)


def test_unknown_names_and_missing_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="choose likelihood, latent, step"):
        ladders.load("dense")

    def none_here() -> None:
        raise Unavailable("CuPy is not installed")

    monkeypatch.setattr("minivae_kernels.gpu.faults.import_cupy", none_here)
    with pytest.raises(Unavailable):
        ladders.load("latent")


@pytest.mark.gpu_compile
@pytest.mark.parametrize("name", sources.LADDER)
def test_rungs_compile(name: str) -> None:
    try:
        nvrtc.library()
    except RuntimeError as reason:
        pytest.skip(str(reason))
    for arch in nvrtc.ARCHITECTURES:
        assert {row.kernel for row in nvrtc.compile_file(name, arch)} == set(sources.kernels(name))

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
from rounding_device import kept


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


def product_args(rows: int, inner: int, columns: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(rows + inner)
    shapes = (rows, inner), (inner, columns), (columns,)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


# Less than a tile; beside it with rows off the 16-byte grid; two tiles each way; whole fours.
PRODUCTS = [(1, 1, 1), (33, 37, 21), (130, 35, 67), (129, 40, 72)]


@pytest.mark.parametrize("shape", PRODUCTS, ids=str)
def test_every_rung_of_the_product(device: HostDevice, shape: tuple[int, ...]) -> None:
    """To float32's rounding; the rung that says TF32 to TF32's, and no better."""
    x, W, b = product_args(*shape)
    exact = ops.dense_forward(*(a.astype(np.float64) for a in (x, W, b)))
    size = abs(x).astype(np.float64) @ abs(W) + abs(b)
    for version in ladders.load("product", device).versions:
        got = version(*map(device.to_device, (x, W, b)))
        unit = 2.0**-11 if "TF32" in version.idea else 2.0**-24
        worst = float((abs(got - exact) / size).max()) / unit
        assert worst <= 8, version.idea
        if unit > 1e-4:
            assert worst >= 1e-2, "this was no product of TF32 numbers"
    device.check_guards()


@pytest.mark.parametrize("bits", [0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000], ids=hex)
def test_what_is_not_a_number_stays_so_in_tf32(device: HostDevice, bits: int) -> None:
    x, W, b = product_args(33, 40, 20)
    x.view(np.uint32)[7, 5] = bits
    (tf32,) = (v for v in ladders.load("product", device).versions if "TF32" in v.idea)
    got = tf32(*map(device.to_device, (x, W, b)))
    assert np.isnan(got[7]).all() and np.isfinite(np.delete(got, 7, axis=0)).all()
    for nearest in (False, True):
        short = kept(x, 10, nearest)
        assert np.isnan(short[7, 5]) and np.isfinite(np.delete(short, 7, axis=0)).all()


def test_the_products_rungs_add_in_one_order(device: HostDevice) -> None:
    """Tiles, registers, fours, two slabs: each rung moves numbers otherwise, and adds the same."""
    there = tuple(map(device.to_device, product_args(129, 40, 72)))
    exact = [v(*there) for v in ladders.load("product", device).versions[:5]]
    assert len({got.tobytes() for got in exact}) == 1
    for order in (1, 77):  # threads of a block the other way round, and shuffled
        device.order = order
        for version in ladders.load("product", device).versions:
            again = version(*there)
            assert version.number >= 5 or np.array_equal(again, exact[0]), version.idea


def test_all_steps_have_the_same_bits(device: HostDevice) -> None:
    """Recording changes who launches, branches when: neither what is launched."""
    given = problem(MODELS["relu bernoulli"])
    versions = ladders.load("step", device).versions
    states = [run(version.call(*given), n=11)[0] for version in versions]  # 8 and 3
    assert len(states) == 3 and len({theta.tobytes() for theta, _ in states}) == 1


def test_the_top_rungs_are_the_products_own(device: HostDevice) -> None:
    table = gpu.table(device)
    tops = {"product": "dense_forward", "likelihood": "bernoulli_nll_grad"}
    for name, op in {**tops, "latent": "latent_forward"}.items():
        top = ladders.load(name, device).versions[-1].call
        bound = [top, *(cell.cell_contents for cell in top.__closure__ or ())]
        assert any(getattr(b, "__func__", None) is table[op].__func__ for b in bound)


def test_unknown_names_and_missing_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="choose product, likelihood, latent, step"):
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
    for arch in set(nvrtc.ARCHITECTURES) & nvrtc.supported():
        rows = nvrtc.compile_file(name, arch)
        assert {row.kernel for row in rows} == set(sources.kernels(name))
        assert all(row.spills == 0 for row in rows), nvrtc.report(rows)


@pytest.mark.gpu_compile
def test_the_products_rungs_do_what_they_say() -> None:
    """Accesses by fours, one barrier a slab, tensor cores: read in the machine's own language."""
    try:
        text = nvrtc.ptx(sources.LADDER[0])
    except RuntimeError as reason:
        pytest.skip(str(reason))
    body = {part.split("(")[0]: part for part in text.split(".visible .entry ")[1:]}

    def count(rung: str, words: str) -> int:
        return body[f"product_{rung}_rung"].count(words)

    assert count("tiled", "ld.shared.f32") == 32 and count("naive", "ld.shared") == 0
    assert count("registers", "ld.shared.f32") == 12 and count("registers", "v4.f32") == 0
    for rung in ("fours", "ahead"):
        assert count(rung, "ld.shared.v4.f32") == 3 and count(rung, "ld.shared.f32") == 0
        assert count(rung, "ld.global.nc.v4.f32") >= 3
    assert count("tf32", "cvt.rna.tf32.f32") == 32
    assert count("tf32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32") == 16
    assert all("mma" not in part for name, part in body.items() if "tf32" not in name)

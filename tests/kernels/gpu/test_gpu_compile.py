"""Every CUDA source through NVRTC, without a driver: machine code, registers, spills, contraction.

Shown: the sources are CUDA C, fit the architectures' registers, and the noise is not contracted.
Not shown: that anything runs.
"""

from __future__ import annotations

import re

import pytest
from minivae_kernels.gpu import nvrtc, sources

pytestmark = pytest.mark.gpu_compile

THREADS = 256
REGISTERS = 65536  # of a multiprocessor, on all three architectures


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    try:
        nvrtc.library()
    except RuntimeError as reason:
        pytest.skip(str(reason))


CASES = [(name, arch, "float") for name in sources.FILES for arch in nvrtc.ARCHITECTURES]
CASES += [(name, "sm_80", "double") for name in sources.DOUBLE]


@pytest.mark.parametrize(("name", "arch", "real"), CASES)
def test_compiles_without_spills(name: str, arch: str, real: str) -> None:
    if arch not in nvrtc.supported():
        pytest.skip(f"this NVRTC knows no {arch}: pip install nvidia-cuda-nvrtc-cu12")
    rows = nvrtc.compile_file(name, arch, real)
    assert {row.kernel for row in rows} == set(sources.kernels(name))
    for row in rows:
        assert row.spills == 0, nvrtc.report([row])
        if row.kernel != "loss_finish":  # one block; pow() in double takes a little stack
            assert row.stack == 0, nvrtc.report([row])
        assert row.registers * THREADS * 2 <= REGISTERS, nvrtc.report([row])  # two blocks fit


def test_knows_what_the_compiler_at_hand_can_do() -> None:
    assert {"sm_80", "sm_90"} <= nvrtc.supported()
    assert "sm_20" not in nvrtc.supported()


def test_report_names_every_kernel() -> None:
    text = nvrtc.report(nvrtc.compile_file("step", "sm_80"))
    assert "loss_finish" in text and "registers" in text and "sm_80" in text


def test_report_has_the_room_and_the_rungs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FILES", ("narrow",))
    monkeypatch.setattr(sources, "DOUBLE", ())
    assert nvrtc.main(["sm_80"]) == 0
    text = capsys.readouterr().out
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert lines["narrow_backward"].endswith("50% registers")  # four blocks
    assert {"product_tf32_rung", "nll_warp_rung", "head_rung"} <= set(lines)


def test_reads_go_through_the_read_only_path() -> None:
    """What __restrict__ is for: the compiler may read ahead, past what a kernel writes."""
    for name in ("elementwise", "latent", "likelihood"):
        loads = re.findall(r"ld\.global(\.nc)?(?=\.)", nvrtc.ptx(name))
        read_only = sum(bool(nc) for nc in loads)
        # only where a gradient may replace what it was made from is a plain load left
        assert read_only >= (0.5 if name == "likelihood" else 1) * len(loads) > 0, name


def test_noise_is_never_contracted() -> None:
    """A fused multiply-add in Philox or Box-Muller would change bits; elsewhere it is welcome."""
    fused = re.compile(r"\bfma\.rn(\.ftz)?\.f32")
    assert not fused.search(nvrtc.ptx("philox"))
    assert fused.search(nvrtc.ptx("likelihood"))


def test_no_atomics_anywhere() -> None:
    """Sums by atomics would depend on who comes first."""
    for name in sources.FILES:
        assert not re.search(r"\b(atom|red)\.", nvrtc.ptx(name)), name


def test_a_broken_source_is_refused_with_the_compilers_words() -> None:
    with pytest.raises(nvrtc.CompileError, match=r"broken\.cu.*sm_80"):
        nvrtc.compile_text(
            'extern "C" __global__ void k(float* x) { x[0] = y; }', "broken.cu", "sm_80"
        )

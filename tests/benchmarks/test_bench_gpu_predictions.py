"""What the GPU's rungs ask of a card, counted without one, and the page it is written into."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from minivae_kernels.gpu import nvrtc
from minivae_kernels.ladder.gpu import NAMES

from benchmarks import gpu_predictions, ladders
from benchmarks.__main__ import main


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    return {name: gpu_predictions.asked(name) for name in NAMES}


def test_bytes_are_counted(asked: dict[str, Any]) -> None:
    """By hand: n numbers of 4 bytes, 784 x 8192 logits, 20 x 2^18 latents."""
    n, j = 4 * 784 * 8192, 4 * 20 * 2**18
    latent = [row["bytes"] for row in asked["latent"]]
    assert latent[1:] == [7 * j, 5 * j, 5 * j]
    likelihood = [row["bytes"] for row in asked["likelihood"]]
    rows = 4 * 8192
    assert likelihood[1:4] == [7 * n + 2 * rows, 5 * n + 2 * rows, 3 * n + 2 * rows]
    x, W, y = 4 * 8192 * 784, 4 * 784 * 400, 4 * 8192 * 400
    product = [row["bytes"] for row in asked["product"]]
    assert product[0] == 13 * x + 8192 * W + y and product[1] == 25 * x + 512 * W + y
    assert product[2:6] == [7 * x + 64 * W + y] * 4
    assert product[6] == x + W + y + (y + 1600)
    step = asked["step"]
    assert {row["launches"] for row in step} == {22} and len({row["bytes"] for row in step}) == 1
    theta = 4 * 652_824  # read and written by Adam with its moments, read and made by products
    assert 9 * theta <= step[0]["bytes"] <= 14 * theta


def test_array_calls_are_counted(asked: dict[str, Any]) -> None:
    """z and kl of nine array calls: 23 arrays go through memory."""
    first = asked["latent"][0]
    assert first["launches"] == 9 and first["bytes"] == 23 * 4 * 20 * 2**18
    assert not first["kernels"]


def test_the_page_is_up_to_date(asked: dict[str, Any]) -> None:
    """All but what a compiler says, which may be another one."""
    page = ladders.README.read_text(encoding="utf-8")
    for name in NAMES:
        body = re.search(rf"<!-- ladder-gpu:{name}:begin -->\n(.*?)<!--", page, re.DOTALL)
        assert body, name
        lines = [[c.strip() for c in re.split(r"(?<!\\\\)\|", line)[1:-1]]
                 for line in body[1].splitlines() if line.startswith("| v")][1:]  # fmt: skip
        assert len(lines) == len(asked[name])
        for line, row in zip(lines, asked[name], strict=True):
            want = gpu_predictions.cells({**row, "takes": {}}, None)
            assert [line[k] for k in (0, 1, 2, 7)] == [want[k] for k in (0, 1, 2, 7)]


@pytest.mark.gpu_compile
def test_written_with_a_cards_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        nvrtc.library()
    except RuntimeError as reason:
        pytest.skip(str(reason))
    page = tmp_path / "README.md"
    page.write_text("a <!-- ladder-gpu:latent:begin --> <!-- ladder-gpu:latent:end --> z\n")
    monkeypatch.setattr(ladders, "README", page)
    monkeypatch.setattr(gpu_predictions, "stored", list)
    assert main(["ladder", "latent", "--backend", "cupy", "--predict", "--write"]) == 0
    text = page.read_text()
    assert text.startswith("a ") and text.endswith(" z\n") and "No card has run it yet" in text
    assert "| 104.9 | 1 | 32 | 0 | 100 |  | one kernel for both" in text
    measured = [{"ladder": "latent", "version": 2, "ns": {"p50": 0.0123}, "card": "A Card"}]
    gpu_predictions.run("latent", write=True, measured=measured)
    assert "| 100 | 12.3 ps | one kernel for both" in page.read_text()
    assert "A Card." in page.read_text()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["ladder", "--predict"], "--predict belongs to --backend cupy"),
        (["ladder", "adam", "--backend", "cupy", "--predict"], "unknown GPU ladder 'adam'"),
    ],
)
def test_mistakes(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise RuntimeError("no NVRTC found: pip install nvidia-cuda-nvrtc-cu12")

    monkeypatch.setattr(nvrtc, "library", missing)
    monkeypatch.setattr(nvrtc, "supported", lambda: missing())
    assert main(["ladder", "latent", "--backend", "cupy", "--predict"]) == 2
    assert capsys.readouterr().err == "error: no NVRTC found: pip install nvidia-cuda-nvrtc-cu12\n"

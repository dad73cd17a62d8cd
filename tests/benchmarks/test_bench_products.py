"""The products command: gates every BLAS, interleaves them, and leaves out what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import products
from benchmarks.__main__ import main
from benchmarks.contenders.product import FORMS, Product
from benchmarks.parent import Contender, WorkerError
from minivae.racing.gate import GateError
from minivae.racing.statistics import StopRule


@pytest.mark.parametrize("form", sorted(FORMS))
def test_numpys_products_pass_their_gate(form: str) -> None:
    product = Product()
    assert product.check(form, [5, 37, 11], seed=3)["worst"] < 1e-5
    assert product.time(form, [5, 37, 11], seconds=0.001)["seconds"] > 0


def test_a_wrong_product_is_thrown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    product = Product()
    right = product.bound

    def transposed_columns(form: str, args: tuple[Any, ...]) -> Any:
        call = right(form, args)
        return lambda: call()[:, ::-1]

    monkeypatch.setattr(product, "bound", transposed_columns)
    with pytest.raises(GateError, match="forward"):
        product.check("forward", [5, 37, 11], seed=3)


class Answering:
    """A worker that is not there; one that is wrong fails its gate from that seed on."""

    def __init__(self, label: str, wrong_from: int = 9) -> None:
        self.label, self.wrong_from = label, wrong_from

    def ask(self, do: str, method: str, seed: int = 0, **_: Any) -> dict[str, float]:
        if method == "check" and seed >= self.wrong_from:
            raise WorkerError(f"{self.label}: GateError: forward[0] is 3, the reference 4")
        return {"seconds": 1e-6, "worst": 0.0}


@pytest.mark.parametrize(("who", "seed"), [("minivae", 1), ("minivae", 2), ("minivae again", 2)])
def test_a_wrong_product_of_ours_fails_the_command(
    who: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "RULE", StopRule(least=3, most=3))
    monkeypatch.setattr(products, "REST_SECONDS", 0.0)
    names = ("minivae", "minivae again", "numpy as installed", "numpy Zen")
    started: dict[str, Any] = {name: Answering(name) for name in names}
    right = products.race(("forward", [7, 37, 13]), started)
    assert "failed" not in right and right["best_blas"].startswith("numpy")
    started["numpy Zen"] = Answering("numpy Zen", 1)  # another's bug
    assert "failed" not in products.race(("forward", [7, 37, 13]), started)
    started[who] = Answering(who, seed)
    row = products.race(("forward", [7, 37, 13]), started)
    assert row["failed"].startswith(f"{who}: GateError") and row["failed"] in products.line(row)
    monkeypatch.setattr(products, "run", lambda *args: [row])
    assert main(["products", "--batch", "7"]) == 1


def test_a_race_of_real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "RULE", StopRule(least=3, most=3))
    worker, broken = Contender("product-numpy", threads=1), Contender("cheat:crash")
    try:
        worker.ask("load", threads=1)
        broken.ask("load", threads=1)
        started = {"numpy as installed": worker, "minivae": broken}
        row = products.race(("weights", [7, 37, 13]), started)
        assert set(row["us"]) == {"numpy as installed"} and row["n"] == 3
        assert len(row["samples_us"]["numpy as installed"]) == 3  # what `compare` reads
        rate = 2 * 7 * 37 * 13 / row["us"]["numpy as installed"]["p50"] / 1e3
        assert row["gflops"]["numpy as installed"] == pytest.approx(rate)
        assert "7x37x13" in products.line(row) and "failed" in row  # ours, though NumPy is timed
        assert "failed" in products.race(("weights", [7, 37, 13]), {"minivae": broken})
    finally:
        worker.close()
        broken.close()

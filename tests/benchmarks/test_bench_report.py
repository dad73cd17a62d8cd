"""Results are appended and read back; the README's tables come from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import ROOT, report, results, step_text
from tests.benchmarks.result_rows import dated, elsewhere, row, rows


def test_results_are_appended_never_rewritten(tmp_path: Path) -> None:
    results.append("step", rows(2.0), tmp_path)
    path = results.append("step", rows(1.5), tmp_path)
    assert len(list(results.read(path))) == 6
    newest = results.latest("step", ("arch", "batch", "contender"), tmp_path)
    assert [r["ms"]["p50"] for r in newest] == [1.5, 3.0, 9.0]
    with path.open("a") as file:
        file.write("{not json\n")
    with pytest.raises(results.ResultsError, match=r"step\.jsonl, line 7"):
        list(results.read(path))
    with pytest.raises(results.ResultsError, match="no such results file"):
        list(results.read(tmp_path / "none.jsonl"))


def test_the_readme_is_rewritten_between_its_markers_only(tmp_path: Path) -> None:
    results.append("step", [*rows(), *rows(1.0, batch=20)], tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write(readme, tmp_path)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| 784-400-20:relu | 20 | 1 ms | 3 ms | – | failed |" in text
    assert "1.50 ×, faster" in text and "50%" in text and "JAX 0.9" in text
    assert text.index("| 20 |") < text.index("| 128 |")
    assert text.count("failed") == 2  # the peer that failed its gate, in both races
    later = row("minivae-numba", 7.0)
    later["machine"] = {**later["machine"], "time": "2027-01-01T00:00:00+00:00"}
    results.append("step", [later], tmp_path)  # a later race without peers does not hide one with
    once = text
    report.write(readme, tmp_path)
    assert readme.read_text(encoding="utf-8") == once


def failing(**more: Any) -> list[dict[str, Any]]:
    ours = row("minivae-numba", 1.0, **more)
    del ours["ms"]
    return [{**ours, "failed": "GateError: wrong"}, row("jax", 3.0, **more)]


def test_a_regression_shows_until_ours_passes_again(tmp_path: Path) -> None:
    results.append("step", dated(1, rows(2.0)), tmp_path)
    results.append("step", dated(2, failing()), tmp_path)
    assert "| 128 | failed | 3 ms |" in report.body(tmp_path)
    results.append("step", dated(3, [row("minivae-numpy", 8.0, verdict="slower")]), tmp_path)
    assert "| 128 | failed | 3 ms |" in report.body(tmp_path)  # another backend mends nothing
    results.append("step", dated(4, [row("minivae-numba", 7.0)]), tmp_path)
    assert "| 128 | 2 ms | 3 ms |" in report.body(tmp_path)  # it passes: the last with peers
    results.append("step", dated(5, failing()), tmp_path)
    results.append("step", dated(6, rows(1.5)), tmp_path)
    assert "| 128 | 1.5 ms | 3 ms |" in report.body(tmp_path)


def test_a_calm_race_stands_before_a_later_busy_one(tmp_path: Path) -> None:
    results.append("step", dated(1, rows(2.0, load={"busy": ""})), tmp_path)
    results.append("step", dated(2, rows(4.0, load={"busy": "others used 0.5 cores"})), tmp_path)
    assert "| 128 | 2 ms | 3 ms |" in report.body(tmp_path)
    results.append("step", dated(3, rows(5.0)), tmp_path)  # nobody knows what ran beside it
    assert "| 128 | 2 ms | 3 ms |" in report.body(tmp_path)
    results.append("step", dated(4, rows(1.5, load={"busy": ""})), tmp_path)
    assert "| 128 | 1.5 ms | 3 ms |" in report.body(tmp_path)


def test_a_busy_race_and_one_without_a_against_a_are_said_to_be_so(tmp_path: Path) -> None:
    results.append("step", dated(1, rows(2.0, load={"busy": "others used 1 core"})), tmp_path)
    assert "| 1.50 ×, faster, beside other work |" in report.body(tmp_path)
    results.append("step", dated(2, rows(1.5, load={"busy": ""}, a_a=None)), tmp_path)
    assert "| 2.00 ×, not judged (no A against A) |" in report.body(tmp_path)


def test_places_threads_and_numbers_of_peers_are_not_mixed(tmp_path: Path) -> None:
    results.append("step", dated(1, rows(2.0)), tmp_path)
    results.append("step", elsewhere(dated(2, rows(4.0)), threads=1), tmp_path)
    assert "| 128 | 2 ms | 3 ms |" in report.body(tmp_path)
    fewer = [r for r in dated(3, rows(1.0)) if r["contender"] != "jax"]
    results.append("step", fewer, tmp_path)
    assert "| 128 | 2 ms | 3 ms |" in report.body(tmp_path)
    results.append("step", elsewhere(dated(4, rows(8.0, batch=20)), processor="Another"), tmp_path)
    later = report.body(tmp_path)
    assert "8 ms" in later and "| 2 ms" not in later and "on Another, 2 threads" in later


def test_cards_are_not_mixed_but_their_drivers_are(tmp_path: Path) -> None:
    results.append("step", rows(2.0), tmp_path)

    def on_card(day: int, ms: float, gpu: str, batch: int) -> None:
        ours = row("minivae-cupy", ms, batch, device="gpu")
        results.append("step", elsewhere(dated(day, [ours]), gpu=gpu, threads=day), tmp_path)

    on_card(1, 0.5, "An H100, 580.1", 20)
    on_card(2, 0.25, "An H200, 580.1", 20)
    on_card(3, 0.125, "An H200, 590.1", 128)
    text = report.body(tmp_path)
    assert "0.25 ms" in text and "0.125 ms" in text and "0.5 ms" not in text


def test_what_was_not_committed_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    results.append("step", rows(2.0, commit="abcdef1"), tmp_path)
    plain = report.body(tmp_path)
    assert "not committed" not in plain and "with a zero" not in plain
    mnist = [r | {"arch": f"{r['arch']}:mnist"} for r in rows(1.0, commit="abcdef2+")]
    results.append("step", mnist, tmp_path)
    text = report.body(tmp_path)
    assert text.endswith("A commit with a + had changes that were not committed.")
    assert "on MNIST's pixels ours leaves out those with a zero" in text


def test_products_and_first_runs_say_where_and_when(tmp_path: Path) -> None:
    results.append("step", rows(2.0), tmp_path)
    head = row("jax", 1.0)["machine"]
    product = {"machine": head, "form": "forward", "B": 128, "I": 784, "O": 400}
    timed = {"best_blas": "numpy Zen", "gflops": dict.fromkeys(
        ("minivae", "numpy as installed", "numpy Zen"), 70.0)}  # fmt: skip
    other = {**product, **timed, "I": 8, "machine": {**head, "processor": "Another"}}
    made = [other, {**product, **timed}, {**product, "I": 9, "failed": "x"}]
    results.append("products", made, tmp_path)
    cold = row("jax", 1.0, import_s=1.0, first_run_s=0.5)
    slower = row("minivae-numba", 1.0, import_s=9.0, first_run_s=9.0)
    results.append("cold", [slower, *dated(2, [cold])], tmp_path)  # of two runs: the newest
    text = report.body(tmp_path)
    assert "Python, on A processor, 2 threads, 2026-01-02, commit aaa, with" in text
    assert "| forward 128×9×400 | failed | – | – |" in text and "128×8×400" not in text
    assert "block), on A processor, 2 threads, 2026-02-02, commit aaa: JAX 1.5 s." in text


def test_the_readme_shows_the_kept_results() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition(report.BEGIN)[2].partition(report.END)[0]
    assert shown.strip() == report.body().strip()


def test_a_race_in_which_ours_differs_from_ours_says_so(tmp_path: Path) -> None:
    for day, twice, words in ((1, 1.95, "not to be believed (A against A 1.95 ×)"),
                              (2, 0.5, "not to be believed (A against A 0.50 ×)"),
                              (3, 1.02, "1.50 ×, faster")):  # fmt: skip
        results.append("step", dated(day, rows(2.0, a_a={"ratio": twice})), tmp_path)
        assert f"| {words} |" in report.body(tmp_path)


def test_a_first_race_that_failed_gives_way_to_one_without_peers(tmp_path: Path) -> None:
    results.append("step", dated(1, failing()), tmp_path)
    assert "| 128 | failed |" in report.body(tmp_path)
    results.append("step", dated(2, [row("minivae-numba", 7.0)]), tmp_path)
    assert "| 128 | 7 ms | – |" in report.body(tmp_path)


def test_every_commit_of_a_table_is_named_once_in_order(tmp_path: Path) -> None:
    results.append("step", dated(3, rows(batch=20, commit="bbb+")), tmp_path)
    results.append("step", dated(2, rows(batch=512)), tmp_path)
    results.append("step", dated(1, rows(commit="old")), tmp_path)
    assert "2026-02-01 to 2026-02-03, commits old, aaa, bbb+; JAX 0.9" in report.body(tmp_path)
    results.append("step", dated(4, [*rows(), *rows(batch=20)]), tmp_path)
    assert "2026-02-04, commit aaa; JAX 0.9" in report.body(tmp_path)


def test_the_products_say_their_days_and_commits(tmp_path: Path) -> None:
    rates = {"minivae": 70.4, "numpy as installed": 168.2, "numpy Zen": 171.0}
    made = [{"form": form, "B": 128, "I": 784, "O": 400, "best_blas": "numpy Zen", "gflops": rates,
             "machine": {"commit": commit, "time": f"2026-02-0{day}T00:00:00+00:00",
                         "processor": "A processor", "threads": 2}}
            for day, form, commit in ((2, "forward", "bbb"), (1, "weights", "aaa"))]  # fmt: skip
    results.append("products", made, tmp_path)
    table = report.products_table(tmp_path)
    assert "on A processor, 2 threads, 2026-02-01 to 2026-02-02, commits aaa, bbb, with" in table
    assert "| forward 128×784×400 | 70 | 168 | 171 (Zen) |" in table


def test_a_readme_without_markers_or_no_results_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(report.ReportError, match="needs the markers"):
        report.between("no markers", "body", name="README.md")
    with pytest.raises(report.ReportError, match="no such file"):
        report.write(tmp_path / "README.md", tmp_path)
    with pytest.raises(results.ResultsError, match="no such results file"):
        report.body(tmp_path)


def test_bfloat16_is_never_mixed_with_float32(tmp_path: Path) -> None:
    results.append("step", rows(), tmp_path)
    plain = report.body(tmp_path)
    assert "bfloat16" not in plain and "our float32" not in plain
    ours = row("minivae-numba", 0.0625, bf16=True, verdict="faster", ratio=2.5,
               float32={"ratio": 1.625, "verdict": "faster", "interval": (None, None)})  # fmt: skip
    results.append("step", [ours], tmp_path)
    before, _, after = report.body(tmp_path).partition("bfloat16: everyone's products")
    assert "0.0625 ms" not in before and "0.0625 ms" in after
    assert "against our float32" in after and "1.62 ×" in after
    timed = {"n": 9, "gflops": 1.0, "loss_first": 9.0, "loss_last": 8.0, "stop": "sure"}
    first = {"first_run_s": 1.0, "cache": "as found", "fastest_peer": "torch-eager"}
    ours["interval"] = (None, None)
    shown = step_text.table([{**ours, **timed, **first}])
    assert "minivae-numba  bfloat16" in shown and "1.62 × faster against our own float32" in shown


def test_tf32_is_never_mixed_with_float32(tmp_path: Path) -> None:
    def on_card(ms: float, **more: Any) -> dict[str, Any]:
        one = row("minivae-cupy", ms, device="gpu", verdict="faster", ratio=2.0, **more)
        one["machine"] = {**one["machine"], "gpu": "A card, 580.1"}
        return one

    results.append("step", [*rows(), on_card(0.125)], tmp_path)
    plain = report.body(tmp_path)
    assert "A card, 580.1" in plain and "0.125 ms" in plain and "TF32" not in plain
    assert "PyTorch, one graph" in plain  # a peer that only a card has
    results.append("step", [on_card(0.0625, tf32=True)], tmp_path)
    before, _, after = report.body(tmp_path).partition("TF32: everyone's products")
    assert "0.125 ms" in before and "0.0625 ms" not in before
    assert "0.0625 ms" in after and "0.125 ms" not in after

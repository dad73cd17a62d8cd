"""Results are appended and read back; the README's table and the comparison come from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, history, report, results, roofline, step_text


def row(
    contender: str, ms: float, batch: int = 128, commit: str = "aaa", **more: Any
) -> dict[str, Any]:
    machine = {"processor": "A processor", "threads": 2, "gpu": None, "commit": commit,
               "time": "2026-01-02T03:04:05+00:00",
               "versions": {"numpy": "2.0", "jax": "0.9"}}  # fmt: skip
    return {"machine": machine, "device": "cpu", "arch": "784-400-20:relu", "batch": batch,
            "contender": contender, "ms": {"p20": ms, "p50": ms, "p80": ms, "p99": ms},
            "samples_ms": [ms] * 9, "peak_share": 1.0 / ms, **more}  # fmt: skip


def rows(ours: float = 2.0, **more: Any) -> list[dict[str, Any]]:
    judged = {"verdict": "faster", "ratio": 3 / ours, "fastest_peer": "jax"}
    return [row("minivae-numba", ours, **judged, **more), row("jax", 3.0, **more),
            {**row("torch-eager", 9.0, **more), "failed": "GateError: wrong"}]  # fmt: skip


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


def dated(day: int, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    time = f"2026-02-{day:02}T00:00:00+00:00"
    return [{**r, "machine": {**r["machine"], "time": time}} for r in made]


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
    results.append("step", dated(3, rows(1.5)), tmp_path)
    assert "| 128 | 1.5 ms | 3 ms |" in report.body(tmp_path)


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
             "machine": {"commit": commit, "time": f"2026-02-0{day}T00:00:00+00:00"}}
            for day, form, commit in ((2, "forward", "bbb"), (1, "weights", "aaa"))]  # fmt: skip
    results.append("products", made, tmp_path)
    table = report.products_table(tmp_path)
    assert "(2026-02-01 to 2026-02-02, aaa, bbb)" in table
    assert "| forward 128×784×400 | 70 | 168 | 171 (Zen) |" in table


def test_a_readme_without_markers_or_no_results_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(report.ReportError, match="needs the markers"):
        report.between("no markers", "body", name="README.md")
    with pytest.raises(report.ReportError, match="no such file"):
        report.write(tmp_path / "README.md", tmp_path)
    with pytest.raises(results.ResultsError, match="no such results file"):
        report.body(tmp_path)


WHERE = "; 2 threads, A processor"


def test_compare_two_commits_and_two_files(tmp_path: Path) -> None:
    results.append("step", [*rows(2.0), *rows(1.0, commit="bbb")], tmp_path)
    what = "step 784-400-20:relu B=128 "
    found = {r["what"].removeprefix(what).removesuffix(WHERE): r
             for r in compare.run("aaa", "bbb", tmp_path)}  # fmt: skip
    assert found["minivae-numba"]["verdict"] == "faster" and found["minivae-numba"]["ratio"] == 2
    assert found["jax"]["verdict"] == "same"
    assert found["minivae-numba"]["share_ratio"] == pytest.approx(2)
    one = tmp_path / "one.jsonl"
    one.write_text(json.dumps(row("jax", 4.0)) + "\n", encoding="utf-8")
    (only,) = compare.run(str(one), "bbb", tmp_path)
    assert only["ratio"] == pytest.approx(4 / 3) and "B is faster" in compare.table([only])
    with pytest.raises(compare.CompareError, match="measured: aaa, bbb"):
        compare.run("ccc", "bbb", tmp_path)


def test_runs_a_little_apart_are_not_called_faster(tmp_path: Path) -> None:
    """Two unrelated runs with the same spread: pairing them by index would invent precision."""
    one = [row("jax", 2.0) | {"samples_ms": [2.0 + 0.1 * (k % 5) for k in range(15)]}]
    two = [
        row("jax", 2.0, commit="bbb") | {"samples_ms": [1.98 + 0.1 * (k % 5) for k in range(15)]}
    ]
    results.append("step", [*one, *two], tmp_path)
    (only,) = compare.run("aaa", "bbb", tmp_path)
    assert only["verdict"] == "ambiguous" and only["interval"][0] < 1 < only["interval"][1]
    few = [row("jax", 9.0, commit="few") | {"samples_ms": [9.0, 9.0, 9.0]}]
    results.append("step", few, tmp_path)
    (only,) = compare.run("few", "bbb", tmp_path)
    assert only["verdict"] == "ambiguous" and only["interval"] == [None, None]
    assert "too few rounds" in compare.table([only])


@pytest.mark.parametrize("other", [{"threads": 1}, {"processor": "Another"}])
def test_another_machine_or_number_of_threads_is_another_thing(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    one, two = row("jax", 2.0), row("jax", 3.0, commit="bbb")
    two["machine"] |= other
    results.append("step", [one, two], tmp_path)
    with pytest.raises(compare.CompareError, match="nothing in common"):
        compare.run("aaa", "bbb", tmp_path)


def test_the_median_of_an_even_number_is_between_the_two(tmp_path: Path) -> None:
    made = [row("jax", 2.5, commit=commit) | {"samples_ms": [1.0, 2.0, 3.0, 9.0]}
            for commit in ("aaa", "bbb")]  # fmt: skip
    results.append("step", made, tmp_path)
    (only,) = compare.run("aaa", "bbb", tmp_path)
    assert only["a"] == only["b"] == 2.5


def test_a_commit_is_exact_or_the_only_one_that_begins_so(tmp_path: Path) -> None:
    for commit in ("abc1", "abc1+", "abc2", "bcd"):
        results.append("step", rows(2.0, commit=commit), tmp_path)
    assert {r["machine"]["commit"] for r in compare.rows_of("abc1", tmp_path)} == {"abc1"}
    assert {r["machine"]["commit"] for r in compare.rows_of("b", tmp_path)} == {"bcd"}
    with pytest.raises(compare.CompareError, match=r"'abc' may be abc1 or abc1\+ or abc2"):
        compare.rows_of("abc", tmp_path)


def other_kinds(folder: Path) -> None:
    head = row("jax", 1.0)["machine"]
    op = {"machine": head, "op": "relu_forward", "size": "cache", "backend": "numba",
          "samples_us": {"kernel": [3.0] * 15, "best NumPy": [6.0] * 15}}  # fmt: skip
    rung = {"machine": head, "ladder": "exp", "version": 2, "samples_ns": [0.5] * 15}
    results.append("ops", [op, {"machine": head, "op": "x", "failed": "wrong"}], folder)
    results.append("ladder", [rung], folder)
    product = {"machine": head, "form": "forward", "B": 128, "I": 784, "O": 400}
    timed = {"samples_us": {"minivae": [3.0] * 15, "numpy Zen": [4.0] * 15}}
    old = {**product, "I": 200}  # a row from before its samples were kept
    results.append("products", [{**product, **timed}, old], folder)


def test_ops_ladders_and_products_are_compared_as_well(tmp_path: Path) -> None:
    results.append("step", rows(2.0), tmp_path)
    other_kinds(tmp_path)
    found = {r["what"].removesuffix(WHERE): r["verdict"]
             for r in compare.run("aaa", "aaa", tmp_path)}  # fmt: skip
    wanted = {"ladder exp_v2", "op relu_forward cache numba kernel",
              "op relu_forward cache numba best NumPy", "product forward 128x784x400 minivae",
              "product forward 128x784x400 numpy Zen"}  # fmt: skip
    assert wanted < set(found) and set(found.values()) == {"same"}


def test_history_as_csv_picture_and_one_page(tmp_path: Path) -> None:
    results.append("step", [*rows(2.0), *rows(1.0, commit="b&b")], tmp_path)
    other_kinds(tmp_path)
    found = history.run("minivae-numba", tmp_path)
    assert [p["median"] for p in found] == [2.0, 1.0]
    lines = history.as_csv(found).splitlines()
    assert len(lines) == 3 and lines[0].startswith("what,commit,time")
    assert "<svg" in history.draw(found)
    page = history.page(history.run("", tmp_path))
    assert "<svg" in page and "b&amp;b" in page and "ladder exp_v2" in page
    assert not any(word in page for word in ("<script", "<link", "src=", "url(http", "@import"))
    with pytest.raises(compare.CompareError, match="no results for 'nothing like it'"):
        history.run("nothing like it", tmp_path)


def test_the_roofline_is_drawn(tmp_path: Path) -> None:
    gbs = {level: {"copy": 100.0, "read": 50.0} for level in ("L1", "L2", "L3", "memory")}
    head = row("minivae-numba", 1.0)["machine"]
    roof = {"threads": 2, "gbs": gbs, "fma_gflops": 240.0, "fma_width": 16, "machine": head}
    op = {"op": "relu_forward", "size": "cache", "gflops": 3.0, "gbs": 20.0, "roof_share": 0.5}
    old = {**head, "commit": "bbb"}
    results.append("ops", [{**op, "machine": head}, {**op, "op": "x", "machine": old}], tmp_path)
    assert [r["op"] for r in roofline.ops_of(head, 2, tmp_path)] == ["relu_forward"]
    assert roofline.ops_of(head, 1, tmp_path) == []  # dots of two threads under one's roof: no
    roofline.plot(roof, tmp_path / "roof.svg", tmp_path)
    assert "<svg" in (tmp_path / "roof.svg").read_text(encoding="utf-8")
    assert "240 GFLOP/s" in roofline.table([roof])


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

"""Two runs are compared, and all of them shown by commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, history, results, roofline
from tests.benchmarks.result_rows import row, rows

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


def test_a_file_without_times_is_one_line(tmp_path: Path) -> None:
    cheats = results.append(
        "selftest", [{"part": "cheats", "kernel": "k", "commit": "aaa"}], tmp_path
    )
    with pytest.raises(compare.CompareError, match="nothing in common that was timed"):
        compare.run(str(cheats), str(cheats), tmp_path)


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

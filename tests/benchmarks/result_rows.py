"""Rows as races keep them, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any


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
    judged = {"verdict": "faster", "ratio": 3 / ours, "fastest_peer": "jax", "a_a": {"ratio": 1.0}}
    return [row("minivae-numba", ours, **{**judged, **more}), row("jax", 3.0, **more),
            {**row("torch-eager", 9.0, **more), "failed": "GateError: wrong"}]  # fmt: skip


def dated(day: int, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    time = f"2026-02-{day:02}T00:00:00+00:00"
    return [{**r, "machine": {**r["machine"], "time": time}} for r in made]


def elsewhere(made: list[dict[str, Any]], **head: Any) -> list[dict[str, Any]]:
    return [{**r, "machine": {**r["machine"], **head}} for r in made]

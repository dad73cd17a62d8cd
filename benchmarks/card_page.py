"""`card`'s page of text: what became of each stage, then what it found, in a few lines each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import bandwidth, ladders, step_text

Rows = list[dict[str, Any]]
WIDE = 160  # characters of a line


def line(row: dict[str, Any]) -> str:
    """One stage in one line."""
    told = row.get("skipped") or row.get("failed") or "done"
    took = f" after {row['seconds']:.0f} of {row['limit_s']:.0f} s" if "seconds" in row else ""
    return f"{row['stage']:10} {told}{took}"


def card(facts: Rows) -> str:
    """The card and the versions."""
    named = ("card", "cuda", "driver_cuda", "cupy", "processor", "commit", "time")
    return ", ".join(f"{key} {facts[0][key]}" for key in named if key in facts[0])


def mnist(facts: Rows) -> str:
    """The loss and the seconds of ten epochs."""
    last = facts[-1]
    test = last["test"]
    return (
        f"{last['epochs']} epochs of {last['train_config']['dataset']}: held-out loss "
        f"{test['loss']:.2f} nats (reconstruction {test['reconstruction']:.2f}, KL "
        f"{test['kl']:.2f}), {last['seconds_training']:.2f} s of training, "
        f"{last['seconds']:.2f} s in all"
    )


# What is said of a stage's facts; for the others the end of the log stands.
WORDS: dict[str, Callable[[Rows], str]] = {
    "card": card,
    "mnist": mnist,
    "bandwidth": bandwidth.table,
    "step": step_text.table,
    "ladders": ladders.table,
}


def told(row: dict[str, Any]) -> list[str]:
    """A stage's findings, or the end of its log where there are none or they cannot be read."""
    words = WORDS.get(row["stage"])
    if words and row.get("facts"):
        try:
            return words(row["facts"]).splitlines()
        except (KeyError, IndexError, TypeError, ValueError):
            pass  # ended half-way: its log says more
    return list(row.get("tail", ()))


def page(rows: Rows) -> str:
    """The whole page."""
    text = ["minivae on a card", "", *map(line, rows)]
    for row in rows:
        found = told(row)
        if found:
            text += ["", f"== {row['stage']} ({row['log']})", *(each[:WIDE] for each in found)]
    return "\n".join(text)

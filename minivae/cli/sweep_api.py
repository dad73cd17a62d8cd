"""`minivae.sweep`: the command of that name, from Python or from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def sweep(
    dataset: str = "digits",
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    out: str | Path,
    seeds: int = 1,
    jobs: int = 1,
    random: int | None = None,
    engine: str = "local",
    quiet: bool = False,
    **options: Any,
) -> Any:
    """Train every combination of `grid`'s values with every seed; a row a run.

    grid: settings of `minivae train` with their values, {"beta": [0.5, 1, 2]}. options: settings of
    every run, epochs=20 for example. What stands in the directory `out` is not computed again.
    Returns a pandas DataFrame where pandas is installed, else a list of dictionaries: settings,
    seed and held-out figures in nats per datum. Raises ConfigError before anything runs, and
    RuntimeError naming the runs that failed.
    """
    from minivae.cli.console import Console
    from minivae.cli.sweep import run_sweep
    from minivae.cli.sweep_words import axis_text, words_of

    texts = [axis_text(key, values) for key, values in (grid or {}).items()]
    facts = run_sweep(
        dataset, texts, seeds, words_of(options), Path(out),
        jobs=jobs, sample=random, engine=engine, console=Console(quiet=quiet),
    )  # fmt: skip
    if facts["failed"]:
        raise RuntimeError("; ".join(f"{name}: {why}" for name, why in facts["failed"].items()))
    return frame(facts["rows"])


def frame(rows: list[dict[str, Any]]) -> Any:
    """The rows as a DataFrame where pandas is there."""
    try:
        import pandas as pd
    except ImportError:
        return rows
    return pd.DataFrame(rows)

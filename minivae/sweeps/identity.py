"""What makes a run of a sweep the same run: its settings, its data, and how these are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minivae.data.dataset import Dataset
from minivae.messages import shown
from minivae.runs.config_file import read_config
from minivae.runs.errors import RunError
from minivae.runs.hints import quoted
from minivae.runs.resume import fingerprint
from minivae.settings import ConfigError

DATA = "data"  # among a run's settled settings: {"sha256": …, "reading": {…}}
Settled = Mapping[str, Any]
Results = dict[str, dict[str, Any]]


def identity_of(settled: Settled) -> str:
    """A name for settings that are the same however they were given."""
    text = json.dumps(settled, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_of(dataset: Dataset) -> dict[str, Any]:
    """What tells a run's data from others: their sha256, and how they are read."""
    return {"sha256": fingerprint(dataset)["sha256"], "reading": dataset.reading.to_dict()}


def recorded_data(run: Path) -> dict[str, Any] | None:
    """The same of a run that has begun; None where there is none, or its record is damaged."""
    try:
        config = read_config(run)
    except RunError:
        return None
    if config is None:
        return None
    data = config["data"]
    reading = data.get("reading", {})
    if data.get("standard"):  # earlier versions forgot it when a run was resumed
        reading = {**reading, "standardise": True}
    return {"sha256": data["sha256"], "reading": reading}


def with_its_data(result: dict[str, Any], run: Path) -> dict[str, Any]:
    """A result that says what data it is of: those of earlier versions did not, their runs do."""
    settled = result["settled"]
    data = None if DATA in settled else recorded_data(run)
    if data is None:
        return result
    settled = {**settled, DATA: data}
    return {**result, "settled": settled, "identity": identity_of(settled)}


def taken_over(results: Results, asked: Iterable[Settled]) -> Results:
    """The results, those of earlier versions whose runs are gone under the identities asked for."""
    found = dict(results)
    for settled in asked:
        before = identity_of({key: value for key, value in settled.items() if key != DATA})
        if before in found and DATA not in found[before]["settled"]:
            identity = identity_of(settled)
            found[identity] = {**found.pop(before), "identity": identity}
    return found


def require_same_data(runs: Path, asked: Iterable[Settled]) -> None:
    """ConfigError where runs that lie there were trained on other data, read as those of now are.

    A table of both would compare what cannot be compared.
    """
    now = {_key(settled[DATA]): settled[DATA]["sha256"] for settled in asked}
    for run in sorted(runs.iterdir()) if runs.is_dir() else ():
        there = recorded_data(run)
        if there is not None and now.get(_key(there), there["sha256"]) != there["sha256"]:
            raise ConfigError(
                f"{quoted(runs.parent)}: the data{or_arithmetic(there)} have changed since "
                f"{shown(run.name)} was trained on them (sha256 {there['sha256'][:12]}, now "
                f"{now[_key(there)][:12]}): give another --out, or the same data again"
            )


def or_arithmetic(data: Mapping[str, Any]) -> str:
    """What else may have changed where data are standardised, of which the sha256 is then."""
    standardised = data["reading"].get("standardise", False)
    return ", or how this version of minivae standardises them," if standardised else ""


def _key(data: Mapping[str, Any]) -> str:
    return json.dumps(data["reading"], sort_keys=True)

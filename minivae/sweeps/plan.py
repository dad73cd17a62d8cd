"""A sweep on disk: what it was asked for, its runs' directories, what is done and what failed."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minivae.runs.files import put_in_place, remove_quietly
from minivae.settings import ConfigError
from minivae.sweeps.grid import Point

SPEC, RESULT, FAILURES = "sweep.json", "result.json", "failures"


def runs_of(path: Path) -> Path:
    """The folder of a sweep's runs."""
    return path / "runs"


def open_sweep(path: Path, spec: Mapping[str, Any]) -> None:
    """Make the sweep's directory, or go on with the one that is there.

    Values, seeds and axes may be added; what all runs share may not change. Raises ConfigError,
    one line, where the directory is another sweep's or no sweep's.
    """
    file = path / SPEC
    if file.exists():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
            shared = there["dataset"], there["options"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{file}: is damaged; give another --out") from None
        if shared != (spec["dataset"], spec["options"]):
            before = " ".join([shared[0], *shared[1]])
            raise ConfigError(
                f"{path} is a sweep of `minivae train {before}`: go on with the same data set and "
                "options, or give another --out"
            )
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} is there and no sweep: give another --out")
    runs_of(path).mkdir(parents=True, exist_ok=True)
    write_json(file, spec)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    new = beside(path)
    try:
        new.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        put_in_place(new, path)
    finally:
        remove_quietly(new)


def beside(path: Path) -> Path:
    """Where a file is written before it is put in place: array jobs on other machines, where
    process numbers may be the same, write the same files."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def read_json(path: Path) -> dict[str, Any]:
    """An object in a file; an empty one where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def results_of(path: Path) -> dict[str, dict[str, Any]]:
    """What the finished runs came to, by their identity: all that decides a run's bits."""
    found = (read_json(file) for file in sorted(runs_of(path).glob(f"*/{RESULT}")))
    return {one["identity"]: one for one in found if {"identity", "facts"} <= set(one)}


def keep_result(run: Path, result: Mapping[str, Any]) -> None:
    """Write down that a run is done; it has failed no longer."""
    write_json(run / RESULT, result)
    failure_of(run).unlink(missing_ok=True)


def keep_failure(run: Path, why: str) -> None:
    """Write down, apart from the results, why a run failed."""
    failure_of(run).parent.mkdir(exist_ok=True)
    write_json(failure_of(run), {"name": run.name, "error": why})


def failure_of(run: Path) -> Path:
    """Where it is written down."""
    return run.parent.parent / FAILURES / f"{run.name}.json"


def command_of(path: Path, point: Point, dataset: str, shared: Sequence[str]) -> list[str]:
    """The run's command line when it is begun."""
    own = ["--out", str(runs_of(path) / point.name), "--no-pictures", "--quiet"]
    return ["train", dataset, *shared, *point.options, *own]


def begun(command: Sequence[str]) -> list[str]:
    """The command that goes on with the run, if its directory is there; else `command` itself."""
    words = list(command)
    run = words[words.index("--out") + 1]
    if not (Path(run) / "config.json").exists():
        return words
    at = words.index("--threads") if "--threads" in words else len(words)
    return ["train", "--resume", run, *words[at : at + 2], "--no-pictures", "--quiet"]

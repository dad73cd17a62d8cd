"""A sweep on disk: what it was asked for, its runs' directories, what is done and what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minivae.settings import ConfigError
from minivae.sweeps.grid import Point

SPEC, RESULT, FAILURES = "sweep.json", "result.json", "failures.json"


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
    elif path.exists() and any(path.iterdir()):
        raise ConfigError(f"{path} is there and no sweep: give another --out")
    runs_of(path).mkdir(parents=True, exist_ok=True)
    write_json(file, spec)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def finished(path: Path, point: Point) -> dict[str, Any] | None:
    """What a run came to, if it is done; a file that cannot be read counts as not done."""
    try:
        found = json.loads((runs_of(path) / point.name / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "facts" in found else None


def command_of(path: Path, point: Point, dataset: str, shared: Sequence[str]) -> list[str]:
    """The run's command line when it is begun."""
    own = ["--out", str(runs_of(path) / point.name), "--no-pictures", "--quiet"]
    return ["train", dataset, *shared, *point.options, *own]


def begun(command: Sequence[str]) -> list[str]:
    """The command that goes on with the run, if its directory is there; else `command` itself."""
    run = command[list(command).index("--out") + 1]
    if not (Path(run) / "config.json").exists():
        return list(command)
    return ["train", "--resume", run, "--no-pictures", "--quiet"]

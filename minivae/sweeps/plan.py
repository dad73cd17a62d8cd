"""A sweep on disk: what it was asked for, its runs' directories, what is done and what failed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minivae.messages import shown
from minivae.runs import files
from minivae.runs.checkpoint import sum_of
from minivae.runs.directory import is_begun
from minivae.runs.schema import SHA256
from minivae.runs.strict_json import (
    Check,
    JsonFault,
    listed,
    named,
    number,
    parse,
    record,
    text,
    whole,
)
from minivae.settings import ConfigError
from minivae.sweeps.grid import Point
from minivae.sweeps.identity import Settled, require_same_data, taken_over, with_its_data

SPEC, RESULT, FAILURES = "sweep.json", "result.json", "failures"
SPEC_SCHEMA = record({"dataset": text, "options": listed(text)}, open_=True)
FAILURE_SCHEMA = record({"error": text}, open_=True)
OF_A_RUN = record(
    {"measured_on": text, "squared_error": number, "active_units": whole(), "epochs": whole(),
     "seconds": number, "run": text},
    open_=True,
)  # fmt: skip
MEASURED = record(dict.fromkeys(("loss", "reconstruction", "kl", "elbo"), number), open_=True)


def facts_of_a_run(facts: Any, place: str) -> None:
    """The figures of a finished run, among them those of the part that it was measured on."""
    OF_A_RUN(facts, place)
    MEASURED(facts.get(facts["measured_on"]), f"{place}.{shown(facts['measured_on'], 40)}")


RESULT_SCHEMA = record(
    {"identity": text, "facts": facts_of_a_run, "settled": record({"latent_dim": whole(1)},
     open_=True), "settings": named(text), "seed": whole()},
    {"sha256": SHA256},
    open_=True,
)  # fmt: skip

Note = Callable[[str], None]


def runs_of(path: Path) -> Path:
    """The folder of a sweep's runs."""
    return path / "runs"


def open_sweep(
    path: Path, spec: Mapping[str, Any], note: Note, asked: Iterable[Settled] = ()
) -> None:
    """Make the sweep's directory, or go on with the one that is there.

    Values, seeds and axes may be added; what all runs share may not change. A damaged note of it
    is written again: each run is held against its own settings all the same. asked: those settings,
    the data among them. Raises ConfigError, one line, where the directory is no sweep's, another
    sweep's, or one of data that have changed since.
    """
    file = path / SPEC
    if os.path.lexists(file):
        try:
            there = parse(files.read_file(file), SPEC_SCHEMA)
        except (OSError, JsonFault) as fault:
            note(f"{file} is damaged ({fault}); written again")
        else:
            require_same_sweep(path, there, spec)
    elif path.exists() and (not path.is_dir() or any(map(is_foreign, path.iterdir()))):
        raise ConfigError(f"{path} is there and no sweep: give another --out")
    require_same_data(runs_of(path), asked)
    path.mkdir(parents=True, exist_ok=True)
    write_json(file, spec)
    runs_of(path).mkdir(exist_ok=True)


def require_same_sweep(path: Path, there: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    """Raise ConfigError where the sweep that is there shares other settings than this one."""
    if (there["dataset"], there["options"]) != (spec["dataset"], spec["options"]):
        before = " ".join([there["dataset"], *there["options"]])
        raise ConfigError(
            f"{path} is a sweep of `minivae train {shown(before, 200)}`: go on with the same data "
            "set and options, or give another --out"
        )


def is_foreign(entry: Path) -> bool:
    """Whether an entry is more than a kill leaves of a sweep that only begins."""
    return not entry.name.startswith(f".{SPEC}.")


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    new = beside(path)
    try:
        new.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        files.put_in_place(new, path)
    finally:
        files.remove_quietly(new)


def beside(path: Path) -> Path:
    """Where a file is written before it is put in place: array jobs on other machines, where
    process numbers may be the same, write the same files."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def read_json(path: Path, schema: Check) -> dict[str, Any]:
    """An object in a file; an empty one where there is none. Raises JsonFault or OSError."""
    try:
        found: dict[str, Any] = parse(files.read_file(path), schema)
    except FileNotFoundError:
        return {}
    return found


def results_of(
    path: Path, note: Note = lambda text: None, asked: Iterable[Settled] = ()
) -> dict[str, dict[str, Any]]:
    """What the finished runs came to, by their identity: all that decides a run's bits.

    A damaged result counts as none, and is told: its run is measured again. asked: settings whose
    results count though an earlier version wrote them and their runs are gone.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(runs_of(path).glob(f"*/{RESULT}")):
        try:
            one = read_result(file)
        except (OSError, JsonFault) as fault:
            note(f"{file} is damaged ({fault}); the run is measured again")
            continue
        if one:
            one = with_its_data(one, file.parent)
            found[one["identity"]] = one
    return taken_over(found, asked)


def read_result(file: Path) -> dict[str, Any]:
    """A finished run's result; empty where there is none. Raises JsonFault or OSError."""
    one = read_json(file, RESULT_SCHEMA)
    if one.get("sha256", sum_of(one)) != sum_of(one):  # older ones have none
        raise JsonFault("its sha256 differs")
    return one


def keep_result(run: Path, result: Mapping[str, Any]) -> None:
    """Write down, under its own sha256, that a run is done; it has failed no longer."""
    plain = json.loads(json.dumps(result))
    write_json(run / RESULT, {**plain, "sha256": sum_of(plain)})
    for leftover in run.glob(f".{RESULT}.*"):  # of a kill
        files.remove_quietly(leftover)
    failure_of(run).unlink(missing_ok=True)


def keep_failure(run: Path, why: str) -> None:
    """Write down, apart from the results, why a run failed."""
    failure_of(run).parent.mkdir(exist_ok=True)
    write_json(failure_of(run), {"name": run.name, "error": why})


def failures_of(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Why runs failed, by their names; what cannot be read is passed over."""
    found: dict[str, str] = {}
    for name in sorted(set(names)):
        with contextlib.suppress(OSError, JsonFault):
            failure = read_json(failure_of(runs_of(path) / name), FAILURE_SCHEMA)
            found |= {name: failure["error"]} if failure else {}
    return found


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
    if not is_begun(Path(run)):
        return words
    return ["train", "--resume", run, *threads_in(words), "--no-pictures", "--quiet"]


def threads_in(words: Sequence[str]) -> list[str]:
    """The words that give the threads, --threads 2 or --threads=2, the last of them; or none."""
    for at in reversed(range(len(words))):
        option, sign, _ = words[at].partition("=")
        if option == "--threads":
            return list(words[at : at + (1 if sign else 2)])
    return []

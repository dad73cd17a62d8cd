"""Results as JSON lines: appended, never rewritten, one file per kind of measurement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import RESULTS

Record = dict[str, Any]


class ResultsError(ValueError):
    """A results file that cannot be read; the message names the file and the line."""


def append(kind: str, records: Iterable[Record], folder: Path = RESULTS) -> Path:
    """Append the records to results/<kind>.jsonl and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}.jsonl"
    text = "".join(json.dumps({"kind": kind, **r}, sort_keys=True) + "\n" for r in records)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return path


def read(path: Path) -> Iterator[Record]:
    """The records of one file, oldest first; raises ResultsError on a line that is not JSON."""
    if not path.exists():
        raise ResultsError(f"{path}: no such results file; run a benchmark first")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ResultsError(f"{path}, line {number}: not JSON ({error.msg})") from None


def latest(kind: str, key: tuple[str, ...], folder: Path = RESULTS) -> list[Record]:
    """The newest record for every value of `key`, in the order of the file."""
    newest: dict[tuple[str, ...], Record] = {}
    for record in read(folder / f"{kind}.jsonl"):
        identity = tuple(str(record.get(k)) for k in key)
        newest.pop(identity, None)
        newest[identity] = record
    return list(newest.values())

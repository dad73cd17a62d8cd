"""metrics.jsonl: one JSON object per line and epoch, whole lines only."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from minivae.runs import files
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.schema import LINE, UNCHECKED_LINE
from minivae.runs.strict_json import JsonFault, parse

CLOCK = ("seconds", "samples_per_second")  # what no checksum holds
MOST_OF_LOG = 2**30  # bytes


class BadLine(NamedTuple):
    """A line that is no record: its number from 1, its bytes, and what is wrong with it."""

    number: int
    content: bytes
    fault: str
    torn: bool  # the last one, without an end: a process was killed while it wrote


class Contents(NamedTuple):
    """What a log holds: its records, oldest first, and the lines that are none."""

    records: list[dict[str, Any]]
    bad: list[BadLine]


class MetricsLog:
    """The run's metrics file.

    A line is ``{"epoch", "updates", "lr", "beta", "train": {...}, "held_out": {...} | null,
    "best", "monitor", "seconds", "samples_per_second", "check"}``; losses are in nats per datum.
    Only the two fields before the last depend on the clock; "check" is a checksum of the others.
    A process killed while writing leaves at most one half line, which readers pass over and the
    next run removes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end = 0  # bytes, as this process left it
        self._sum = hashlib.sha256()  # of these bytes
        self._seen: tuple[int, ...] = ()  # the file's state when they were last compared

    def read(self) -> list[dict[str, Any]]:
        """All whole records, oldest first. Raises RunError where the file cannot be read."""
        return self.contents().records

    def contents(self) -> Contents:
        """The records and the bad lines. Raises RunError where the file cannot be read."""
        try:
            data = files.read_file(self.path, MOST_OF_LOG, grows=True)
        except FileNotFoundError:
            return Contents([], [])
        except OSError as error:
            raise RunError(
                f"cannot read {self.path}: {describe_os_error(error)}; move it away: a run goes on "
                "without it"
            ) from error
        return _sort_out(data.split(b"\n"))

    def keep_until(self, epoch: int) -> tuple[list[dict[str, Any]], str]:
        """Drop the lines after ``epoch`` (they will be written again).

        Returns what stays, and what to say: a bad line never stops a run, and is kept in a file
        of its own. Half a line that a kill left is dropped where its epoch is still to come.
        """
        records, bad = self.contents()
        kept = [with_checksum(record) for record in records if record["epoch"] <= epoch]
        if len(kept) == epoch:
            bad = [line for line in bad if not line.torn]
        said = ""
        if bad:
            aside = files.damaged_name(self.path)
            files.write_atomically(aside, b"".join(line.content + b"\n" for line in bad))
            said = (
                f"line {bad[0].number} of {self.path} is damaged ({bad[0].fault})"
                f"{f' and {len(bad) - 1} more' if len(bad) > 1 else ''}; kept in {aside.name}"
            )
        elif len(kept) < epoch:
            said = f"{self.path} lacks the figures of {epoch - len(kept)} of {epoch} epochs"
        self.rewrite(kept)
        return kept, said

    def rewrite(self, records: list[dict[str, Any]]) -> None:
        """Write the whole file again, from memory. Raises RunError when the disk refuses."""
        data = b"".join(map(encode_line, records))
        files.write_atomically(self.path, data)
        self._end, self._sum = len(data), hashlib.sha256(data)
        self._seen = self._state()

    def append(self, record: dict[str, Any]) -> None:
        """Add one line and flush it to the disk.

        Raises RunError when the disk refuses, and its subclass LogChanged where the file is gone
        or not as this process left it.
        """
        line = encode_line(record)
        if not self.unchanged():
            raise LogChanged(f"{self.path} was removed or changed while the run goes on")
        try:
            files.append_synced(self.path, line, self._end)
        except (FileNotFoundError, files.ChangedFile):
            raise LogChanged(f"{self.path} was removed or changed while the run goes on") from None
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {describe_os_error(error)}") from error
        self._end += len(line)
        self._sum.update(line)
        self._seen = self._state()

    def unchanged(self) -> bool:
        """Whether the file is there and as this process left it; read only where it was touched."""
        state = self._state()
        if not state or state == self._seen:
            return bool(state)
        try:
            data = files.read_file(self.path, self._end)
        except OSError:
            return False
        if stat.S_ISLNK(state[0]) or hashlib.sha256(data).digest() != self._sum.digest():
            return False
        self._seen = state
        return True

    def _state(self) -> tuple[int, ...]:
        """What changes where the file is touched; empty where it is gone."""
        try:
            state = os.lstat(self.path)
        except OSError:
            return ()
        return state.st_mode, state.st_ino, state.st_size, state.st_mtime_ns


class LogChanged(RunError):
    """Something else removed or changed the log of a run that goes on."""


def _sort_out(lines: list[bytes]) -> Contents:
    """The records among a file's lines, and the lines that are none or cannot follow the others."""
    found: list[tuple[int, dict[str, Any]]] = []
    faults: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        if line or number < len(lines):  # a whole file ends in a line's end
            try:
                found.append((number, _parse_line(line)))
            except JsonFault as fault:
                faults[number] = str(fault)
    checked = any("check" in record for _, record in found)
    counts = Counter(record["updates"] / record["epoch"] for _, record in found)
    per_epoch = counts.most_common(1)[0][0] if counts else 0.0
    records: list[dict[str, Any]] = []
    for number, record in found:
        epoch = record["epoch"]
        if checked and "check" not in record:
            faults[number] = "it has no checksum, and others have"
        elif record["updates"] / epoch != per_epoch:
            faults[number] = f"{record['updates']} updates do not fit epoch {epoch}"
        elif records and epoch <= records[-1]["epoch"]:
            faults[number] = f"epoch {epoch} comes after epoch {records[-1]['epoch']}"
        else:
            records.append(record)
    last = len(lines)
    bad = [BadLine(n, lines[n - 1], why, n == last) for n, why in sorted(faults.items())]
    return Contents(records, bad)


def _parse_line(line: bytes) -> dict[str, Any]:
    record: dict[str, Any] = parse(line, LINE)
    if "check" not in record:
        UNCHECKED_LINE(record, "")
    elif record["check"] != checksum(record):
        raise JsonFault("its checksum differs")
    return record


def with_checksum(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its "check" as the last field."""
    return {**record, "check": checksum(record)}


def checksum(record: dict[str, Any]) -> str:
    """crc32 of what does not depend on the clock, 8 hexadecimal digits."""
    lasting = {k: v for k, v in record.items() if k not in (*CLOCK, "check")}
    return f"{zlib.crc32(json.dumps(lasting, sort_keys=True).encode()):08x}"


def encode_line(record: dict[str, Any]) -> bytes:
    """One record as one line of JSON, in the order its fields were given; NaN is refused."""
    return (json.dumps(record, allow_nan=False) + "\n").encode()

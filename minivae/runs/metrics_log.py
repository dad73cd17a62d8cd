"""metrics.jsonl: one JSON object per line and epoch, whole lines only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from minivae.runs.checkpoint import write_atomically
from minivae.runs.errors import RunError, describe_os_error


class MetricsLog:
    """The run's metrics file.

    A line is ``{"epoch", "updates", "lr", "beta", "train": {...}, "held_out": {...} | null,
    "best", "seconds", "samples_per_second"}``; losses are in nats per datum. Only the last two
    fields depend on the clock. A process killed while writing leaves at most one half line, which
    readers pass over and the next run removes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """All whole records, oldest first; a half-written last line is left out."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {describe_os_error(error)}") from error
        records = []
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("epoch"), int):
                records.append(record)
        return records

    def keep_until(self, epoch: int) -> list[dict[str, Any]]:
        """Drop the lines after ``epoch`` (they will be written again); returns what stays."""
        kept = [record for record in self.read() if record["epoch"] <= epoch]
        write_atomically(self.path, b"".join(map(encode_line, kept)))
        return kept

    def append(self, record: dict[str, Any]) -> None:
        """Add one line and flush it to the disk. Raises RunError when the disk refuses."""
        try:
            with open(self.path, "ab") as file:
                file.write(encode_line(record))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {describe_os_error(error)}") from error


def encode_line(record: dict[str, Any]) -> bytes:
    """One record as one line of JSON, in the order its fields were given; NaN is refused."""
    return (json.dumps(record, allow_nan=False) + "\n").encode()

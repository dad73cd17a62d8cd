"""What `fsck` has found of a run so far, and what later checks need of earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minivae.messages import one_line
from minivae.runs.directory import CHECKPOINTS
from minivae.runs.hints import command_line
from minivae.runs.store import CheckpointStore, Key


class Inspection:
    """A run that is looked through: its folder, and all that was found in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.left: list[str] = []  # files as a kill leaves them, which a resume puts right
        self.store = CheckpointStore(path / CHECKPOINTS)
        self.config: dict[str, Any] | None = None  # where it is sound
        self.sound: dict[Key, dict[str, Any]] = {}  # manifests of the sound checkpoints
        self.resume = command_line("train", "--resume", path)

    @property
    def newest(self) -> tuple[Key, dict[str, Any]] | None:
        """The newest sound checkpoint's key and manifest."""
        return max(self.sound.items(), key=lambda item: item[0]) if self.sound else None

    @property
    def best(self) -> Key | None:
        """The key of the best checkpoint, by the newest sound one's own account."""
        epoch = None if self.newest is None else self.newest[1]["progress"]["best_epoch"]
        return None if epoch is None else (epoch, 0)

    @property
    def damaged(self) -> list[str]:
        """The names of the files that are damaged."""
        return [finding.file for finding in self.findings if finding.state == "damaged"]

    def tell(self, file: str, state: str, words: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(file, state, one_line(words)))

    def tell_left(self, file: str, words: str) -> None:
        """Add a note on what a kill left and a resume puts right."""
        self.tell(file, "note", words)
        self.left.append(file)


class Finding(NamedTuple):
    """One file, its state ("sound", "note" or "damaged"), and what there is to say of it."""

    file: str
    state: str
    words: str

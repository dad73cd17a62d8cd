"""Check a whole run directory: every file, hash, pointer and log line, and what they say together.

Nothing is written. What is found is told by file, with what can be recovered and what is lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from minivae.messages import one_line
from minivae.runs import files
from minivae.runs.checkpoint import Checkpoint, digest, manifest_path
from minivae.runs.config_file import CONFIG, read_config, require_unchanged, settings_in
from minivae.runs.consistency import log_fault, rate_fault, state_fault
from minivae.runs.directory import CHECKPOINTS, METRICS, PICTURES, is_begun
from minivae.runs.errors import CheckpointError, RunError, describe_os_error
from minivae.runs.fsck_recovery import recovery
from minivae.runs.hints import command_line
from minivae.runs.lock import LOCK, running_process
from minivae.runs.metrics_log import MetricsLog
from minivae.runs.pictures import png_fault
from minivae.runs.store import POINTERS, CheckpointStore, Key, key_of, name_of
from minivae.settings import ConfigError, UnknownPart

NOT_BEGUN = "no run came to its first record here, so nothing is lost"

NOT_YET = "not written yet, as a kill leaves it; a resume writes it"


class Finding(NamedTuple):
    """One file, its state ("sound", "note" or "damaged"), and what there is to say of it."""

    file: str
    state: str
    words: str


class RunReport(NamedTuple):
    """What a run directory holds, and what can be made of it."""

    path: Path
    findings: list[Finding]
    resume_from: str | None  # the checkpoint that a resume goes on from
    recover: list[str]  # what can be done, in sentences

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return all(finding.state != "damaged" for finding in self.findings)


def check_run(path: Path | str) -> RunReport:
    """Check the run in `path`. Raises RunError where that is no run directory at all."""
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"{path} is no run directory; list them with: ls runs")
    if not any(os.path.lexists(path / name) for name in (CONFIG, METRICS, CHECKPOINTS, LOCK)):
        raise RunError(f"{path} has neither {CONFIG} nor {CHECKPOINTS}: it is no run directory")
    inspection = _Inspection(path)
    inspection.check_lock()
    inspection.check_config()
    inspection.check_checkpoints()
    inspection.check_pointers()
    inspection.check_log()
    inspection.check_others()
    newest = inspection.newest
    return RunReport(
        path,
        inspection.findings,
        None if newest is None else name_of(newest[0]).removesuffix(".safetensors"),
        recovery(inspection),
    )


class _Inspection:
    """The findings so far, and what later checks need of earlier ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.store = CheckpointStore(path / CHECKPOINTS)
        self.config: dict[str, Any] | None = None  # where it is sound
        self.sound: dict[Key, dict[str, Any]] = {}  # manifests of the sound checkpoints
        self.resume = command_line("train", "--resume", path)

    @property
    def newest(self) -> tuple[Key, dict[str, Any]] | None:
        """The newest sound checkpoint's key and manifest."""
        return max(self.sound.items(), key=lambda item: item[0]) if self.sound else None

    @property
    def damaged(self) -> list[str]:
        """The names of the files that are damaged."""
        return [finding.file for finding in self.findings if finding.state == "damaged"]

    def tell(self, file: str, state: str, words: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(file, state, one_line(words)))

    def check_lock(self) -> None:
        """Whether the lock is a plain file, and a process that it names still runs."""
        lock = self.path / LOCK
        if not os.path.lexists(lock):
            return
        if lock.is_symlink() or not lock.is_file():
            self.tell(LOCK, "damaged", "it is no plain file, and no run will use it; remove it")
            return
        number = running_process(lock)
        in_use = "" if number is None else f"process {number} runs: it may be writing here"
        self.tell(LOCK, "note" if in_use else "sound", in_use or "no process holds the run")

    def check_config(self) -> None:
        """config.json against its schema, its own sha256 and the settings' own rules."""
        config = None
        try:
            config = read_config(self.path)
            if config is None:
                if is_begun(self.path):
                    self.tell(CONFIG, "damaged", "it is missing")
                else:
                    self.tell(CONFIG, "note", NOT_BEGUN)
                return
            require_unchanged(self.path, config)
            settings_in(self.path, config)
        except (RunError, ConfigError) as fault:
            if isinstance(fault, UnknownPart) and config is not None and "sha256" in config:
                raise  # the file is as it was written: it is read once the part is registered
            self.tell(CONFIG, "damaged", str(fault))
            return
        self.config = config
        old = "" if "sha256" in config else "; of an earlier version, without a sha256 of its own"
        self.tell(CONFIG, "sound", f"settings and data agree with their schema{old}")

    def check_checkpoints(self) -> None:
        """Every numbered checkpoint: both files, all sums, its state, and whose it is."""
        for key in self.store.numbered():
            name = f"{CHECKPOINTS}/{name_of(key)}"
            try:
                checkpoint = self.store.read(self.store.directory / name_of(key))
                self._check_state(checkpoint)
            except UnknownPart:
                raise
            except (CheckpointError, ConfigError) as fault:
                if key not in self.store.numbered():  # a run beside this one dropped it
                    continue
                if self._is_half_there(key):
                    self.tell(name, "note", "without its manifest, as a kill leaves it")
                else:
                    self.tell(name, "damaged", str(fault))
                continue
            self.sound[key] = checkpoint.manifest
            p = checkpoint.manifest["progress"]
            self.tell(name, "sound", f"epoch {p['epoch']}, {p['t']} updates, all sums agree")

    def _is_half_there(self, key: Key) -> bool:
        """Whether a kill came between a checkpoint's two files: the manifest comes last, and goes
        first; `last` names the one before, or newer ones are as many as are kept."""
        if os.path.lexists(manifest_path(self.store.directory / name_of(key))):
            return False
        if self._is_first():
            return not os.path.lexists(self.store.directory / "last.json")
        if key[1] and any(other > key and not other[1] for other in self.store.numbered()):
            return True  # those within an epoch are dropped at its end
        keep = 0 if self.config is None else self.config["train"].get("keep", 0)
        if keep and sum(other > key for other in self.store.numbered()) >= keep:
            return True
        try:
            last = key_of(self.store.load("last").path.name)
        except CheckpointError:
            return False
        return last is not None and last < key

    def _is_first(self) -> bool:
        """Whether there is one checkpoint: a kill may have come before its pointers."""
        return len(self.store.numbered()) == 1

    def _check_state(self, checkpoint: Checkpoint) -> None:
        """CheckpointError where a whole checkpoint holds no state of this run."""
        fault = state_fault(checkpoint, self.config)
        if fault is not None:
            raise CheckpointError(f"{checkpoint.path.name}: {fault}")

    def check_pointers(self) -> None:
        """`last` and `best`: each the manifest of a sound checkpoint, with a copy beside it."""
        for pointer in POINTERS:
            name = f"{CHECKPOINTS}/{pointer}.json"
            wanted = self._wanted(pointer)
            if not os.path.lexists(self.path / name) and self._may_lack(pointer, wanted):
                if wanted is not None:
                    self.tell(name, "note", NOT_YET)
                continue
            try:
                checkpoint = self.store.load(pointer)
                if wanted is not None and checkpoint.path.name != name_of(wanted):
                    self.tell(
                        name, "note", f"it names {checkpoint.path.name}, not {name_of(wanted)}"
                    )
                else:
                    self.tell(name, "sound", f"it names {checkpoint.path.name}")
                self._check_copy(pointer, checkpoint)
            except CheckpointError as error:
                self.tell(name, "damaged", str(error))

    def _may_lack(self, pointer: str, wanted: Key | None) -> bool:
        """Whether a kill may have come before a pointer was first written: `last` at the first
        checkpoint, `best` at the first that is best."""
        if not self.sound or self._is_first():
            return True
        return pointer == "best" and (wanted is None or self._is_unfinished(wanted))

    def _is_unfinished(self, key: Key) -> bool:
        """Whether a kill came within the save of the newest checkpoint: `last` is turned last."""
        try:
            last = self.store.load("last").path.name
        except CheckpointError:
            return False
        return key == max(self.sound) and last != name_of(key)

    def _check_copy(self, pointer: str, checkpoint: Checkpoint) -> None:
        """The copy beside a pointer: of the same checkpoint, or already of the next one."""
        place = f"{CHECKPOINTS}/{pointer}.safetensors"
        key = key_of(checkpoint.path.name)
        begun = self._is_first() or (key in self.sound and self._is_unfinished(key))
        if begun and not os.path.lexists(self.path / place):
            self.tell(place, "note", NOT_YET)
            return
        try:
            found = digest(files.read_file(self.path / place, 2**40))
        except OSError as error:
            self.tell(place, "damaged", describe_os_error(error))
            return
        if found == checkpoint.manifest["sha256"]:
            return
        others = [name_of(key) for key, facts in self.sound.items() if facts["sha256"] == found]
        if others:
            self.tell(place, "note", f"it is {others[0]} already, as a kill leaves it")
        else:
            self.tell(place, "damaged", "it is not what its manifest says")

    def _wanted(self, pointer: str) -> Key | None:
        """The checkpoint that a pointer should name, by the newest one's own account."""
        if self.newest is None:
            return None
        if pointer == "last":
            return self.newest[0]
        best = self.newest[1]["progress"]["best_epoch"]
        return None if best is None else (best, 0)

    def check_log(self) -> None:
        """Each line of metrics.jsonl, and all of them against the newest checkpoint."""
        log = MetricsLog(self.path / METRICS)
        if not os.path.lexists(log.path):
            if self.newest is not None:
                self.tell(METRICS, "damaged", "it is missing; the figures of the epochs are lost")
            return
        try:
            records, bad = log.contents()
        except RunError as fault:
            self.tell(METRICS, "damaged", str(fault))
            return
        for line in bad:
            state = "note" if line.torn else "damaged"
            words = "half a line, as a kill leaves it" if line.torn else line.fault
            self.tell(f"{METRICS} line {line.number}", state, words)
        self._compare_log(records)
        old = sum("check" not in record for record in records)
        unchecked = f", {old} of an earlier version without a checksum" if old else ""
        self.tell(METRICS, "sound", f"{len(records)} whole lines{unchecked}")

    def _compare_log(self, records: list[dict[str, Any]]) -> None:
        """The figures of the epochs against every sound checkpoint; and are there any?"""
        if len(records) > 1 and not self.store.numbered():  # the first comes before a checkpoint
            self.tell(CHECKPOINTS, "damaged", f"those of {len(records)} epochs are missing")
        for key, manifest in reversed(self.sound.items()):
            fault = log_fault(records, manifest) or rate_fault(records, manifest)
            if fault is not None:
                self.tell(METRICS, "damaged", f"by {CHECKPOINTS}/{name_of(key)}, {fault}")
                return

    def check_others(self) -> None:
        """Pictures, and whatever else lies in the directory."""
        ours = {CONFIG, METRICS, LOCK, CHECKPOINTS, PICTURES}
        known = {f"{pointer}{end}" for pointer in POINTERS for end in (".json", ".safetensors")}
        for key in self.store.numbered():
            known |= {name_of(key), name_of(key).replace(".safetensors", ".json")}
        for folder, names in ((self.path, ours), (self.store.directory, known)):
            for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
                place = entry.relative_to(self.path).as_posix()
                if entry.name.endswith(files.TEMPORARY):
                    self.tell(
                        place, "note", "half-written, as a kill leaves it; a resume removes it"
                    )
                elif ".damaged-" in entry.name:
                    self.tell(place, "note", "damaged before, and kept by a resume")
                elif entry.name not in names:
                    self.tell(place, "note", "no file of a run's")
        for entry in sorted(self.path.rglob("*")):
            if entry.is_symlink() and entry.name != LOCK:
                words = "a link: what it points at is read, and may be changed from elsewhere"
                self.tell(entry.relative_to(self.path).as_posix(), "note", words)
        for picture in sorted((self.path / PICTURES).glob("*.png")):
            fault = png_fault(picture)
            if fault is not None:
                self.tell(f"{PICTURES}/{picture.name}", "damaged", f"{fault}; draw it again")

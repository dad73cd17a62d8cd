"""Check a whole run directory: every file, hash, pointer and log line, and what they say together.

Nothing is written. What is found is told by file, with what can be recovered and what is lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from minivae.runs import files
from minivae.runs.config_file import CONFIG, read_config, require_unchanged, settings_in
from minivae.runs.consistency import log_fault, rate_fault
from minivae.runs.directory import CHECKPOINTS, METRICS, PICTURES, is_begun, is_leftover
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.fsck_checkpoints import check_checkpoints, check_pointers
from minivae.runs.fsck_findings import Finding, Inspection
from minivae.runs.fsck_recovery import recovery
from minivae.runs.lock import LOCK, running_process
from minivae.runs.metrics_log import MetricsLog
from minivae.runs.pictures import png_fault
from minivae.runs.store import POINTERS, name_of
from minivae.settings import ConfigError, UnknownPart

NOT_BEGUN = "no run came to its first record here, so nothing is lost"
HALF_WRITTEN = "half-written, as a kill leaves it"


class RunReport(NamedTuple):
    """What a run directory holds, and what can be made of it."""

    path: Path
    findings: list[Finding]
    resume_from: str | None  # the checkpoint that a resume goes on from
    recover: list[str]  # what can be done, in sentences
    left: list[str]  # files as a kill leaves them, which a resume puts right

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return all(finding.state != "damaged" for finding in self.findings)


def check_run(path: Path | str) -> RunReport:
    """Check the run in `path`.

    Raises RunError, one line, where that is no run directory at all, or cannot be read.
    """
    path = Path(path)
    try:
        return _check_run(path)
    except OSError as error:
        place, why = error.filename or path, describe_os_error(error)
        raise RunError(f"cannot read {place}: {why}; check the disk") from error


def _check_run(path: Path) -> RunReport:
    if not path.is_dir():
        raise RunError(f"{path} is no run directory; list them with: ls runs")
    if not is_run(path):
        raise RunError(f"{path} has neither {CONFIG} nor {CHECKPOINTS}: it is no run directory")
    found = Inspection(path)
    for check in (
        _check_lock, _check_config, check_checkpoints, check_pointers, _check_log, _check_others
    ):  # fmt: skip
        check(found)
    newest = found.newest
    return RunReport(
        path,
        found.findings,
        None if newest is None else name_of(newest[0]).removesuffix(".safetensors"),
        recovery(found),
        found.left,
    )


def is_run(path: Path) -> bool:
    """Whether a folder holds anything that makes it a run's directory, be it damaged."""
    return any(os.path.lexists(path / name) for name in (CONFIG, METRICS, CHECKPOINTS, LOCK))


def _check_lock(found: Inspection) -> None:
    """Whether the lock is a plain file, and a process that it names still runs."""
    lock = found.path / LOCK
    if not os.path.lexists(lock):
        return
    if lock.is_symlink() or not lock.is_file():
        found.tell(LOCK, "damaged", "it is no plain file, and no run will use it; remove it")
        return
    number = running_process(lock)
    in_use = "" if number is None else f"process {number} runs: it may be writing here"
    found.tell(LOCK, "note" if in_use else "sound", in_use or "no process holds the run")


def _check_config(found: Inspection) -> None:
    """config.json against its schema, its own sha256 and the settings' own rules."""
    config = None
    try:
        config = read_config(found.path)
        if config is None:
            if is_begun(found.path):
                found.tell(CONFIG, "damaged", "it is missing")
            else:
                found.tell(CONFIG, "note", NOT_BEGUN)
            return
        require_unchanged(found.path, config)
        settings_in(found.path, config)
    except (RunError, ConfigError) as fault:
        if isinstance(fault, UnknownPart) and config is not None and "sha256" in config:
            raise  # the file is as it was written: it is read once the part is registered
        found.tell(CONFIG, "damaged", str(fault))
        return
    found.config = config
    old = "" if "sha256" in config else "; of an earlier version, without a sha256 of its own"
    found.tell(CONFIG, "sound", f"settings and data agree with their schema{old}")


def _check_log(found: Inspection) -> None:
    """Each line of metrics.jsonl, and all of them against the newest checkpoint."""
    log = MetricsLog(found.path / METRICS)
    if not os.path.lexists(log.path):
        if found.newest is not None:
            found.tell(METRICS, "damaged", "it is missing; the figures of the epochs are lost")
        return
    try:
        records, bad = log.contents()
    except RunError as fault:
        found.tell(METRICS, "damaged", str(fault))
        return
    for line in bad:
        state = "note" if line.torn else "damaged"
        words = "half a line, as a kill leaves it" if line.torn else line.fault
        found.tell(f"{METRICS} line {line.number}", state, words)
    _compare_log(found, records)
    old = sum("check" not in record for record in records)
    unchecked = f", {old} of an earlier version without a checksum" if old else ""
    found.tell(METRICS, "sound", f"{len(records)} whole lines{unchecked}")


def _compare_log(found: Inspection, records: list[dict[str, Any]]) -> None:
    """The figures of the epochs against every sound checkpoint; and are there any?"""
    if len(records) > 1 and not found.store.numbered():  # the first comes before a checkpoint
        found.tell(CHECKPOINTS, "damaged", f"those of {len(records)} epochs are missing")
    for key, manifest in reversed(found.sound.items()):
        fault = log_fault(records, manifest) or rate_fault(records, manifest)
        if fault is not None:
            found.tell(METRICS, "damaged", f"by {CHECKPOINTS}/{name_of(key)}, {fault}")
            return


def _check_others(found: Inspection) -> None:
    """Pictures, links, and whatever else lies in the directory."""
    ours = {CONFIG, METRICS, LOCK, CHECKPOINTS, PICTURES}
    known = {f"{pointer}{end}" for pointer in POINTERS for end in (".json", ".safetensors")}
    for key in found.store.numbered():
        known |= {name_of(key), name_of(key).replace(".safetensors", ".json")}
    for folder, names in ((found.path, ours), (found.store.directory, known)):
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if entry.name not in names:
                _tell_other(found, entry)
    for entry in sorted(found.path.rglob("*")):
        if entry.is_symlink() and entry.name != LOCK:
            words = "a link: what it points at is read, and may be changed from elsewhere"
            found.tell(entry.relative_to(found.path).as_posix(), "note", words)
    for picture in sorted((found.path / PICTURES).glob("*.png")):
        fault = png_fault(picture)
        if fault is not None:
            found.tell(f"{PICTURES}/{picture.name}", "damaged", f"{fault}; draw it again")
    for half in sorted((found.path / PICTURES).glob(f"*.png{files.TEMPORARY}")):
        words = f"{HALF_WRITTEN}; the same picture drawn again replaces it"
        found.tell(f"{PICTURES}/{half.name}", "note", words)


def _tell_other(found: Inspection, entry: Path) -> None:
    """A file of no name that a run has."""
    place = entry.relative_to(found.path).as_posix()
    in_checkpoints = entry.parent == found.store.directory
    if is_leftover(entry) or (in_checkpoints and entry.name.endswith(files.TEMPORARY)):
        found.tell_left(place, f"{HALF_WRITTEN}; a resume removes it")
    elif ".damaged-" in entry.name:
        found.tell(place, "note", "damaged before, and kept by a resume")
    else:
        found.tell(place, "note", "no file of a run's")

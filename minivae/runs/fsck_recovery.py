"""What can be made of a run that `fsck` has looked through."""

from __future__ import annotations

import os

from minivae.runs.checkpoint import manifest_path
from minivae.runs.config_file import CONFIG
from minivae.runs.directory import CHECKPOINTS, METRICS, is_begun
from minivae.runs.fsck_findings import Inspection
from minivae.runs.hints import command_line
from minivae.runs.store import POINTERS, name_of


def recovery(found: Inspection) -> list[str]:
    """What can be recovered from an inspected run, and what cannot, in sentences."""
    said: list[str] = []
    damaged = found.damaged
    if not is_begun(found.path):
        again = command_line("train", "--out", found.path)
        said.append(f"start it again, with the same options: {again}")
        return said
    if found.newest is None:
        if not _was_completed(found) and found.config is not None:
            lost = "no checkpoint is left" if damaged else "no checkpoint yet, nothing is lost"
            said.append(f"{lost}: {found.resume} starts from the beginning")
        else:
            said.append("no sound checkpoint is left: start a new run")
        return said
    (epoch, update), manifest = found.newest
    inside = f" and {update} updates" if update else ""
    said.append(f"{found.resume} goes on after epoch {epoch}{inside}, from {manifest['file']}")
    newer = [key for key in found.store.numbered() if key > found.newest[0]]
    if newer:
        said.append("what came after it is trained again, to the same bits")
    if found.best is not None and found.best not in found.sound:
        said.append(f"the best parameters so far, of epoch {found.best[0]}, are lost")
    if CONFIG in damaged:
        said.append(f"a resume takes the settings from {manifest['file']}")
    if any(name.startswith(f"{CHECKPOINTS}/{p}.") for name in damaged for p in POINTERS):
        said.append("best and last are pointed at their checkpoints again by a resume")
    if any(name.startswith(METRICS) for name in damaged):
        said.append("the parameters need no line of the log: a resume goes on without")
    return said


def _was_completed(found: Inspection) -> bool:
    """Whether a checkpoint has its manifest; without any, a resume takes the run for a new one."""
    names = (found.store.directory / name_of(key) for key in found.store.numbered())
    return any(os.path.lexists(manifest_path(name)) for name in names)

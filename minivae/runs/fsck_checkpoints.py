"""What `fsck` says of a run's checkpoints: each of them, and `best` and `last`, which name one."""

from __future__ import annotations

import os

from minivae.runs import files
from minivae.runs.checkpoint import Checkpoint, digest, manifest_path
from minivae.runs.consistency import state_fault
from minivae.runs.directory import CHECKPOINTS
from minivae.runs.errors import CheckpointError, describe_os_error
from minivae.runs.fsck_findings import Inspection
from minivae.runs.store import INSIDE, POINTERS, Key, key_of, name_of
from minivae.settings import ConfigError, UnknownPart

NOT_YET = "not written yet, as a kill leaves it; a resume writes it"


def check_checkpoints(found: Inspection) -> None:
    """Every numbered checkpoint: both files, all sums, its state, and whose it is.

    Raises RunError where their folder cannot be read.
    """
    faults: dict[Key, str] = {}
    for key in found.store.numbered():
        try:
            checkpoint = found.store.read(found.store.directory / name_of(key))
            _check_state(found, checkpoint)
        except UnknownPart:
            raise
        except (CheckpointError, ConfigError) as fault:
            if key in found.store.numbered():  # else a run beside this one dropped it
                faults[key] = str(fault)
            continue
        found.sound[key] = checkpoint.manifest
    for key in sorted({*found.sound, *faults}):
        name = f"{CHECKPOINTS}/{name_of(key)}"
        if key in found.sound:
            p = found.sound[key]["progress"]
            found.tell(name, "sound", f"epoch {p['epoch']}, {p['t']} updates, all sums agree")
        elif _is_half_there(found, key):
            found.tell_left(name, "without its manifest, as a kill leaves it")
        else:
            found.tell(name, "damaged", faults[key])


def _check_state(found: Inspection, checkpoint: Checkpoint) -> None:
    """CheckpointError where a whole checkpoint holds no state of this run."""
    fault = state_fault(checkpoint, found.config)
    if fault is not None:
        raise CheckpointError(f"{checkpoint.path.name}: {fault}")


def _is_half_there(found: Inspection, key: Key) -> bool:
    """Whether a kill came between a checkpoint's two files: the manifest comes last, and goes
    first. `last` then names the one before, or so many newer ones are there that this was dropped.
    """
    if os.path.lexists(manifest_path(found.store.directory / name_of(key))):
        return False
    if _is_first(found):
        return not os.path.lexists(found.store.directory / "last.json")
    if key == found.best:  # which is never dropped
        return False
    last = _last(found)
    return _is_dropped(found, key) or (last is not None and last < key)


def _is_dropped(found: Inspection, key: Key) -> bool:
    """Whether the newer checkpoints are such that this one goes: the store's own rule."""
    newer = [other for other in found.store.numbered() if other > key]
    ends = sum(not update for _, update in newer)
    if key[1]:  # within an epoch, whose end drops it
        return ends > 0 or len(newer) >= INSIDE
    keep = 0 if found.config is None else found.config["train"].get("keep", 0)
    return 0 < keep <= ends


def _is_first(found: Inspection) -> bool:
    """Whether there is one checkpoint: a kill may have come before its pointers."""
    return len(found.store.numbered()) == 1


def _last(found: Inspection) -> Key | None:
    """The checkpoint that `last` names, where both are sound."""
    try:
        return key_of(found.store.load("last").path.name)
    except CheckpointError:
        return None


def check_pointers(found: Inspection) -> None:
    """`last` and `best`: each the manifest of a sound checkpoint, with a copy beside it."""
    for pointer in POINTERS:
        name = f"{CHECKPOINTS}/{pointer}.json"
        wanted = _wanted(found, pointer)
        if not os.path.lexists(found.path / name) and _may_lack(found, pointer, wanted):
            if wanted is not None:
                found.tell_left(name, NOT_YET)
            continue
        try:
            checkpoint = found.store.load(pointer)
        except CheckpointError as error:
            found.tell(name, "damaged", str(error))
            continue
        there = checkpoint.path.name
        if wanted is None or there == name_of(wanted):
            found.tell(name, "sound", f"it names {there}")
        elif wanted in found.sound:
            found.tell_left(name, f"it names {there}, not {name_of(wanted)}; a resume turns it")
        else:
            found.tell(name, "note", f"it names {there}, not {name_of(wanted)}, which is lost")
        _check_copy(found, pointer, checkpoint)


def _wanted(found: Inspection, pointer: str) -> Key | None:
    """The checkpoint that a pointer should name, by the newest one's own account."""
    if pointer == "best":
        return found.best
    return None if found.newest is None else found.newest[0]


def _may_lack(found: Inspection, pointer: str, wanted: Key | None) -> bool:
    """Whether a kill may have come before a pointer was first written: `last` at the first
    checkpoint, `best` at the first that is best."""
    if not found.sound or _is_first(found):
        return True
    return pointer == "best" and (wanted is None or _is_unfinished(found, wanted))


def _is_unfinished(found: Inspection, key: Key) -> bool:
    """Whether a kill came within the save of the newest checkpoint: `last` is turned last."""
    last = _last(found)
    return last is not None and key == max(found.sound) and last != key


def _check_copy(found: Inspection, pointer: str, checkpoint: Checkpoint) -> None:
    """The copy beside a pointer: of the same checkpoint, or still of the one before."""
    place = f"{CHECKPOINTS}/{pointer}.safetensors"
    key = key_of(checkpoint.path.name)
    begun = _is_first(found) or (key in found.sound and _is_unfinished(found, key))
    if begun and not os.path.lexists(found.path / place):
        found.tell_left(place, NOT_YET)
        return
    try:
        there = digest(files.read_file(found.path / place, 2**40))
    except OSError as error:
        found.tell(place, "damaged", describe_os_error(error))
        return
    if there == checkpoint.manifest["sha256"]:
        return
    others = [name_of(key) for key, facts in found.sound.items() if facts["sha256"] == there]
    if others:
        found.tell_left(place, f"it is still {others[0]}, as a kill leaves it; a resume turns it")
    else:
        found.tell(place, "damaged", "it is not what its manifest says")
